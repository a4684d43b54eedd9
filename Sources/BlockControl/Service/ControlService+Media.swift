// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import Logging

extension ControlService {
    /// `POST /v1/disks/NAME/insert`
    public func insert(_ name: String, _ request: InsertRequest, ifMatch: DiskTag?) async throws(Problem) -> MediumModel
    {
        let disk = try findDisk(name, ifMatch: ifMatch)
        do throws(DiskError) {
            let report = try await disk.insertMedium(request.path)
            logger.info("medium inserted", metadata: metadata(report))
            return MediumModel(report)
        } catch {
            throw Problem(error)
        }
    }

    /// `POST /v1/disks/NAME/eject`
    public func eject(_ name: String, _ request: EjectRequest, ifMatch: DiskTag?) async throws(Problem) -> MediumModel {
        let disk = try findDisk(name, ifMatch: ifMatch)
        let deadline = try ControlService.deadline(request.timeoutSeconds) ?? .seconds(30)
        do throws(DiskError) {
            let report = try await disk.ejectMedium(force: request.force ?? false, deadline: deadline)
            logger.info("medium ejected", metadata: metadata(report))
            return MediumModel(report)
        } catch {
            throw Problem(error)
        }
    }

    private func metadata(_ report: MediumReport) -> Logger.Metadata {
        [
            "disk": "\(report.disk)", "diskseq": "\(report.sequence)",
            "bytes": "\(report.capacity * UInt64(sectorSize))", "unflushed": "\(report.unflushedBytes)",
            "openers": "\(report.openers.count)",
        ]
    }
}

extension MediumModel {
    init(_ report: MediumReport) {
        self.init(
            disk: report.disk, diskseq: report.sequence, size: report.capacity * UInt64(sectorSize),
            table: report.table, partitions: report.partitions, warnings: report.warnings,
            unflushedBytes: report.unflushedBytes, openers: report.openers.map(OpenerModel.init))
    }
}
