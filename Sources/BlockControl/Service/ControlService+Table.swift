// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockPartitions
internal import Logging

extension ControlService {
    /// `POST /v1/disks/NAME/table`
    public func editTable(
        _ name: String, _ request: TableEditRequest, ifMatch: DiskTag?
    ) async throws(Problem) -> TableChangeModel {
        let disk = try findDisk(name, ifMatch: ifMatch)
        let blockSize = disk.profile.logicalBlockSize
        let isDryRun = request.dryRun ?? false
        let edit = try request.tableEdit(blockSize: blockSize)
        do throws(DiskError) {
            let report = try await disk.editTable(edit, isDryRun: isDryRun)
            if !isDryRun { logger.info("table edited", metadata: ["disk": "\(disk.name)", "edit": "\(request.edit)"]) }
            var model = TableChangeModel(
                disk: disk.name, dryRun: isDryRun, report.change, sectorSize: blockSize,
                added: report.rescan?.added ?? [], removed: report.rescan?.removed ?? [])
            // Which partitions have no device; what there is to say of the table itself stands in the table.
            model.notes += (report.rescan?.warnings ?? []).filter { !model.table.warnings.contains($0) }
            return model
        } catch {
            throw Problem(error)
        }
    }
}
