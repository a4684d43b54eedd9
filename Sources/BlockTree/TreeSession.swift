// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem
internal import Synchronization

/// Serves one mount: takes the kernel's requests from its channel, and sees to it that each is answered once.
///
/// Names, directories and links are answered on the reactor: they are looked up in the registry, which waits for no
/// driver. I/O is handed to the core, whose answer goes out from wherever it comes. What may wait for a driver (an
/// open, a close, an attribute) runs on helper threads, two for a disk. So a driver that does not come back is nobody
/// else's concern.
final class TreeSession: ReactorHandler, ReactorGuest, Sendable {
    struct Own: ~Copyable {
        var nodes = NodeTable()
        var input: IOBuffer
        var registration: Registration?
        /// Whose driver the thread is in.
        var guest: Disk?
        var timers: [UInt64: ReactorTimer] = [:]
    }

    let registry: DiskRegistry
    let view: TreeView
    let channel: FuseChannel
    let reactor: Reactor
    let helpers = TreeHelpers()
    let handles = TreeHandles()
    let waits = TreeWaits()
    // SAFETY: the reactor's thread alone touches it; one that strayed into a driver does not on its way out.
    let own: Confined<Own>
    /// Up when nobody uses the channel any more.
    let ended = Parker()
    private let whenEnded: @Sendable () -> Void
    private let hasEnded = Atomic<Bool>(false)

    /// Requests in a turn, so that jobs and timers have theirs.
    private static let requestsPerTurn = 64
    /// How long an interrupted read goes on before it is given up: a signal is no reason to lose what comes at once.
    static let patience = Duration.seconds(1)

    init(
        _ registry: DiskRegistry, _ flavour: TreeFlavour, _ channel: FuseChannel,
        whenEnded: @escaping @Sendable () -> Void
    ) throws(SystemError) {
        self.registry = registry
        self.channel = channel
        self.whenEnded = whenEnded
        view = TreeView(registry, flavour)
        own = Confined(Own(input: try IOBuffer(count: FuseWire.requestMax)))
        reactor = try Reactor.start(name: "pl-tree")
    }

    /// Begins to serve.
    /// - Context: not on a reactor.
    func begin() {
        reactor.post { [self] in
            do throws(SystemError) {
                own.value.registration = try channel.watch(on: reactor, self)
            } catch {
                finish()
            }
        }
    }

    // MARK: On the reactor

    func ready(_ readiness: Readiness, on reactor: Reactor) {
        for _ in 0..<Self.requestsPerTurn {
            let input = own.value.input.memory
            switch channel.read(into: input) {
            case .moved(let count): serve(input.slice(0, count))
            case .wouldBlock:
                // The kernel says nothing else of a connection that was cut off.
                return readiness.contains(.broken) && !readiness.contains(.read) ? finish() : ()
            case .ended: return finish()
            case .failed(let error):
                // ENOENT: the request was taken back before it was read. ENODEV: nothing is mounted any more.
                guard error.errno == FuseErrno.noEntry else { return finish() }
            }
            // Away in a driver for too long, or at the end.
            guard reactor.isCurrent, own.value.registration != nil else { return }
        }
    }

    func strayed(from reactor: Reactor) {
        // The thread that strayed has copied what it needs, and touches nothing of the session's: the loop goes on.
        own.value.guest?.driverStrayed()
        own.value.guest = nil
        if let registration = own.value.registration { reactor.watchAgain(registration) }
    }

    /// Calls what may call a driver.
    func visit(_ disk: Disk, _ body: () -> Void) {
        own.value.guest = disk
        let stay = reactor.beginForeign(self, own.value.registration)
        body()
        // Not ours any more: nothing of the session is touched by this thread from here on.
        guard reactor.endForeign(stay) else { return }
        own.value.guest = nil
    }

    /// The end of the mount: nothing more is read; files are closed, and the channel is.
    func finish() {
        guard let registration = own.value.registration.take() ?? nil else { return endOnce() }
        reactor.forget(registration)
        for timer in own.value.timers.values { reactor.cancel(timer) }
        own.value.timers = [:]
        endOnce()
    }

    private func endOnce() {
        guard !hasEnded.exchange(true, ordering: .acquiringAndReleasing) else { return }
        channel.close()
        let open = handles.end()
        // A close tells the driver, who may take his time: nobody waits for him here.
        for handle in open {
            guard case .device(let file) = handle else { continue }
            close(file)
        }
        let whenEnded = whenEnded
        WorkerThread.detach(name: "pl-tree-end") { [self] in
            reactor.stop()
            ended.raise()
            whenEnded()
        }
    }

    /// Ends it from outside, mounted or not.
    func stop() { if !reactor.post({ [self] in finish() }) { endOnce() } }

    // MARK: Requests

    private func serve(_ memory: IOMemory) {
        guard let request = FuseRequest(memory) else { return }
        let unique = request.unique
        switch request.call {
        case .initialize(let major, let minor, let readAhead, let flags):
            greet(unique, major, minor, readAhead, flags)
        case .lookup(let name): lookUp(unique, name, in: request.node)
        case .forget(let forgotten): for one in forgotten { own.value.nodes.forget(one.node, one.count) }
        case .getAttributes: getAttributes(unique, request.node)
        case .setAttributes(let fields, let size): setAttributes(unique, request.node, fields, size)
        case .readLink: readLink(unique, request.node)
        case .open(let flags): open(request, flags)
        case .openDirectory: openDirectory(unique, request.node)
        case .readDirectory(let transfer, let isPlus): readDirectory(unique, transfer, isPlus)
        case .read(let transfer): read(unique, transfer)
        case .write(let transfer, let data): write(unique, transfer, memory.slice(data, transfer.count))
        case .release(let handle), .releaseDirectory(let handle): release(unique, handle)
        case .sync(let handle): sync(unique, handle)
        case .allocate(let handle, let offset, let count, let mode):
            allocate(unique, handle, offset, count, mode)
        case .seek(let handle, let offset, let whence): seek(unique, handle, offset, whence)
        case .statistics: channel.send(FuseReply.statistics(unique))
        case .access: refuse(unique, 0)
        // Nothing is kept back here, so a close has nothing to wait for; the kernel asks once, and never again.
        case .flush: refuse(unique, FuseErrno.notImplemented)
        case .interrupt(let other): interrupt(other)
        case .destroy: refuse(unique, 0)
        case .refused(let error): refuse(unique, error)
        }
    }

    func refuse(_ unique: UInt64, _ error: Int32) { channel.send(FuseReply.error(unique, error)) }

    private func greet(
        _ unique: UInt64, _ major: UInt32, _ minor: UInt32, _ readAhead: UInt32, _ flags: FuseWire.Flags
    ) {
        if major > FuseWire.major {
            // It asks again in the words of this one.
            var reply = FuseReply(unique)
            reply.put(FuseWire.major)
            reply.put(FuseWire.minor)
            reply.put(zeroes: 56)
            return channel.send(reply.finished())
        }
        // 31 is Linux 5.4; what is older has no business with what is used here.
        guard major == FuseWire.major, minor >= 31 else { return refuse(unique, FuseErrno.protocolError) }
        channel.send(FuseReply.initialized(unique, minor: minor, readAhead: readAhead, flags))
    }

    private func interrupt(_ unique: UInt64) {
        if waits.claim(unique) { return refuse(unique, FuseErrno.interrupted) }
        // I/O: it has some time to come by itself.
        own.value.timers[unique] = reactor.after(Self.patience) { [self] in
            own.value.timers[unique] = nil
            for file in handles.devices where file.giveUp(unique) { break }
        }
    }
}
