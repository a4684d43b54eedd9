// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import Logging

extension ControlService {
    /// `POST /v1/disks/NAME/freeze`
    public func freeze(_ name: String, _ request: FreezeRequest, ifMatch: DiskTag?) async throws(Problem) -> DiskDetail
    {
        let deadline = try ControlService.deadline(request.timeoutSeconds) ?? .seconds(30)
        let disk = try findDisk(name, ifMatch: ifMatch)
        do throws(DiskError) {
            try await disk.freeze(deadline: deadline)
        } catch {
            guard error.errno == ErrorNumber.timedOut else { throw Problem(error) }
            throw Problem(
                .busy, "\(error.reason); it goes on as before", errno: "ETIMEDOUT", disk: disk.name,
                diskseq: disk.sequence, openers: error.openers.isEmpty ? nil : error.openers.map(OpenerModel.init))
        }
        logger.notice("disk frozen", metadata: ["disk": "\(disk.name)", "depth": "\(disk.freezeDepth)"])
        return await detail(of: disk, through: disk.part0)
    }

    /// `POST /v1/disks/NAME/thaw`
    public func thaw(_ name: String, ifMatch: DiskTag?) async throws(Problem) -> DiskDetail {
        let disk = try findDisk(name, ifMatch: ifMatch)
        do throws(DiskError) {
            try disk.thaw()
        } catch {
            // The request was fine; there is just nothing to take back.
            throw Problem(
                .failed, "\(error.reason): there is nothing to thaw", errno: "EINVAL", disk: disk.name,
                diskseq: disk.sequence)
        }
        logger.notice("disk thawed", metadata: ["disk": "\(disk.name)", "depth": "\(disk.freezeDepth)"])
        return await detail(of: disk, through: disk.part0)
    }
}
