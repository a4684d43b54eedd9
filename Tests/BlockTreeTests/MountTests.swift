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
    var told: String { root + "/told" }

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

    @Test func `is not taken for what is mounted over it, and is found where a directory above goes`() async throws {
        let place = try MountPlace()
        let lower = try TreeMount.mount(DiskRegistry(), at: place.place)
        // A tree mounts over nothing that is not empty; the kernel lets anybody.
        let upper = try FuseMount.mount(
            at: place.place, FuseMount.Options(allowsOthers: false, readMax: FuseWire.ioMax))
        for lazily in [false, true] {
            let error = #expect(throws: TreeError.self) { try lower.unmount(lazily: lazily) }
            #expect(error?.isCovered == true)
        }
        #expect(lower.stop() == place.place)
        // Above it nobody serves, but it stands.
        try upper.mount.unmount(lazily: true)
        upper.channel.close()
        #expect(HostFile.isDeadMount(place.place), "the lower one is left, dead")
        let next = try TreeMount.mount(DiskRegistry(), at: place.place)
        let moved = place.root + "-moved"
        #expect(rename(place.root, moved) == 0)
        #expect(next.place == moved + "/mnt")
        try next.unmount()
        #expect(HostFile.isEmptyDirectory(moved + "/mnt") == true)
        #expect(rename(moved, place.root) == 0)
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
        let root = try #require(try MountEntry.all().first)
        let watcher = try MountWatcher(root, Self.writing(place.told), look: "false")
        for signal: Int32 in [15, 2, 1] {
            kill(watcher.process, signal)
            kill(-watcher.process, signal)
        }
        watcher.letGo()
        #expect(try HostFile.readText(place.told) == root.path)
        HostFile.remove(place.told)
        // One that lives is left alone, and one that is in the list no more.
        try MountWatcher(root, Self.writing(place.told), look: "true").letGo()
        #expect(HostFile.status(place.told) == nil)
        for entry in [MountEntry("\(root.id) 1 0:99999 / / rw - \(root.type) none rw"), nil] {
            try MountWatcher(entry, Self.writing(place.told), look: "false").letGo()
            #expect(HostFile.status(place.told) == nil)
        }
    }

    @Test func `does its work when whoever had it is gone without a word`() throws {
        let place = try MountPlace()
        var watcher: MountWatcher? = try MountWatcher(
            try MountEntry.all().first, Self.writing(place.told), look: "false")
        #expect(watcher != nil)
        watcher = nil
        #expect(eventually { HostFile.status(place.told)?.size ?? 0 > 0 })
        HostFile.remove(place.told)
    }

    /// A command that writes down the path that it is to unmount.
    private static func writing(_ file: String) -> [String] { ["/bin/sh", "-c", "printf %s \"$2\" >'\(file)'", "sh"] }
}

@Suite struct `The kernel's list of mounts` {
    @Test func `says where a mount stands, whatever its name, and what is on top`() {
        let lines = [
            #"36 35 98:0 / / rw,noatime master:1 - ext4 /dev/root rw"#,
            #"40 36 0:52 / /a\040b\134c\011 rw,nosuid shared:2 master:3 - fuse.platter platter rw,user_id=0"#,
            #"41 40 0:53 / /a\040b\134c\011 rw - tmpfs none rw"#, #"42 36 0:54 / /other rw - tmpfs none rw"#,
        ]
        let all = lines.compactMap { MountEntry($0[...]) }
        #expect(all.count == 4 && all[1].path == "/a b\\c\t" && all[1].type == "fuse.platter")
        #expect(all[1].isCovered(in: all) && !all[0].isCovered(in: all) && !all[3].isCovered(in: all))
        #expect(all[1].now(in: all) == all[1] && all[1].now(in: [all[0], all[2]]) == nil)
        for line in ["", "36 35", "36 35 98:0 / / rw", "36 35 98:0 / / rw -", "36 35 98:0 / / rw x y z"] {
            #expect(MountEntry(line[...]) == nil)
        }
    }
}
