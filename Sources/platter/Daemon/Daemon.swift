// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockCore
import BlockNBD
import BlockSystem
import Logging

/// The daemon: what it holds, and the order in which it comes and goes.
final class Daemon: Sendable {
    /// Why it is to end.
    enum End: Sendable {
        case signal(HostSignals.Ending)
        case command(Int32)
    }

    private let plan: ServePlan
    private let logger: Logger
    private let registry = DiskRegistry()
    private let nbd: NBDExports
    private let makers: Providers
    private let trees: Trees
    private let backend: DaemonBackend
    private let control: ControlServer
    private let lock: LockFile
    private let helper: HotplugHelper?

    /// Takes the place; nothing is served yet.
    init(_ plan: ServePlan) throws(Problem) {
        self.plan = plan
        let level = plan.logLevel
        let logger = Logger(label: "platter") { _ in StandardErrorLog(level: level) }
        self.logger = logger
        lock = try Daemon.takePlace(plan.paths)
        do throws(SystemError) {
            nbd = try NBDExports(registry) { level, text in logger.log(level: Logger.Level(level), "\(text)") }
        } catch {
            throw Problem(.failed, "the NBD server cannot be started: \(error)", errno: error.name)
        }
        makers = Providers(registry, logger)
        trees = Trees(registry, logger)
        backend = DaemonBackend(registry: registry, nbd: nbd, makers: makers, trees: trees)
        let service = ControlService(
            registry: registry, backend: backend, version: Platter.version, logger: logger)
        control = ControlServer(service: service, logger: logger)
        helper = plan.hotplug.map { HotplugHelper(program: $0.program, limit: $0.limit, logger: logger) }
    }

    /// Serves until told to end, and returns the exit status.
    func run() async throws -> Int32 {
        let (ends, ending) = AsyncStream.makeStream(of: End.self)
        HostSignals.watch { ending.yield(.signal($0)) }
        var status = ExitStatus.done.rawValue
        do {
            let disk = try await start()
            let child = try startCommand(disk, ending)
            for await end in ends {
                switch end {
                case .command(let result): status = result
                case .signal(let signal):
                    logger.notice("ending", metadata: ["signal": "\(signal)"])
                    // The command goes first: its end, or another signal, is what is waited for next.
                    if let child,
                        !isAsked.withLock({ was in
                            defer { was = true }; return was
                        })
                    {
                        child.terminate()
                        continue
                    }
                }
                break
            }
        } catch {
            await stop(ends)
            throw error
        }
        let outcome = await stop(ends)
        return plan.command == nil ? outcome.rawValue : status
    }

    private let isAsked = Lock(false)
    private let isBound = Lock(false)

    // MARK: Coming

    /// One daemon for a control socket: whoever holds the lock file.
    private static func takePlace(_ paths: ControlPaths) throws(Problem) -> LockFile {
        if HostFile.status(paths.directory) == nil {
            guard !paths.isNamed else {
                throw Problem(
                    .failed,
                    "there is no directory \(paths.directory) for the control socket: make it, or name "
                        + "another place with --socket", errno: "ENOENT")
            }
            do throws(SystemError) {
                try HostFile.makeDirectory(paths.directory, mode: 0o700)
            } catch {
                throw Problem(
                    error.name == "EACCES" ? .notPermitted : .failed,
                    "the directory \(paths.directory) of the control socket cannot be made: \(error); "
                        + "name another place with --socket",
                    errno: error.name)
            }
        }
        try paths.checkOwner()
        guard UnixSocket.mayReplace(paths.socket) else {
            throw Problem(
                .failed, "\(paths.socket) is there and is not a socket: name another place with --socket",
                errno: "EEXIST")
        }
        do throws(SystemError) {
            return try LockFile(path: paths.lockFile)
        } catch {
            if error.name == "EAGAIN" {
                let holder = LockFile.holder(path: paths.lockFile).map { " (process \($0))" } ?? ""
                throw Problem(
                    .busy,
                    "a daemon\(holder) serves \(paths.socket) already; use it, or name another socket with --socket",
                    errno: "EBUSY")
            }
            let why = error.name == "EEXIST" ? "it is there, and it is none" : "\(error)"
            throw Problem(
                error.name == "EACCES" ? .notPermitted : .failed,
                "the lock file \(paths.lockFile) cannot be taken: \(why); name another place with --socket",
                errno: error.name)
        }
    }

