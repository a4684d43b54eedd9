// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import Logging

extension ControlService {
    /// `POST /v1/settle`: the hotplug helper and everybody else who listens inside the daemon has handled what has
    /// happened until now.
    public func settle(_ request: SettleRequest) async throws(Problem) -> SettleModel {
        let limit = try ControlService.deadline(request.timeoutSeconds) ?? .seconds(120)
        let last = registry.events.last
        let name = request.exitIfExists
        let exists: @Sendable () -> Bool = { [registry] in name.flatMap { registry.device(named: $0) } != nil }
        let behind = await registry.events.settle(within: limit, or: name == nil ? nil : exists)
        guard behind == 0 else {
            throw Problem(
                .busy,
                "not everybody has handled the events up to \(last) within \(limit): "
                    + "\(behind == 1 ? "1 listener is" : "\(behind) listeners are") behind; try again, or give --timeout",
                errno: "ETIMEDOUT")
        }
        return SettleModel(seqnum: last, exists: name == nil ? nil : exists())
    }

    /// Tells of an export that was added or taken back: the device is bound, or no longer.
    func announce(_ export: ExportModel, isBound: Bool) {
        // A device that is gone has told of its own end.
        try? registry.device(named: export.device)?.announceBinding(
            isBound, extra: ["PLATTER_EXPORT=\(export.kind)", "PLATTER_URI=\(export.uri)"])
    }
}
