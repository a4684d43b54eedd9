// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// Open files: devices, whose I/O goes to the core, and texts.
extension TreeSession {
    /// Flags of open(2).
    private enum OpenFlags {
        static let access: UInt32 = 3
        static let nonBlocking: UInt32 = 0o4000
        static let durable: UInt32 = 0o10000
    }

    // MARK: Open and close

    func open(_ request: FuseRequest, _ flags: UInt32) {
        guard let node = own.value.nodes.node(request.node) else { return refuse(request.unique, FuseErrno.noEntry) }
        switch node {
        case .file(let key):
            if view.flavour == .devices { return openDevice(request, key, flags) }
            guard flags & OpenFlags.access == 0 else { return refuse(request.unique, FuseErrno.accessDenied) }
            openText(request.unique, node)
        case .process:
            guard flags & OpenFlags.access == 0 else { return refuse(request.unique, FuseErrno.accessDenied) }
            openText(request.unique, node)
        case .attribute(let key, let path): openAttribute(request.unique, node, key, path, flags)
        case .folder, .object, .group, .link, .memberLink: refuse(request.unique, FuseErrno.isDirectory)
        }
    }

    private func openAttribute(_ unique: UInt64, _ node: TreeNode, _ key: DeviceKey, _ path: String, _ flags: UInt32) {
        guard let device = key.device(in: registry) else { return refuse(unique, FuseErrno.noDevice) }
        guard let info = device.attribute(path) else { return refuse(unique, FuseErrno.noEntry) }
        let access = flags & OpenFlags.access
        // Root passes all permissions: what can only be read is not even opened to be written, as in sysfs.
        guard access == 1 || info.isReadable, access == 0 || info.isWritable else {
            return refuse(unique, FuseErrno.accessDenied)
        }
        openText(unique, node)
    }

    private func openText(_ unique: UInt64, _ node: TreeNode) {
        guard let handle = handles.add(.text(TextFile(node))) else { return refuse(unique, FuseErrno.noDevice) }
        channel.send(FuseReply.opened(unique, handle: handle, [.direct, .noFlush]))
    }

    private func openDevice(_ request: FuseRequest, _ key: DeviceKey, _ flags: UInt32) {
        let unique = request.unique
        guard let device = key.device(in: registry) else { return refuse(unique, FuseErrno.noDevice) }
        let isWritable = flags & OpenFlags.access != 0
        guard !isWritable || !device.isReadOnly else { return refuse(unique, FuseErrno.accessDenied) }
        let process = Int32(bitPattern: request.process)
        let user = request.user
        help(unique, for: device.disk) { [self] in
            let identity = OpenerIdentity(
                kind: "fuse", process: process > 0 ? process : nil, user: user,
                program: process > 0 ? programName(ofProcess: process) : nil)
            let file = DeviceFile(device, isWritable: isWritable, channel)
            do throws(DiskError) {
                try file.open(as: identity, noDelay: flags & OpenFlags.nonBlocking != 0)
            } catch {
                if waits.claim(unique) { refuse(unique, error.errno) }
                return
            }
            // Taken back meanwhile, or the tree is at its end: nobody will ever close it.
            guard waits.claim(unique), let handle = handles.add(.device(file)) else { return file.close() }
            channel.send(FuseReply.opened(unique, handle: handle, [.direct, .noFlush, .parallelWrites]))
        }
    }

    func release(_ unique: UInt64, _ number: UInt64) {
        let handle = handles.remove(number)
        refuse(unique, 0)
        guard case .device(let file)? = handle else { return }
        close(file)
    }

    /// Closes a file on another thread. However many wait for its disk: a close is never refused.
    func close(_ file: DeviceFile) {
        if !helpers.run(for: file.device.disk.identity, { file.close() }) {
            WorkerThread.detach(name: "pl-tree-close") { file.close() }
        }
    }

    /// Has something done where it may wait for a driver. The body answers if it claims the request.
    func help(_ unique: UInt64, for disk: Disk?, _ body: @escaping @Sendable () -> Void) {
        waits.begin(unique)
        let isTaken = helpers.run(for: disk?.identity ?? 0) { [self] in
            // Interrupted while it waited for its turn.
            if waits.isWaiting(unique) { body() }
        }
        if !isTaken, waits.claim(unique) { refuse(unique, FuseErrno.tooManyFiles) }
    }

    // MARK: I/O

    func read(_ unique: UInt64, _ transfer: FuseRequest.Transfer) {
        switch handles[transfer.handle] {
        case .device(let file)?:
            visit(file.device.disk) { file.read(unique, at: transfer.offset, transfer.count) }
        case .text(let file)?: readText(unique, file, transfer)
        case .directory?: refuse(unique, FuseErrno.isDirectory)
        case nil: refuse(unique, FuseErrno.badHandle)
        }
    }

