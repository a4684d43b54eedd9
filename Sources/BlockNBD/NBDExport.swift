// SPDX-License-Identifier: Apache-2.0

public import BlockCore
internal import BlockSystem

/// A device under a name that clients may ask for.
public struct NBDExport: Sendable {
    /// What clients call it.
    public var name: String
    /// A line about it, for listings; may be empty.
    public var description: String
    /// What is served.
    public var device: BlockDevice
    /// Writes are refused, whatever the device could do.
    public var isReadOnly: Bool

    /// An export.
    public init(name: String, description: String = "", device: BlockDevice, isReadOnly: Bool = false) {
        self.name = name
        self.description = description
        self.device = device
        self.isReadOnly = isReadOnly
    }

    /// What a client is told of it now.
    var facts: NBDExportFacts {
        let profile = device.disk.profile
        var abilities: NBDTransmissionFlags = [.hasFlags, .sendFlush, .sendCache]
        // A flush on one connection covers what was answered on any: all of them share the one disk.
        abilities.insert(.canMultiConn)
        if profile.isRotational { abilities.insert(.rotational) }
        if profile.fua != .unsupported { abilities.insert(.sendFUA) }
        if refusesWrites {
            abilities.insert(.readOnly)
        } else {
            if profile.discard != .unsupported { abilities.insert(.sendTrim) }
            if profile.writeZeroes != .unsupported { abilities.formUnion([.sendWriteZeroes, .sendFastZero]) }
        }
        let least = UInt32(profile.logicalBlockSize)
        var preferred = max(4096, least, UInt32(clamping: profile.physicalBlockSize))
        let optimal = profile.optimalIO
        if optimal > Int(preferred), optimal <= NBDWire.payloadMax, optimal & (optimal - 1) == 0 {
            preferred = UInt32(optimal)
        }
        return NBDExportFacts(
            name: name, description: description, size: device.size * UInt64(sectorSize), abilities: abilities,
            blockSizeMin: least, blockSizePreferred: preferred)
    }

    var refusesWrites: Bool { isReadOnly || device.isReadOnly }
}

/// Which exports there are on an address. Asked on a thread that may block.
public protocol NBDExportDirectory: AnyObject, Sendable {
    /// The export that a client asked for by name; the empty name is the default one.
    func export(named name: String, on listener: NBDListener) -> NBDExport?
    /// The names of all exports, in the order to show them.
    func list(on listener: NBDListener) -> [String]
    /// Where a name that no export has may be opened all the same, because somebody makes the disk for whoever opens it;
    /// nil: nowhere.
    func maker(of name: String, on listener: NBDListener) -> DiskRegistry?
}

extension NBDExportDirectory {
    /// Nobody makes disks.
    public func maker(of name: String, on listener: NBDListener) -> DiskRegistry? { nil }
}

/// Every disk and partition of a registry under its name, and what was added under other names.
public final class NBDDiskDirectory: NBDExportDirectory {
    private struct Added: Sendable {
        let id: Int
        let listener: NBDListener?
        let export: NBDExport
    }
    private struct State: Sendable {
        var added: [Added] = []
        var next = 1
    }
    private let registry: DiskRegistry
    private let state = Lock(State())

    /// The directory of a registry.
    public init(_ registry: DiskRegistry) { self.registry = registry }

    /// Adds an export on one listener, or on all that serve every disk.
    /// - Returns: what ``remove(_:)`` takes.
    public func add(_ export: NBDExport, on listener: NBDListener? = nil) -> Int {
        state.withLock { state in
            defer { state.next += 1 }
            state.added.append(Added(id: state.next, listener: listener, export: export))
            return state.next
        }
    }

    /// Takes an export out again. Clients that use it stay.
    public func remove(_ id: Int) { state.withLock { $0.added.removeAll { $0.id == id } } }

    /// Takes out everything that was added on a listener.
    public func removeAll(on listener: NBDListener) {
        state.withLock { $0.added.removeAll { $0.listener === listener } }
    }

    /// What was added under the name, else the disk or partition of that name; for the empty name the only one there is.
    public func export(named name: String, on listener: NBDListener) -> NBDExport? {
        let added = added(on: listener)
        if let found = added.first(where: { $0.name == name }) { return found }
        let disks = listener.servesEveryDisk ? exportedDisks : []
        if name.isEmpty {
            // The default is the only one there is, or none.
            if disks.count + added.count > 1 { return nil }
            return added.first ?? disks.first.map { Self.export(of: $0.part0) }
        }
        guard listener.servesEveryDisk, let device = registry.device(named: name), device.disk.options.isExported else {
            return nil
        }
        return Self.export(of: device)
    }

    /// The registry, for disks that are made when they are opened.
    public func maker(of name: String, on listener: NBDListener) -> DiskRegistry? {
        listener.servesEveryDisk && !name.isEmpty ? registry : nil
    }

    /// The disks with their partitions, then what was added.
    public func list(on listener: NBDListener) -> [String] {
        let disks = listener.servesEveryDisk ? exportedDisks : []
        let names = disks.flatMap { $0.devices.map(\.name) } + added(on: listener).map(\.name)
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }

    private var exportedDisks: [Disk] { registry.disks.filter(\.options.isExported) }

    private func added(on listener: NBDListener) -> [NBDExport] {
        // What was added for no listener of its own is served where every disk is, and nowhere else.
        state.withLock { $0.added }.filter { added in
            added.listener.map { $0 === listener } ?? listener.servesEveryDisk
        }.map(\.export)
    }

    static func export(of device: BlockDevice) -> NBDExport {
        let what = device.partitionNumber == 0 ? "\(device.disk.driverName) disk" : "partition of \(device.disk.name)"
        return NBDExport(name: device.name, description: what, device: device)
    }
}
