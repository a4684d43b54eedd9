// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockCore
import BlockDrivers
import BlockSystem
import Logging
import Testing

/// Drivers as in the daemon, exports that are only written down.
final class FakeBackend: ControlBackend {
    let registry: DiskRegistry
    let list = Lock<[ExportModel]>([])

    init(_ registry: DiskRegistry) { self.registry = registry }

    func add(driver: String, parameters: [Parameter]) async throws(Problem) -> Disk {
        do {
            let made = try DriverCatalogue.makeWithOptions(
                driver: driver, keys: parameters.map { ($0.key ?? "", $0.value) })
            return try await registry.add(made.driver, made.common.options)
        } catch let error as DiskError {
            throw Problem(error)
        } catch {
            throw Problem(.usage, "\(error)", errno: "EINVAL")
        }
    }

    func exports(of device: String?) async -> [ExportModel] {
        list.withLock { $0 }.filter { device == nil || $0.device == device }
    }

    func export(_ device: BlockDevice, kind: String, parameters: [Parameter]) async throws(Problem) -> ExportModel {
        let model = ExportModel(
            id: "1", kind: kind, device: device.name, name: device.name, uri: "x:/\(device.name)", readOnly: false)
        list.withLock { $0.append(model) }
        return model
    }

    func unexport(_ id: String) async throws(Problem) -> ExportModel {
        let model = list.withLock { list in list.first { $0.id == id } }
        guard let model else { throw Problem(.notFound, "no export '\(id)'", errno: "ENOENT") }
        list.withLock { $0.removeAll { $0.id == id } }
        return model
    }

    let patterns = Lock<[ProviderModel]>([])

    func provide(
        _ pattern: String, driver: String, parameters: [Parameter]
    ) async throws(Problem) -> ProviderModel {
        let model = ProviderModel(pattern: pattern, driver: driver, parameters: parameters.object)
        patterns.withLock { $0.append(model) }
        return model
    }

    func unprovide(_ pattern: String) async throws(Problem) -> ProviderModel {
        let model = patterns.withLock { patterns -> ProviderModel? in
            patterns.firstIndex { $0.pattern == pattern }.map { patterns.remove(at: $0) }
        }
        guard let model else { throw Problem(.notFound, "nothing for '\(pattern)'", errno: "ENOENT") }
        return model
    }

    let trees = FakeTrees()
    func mount(_ request: MountRequest) async throws(Problem) -> MountModel { trees.mount(request) }
    func unmount(_ id: String, lazily: Bool) async throws(Problem) -> MountModel { try trees.unmount(id, lazily) }
    func mounts() async -> [MountModel] { trees.all.withLock { $0 } }

    func providers() async -> [ProviderModel] { patterns.withLock { $0 } }

    func metrics(_ page: inout MetricsPage) async { page.add("platter_fake", .gauge, "A sample.", [], 1) }
}

/// A service over a socket of its own.
struct Daemon {
    let registry: DiskRegistry
    let server: ControlServer
    let client: ControlClient
}

func withDaemon(_ body: (Daemon) async throws -> Void) async throws {
    try await withTemporaryDirectory { directory in
        let registry = DiskRegistry()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let service = ControlService(
            registry: registry, backend: FakeBackend(registry), version: "1.2.3", logger: logger)
        let server = ControlServer(service: service, logger: logger)
        let paths = ControlPaths(socket: directory + "/c.sock")
        try await server.listen(unix: paths.socket)
        let daemon = Daemon(registry: registry, server: server, client: ControlClient(paths: paths))
        do {
            try await body(daemon)
        } catch {
            Issue.record(error)
        }
        for disk in registry.disks { _ = await disk.remove(.surprise) }
        await server.stop()
    }
}

extension ControlClient {
    @discardableResult
    func add(_ words: String...) async throws -> DiskDetail {
        let parameters = words.dropFirst().map(Parameter.init).object
        return try await send(.addDisk, body: AddRequest(driver: words.first ?? "", parameters: parameters))
    }

    func remove(
        _ name: String, _ mode: String?, timeout: Double? = nil, wait: Bool? = nil, dryRun: Bool? = nil,
        ifMatch: String? = nil
    ) async throws -> RemovalModel {
        let request = RemovalRequest(mode: mode, timeoutSeconds: timeout, wait: wait, dryRun: dryRun)
        return try await send(.removeDisk, name, body: request, ifMatch: ifMatch)
    }
}

func problem<Answer>(_ body: () async throws -> Answer) async -> Problem? {
    do {
        _ = try await body()
        Issue.record("it was expected to fail")
        return nil
    } catch let problem as Problem {
        return problem
    } catch {
        Issue.record(error)
        return nil
    }
}