    /// Everything comes up from below, the control socket last: that it exists means ready.
    private func start() async throws -> Disk? {
        let limit = Host.raiseOpenFiles()
        logger.debug("open files", metadata: ["limit": "\(limit.now.map(String.init) ?? "none")"])
        helper?.start(registry.events)
        registry.setMediaPollInterval(milliseconds: plan.mediaPollMilliseconds)
        for plan in plan.providers {
            do throws(Problem) {
                _ = try await backend.provide(plan.pattern, driver: plan.disk.driver, parameters: plan.disk.parameters)
            } catch {
                throw Problem(error.kind, plan.disk.locate(error.detail), errno: error.errno)
            }
        }
        var last: Disk?
        for disk in plan.disks {
            do throws(Problem) {
                last = try await backend.add(driver: disk.driver, parameters: disk.parameters)
            } catch {
                throw Problem(error.kind, disk.locate(error.detail), errno: error.errno, disk: error.disk)
            }
            if let last {
                logger.info("disk added", metadata: ["disk": "\(last.name)", "diskseq": "\(last.sequence)"])
            }
        }
        for address in plan.nbd {
            let listener = try nbd.listen(on: address)
            logger.info("serving NBD", metadata: ["address": "\(listener.address)"])
        }
        for path in plan.mounts {
            _ = try await backend.mount(MountRequest(path: path))
            logger.info("mounted", metadata: ["path": "\(path)"])
        }
        if let http = plan.http { try await serveTCP(http.host, http.port) }
        do {
            try await control.listen(unix: plan.paths.socket)
            isBound.withLock { $0 = true }
        } catch let error as SystemError {
            throw Problem(
                error.name == "EACCES" ? .notPermitted : .failed,
                "the control socket \(plan.paths.socket) cannot be made: \(error)", errno: error.name)
        }
        logger.info(
            "ready", metadata: ["control": "\(plan.paths.socket)", "instance": "\(registry.instance)"])
        plan.manager.notify("READY=1\nSTATUS=Serving \(Units.plural(registry.disks.count, "disk"))")
        return last
    }

    private func serveTCP(_ host: String, _ port: Int) async throws {
        let token = try TokenFile.token(plan.tokenFile)
        let remote = ControlServer.Remote(
            host: host, port: port, token: token, metricsAreOpen: plan.metricsAreOpen)
        let bound: Int
        do {
            bound = try await control.listen(tcp: remote)
        } catch {
            throw Problem(.failed, "cannot serve HTTP at \(host):\(port): \(error)")
        }
        logger.info("serving HTTP", metadata: ["address": "\(host):\(bound)", "token": "\(plan.tokenFile)"])
    }

    // MARK: The command of --run

    private func startCommand(_ disk: Disk?, _ ending: AsyncStream<End>.Continuation) throws(Problem) -> ShellCommand? {
        guard let command = plan.command else { return nil }
        let address = nbd.addresses.first
        var variables: [(name: String, value: String)] = [("PLATTER_SOCKET", plan.paths.socket)]
        if let address {
            variables.append(("nbd", "\(address)"))
            if let disk { variables.append(("uri", address.uri(export: disk.name))) }
            if case .unix(let path) = address { variables.append(("unixsocket", path)) }
        }
        let child: ShellCommand
        do throws(SystemError) {
            child = try ShellCommand(command, environment: variables)
        } catch {
            throw Problem(.failed, "the command of --run cannot be started: \(error)", errno: error.name)
        }
        WorkerThread.detach(name: "pl-command") { ending.yield(.command(child.wait())) }
        return child
    }

    // MARK: Going

