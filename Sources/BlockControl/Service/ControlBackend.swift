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

    /// Samples of the exports for the metrics page.
    func metrics(_ page: inout MetricsPage) async
}
