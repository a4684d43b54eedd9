// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockCore
import BlockDrivers
import BlockSystem

/// What only the roof knows: drivers and exports.
struct DaemonBackend: ControlBackend {
    let registry: DiskRegistry
    let nbd: NBDExports
    let makers: Providers
    let trees: Trees

    func add(driver: String, parameters: [Parameter]) async throws(Problem) -> Disk {
        // Its lowers stay where they are found only until it has claimed them, so they are looked up then, not before.
        let context = DriverContext(registry)
        let hold = LowerHold()
        let made = await offLoop { () -> Result<(driver: any BlockDriver, common: CommonKeys), ConfigurationError> in
            hold.open(parameters, in: registry)
            defer { hold.close() }
            do throws(ConfigurationError) {
                return .success(
                    try DriverCatalogue.makeWithOptions(
                        driver: driver, keys: parameters.map { ($0.key ?? "", $0.value) }, context: context))
            } catch {
                return .failure(error)
            }
        }
        switch made {
        case .failure(let error): throw Problem(error)
        case .success(let made):
            do throws(DiskError) {
                return try await registry.add(made.driver, made.common.options)
            } catch {
                await offLoop { DriverCatalogue.discard(made.driver) }
                throw Problem(error)
            }
        }
    }

    // A driver may open files and load images before it is there: not on a thread that others wait for.
    private func offLoop<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            WorkerThread.detach(name: "pl-make") { continuation.resume(returning: body()) }
        }
    }

    func exports(of device: String?) async -> [ExportModel] { nbd.models(of: device) }

    func export(_ device: BlockDevice, kind: String, parameters: [Parameter]) async throws(Problem) -> ExportModel {
        guard kind == "nbd" else {
            throw Problem(.usage, "there is no export '\(kind)'; there is nbd", errno: "EINVAL")
        }
        return try nbd.add(device, parameters)
    }

    func unexport(_ id: String) async throws(Problem) -> ExportModel { try nbd.remove(id) }

    func provide(
        _ pattern: String, driver: String, parameters: [Parameter]
    ) async throws(Problem) -> ProviderModel {
        let made = await offLoop { () -> Result<ProviderModel, Problem> in
            do throws(Problem) {
                return .success(try makers.add(pattern, driver: driver, parameters))
            } catch {
                return .failure(error)
            }
        }
        return try made.get()
    }

    func unprovide(_ pattern: String) async throws(Problem) -> ProviderModel { try await makers.remove(pattern) }

    func providers() async -> [ProviderModel] { makers.models }

    func mount(_ request: MountRequest) async throws(Problem) -> MountModel {
        let made = await offLoop { () -> Result<MountModel, Problem> in
            do throws(Problem) { return .success(try trees.mount(request)) } catch { return .failure(error) }
        }
        return try made.get()
    }

    func unmount(_ id: String, lazily: Bool) async throws(Problem) -> MountModel {
        let gone = await offLoop { () -> Result<MountModel, Problem> in
            do throws(Problem) { return .success(try trees.unmount(id, lazily: lazily)) } catch {
                return .failure(error)
            }
        }
        return try gone.get()
    }

    func mounts() async -> [MountModel] { trees.models }

    func metrics(_ page: inout MetricsPage) async { nbd.add(to: &page) }
}

extension Problem {
    /// What is wrong with a driver's keys, or with the file that they name.
    init(_ error: ConfigurationError) {
        let name = SystemError(errno: error.errno).name
        let kind: Kind =
            switch name {
            case "EINVAL": .usage
            case "EBUSY", "EAGAIN": .busy
            // A device that it was to stand on.
            case "ENXIO", "ENODEV": .notFound
            case "EACCES", "EPERM": .notPermitted
            default: .failed
            }
        self.init(kind, error.reason, errno: name)
    }
}
