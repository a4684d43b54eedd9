// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// One named value of a device: when there is one, how it reads, what a write does. A row of a static table; nothing of
/// it belongs to a device.
struct Attribute: Sendable {
    typealias Show = @Sendable (BlockDevice) -> String
    typealias Store = @Sendable (BlockDevice, String, AttributeVisit) throws(AttributeError) -> Void

    /// Below the directory of the device: `size`, `queue/fua`.
    let path: String
    /// Whether this device has it: an attribute appears with its feature.
    let isVisible: @Sendable (BlockDevice) -> Bool
    /// The value without its newline; an empty one reads as nothing at all. nil: it can only be written.
    ///
    /// Looks at the core only, never at the driver, so that it is quick whatever the driver does.
    let show: Show?
    /// Takes a value, without its newline. May block. nil: it can only be read.
    let store: Store?

    /// One that can only be read.
    init(
        _ path: String, if isVisible: @escaping @Sendable (BlockDevice) -> Bool = { _ in true }, _ show: @escaping Show
    ) {
        self.path = path
        self.isVisible = isVisible
        self.show = show
        store = nil
    }

    /// One that can be written.
    init(
        _ path: String, if isVisible: @escaping @Sendable (BlockDevice) -> Bool = { _ in true }, show: Show?,
        store: @escaping Store
    ) {
        self.path = path
        self.isVisible = isVisible
        self.show = show
        self.store = store
    }

    /// All rows, in the order of listings: what stands in the directory itself, then its groups, each by name.
    static let all: [Attribute] = {
        let rows = DeviceAttributes.rows + QueueAttributes.rows + TraceAttributes.rows
        return rows.sorted { left, right in
            let (one, other) = (left.path.contains("/"), right.path.contains("/"))
            return one == other ? left.path < right.path : other
        }
    }()

    private static let byPath: [String: Attribute] = Dictionary(
        all.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })

    /// The rows below each directory.
    fileprivate static let groups: [String: [Attribute]] = Dictionary(
        grouping: all.filter { $0.path.contains("/") }
    ) { String($0.path.prefix { $0 != "/" }) }

    static func find(_ path: String, of device: BlockDevice) -> Attribute? {
        guard let found = byPath[path], found.isVisible(device) else { return nil }
        return found
    }
}

/// An attribute as listings show it.
public struct AttributeInfo: Sendable, Codable, Equatable {
    /// Below the directory of the device: `size`, `queue/nr_requests`, `device/delete`.
    public var path: String
    /// Whether it has a value to read.
    public var isReadable: Bool
    /// Whether it takes a value.
    public var isWritable: Bool
}

extension BlockDevice {
    private func gone() -> AttributeError {
        .gone("\(name) is gone (DISKSEQ \(disk.sequence)): its attributes went with it")
    }

    /// In through the door, or an error; the attribute, if this device has it.
    private func visit(_ path: String) throws(AttributeError) -> (Attribute, AttributeVisit) {
        // The door first: what a dead disk has is no longer a question.
        guard let visit = AttributeVisit(disk.attributeDoor), isListed else { throw gone() }
        guard let attribute = Attribute.find(path, of: self) else {
            throw .unknown("\(name) has no attribute '\(path)'")
        }
        return (attribute, visit)
    }

    /// The attributes that it has now, in a fixed order; none once it is gone. Of ``Disk/part0``: those of the disk.
    /// - Context: any thread, under no lock; does not block.
    public func attributes() -> [AttributeInfo] {
        guard let visit = AttributeVisit(disk.attributeDoor), isListed else { return [] }
        defer { _ = visit }
        return Attribute.all.filter { $0.isVisible(self) }.map {
            AttributeInfo(path: $0.path, isReadable: $0.show != nil, isWritable: $0.store != nil)
        }
    }

    /// The attribute of this path; nil: the device has none such, or is gone.
    /// - Context: as ``attributes()``.
    public func attribute(_ path: String) -> AttributeInfo? {
        guard !disk.queue.gate.isDead, isListed, let found = Attribute.find(path, of: self) else { return nil }
        return AttributeInfo(path: path, isReadable: found.show != nil, isWritable: found.store != nil)
    }

    /// Whether attributes stand below this path.
    /// - Context: as ``attributes()``.
    public func hasAttributeGroup(_ path: String) -> Bool {
        !disk.queue.gate.isDead && isListed && Attribute.groups[path]?.contains { $0.isVisible(self) } == true
    }

    /// What the attribute says now, to the byte as a file of sysfs does: with a newline at its end, or nothing at all.
    ///
    /// A removal waits for a read that runs, and for nobody who merely means to read again: he gets ENODEV.
    /// - Throws: ENOENT where the device has no such attribute, ENODEV when it is gone, EIO for one that can only be
    /// written.
    /// - Context: any thread, under no lock; does not wait for the driver.
    public func readAttribute(_ path: String) throws(AttributeError) -> String {
        let (attribute, visit) = try visit(path)
        defer { _ = visit }
        guard let show = attribute.show else { throw .notReadable("'\(path)' of \(name) can only be written") }
        disk.options.inAttribute?(path)
        let value = show(self)
        return value.isEmpty ? "" : value + "\n"
    }

    /// Writes the attribute; a newline at the end of the value is not part of it.
    ///
    /// A removal waits for a write that runs, but for the deadline of the removal: then it ends, and says so.
    /// `device/delete` ends its own disk, and returns when that is done.
    /// - Throws: as ``readAttribute(_:)``; EIO for what can only be read, EINVAL for a value that cannot be, and what
    /// the   change itself meets: EBUSY, ENODEV, ETIMEDOUT.
    /// - Context: blocks while I/O under way ends (30 s at most); never on an event loop, a thread of the cooperative
    ///   pool, or from inside a submit or an answer. There is ``changeAttribute(_:to:)`` for tasks.
    public func writeAttribute(_ path: String, _ value: String) throws(AttributeError) {
        let (attribute, visit) = try visit(path)
        guard let store = attribute.store else { throw .notWritable("'\(path)' of \(name) can only be read") }
        disk.options.inAttribute?(path)
        try store(self, value.last == "\n" ? String(value.dropLast()) : value, visit)
        visit.breakProtection()
    }

    /// ``writeAttribute(_:_:)`` on a thread of its own.
    /// - Context: any task.
    public func changeAttribute(_ path: String, to value: String) async throws(AttributeError) {
        let result: Result<Void, AttributeError> = await withCheckedContinuation { continuation in
            WorkerThread.detach(name: "pl-attribute") { [self] in
                do throws(AttributeError) {
                    try writeAttribute(path, value)
                    continuation.resume(returning: .success(()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        try result.get()
    }

    /// The disks that stand on it, by name: the links in its `holders` directory.
    public var holderNames: [String] { uppers.compactMap { $0.disk?.name } }

    /// What its disk stands on, by name: the links in its `slaves` directory. A partition has none. What is gone is left
    /// out: its name may be another disk's by now.
    public var lowerNames: [String] {
        partitionNumber == 0 ? disk.lowers.filter { !$0.disk.isDead }.map(\.name) : []
    }
}
