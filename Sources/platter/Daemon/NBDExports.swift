// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockCore
import BlockNBD
import BlockSystem

/// The NBD side of the daemon: its server, its addresses, and what was exported by hand.
final class NBDExports: Sendable {
    private struct Added: Sendable {
        let id: Int
        let model: ExportModel
        /// The address that was opened for this export, and goes with it; nil: it is served where all disks are.
        let listener: NBDListener?
        let device: BlockDevice
    }

    private let registry: DiskRegistry
    private let directory: NBDDiskDirectory
    private let server: NBDServer
    private let added = Lock<[Added]>([])

    init(_ registry: DiskRegistry, log: @escaping @Sendable (NBDLogLevel, String) -> Void) throws(SystemError) {
        self.registry = registry
        directory = NBDDiskDirectory(registry)
        server = try NBDServer(directory, log: log)
    }

    /// Serves every disk at an address.
    func listen(on address: SocketAddress) throws(Problem) -> NBDListener {
        try listen(on: address, servesEveryDisk: true, option: "--nbd")
    }

    private func listen(
        on address: SocketAddress, servesEveryDisk: Bool, option: String
    ) throws(Problem) -> NBDListener {
        if case .unix(let path) = address, !UnixSocket.mayReplace(path) {
            throw Problem(
                .failed,
                "cannot serve NBD at \(address): what is there is not a socket: choose another address with "
                    + option, errno: "EEXIST")
        }
        do throws(SystemError) {
            return try server.listen(on: address, servesEveryDisk: servesEveryDisk, mode: 0o600)
        } catch {
            let hint = error.name == "EADDRINUSE" ? "; another server has it: choose another with \(option)" : ""
            throw Problem(
                error.name == "EACCES" || error.name == "EPERM" ? .notPermitted : .failed,
                "cannot serve NBD at \(address): \(error)\(hint)", errno: error.name)
        }
    }

    /// The addresses at which every disk is served.
    var addresses: [SocketAddress] { server.listeners.filter(\.servesEveryDisk).map(\.address) }

    /// What clients can connect to, of one device or of all.
    func models(of device: String?) -> [ExportModel] {
        dropOrphans()
        let addresses = addresses
        var models: [ExportModel] = []
        // Of one it is asked with each add and each look at a disk: not at the cost of a look at all.
        let asked = device.map { registry.device(named: $0).map { [$0] } ?? [] }
        for one in asked ?? registry.disks.flatMap(\.devices) where isServed(one.disk) {
            models += addresses.map { address in
                ExportModel(
                    id: nil, kind: "nbd", device: one.name, name: one.name, uri: address.uri(export: one.name),
                    readOnly: one.isReadOnly)
            }
        }
        for one in added.withLock({ $0 }) where device == nil || one.model.device == device {
            let places = one.listener.map { [$0.address] } ?? addresses
            models += places.map { place in
                var model = one.model
                model.uri = place.uri(export: one.model.name)
                return model
            }
        }
        return models
    }

    /// Whether clients find it by its name.
    private func isServed(_ disk: Disk) -> Bool {
        disk.options.isExported && !disk.options.isHidden && disk.lifeState == .live
    }

    /// Offers a device under a name, at the daemon's addresses or at one of its own.
    func add(_ device: BlockDevice, _ parameters: [Parameter]) throws(Problem) -> ExportModel {
        dropOrphans()
        var name = device.name
        var address: SocketAddress?
        var isReadOnly = false
        for parameter in parameters {
            switch parameter.key {
            case "name": name = parameter.value
            case "address": address = try SocketAddress.parse(parameter.value, option: "address=")
            case "ro":
                guard ["on", "off"].contains(parameter.value) else {
                    throw Problem(.usage, "nbd: ro=\(parameter.value) is not possible: use ro=on|off", errno: "EINVAL")
                }
                isReadOnly = parameter.value == "on"
            case let key:
                throw Problem(
                    .usage, "nbd: unknown key '\(key ?? parameter.value)': it has name= address= ro=", errno: "EINVAL")
            }
        }
        guard name.utf8.count <= 4096 else {
            throw Problem(.usage, "nbd: the name of an export has at most 4096 bytes", errno: "EINVAL")
        }
        let places = address.map { [$0] } ?? addresses
        guard let place = places.first else {
            throw Problem(
                .usage, "the daemon serves NBD at no address; give one with address=unix:PATH", errno: "EINVAL")
        }
        let isTaken = address == nil && models(of: nil).contains { $0.name == name }
        guard !isTaken else {
            throw Problem(
                .exists, "an export is called '\(name)' already; give another with name=", errno: "EEXIST",
                disk: device.disk.name, diskseq: device.disk.sequence)
        }
        let listener = try address.map { (address) throws(Problem) in
            try listen(on: address, servesEveryDisk: false, option: "address=")
        }
        let id = directory.add(
            NBDExport(name: name, description: "\(device.name)", device: device, isReadOnly: isReadOnly), on: listener)
        let model = ExportModel(
            id: "\(id)", kind: "nbd", device: device.name, name: name,
            uri: (listener?.address ?? place).uri(export: name), readOnly: isReadOnly || device.isReadOnly)
        added.withLock {
            $0.append(Added(id: id, model: model, listener: listener, device: device))
        }
        return model
    }

    /// Takes an export back, and the address that it had to itself. Clients that use it stay.
    func remove(_ id: String) throws(Problem) -> ExportModel {
        let found = added.withLock { added -> Added? in
            guard let index = added.firstIndex(where: { $0.model.id == id }) else { return nil }
            return added.remove(at: index)
        }
        guard let found else {
            throw Problem(
                .notFound, "there is no export '\(id)'; 'platter show NAME' lists the ids there are", errno: "ENOENT")
        }
        forget(found)
        return found.model
    }

    private func forget(_ export: Added) {
        directory.remove(export.id)
        if let listener = export.listener { server.stopListening(listener) }
    }

    // An export ends with its disk or partition: a new one of the same name is another, as on another medium.
    private func dropOrphans() {
        guard !added.withLock({ $0.isEmpty }) else { return }
        let alive = Swift.Set(registry.disks.map(\.identity))
        let orphans = added.withLock { added in
            let gone = added.filter { !$0.device.isListed || !alive.contains($0.device.disk.identity) }
            added.removeAll { one in gone.contains { $0.id == one.id } }
            return gone
        }
        for orphan in orphans { forget(orphan) }
    }

    /// Takes no more clients; those who are there stay.
    func stopListening() { for listener in server.listeners { server.stopListening(listener) } }

    /// Ends every connection. Blocks.
    func stop(within grace: Duration) { server.stop(within: grace) }

    func add(to page: inout MetricsPage) {
        let statistics = server.statistics
        page.add(
            "platter_nbd_connections", .gauge, "NBD clients that are connected.", [], Double(statistics.connections))
        let counters = [
            ("platter_nbd_accepted_total", "NBD connections since the start.", statistics.accepted),
            ("platter_nbd_refused_total", "NBD connections that were turned away.", statistics.refused),
            ("platter_nbd_served_total", "NBD connections that got as far as a disk.", statistics.served),
            (
                "platter_nbd_handshake_timeouts_total", "NBD handshakes that took too long.",
                statistics.handshakeTimeouts
            ),
        ]
        for (name, help, value) in counters { page.add(name, .counter, help, [], Double(value)) }
    }
}
