// SPDX-License-Identifier: Apache-2.0

public import BlockCore

/// What the service needs from those who know drivers and exports; the executable implements it.
public protocol ControlBackend: Sendable {
    /// Makes a driver from its keys and adds the disk.
    func add(driver: String, parameters: [Parameter]) async throws(Problem) -> Disk

    /// What clients can connect to, of one device or of all.
    func exports(of device: String?) async -> [ExportModel]

    /// Offers a device to clients.
    func export(_ device: BlockDevice, kind: String, parameters: [Parameter]) async throws(Problem) -> ExportModel

    /// Takes an export back.
    func unexport(_ id: String) async throws(Problem) -> ExportModel

    /// Has disks made for a pattern of names, when somebody opens one that is not there.
    func provide(_ pattern: String, driver: String, parameters: [Parameter]) async throws(Problem) -> ProviderModel

    /// Makes no more for a pattern.
    func unprovide(_ pattern: String) async throws(Problem) -> ProviderModel

    /// What disks are made for.
    func providers() async -> [ProviderModel]

    /// Shows the disks as files under a directory.
    func mount(_ request: MountRequest) async throws(Problem) -> MountModel

    /// Takes such a tree away.
    func unmount(_ id: String, lazily: Bool) async throws(Problem) -> MountModel

    /// Where the disks are shown.
    func mounts() async -> [MountModel]

    /// Samples of the exports for the metrics page.
    func metrics(_ page: inout MetricsPage) async
}
