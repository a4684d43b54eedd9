// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// What is on a device, as udev would say it: asked of the program `blkid`, and remembered as long as nobody writes.
///
/// `blkid` gets a file in memory with the parts of the device in which file systems have their signatures: a stranger's
/// bytes are read in a process of its own, which can neither end the daemon nor wait for a driver. The device itself is
/// read with a deadline.
final class DeviceProbes: Sendable {
    static let shared = DeviceProbes()

    /// How much is read: signatures stand in the first two MiB and the last.
    private static let head: UInt64 = 3 << 20
    private static let tail: UInt64 = 1 << 20
    private static let piece: UInt64 = 1 << 20
    /// For the device to be read, and for the program.
    private static let limit = Duration.seconds(2)
    /// A device that did not answer is left in peace for so long.
    private static let respite = Duration.seconds(10)
    /// What was found is believed for so long at least.
    private static let validity = Duration.seconds(1)

    private struct ProbeKey: Hashable {
        let instance: String
        let device: DeviceKey

        init(_ device: BlockDevice) {
            instance = device.instance
            self.device = DeviceKey(device)
        }
    }

    private struct Probed {
        /// Writes when it was asked, and its size then.
        var stamp: [UInt64]
        var values: [String: String]
        /// Until then it is believed, whoever writes: a disk that is written all the time is not read all the time.
        var holds: Instant
        /// For a device that could not be asked: when it may be again.
        var until: Instant?
    }
    private let known = Lock<[ProbeKey: Probed]>([:])

    private static func stamp(_ device: BlockDevice) -> [UInt64] {
        let now = device.disk.statistics()
        return [now.startedOthers, device.size]
    }

    /// What was found on it when it was asked last; nil: it was not asked since it was written.
    func remembered(_ device: BlockDevice) -> [String: String]? {
        let stamp = Self.stamp(device)
        return known.withLock { known in
            guard let probed = known[ProbeKey(device)] else { return nil }
            guard probed.stamp == stamp || Instant.now < probed.holds else { return nil }
            if let until = probed.until, Instant.now > until { return nil }
            return probed.values
        }
    }

    /// What is on it.
    /// - Context: blocks, for a few seconds at most.
    func values(of device: BlockDevice) -> [String: String] {
        if let values = remembered(device) { return values }
        // Before the look: what is written meanwhile makes it stale.
        let stamp = Self.stamp(device)
        let found = Self.ask(device)
        let probed = Probed(
            stamp: stamp, values: found ?? [:], holds: Instant.now + Self.validity,
            until: found == nil ? Instant.now + Self.respite : nil)
        known.withLock { known in
            // Those of disks that are gone go with the next thousand.
            if known.count >= 4096 { known = [:] }
            known[ProbeKey(device)] = probed
        }
        return probed.values
    }

    /// nil: it could not be read in time, or there is no `blkid`.
    private static func ask(_ device: BlockDevice) -> [String: String]? {
        guard let program = ChildProcess.find("blkid"), let file = copy(device) else { return nil }
        do throws(SystemError) {
            let child = try ChildProcess.helper(program, ["-p", "-o", "udev", "/proc/self/fd/3"], reading: file)
            let outcome = child.finish(within: limit)
            // 2: there is nothing that it knows; 8: several things that contradict each other.
            guard outcome.status >= 0 else { return nil }
            return values(in: outcome.output)
        } catch {
            return nil
        }
    }

    static func values(in text: String) -> [String: String] {
        var values: [String: String] = [:]
        // By bytes: "\r\n" is one Character, and no end of a line to a split by Characters.
        for bytes in text.utf8.split(separator: UInt8(ascii: "\n")) {
            let line = String(decoding: bytes, as: UTF8.self)
            guard let equals = line.firstIndex(of: "="), line.hasPrefix("ID_FS_") || line.hasPrefix("ID_PART_TABLE_")
            else { continue }
            values[String(line[..<equals])] = String(line[line.index(after: equals)...])
        }
        return values
    }