    /// Takes no more clients, removes the disks as `hard` does, then lets everything go. Another signal cuts.
    @discardableResult
    private func stop(_ ends: AsyncStream<End>) async -> ExitStatus {
        plan.manager.notify("STOPPING=1")
        let names = registry.disks.map(\.name).joined(separator: " ")
        if !names.isEmpty {
            let limit = Units.seconds(plan.stopTimeout.asSeconds)
            logger.info(
                "removing disks, for up to \(limit); another signal cuts them", metadata: ["disks": "\(names)"])
        }
        await control.stopListening()
        nbd.stopListening()
        let impatience = Task {
            for await end in ends {
                guard case .signal = end else { continue }
                logger.warning("cutting")
                await removeAll(.surprise, within: .seconds(1))
            }
        }
        // One that hangs in its driver's making holds up nobody's flush.
        if await !isDone(within: .seconds(5), { [makers] in await makers.removeAll() }) {
            logger.warning("a disk that is being made is not waited for")
        }
        let status = await removeAll(.hard, within: plan.stopTimeout)
        if let helper {
            // It hears of the end, too, as far as it keeps up.
            _ = await registry.events.settle(within: .seconds(5))
            helper.stop()
        }
        impatience.cancel()
        await endClients()
        // Only what this daemon made: a start that failed leaves what it found.
        if isBound.withLock({ $0 }) { HostFile.remove(plan.paths.socket) }
        if let directory = plan.privateDirectory {
            HostFile.remove(plan.paths.lockFile)
            HostFile.remove(directory + "/nbd.sock")
            HostFile.removeDirectory(directory)
        }
        logger.info("ended")
        return status
    }

    /// The disks are gone: whoever is still connected has had every answer.
    private func endClients() async {
        let isGone = await isDone(within: .seconds(5)) { [nbd, trees] in
            await withCheckedContinuation { continuation in
                WorkerThread.detach(name: "pl-stop") {
                    nbd.stop(within: .seconds(1))
                    trees.stop()
                    continuation.resume()
                }
            }
        }
        if !isGone { logger.warning("a mount that cannot be taken away is not waited for") }
        // Last: a request may stand in a call to a file system that does not come back, and cannot be called off there.
        if await !isDone(within: .seconds(5), { [control] in await control.stop() }) {
            logger.warning("a request that hangs is not waited for")
        }
    }

    /// Whether the work was done in time; otherwise it goes on by itself.
    private func isDone(within limit: Duration, _ work: @escaping @Sendable () async -> Void) async -> Bool {
        let (ends, end) = AsyncStream.makeStream(of: Bool.self)
        Task {
            await work()
            end.yield(true)
        }
        let clock = Task {
            try await Task.sleep(for: limit)
            end.yield(false)
        }
        defer { clock.cancel() }
        for await isInTime in ends { return isInTime }
        return false
    }

    /// What stands on others before those: its flush goes through them. One clock for all, whatever stands on what: a
    /// manager kills who takes longer. Those below a disk that used it up are left a second each.
    @discardableResult
    private func removeAll(_ mode: RemovalMode, within limit: Duration) async -> ExitStatus {
        var status = ExitStatus.done
        let end = Instant.now + limit
        var left = registry.disks(hidden: true)
        while !left.isEmpty {
            let held = left.flatMap { disk in disk.lowers.map { ObjectIdentifier($0.disk) } }
            let wave = left.filter { !held.contains(ObjectIdentifier($0)) }
            status = status.and(await remove(wave.isEmpty ? left : wave, mode, max(end - .now, .seconds(1))))
            left.removeAll { disk in wave.isEmpty || wave.contains { $0 === disk } }
        }
        return status
    }

    private func remove(_ disks: [Disk], _ mode: RemovalMode, _ limit: Duration) async -> ExitStatus {
        await withTaskGroup(of: ExitStatus.self) { group in
            for disk in disks {
                group.addTask { [logger] in
                    let outcome = await disk.remove(mode, deadline: limit, wait: true)
                    guard case .removed(let report) = outcome else { return .done }
                    logger.notice(
                        "disk removed",
                        metadata: [
                            "disk": "\(report.disk)", "mode": "\(report.mode.rawValue)", "failed": "\(report.failed)",
                            "quarantined": "\(report.quarantined)", "flush": "\(report.flush.rawValue)",
                        ])
                    return report.deadlinePassed ? .deadlinePassed : .done
                }
            }
            var status = ExitStatus.done
            for await one in group { status = status.and(one) }
            return status
        }
    }
}

extension Logger.Level {
    fileprivate init(_ level: NBDLogLevel) {
        switch level {
        case .debug: self = .debug
        case .info: self = .info
        case .warning: self = .warning
        case .error: self = .error
        }
    }
}