    func write(_ unique: UInt64, _ transfer: FuseRequest.Transfer, _ data: IOMemory) {
        if case .text(let file)? = handles[transfer.handle] { return writeText(unique, file, data) }
        guard let file = handles.device(transfer.handle) else { return refuse(unique, FuseErrno.badHandle) }
        // Copied before the visit: once this thread has strayed, the next request is read into the memory of this one.
        var payload = DeviceFile.payload(data)
        visit(file.device.disk) {
            file.write(
                unique, at: transfer.offset, payload.take(), count: data.count,
                durable: transfer.flags & OpenFlags.durable != 0)
        }
    }

    func sync(_ unique: UInt64, _ handle: UInt64) {
        guard let file = handles.device(handle) else { return refuse(unique, 0) }
        visit(file.device.disk) { file.flush(unique) }
    }

    func allocate(_ unique: UInt64, _ handle: UInt64, _ offset: UInt64, _ count: UInt64, _ mode: UInt32) {
        guard let file = handles.device(handle) else { return refuse(unique, FuseErrno.notSupported) }
        visit(file.device.disk) { file.allocate(unique, at: offset, count, mode: mode) }
    }

    func seek(_ unique: UInt64, _ handle: UInt64, _ offset: UInt64, _ whence: UInt32) {
        guard let file = handles.device(handle) else { return refuse(unique, FuseErrno.invalid) }
        help(unique, for: file.device.disk) { [self] in
            if waits.claim(unique) { file.seek(unique, from: offset, whence) }
        }
    }

    // MARK: Text

    private func readText(_ unique: UInt64, _ file: TextFile, _ transfer: FuseRequest.Transfer) {
        // From the start it is made anew: whoever keeps the file open and reads it again sees what is now.
        if transfer.offset > 0, let part = file.part(at: transfer.offset, transfer.count) {
            return channel.send(FuseReply.text(unique, part))
        }
        if case .attribute(let key, let path) = file.node {
            // An attribute looks at the core only, and is read here and now.
            return answer(unique, file, transfer, attribute(path, of: key))
        }
        // The lists of all disks are long, and what is on a disk is asked of its driver.
        var disk: Disk?
        if case .file(let key) = file.node { disk = key.device(in: registry)?.disk }
        help(unique, for: disk) { [self] in
            let made = text(of: file.node)
            if waits.claim(unique) { answer(unique, file, transfer, made) }
        }
    }

    private func answer(
        _ unique: UInt64, _ file: TextFile, _ transfer: FuseRequest.Transfer, _ made: Result<String, SystemError>
    ) {
        switch made {
        case .success(let text):
            file.set(text)
            channel.send(FuseReply.text(unique, file.part(at: transfer.offset, transfer.count) ?? []))
        case .failure(let error): refuse(unique, error.errno)
        }
    }

    private func attribute(_ path: String, of key: DeviceKey) -> Result<String, SystemError> {
        guard let device = key.device(in: registry) else { return .failure(SystemError(errno: FuseErrno.noDevice)) }
        do throws(AttributeError) {
            return .success(try device.readAttribute(path))
        } catch {
            return .failure(SystemError(errno: error.errno))
        }
    }

    /// A write changes the attribute, wherever in the file it is meant to be: as in sysfs, one write is one value.
    private func writeText(_ unique: UInt64, _ file: TextFile, _ data: IOMemory) {
        guard case .attribute(let key, let path) = file.node else { return refuse(unique, FuseErrno.badHandle) }
        guard let device = key.device(in: registry) else { return refuse(unique, FuseErrno.noDevice) }
        let count = data.count
        let bytes = data.slice(0, min(count, 4096)).array
        guard count <= bytes.count else { return refuse(unique, FuseErrno.invalid) }
        help(unique, for: device.disk) { [self] in
            var error: Int32 = 0
            do throws(AttributeError) {
                try device.writeAttribute(path, String(decoding: bytes, as: UTF8.self))
            } catch let failure {
                error = failure.errno
            }
            guard waits.claim(unique) else { return }
            if error == 0 { channel.send(FuseReply.written(unique, count)) } else { refuse(unique, error) }
        }
    }

    private func text(of node: TreeNode) -> Result<String, SystemError> {
        switch node {
        case .process(let file): .success(view.text(of: file))
        case .file(let key):
            view.sysrootText(of: key).map { .success($0) } ?? .failure(SystemError(errno: FuseErrno.noDevice))
        default: .failure(SystemError(errno: FuseErrno.noDevice))
        }
    }
}
