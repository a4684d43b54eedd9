// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockSystem

/// Looks at the machine: everything is found by trying, nothing by version.
struct Checkup: Sendable {
    let paths: ControlPaths

    func run() async -> [Check] {
        [
            kernel, uring, membarrier, fuse, fusermount, module("nbd", use: "nbd-client on this machine"),
            module("ublk_drv", use: "block devices of this kernel"), openFiles, lockedMemory, memory, place,
        ] + [await daemon]
    }

    private var kernel: Check {
        Check(name: "kernel", state: .ok, detail: Host.kernelRelease)
    }

    private var uring: Check {
        do throws(SystemError) {
            _ = try Ring(depth: 8)
            return Check(name: "io_uring", state: .ok, detail: "a ring can be made; file disks use it")
        } catch {
            let disabled = Checkup.word("/proc/sys/kernel/io_uring_disabled")
            let isFiltered = Checkup.field("Seccomp", in: "/proc/self/status") == "2"
            let why =
                disabled == "1" || disabled == "2"
                ? "switched off by kernel.io_uring_disabled=\(disabled ?? "")"
                : isFiltered ? "refused by a seccomp filter (a container?): \(error)" : "\(error)"
            return Check(
                name: "io_uring", state: .warn, detail: why + "; file disks use threads instead",
                advice: disabled == "1" || disabled == "2" ? "sudo sysctl kernel.io_uring_disabled=0" : nil)
        }
    }

    private var membarrier: Check {
        UsageKind.best == .asymmetric
            ? Check(name: "membarrier", state: .ok, detail: "I/O is counted without locked instructions")
            : Check(
                name: "membarrier", state: .warn, detail: "refused; I/O is counted with locked instructions, slower")
    }

    private var fuse: Check {
        guard HostFile.status("/dev/fuse") != nil else {
            return Check(
                name: "/dev/fuse", state: .warn, detail: "not there; nothing can be mounted",
                advice: "sudo modprobe fuse")
        }
        return HostFile.isReadableAndWritable("/dev/fuse")
            ? Check(name: "/dev/fuse", state: .ok, detail: "there, and yours to use")
            : Check(
                name: "/dev/fuse", state: .warn, detail: "there, but not for user \(Host.userID)",
                advice: "sudo chmod 666 /dev/fuse")
    }

    private var fusermount: Check {
        if let path = Checkup.program("fusermount3") { return Check(name: "fusermount3", state: .ok, detail: path) }
        return Check(
            name: "fusermount3", state: .warn, detail: "not installed; users other than root cannot mount",
            advice: "sudo apt-get install fuse3")
    }

    // For information: platter itself loads no module.
    private func module(_ name: String, use: String) -> Check {
        if HostFile.status("/sys/module/\(name)") != nil {
            return Check(name: "module \(name)", state: .ok, detail: "loaded")
        }
        let list = try? HostFile.readText("/lib/modules/\(Host.kernelRelease)/modules.dep", limit: 16 << 20)
        guard let list, list.contains("/\(name).ko") else {
            return Check(name: "module \(name)", state: .warn, detail: "not in this kernel: no \(use)")
        }
        return Check(
            name: "module \(name)", state: .ok, detail: "can be loaded, for \(use)", advice: "sudo modprobe \(name)")
    }

    private var openFiles: Check {
        let limit = Host.limit(.openFiles)
        let text = "\(Checkup.text(limit.now)) now, \(Checkup.text(limit.most)) at most; raised at start"
        if let most = limit.most, most < 2048 {
            return Check(
                name: "open files", state: .warn, detail: text + "; too few for 1024 clients",
                advice: "ulimit -Hn 65536   (as root, or LimitNOFILE= in the unit)")
        }
        return Check(name: "open files", state: .ok, detail: text)
    }

    private var lockedMemory: Check {
        let limit = Host.limit(.lockedMemory)
        return Check(
            name: "locked memory", state: .ok, detail: "\(limit.now.map(Units.size) ?? "no limit"); none is needed")
    }

    private var memory: Check {
        guard let text = Checkup.field("MemAvailable", in: "/proc/meminfo"),
            let kibibytes = UInt64(text.prefix { $0.isNumber })
        else { return Check(name: "memory", state: .warn, detail: "/proc/meminfo does not say") }
        let bytes = kibibytes * 1024
        return bytes < 64 << 20
            ? Check(
                name: "memory", state: .warn, detail: "only \(Units.size(bytes)) left",
                advice: "free some, or use file disks instead of ram")
            : Check(name: "memory", state: .ok, detail: "\(Units.size(bytes)) available for ram disks")
    }

    private var place: Check {
        let path = paths.socket
        guard path.utf8.count + 4 <= UnixSocket.pathLimit else {
            return Check(
                name: "socket", state: .missing, detail: "\(path) is longer than \(UnixSocket.pathLimit) bytes",
                advice: "export PLATTER_SOCKET=/tmp/platter.sock", isNecessary: true)
        }
        do throws(Problem) {
            try paths.checkOwner()
        } catch {
            return Check(
                name: "socket", state: .missing, detail: error.detail,
                advice: "export PLATTER_SOCKET=$HOME/platter.sock", isNecessary: true)
        }
        let parent = paths.directory.split(separator: "/").dropLast().joined(separator: "/")
        let isWritable =
            HostFile.status(paths.directory) != nil
            ? HostFile.isReadableAndWritable(paths.directory) : HostFile.isReadableAndWritable("/" + parent)
        guard isWritable else {
            return Check(
                name: "socket", state: .missing, detail: "user \(Host.userID) cannot make \(path)",
                advice: "export PLATTER_SOCKET=$HOME/platter.sock", isNecessary: true)
        }
        return Check(name: "socket", state: .ok, detail: path)
    }

    private var daemon: Check {
        get async {
            do {
                let health = try await ControlClient(paths: paths).send(.health, as: HealthModel.self)
                return Check(
                    name: "daemon", state: .ok,
                    detail: "version \(health.version), process \(health.pid), \(Units.plural(health.disks, "disk"))")
            } catch {
                return Check(
                    name: "daemon", state: .ok, detail: "none runs here", advice: "platter serve ram size=1G")
            }
        }
    }

    private static func text(_ limit: UInt64?) -> String { limit.map(String.init) ?? "no limit" }

    private static func word(_ path: String) -> String? {
        (try? HostFile.readText(path, limit: 4096))?.split { $0.isWhitespace }.first.map(String.init)
    }

    private static func field(_ name: String, in path: String) -> String? {
        let text = try? HostFile.readText(path, limit: 1 << 20)
        let line = text?.split(separator: "\n").first { $0.hasPrefix(name + ":") }
        return line.map { $0.dropFirst(name.count + 1).split { $0.isWhitespace }.joined(separator: " ") }
    }

    private static func program(_ name: String) -> String? {
        let path = Host.environment("PATH") ?? "/usr/local/bin:/usr/bin:/bin"
        return path.split(separator: ":").map { "\($0)/\(name)" }.first { HostFile.isExecutable($0) }
    }
}
