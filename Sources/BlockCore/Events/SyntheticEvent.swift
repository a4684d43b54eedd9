// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// An event that somebody asks for by a line, as a kernel takes one from the file `uevent`:
/// `ACTION [UUID [KEY=VALUE …]]`. Pure.
///
/// What follows the action is marked as the asker's: his keys become `SYNTH_ARG_KEY`, his UUID `SYNTH_UUID`, which is
/// 0 where he gave none. So a listener tells what happened from what was asked for.
struct SyntheticEvent: Equatable {
    /// Longer lines are refused: what an event has besides is bounded, and so is the memory of all events.
    static let lineLimit = 2048
    private static let uuidLength = 36

    let action: DiskEvent.Action
    let extra: [String]

    /// - Throws: EINVAL for anything but such a line; one newline at its end is fine.
    init(_ line: String) throws(DiskError) {
        var bytes = Array(line.utf8)[...]
        if bytes.last == UInt8(ascii: "\n") || bytes.last == 0 { bytes.removeLast() }
        guard bytes.count <= Self.lineLimit else { throw Self.refused("a line of \(bytes.count) bytes is too long") }
        let space = bytes.firstIndex(of: UInt8(ascii: " "))
        let word = String(decoding: bytes[..<(space ?? bytes.endIndex)], as: UTF8.self)
        guard let action = DiskEvent.Action(rawValue: word) else {
            let words = DiskEvent.Action.allCases.map(\.rawValue).joined(separator: ", ")
            let shown = !word.isEmpty && word.allSatisfy(\.isLetter) ? "'\(word)'" : "what it begins with"
            throw Self.refused("\(shown) is no action; there are \(words)")
        }
        self.action = action
        extra =
            try space.map { (space) throws(DiskError) in
                try Self.arguments(bytes[bytes.index(after: space)...])
            } ?? ["SYNTH_UUID=0"]
    }

    private static func arguments(_ text: ArraySlice<UInt8>) throws(DiskError) -> [String] {
        let uuid = text.prefix(uuidLength)
        guard isUUID(uuid) else { throw refused("behind the action stands a UUID, or nothing") }
        var extra = ["SYNTH_UUID=" + String(decoding: uuid, as: UTF8.self)]
        var rest = text.dropFirst(uuidLength)
        while let space = rest.first {
            let pair = rest.dropFirst().prefix { $0 != UInt8(ascii: " ") }
            rest = rest.dropFirst(1 + pair.count)
            let parts = pair.split(separator: UInt8(ascii: "="), omittingEmptySubsequences: false)
            guard space == UInt8(ascii: " "), parts.count == 2, parts.allSatisfy({ isWord($0) }) else {
                throw refused("behind the UUID stand KEY=VALUE of letters and digits, one space before each")
            }
            extra.append("SYNTH_ARG_" + String(decoding: pair, as: UTF8.self))
        }
        return extra
    }

    private static func isUUID(_ text: ArraySlice<UInt8>) -> Bool {
        text.count == uuidLength
            && text.enumerated().allSatisfy { place, byte in
                [8, 13, 18, 23].contains(place) ? byte == UInt8(ascii: "-") : isHexadecimal(byte)
            }
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...70).contains(byte) || (97...102).contains(byte)
    }

    private static func isWord(_ text: ArraySlice<UInt8>) -> Bool {
        !text.isEmpty
            && text.allSatisfy { (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) }
    }

    private static func refused(_ reason: String) -> DiskError {
        DiskError(errno: DiskError.invalid, reason: "no event: \(reason)")
    }
}

extension BlockDevice {
    /// Sends the event that a line asks for, and changes nothing: what a write to the file `uevent` of a kernel's device
    /// does. A hidden disk sends none, as always.
    ///
    /// - Parameter line: `ACTION [UUID [KEY=VALUE …]]`; the actions are those of ``DiskEvent/Action``. Without a UUID the
    ///   event has `SYNTH_UUID=0`; with one it has that and `SYNTH_ARG_KEY=VALUE` for each pair, letters and digits only.
    ///   A newline may end it.
    /// - Throws: EINVAL for another line, ENODEV when the device is gone.
    /// - Context: any thread; may be called in an event's delivery.
    public func synthesizeEvent(_ line: String) throws(DiskError) {
        let synthetic = try SyntheticEvent(line)
        try announce(synthetic.action, extra: synthetic.extra)
    }

    /// Tells that something that is no disk was bound to the device, or taken off it: an export, for example.
    ///
    /// - Parameter extra: what else there is to say, `KEY=VALUE` each; the keys stand behind SUBSYSTEM in this order.
    /// - Throws: ENODEV when the device is gone; its own events say so then.
    public func announceBinding(_ isBound: Bool, extra: [String]) throws(DiskError) {
        try announce(isBound ? .bind : .unbind, extra: extra)
    }

    /// In the critical section that knows whether the device is there: nothing is told of it behind its removal.
    private func announce(_ action: DiskEvent.Action, extra: [String]) throws(DiskError) {
        let isThere = disk.state.withLock { state in
            guard state.lifecycle.isAnnounced, partitionNumber == 0 || isListed else { return false }
            disk.registry.events.append([disk.event(action, of: self, extra: extra)])
            return true
        }
        guard isThere else { throw disk.goneError() }
        disk.registry.events.pump()
    }
}
