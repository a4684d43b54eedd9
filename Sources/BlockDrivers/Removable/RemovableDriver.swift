// SPDX-License-Identifier: Apache-2.0

public import BlockCore
internal import BlockSystem

/// A slot for images, as a card reader is one for cards: `insert` puts a file in, `eject` takes it out.
///
/// A handle that was opened on one medium is answered `noMedium` once that is out, and never meets the next one. What is
/// in flight when a medium is pulled goes to that medium's file or is answered; its lock is given back when the last
/// call on it has returned, so that no late write meets another disk on the same file.
public final class RemovableDriver: BlockDriver {
    private struct State {
        var medium: LoadedMedium?
        var insertions: UInt64 = 0
        var events: MediaEventSet = []
        var notes: [String] = []
    }
    private struct Report {
        var call: (@Sendable () -> Void)?
    }
    private let state = Lock(State())
    private let report = Lock(Report())
    /// How long an eject waits for the calls on the file that are under way.
    private static let patience = Duration.seconds(1)

    /// What the core is told of it: what a file can do, whatever is in.
    public let profile: DriverProfile

    /// An empty slot for media with blocks of so many bytes, that takes no writes if it is read-only.
    public init(logicalBlockSize: Int = 512, isReadOnly: Bool = false) {
        var profile = DriverProfile()
        profile.style = .mayBlock
        profile.logicalBlockSize = logicalBlockSize
        profile.physicalBlockSize = max(4096, logicalBlockSize)
        profile.hasWriteCache = !isReadOnly
        profile.fua = .native
        profile.discard = .native
        profile.writeZeroes = .native
        profile.isReadOnly = isReadOnly
        self.profile = profile
    }

    static func make(_ keys: inout DriverKeys, _ common: CommonKeys) throws(ConfigurationError) -> RemovableDriver {
        let image = try keys.take("image")
        try keys.finish()
        let driver = RemovableDriver(logicalBlockSize: common.sectorSize ?? 512, isReadOnly: common.isReadOnly)
        guard let image else { return driver }
        do throws(MediumError) {
            try driver.insert(image)
        } catch {
            throw ConfigurationError("removable: \(error.reason)", errno: error.errno)
        }
        // It was there before the disk: nothing has changed.
        _ = driver.checkEvents(clearing: [])
        return driver
    }

    /// Events come with the verbs, and when a device beneath has vanished: there is nothing to ask for in between.
    public var media: MediaProfile? { MediaProfile() }

    /// What is in.
    public var medium: Medium {
        state.withLock { state in
            state.medium.map { Medium(number: $0.number, capacity: $0.file.capacity) } ?? .none
        }
    }

    /// Sectors of what is in; 0: nothing is.
    public var capacity: UInt64 { medium.capacity }

    /// Does the I/O here, on the file of the medium that the bio means.
    public func submit(_ bio: consuming Bio) {
        let number = bio.medium
        guard let medium = state.withLock({ $0.medium }), medium.number == number else {
            return bio.complete(.noMedium)
        }
        medium.file.submit(bio)
    }

    /// What the file system says of what is in.
    public func extents(of range: SectorRange) -> [DeviceExtent] {
        state.withLock({ $0.medium })?.file.extents(of: range) ?? [DeviceExtent(count: range.count, kind: .data)]
    }

    /// What has happened since the last call.
    public func checkEvents(clearing: MediaEventSet) -> MediaEventSet {
        state.withLock { state in
            defer { state.events = [] }
            return state.events
        }
    }

    /// Called when the device under an image's path has vanished.
    public func onMediaEvent(_ report: @escaping @Sendable () -> Void) { self.report.withLock { $0.call = report } }

    /// Puts the image or block device of this path in, and locks it.
    public func insert(_ source: String) throws(MediumError) {
        if let medium = state.withLock({ $0.medium }) {
            throw MediumError(errno: 16, "\(medium.path) is in already: eject it first")
        }
        var options = FileOptions(path: source)
        options.isReadOnly = profile.isReadOnly
        options.sectorSize = profile.logicalBlockSize
        options.engine = .threads
        let file: FileDriver
        do throws(ConfigurationError) {
            file = try FileDriver(options)
        } catch {
            // A medium is not made by putting it in.
            throw MediumError(
                errno: error.errno,
                error.errno == 2
                    ? "\(source) does not exist: name an image or a block device"
                    : error.reason.replacingPrefix("file: "))
        }
        let number = state.withLock { state in
            state.insertions += 1
            state.medium = LoadedMedium(file, number: state.insertions, path: source)
            state.events.insert(.change)
            return state.insertions
        }
        file.onDeath { [weak self] in self?.vanished(number) }
    }

    /// Takes it out. Waits a moment for the calls on its file that are under way; what they owe is the file's, not the
    /// next medium's.
    public func eject() throws(MediumError) {
        guard let isOut = takeOut(nil) else { throw MediumError(errno: 123, "there is no medium in it") }
        if !isOut.wait(until: Instant.now + Self.patience) {
            state.withLock {
                $0.notes = ["calls on a medium that was ejected have not returned: its file stays locked"]
            }
        }
    }

    private func vanished(_ number: UInt64) {
        guard takeOut(number) != nil else { return }
        report.withLock { $0 }.call?()
    }

    /// Returns what goes up when the file is closed; the last call on it does that. nil: it was not in.
    private func takeOut(_ number: UInt64?) -> Parker? {
        let medium = state.withLock { state -> LoadedMedium? in
            guard let medium = state.medium, number == nil || medium.number == number else { return nil }
            state.medium = nil
            state.events.insert(.change)
            return medium
        }
        return medium?.isOut
    }

    /// What is in.
    public var settings: [(key: String, value: String)] {
        state.withLock { $0.medium }.map { [("image", $0.path)] } ?? []
    }

    /// What its user should know of the file that is in.
    public var notes: [String] {
        let (medium, notes) = state.withLock { ($0.medium, $0.notes) }
        return notes + (medium?.file.notes ?? [])
    }

    /// Gives the file back.
    public func released() { _ = takeOut(nil) }
}

/// An image in the slot, until the last call on it has returned.
private final class LoadedMedium: Sendable {
    let file: FileDriver
    let number: UInt64
    let path: String
    let isOut = Parker()

    init(_ file: FileDriver, number: UInt64, path: String) {
        self.file = file
        self.number = number
        self.path = path
    }

    deinit {
        file.released()
        isOut.raise()
    }
}

extension String {
    fileprivate func replacingPrefix(_ prefix: String) -> String {
        hasPrefix(prefix) ? String(dropFirst(prefix.count)) : self
    }
}
