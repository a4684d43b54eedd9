// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import Logging

extension ControlService {
    /// `POST /v1/disks/NAME/remove`
    public func remove(
        _ name: String, _ request: RemovalRequest, ifMatch: DiskTag?
    ) async throws(Problem) -> RemovalModel {
        let mode = try ControlService.mode(request.mode)
        let deadline = try ControlService.deadline(request.timeoutSeconds)
        let disk = try findDiskToRemove(name, ifMatch: ifMatch)
        if request.dryRun == true { return preview(of: disk, mode) }

        let outcome = await disk.remove(mode, deadline: deadline, wait: request.wait ?? false)
        switch outcome {
        case .removed(let report):
            let model = RemovalModel(report, outcome: "removed", requested: mode)
            logger.notice("disk removed", metadata: ControlService.metadata(model))
            return model
        case .pending(let report):
            let model = RemovalModel(report, outcome: "pending", requested: mode)
            logger.notice("disk removal pending", metadata: ControlService.metadata(model))
            if pendingRemovals.insert(disk.identity) { logEnd(of: disk, mode) }
            return model
        case .busy(let report):
            let model = RemovalModel(report, outcome: "busy", requested: mode)
            throw Problem(
                .busy, Self.busyLine(disk.name, model.openers),
                errno: "EBUSY", disk: disk.name, diskseq: disk.sequence, openers: model.openers, report: model)
        case .failed(let report):
            let model = RemovalModel(report, outcome: "failed", requested: mode)
            logger.error("disk removal failed", metadata: ControlService.metadata(model))
            throw Problem(
                .failed,
                "disk '\(disk.name)' could not be flushed and stays; '--mode surprise' removes it without a flush",
                errno: "EIO", disk: disk.name, diskseq: disk.sequence, report: model)
        case .cancelled:
            return RemovalModel(
                outcome: "cancelled", disk: disk.name, diskseq: disk.sequence, mode: mode.rawValue,
                requestedMode: mode.rawValue, state: disk.lifeState.word)
        case .neverPublished:
            var model = RemovalModel(
                outcome: "removed", disk: disk.name, diskseq: disk.sequence, mode: mode.rawValue,
                requestedMode: mode.rawValue, state: "gone")
            model.notes = ["it was still being added: the add was cancelled, and nobody has seen the disk"]
            logger.notice("add cancelled by a removal", metadata: ControlService.metadata(model))
            return model
        case .noSuchDisk: throw Problem.noSuchDisk(name)
        }
    }

    /// The end of a removal that nobody waits for is said in the log, once, with what became of it.
    private func logEnd(of disk: Disk, _ mode: RemovalMode) {
        let identity = disk.identity
        disk.requestRemoval(mode, deadline: .seconds(365 * 86_400), wait: true) { [logger, pendingRemovals] outcome in
            pendingRemovals.remove(identity)
            switch outcome {
            case .removed(let report):
                let model = RemovalModel(report, outcome: "removed", requested: mode)
                logger.notice("disk removed", metadata: ControlService.metadata(model))
            case .failed(let report):
                let model = RemovalModel(report, outcome: "failed", requested: mode)
                logger.error("disk removal failed", metadata: ControlService.metadata(model))
            case .pending, .busy, .neverPublished, .cancelled, .noSuchDisk: break
            }
        }
    }

    /// `POST /v1/disks/NAME/cancel`
    public func cancelRemoval(_ name: String, ifMatch: DiskTag?) async throws(Problem) -> DiskDetail {
        let disk = try findDisk(name, ifMatch: ifMatch)
        do throws(DiskError) {
            try disk.cancelRemoval()
        } catch {
            // The request was fine; there is just nothing to take back.
            throw Problem(.failed, error.reason, disk: disk.name, diskseq: disk.sequence)
        }
        logger.notice("disk removal cancelled", metadata: ["disk": "\(disk.name)", "diskseq": "\(disk.sequence)"])
        return await detail(of: disk, through: disk.part0)
    }

    /// Why a safe removal is refused, and what to do.
    private static func busyLine(_ name: String, _ openers: [OpenerModel]) -> String {
        var holders: [String] = []
        for holder in openers.compactMap(\.holder) where !holders.contains(holder) { holders.append(holder) }
        guard holders.isEmpty else {
            return "disk '\(name)' is held by \(holders.map { "'\($0)'" }.joined(separator: ", ")); "
                + "remove \(holders.count == 1 ? "that" : "those") first, or remove it with --mode hard or surprise"
        }
        // A line is read as a whole: the report has all of them.
        let named = openers.prefix(3).map(\.who).joined(separator: ", ")
        let rest = openers.count > 3 ? " and \(openers.count - 3) more" : ""
        return "disk '\(name)' is in use by \(named)\(rest); "
            + "close \(openers.count == 1 ? "that" : "those"), or remove it with --mode deferred, hard or surprise"
    }

    // A disk that is still being added is found by its removal alone, which cancels the add.
    private func findDiskToRemove(_ name: String, ifMatch: DiskTag?) throws(Problem) -> Disk {
        do throws(Problem) {
            return try findDisk(name, ifMatch: ifMatch)
        } catch {
            guard error.kind == .notFound, ifMatch == nil, let disk = registry.diskBeingAdded(named: name) else {
                throw error
            }
            return disk
        }
    }

    // What would happen now; nothing is held, so it may be otherwise a moment later.
    private func preview(of disk: Disk, _ mode: RemovalMode) -> RemovalModel {
        let openers = disk.openers
        let outcome =
            switch disk.previewRemoval(mode) {
            case .busy: "would-be-busy"
            case .pending: "would-wait"
            case .removed, .failed, .neverPublished, .cancelled, .noSuchDisk: "would-remove"
            }
        var model = RemovalModel(
            outcome: outcome, disk: disk.name, diskseq: disk.sequence, mode: mode.rawValue,
            requestedMode: mode.rawValue, state: disk.lifeState.word)
        model.openers = openers.map(OpenerModel.init)
        model.inFlight = Int(clamping: disk.statistics().inFlight)
        model.flush = mode == .surprise ? "skipped" : disk.profile.hasWriteCache ? "would be done" : "not needed"
        return model
    }

    static func mode(_ text: String?) throws(Problem) -> RemovalMode {
        guard let text else { return .safe }
        if let mode = RemovalMode(rawValue: text) { return mode }
        let modes = RemovalMode.allCases.map(\.rawValue).joined(separator: ", ")
        throw Problem(.usage, "there is no removal mode '\(text)'; there are \(modes)", errno: "EINVAL")
    }

    static func deadline(_ seconds: Double?) throws(Problem) -> Duration? {
        guard let seconds else { return nil }
        guard seconds.isFinite, seconds >= 0, seconds <= 86_400 * 365 else {
            throw Problem(.usage, "the timeout must be between 0 and a year", errno: "EINVAL")
        }
        return .nanoseconds(Int64(seconds * 1e9))
    }

    private static func metadata(_ model: RemovalModel) -> Logger.Metadata {
        [
            "disk": "\(model.disk)", "diskseq": "\(model.diskseq)", "mode": "\(model.mode)",
            "seconds": "\(model.durationSeconds)", "in_flight": "\(model.inFlight)", "failed": "\(model.failed)",
            "quarantined": "\(model.quarantined)", "flush": "\(model.flush)", "openers": "\(model.openers.count)",
        ]
    }
}
