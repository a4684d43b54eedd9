// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockSystem

/// Mounts that are only written down.
final class FakeTrees: Sendable {
    let all = Lock<[MountModel]>([])

    func mount(_ request: MountRequest) -> MountModel {
        let model = MountModel(id: "7", path: request.path, sysroot: request.sysroot == true)
        all.withLock { $0.append(model) }
        return model
    }

    /// In use, unless it is lazily.
    func unmount(_ id: String, _ lazily: Bool) throws(Problem) -> MountModel {
        guard let model = all.withLock({ all in all.first { $0.id == id } }) else {
            throw Problem(.notFound, "no mount '\(id)'", errno: "ENOENT")
        }
        guard lazily else { throw Problem(.busy, "\(model.path) is in use", errno: "EBUSY") }
        all.withLock { all in all.removeAll { $0.id == id } }
        return model
    }
}
