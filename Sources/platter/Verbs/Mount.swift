// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl
import BlockSystem

struct MountVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mount",
        abstract: "Show the disks as files under an empty directory; without one, list where they are shown.",
        discussion: """
            platter mount /mnt/disks
            dd if=/dev/zero of=/mnt/disks/dev/pl0 bs=1M oflag=direct conv=fsync
            losetup --direct-io=on -f --show /mnt/disks/dev/pl0
            platter mount --sysroot /mnt/root; lsblk --sysroot /mnt/root -f

            The daemon serves it; it goes with the daemon, however that ends.
            """)

    @Argument(help: "An empty directory.", completion: .directory)
    var directory: String?
    @Flag(help: "Fill dev/ with text for 'lsblk --sysroot' (FSTYPE, UUID, LABEL …) instead of the disks.")
    var sysroot = false
    @Flag(
        name: .customLong("allow-other"),
        help: "Let other users in, as far as the files' permissions do. What root mounts does so by itself.")
    var allowOther = false
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func validate() throws {
        if let directory { try HostFile.checkNotEmpty(directory) }
    }

    func run() async throws {
        guard let directory else {
            let list = try await daemon.client.send(.listMounts, as: MountList.self)
            if output.json { return try Output.json(list) }
            if !list.mounts.isEmpty { Output.line(list.text) }
            return
        }
        let request = MountRequest(
            path: HostFile.canonical(directory), sysroot: sysroot ? true : nil, allowOther: allowOther ? true : nil)
        let mount = try await daemon.client.send(.addMount, body: request, as: MountModel.self)
        if output.json { try Output.json(mount) }
    }
}

struct UmountVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "umount", abstract: "Take a tree away that 'platter mount' has mounted.", aliases: ["unmount"])

    @Argument(help: "The directory.", completion: .directory)
    var directory: String
    @Flag(help: "Also while files there are open: these work until they are closed.")
    var lazy = false
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func validate() throws { try HostFile.checkNotEmpty(directory) }

    func run() async throws {
        let path = HostFile.canonical(directory)
        let list = try await daemon.client.send(.listMounts, as: MountList.self)
        guard let mount = list.mounts.first(where: { $0.path == path }) else {
            throw Problem(
                .notFound, "nothing of this daemon is mounted at \(path); 'platter mount' lists what is",
                errno: "ENOENT")
        }
        do {
            let gone = try await daemon.client.send(
                .removeMount, mount.id, query: lazy ? [("lazy", "1")] : [], as: MountModel.self)
            if output.json { try Output.json(gone) }
        } catch let problem as Problem where problem.errno == "EBUSY" {
            let users = Host.users(below: mount.path)
            guard !users.isEmpty else { throw problem }
            throw Problem(
                .busy, "\(mount.path) is in use by \(users.joined(separator: ", ")): end that first, or say --lazy",
                errno: problem.errno)
        }
    }
}

extension HostFile {
    /// An empty path would be taken for the current directory.
    static func checkNotEmpty(_ path: String) throws {
        if path.isEmpty { throw ValidationError("an empty path is no directory: is a variable of the script not set?") }
    }
}

extension MountList {
    var text: String {
        Columns.text([["PATH", "KIND"]] + mounts.map { [$0.path, $0.sysroot ? "sysroot" : "devices"] })
    }
}