    private static func copy(_ device: BlockDevice) -> MemoryFile? {
        let size = device.size * UInt64(sectorSize)
        guard size > 0, let file = try? MemoryFile(name: "platter-probe", size: size) else { return nil }
        var places: [UInt64] = Array(stride(from: 0, to: min(head, size), by: Int(piece)))
        if size > head { places.append(max(head, size - min(tail, size))) }
        let reader = ProbeReader(places.count)
        // Unseen: a look must neither end a disk that goes with its last opener nor be in the way of a removal.
        guard let opener = try? device.openUnseen(as: OpenerIdentity(kind: "probe"), depth: 8, sink: reader) else {
            return nil
        }
        let shared = SharedOpener(opener)
        defer { shared.close() }
        for (index, place) in places.enumerated() {
            let end = min(size, place + piece)
            guard let buffer = try? IOBuffer(count: Int(end - place)) else { return nil }
            let range = SectorRange(
                start: place / UInt64(sectorSize), count: (end - place) / UInt64(sectorSize))
            shared.submit(
                .read, range, data: .owned(consume buffer, count: Int(end - place)), token: UInt64(index))
        }
        guard reader.done.wait(until: Instant.now + limit) else { return nil }
        return reader.store(in: file, at: places) ? file : nil
    }
}

/// Collects what is read of a device.
private final class ProbeReader: BioSink {
    private final class Piece: Sendable {
        let buffer: IOBuffer
        init(_ buffer: consuming IOBuffer) { self.buffer = buffer }
    }
    private struct State {
        var pieces: [Int: Piece] = [:]
        var left: Int
    }
    private let state: Lock<State>
    let done = Parker()

    init(_ count: Int) { state = Lock(State(left: count)) }

    func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?) {
        var buffer = consume buffer
        var piece: Piece?
        if status == .ok, let filled = buffer.take() { piece = Piece(filled) }
        let kept = piece
        let isLast = state.withLock { state in
            state.pieces[Int(truncatingIfNeeded: token)] = kept
            state.left -= 1
            return state.left == 0
        }
        if isLast { done.raise() }
    }

    /// False: some of it could not be read.
    func store(in file: MemoryFile, at places: [UInt64]) -> Bool {
        state.withLock { state in
            for (index, place) in places.enumerated() {
                guard let piece = state.pieces[index] else { return false }
                // Holes stay holes.
                let memory = piece.buffer.memory
                if memory.isZero { continue }
                guard (try? file.write(memory, at: place)) != nil else { return false }
            }
            return true
        }
    }
}

extension BlockDevice {
    /// The text that stands for it below a `--sysroot`: a key and a value a line, as `lsblk` reads them.
    func sysrootText(_ probed: [String: String], mode: UInt32, user: UInt32, group: UInt32) -> String {
        var lines = ["DEVNAME=/dev/\(nodePath)"]
        for key in probed.keys.sorted() { lines.append("\(key)=\(probed[key] ?? "")") }
        for (key, value) in tableProperties where probed[key] == nil {
            // A name may have any character: in a line it stands as udev encodes it.
            lines.append("\(key)=\(key == "ID_PART_ENTRY_NAME" ? DeviceNames.encoded(value) : value)")
        }
        let facts = [("serial", "ID_SERIAL_SHORT"), ("model", "ID_MODEL"), ("wwn", "ID_WWN")]
        for (name, key) in facts {
            if let value = disk.options.attributes[name] { lines.append("\(key)=\(DeviceNames.encoded(value))") }
        }
        lines.append("OWNER=\(user == 0 ? "root" : "\(user)")")
        lines.append("GROUP=\(group == 0 ? "root" : "\(group)")")
        let bits = (0..<9).map { mode >> UInt32(8 - $0) & 1 == 1 ? String(Array("rwxrwxrwx")[$0]) : "-" }
        lines.append("MODE=b" + bits.joined())
        return lines.map { DeviceNames.oneLine($0) + "\n" }.joined()
    }
}
