// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Testing

@testable import BlockTree

/// A directory of the test's own, with a place in it to mount at.
private final class MountPlace {
    let root: String
    var place: String { root + "/mnt" }

    init() throws {
        root = HostFile.canonical(try HostFile.makeTemporaryDirectory(prefix: "platter-mount"))
        try HostFile.makeDirectory(place, mode: 0o700)
    }

    deinit {
        HostFile.removeDirectory(place)
        HostFile.removeDirectory(root)
    }

    /// Whether this process may mount here.
    static let isPossible: Bool = {
        guard let place = try? MountPlace(), let tree = try? TreeMount.mount(DiskRegistry(), at: place.place) else {
            return false
        }
        tree.stop()
        return true
    }()
}

@Suite(.enabled(if: MountPlace.isPossible, "FUSE cannot be mounted here"))
struct `A mount` {
    @Test func `takes the place of one whose server is gone`() async throws {
        let place = try MountPlace()
        let dead = try FuseMount.mount(
            at: place.place, FuseMount.Options(allowsOthers: false, readMax: FuseWire.ioMax))
        dead.channel.close()
        #expect(HostFile.isDeadMount(place.place))
        let tree = try TreeMount.mount(DiskRegistry(), at: place.place)
        // Its watcher looks only now, and finds one that lives.
        dead.mount.letGo()
        #expect(!HostFile.isDeadMount(place.place) && HostFile.isEmptyDirectory(place.place) == false)
        tree.stop()
        #expect(HostFile.isEmptyDirectory(place.place) == true)
    }

    @Test func `stands at the path without its dots`() async throws {
        let place = try MountPlace()
        let tree = try TreeMount.mount(DiskRegistry(), at: place.root + "/./mnt/../mnt/")
        #expect(tree.directory == place.place)
        tree.stop()
        #expect(HostFile.isEmptyDirectory(place.place) == true)
    }
}
