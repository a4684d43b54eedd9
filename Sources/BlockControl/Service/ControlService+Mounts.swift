// SPDX-License-Identifier: Apache-2.0

internal import Logging

extension ControlService {
    /// `GET /v1/mounts`
    public func mounts() async -> MountList { MountList(mounts: await backend.mounts()) }

    /// `POST /v1/mounts`
    public func mount(_ request: MountRequest) async throws(Problem) -> MountModel {
        guard request.path.hasPrefix("/") else {
            throw Problem(.usage, "'\(request.path)' is not an absolute path", errno: "EINVAL")
        }
        let mount = try await backend.mount(request)
        logger.info("mounted", metadata: ["path": "\(mount.path)"])
        return mount
    }

    /// `DELETE /v1/mounts/ID`
    public func unmount(_ id: String, lazily: Bool) async throws(Problem) -> MountModel {
        let mount = try await backend.unmount(id, lazily: lazily)
        logger.info("unmounted", metadata: ["path": "\(mount.path)"])
        return mount
    }
}
