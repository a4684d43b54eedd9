// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Glibc
import TestSupport
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

    @Test func `ends when it cannot be taken away, and its watcher sees to the rest`() async throws {
        let place = try MountPlace()
        let registry = DiskRegistry()
        var tools = FuseTools()
        let asked = Counter()
        tools.unmount = { _, _ in
            asked.add()
            return -5
        }
        let ended = Parker()
        let tree = try TreeMount.mount(registry, at: place.place, TreeOptions(), tools) { ended.raise() }
        #expect(throws: TreeError.self) { try tree.unmount() }
        #expect(!tree.hasEnded && HostFile.isEmptyDirectory(place.place) == false, "it goes on")
        tree.stop()
        #expect(asked.value == 2 && tree.hasEnded)
        #expect(ended.wait(until: .now + .seconds(30)))
        // The watcher was waited for: it has found a dead mount, and taken it away.
        #expect(!HostFile.isDeadMount(place.place) && HostFile.isEmptyDirectory(place.place) == true)
    }

    @Test func `stands at the path without its dots`() async throws {
        let place = try MountPlace()
        let tree = try TreeMount.mount(DiskRegistry(), at: place.root + "/./mnt/../mnt/")
        #expect(tree.directory == place.place)
        tree.stop()
        #expect(HostFile.isEmptyDirectory(place.place) == true)
    }
}

/// A program in the place of `fusermount3`.
private struct FakeHelper {
    let place: MountPlace
    var tools = FuseTools()

    init(_ script: String) throws {
        place = try MountPlace()
        let path = place.root + "/helper"
        let writing = try ShellCommand(
            "printf '%s\n' '#!/bin/sh' \"$script\" >\"$path\"; chmod 755 \"$path\"",
            environment: [("path", path), ("script", script)])
        #expect(writing.wait() == 0)
        tools.helper = path
        tools.isHelperWanted = true
    }

    func mount() -> String {
        defer { HostFile.remove(place.root + "/helper") }
        do {
            _ = try FuseMount.mount(at: place.place, FuseMount.Options(allowsOthers: false, readMax: 4096), tools)
            return "mounted"
        } catch {
            return "\(error)"
        }
    }
}

@Suite(.timeLimit(.minutes(2))) struct `The program that mounts for users` {
    @Test func `is given up and ended when it does not answer in time`() throws {
        var helper = try FakeHelper("tail -f /dev/null & wait")
        helper.tools.answerLimit = .milliseconds(50)
        #expect(helper.mount() == "fusermount3 did not answer within 0.05 seconds")
    }

    @Test func `is believed what it complains about, and what it is when it says nothing`() throws {
        #expect(try FakeHelper("echo fusermount3: no >&2; exit 1").mount() == "fusermount3: no")
        #expect(try FakeHelper("exit 1").mount() == "fusermount3 failed")
        #expect(try FakeHelper("head -c 60000 /dev/zero | tr '\\0' x >&2; exit 1").mount().count == 4096)
        var none = try FakeHelper("exit 0")
        HostFile.remove(none.tools.helper ?? "")
        none.tools.helper = nil
        #expect(none.mount().contains("is not installed"))
    }
}

@Suite(.timeLimit(.minutes(2))) struct `The watcher of a mount` {
    @Test func `outlives the end of all that belongs to the service, and then does its work`() throws {
        let place = try MountPlace()
        // What cannot be listed is taken for a dead mount; what takes it away is seen by what it makes.
        let gone = place.root + "/gone"
        let watcher = try MountWatcher(gone, ["mkdir"])
        for signal: Int32 in [15, 2, 1] {
            kill(watcher.process, signal)
            kill(-watcher.process, signal)
        }
        watcher.letGo()
        #expect(HostFile.status(gone)?.kind == .directory)
        HostFile.removeDirectory(gone)
        // One that lives is left alone.
        let other = try MountWatcher(place.place, ["rmdir"])
        other.letGo()
        #expect(HostFile.status(place.place)?.kind == .directory)
    }

    @Test func `does its work when whoever had it is gone without a word`() throws {
        let place = try MountPlace()
        let gone = place.root + "/gone"
        var watcher: MountWatcher? = try MountWatcher(gone, ["mkdir"])
        #expect(watcher != nil)
        watcher = nil
        #expect(eventually { HostFile.status(gone)?.kind == .directory })
        HostFile.removeDirectory(gone)
    }
}
