// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockSystem
import Logging

/// All that a daemon is to do, once command line, configuration and environment are put together.
struct ServePlan: Sendable {
    /// A place that goes with the daemon, for sockets that nobody else is to find.
    var privateDirectory: String?
    var paths: ControlPaths
    var nbd: [SocketAddress]
    var http: (host: String, port: Int)?
    var tokenFile: String
    var metricsAreOpen: Bool
    var logLevel: Logger.Level
    var disks: [DiskPlan]
    var providers: [ProviderPlan]
    /// Where the disks are shown as files.
    var mounts: [String]
    /// How often removable media are looked for; 0: never.
    var mediaPollMilliseconds: Int
    /// How long the removal of all disks may take at the end.
    var stopTimeout: Duration
    var command: String?
    /// The program that is called for each event, and how long one call may take.
    var hotplug: (program: String, limit: Duration)?
    var manager: ServiceManager

    /// - Parameters:
    ///   - verb: the command line, which wins over the configuration.
    ///   - manager: inherited sockets replace every NBD address.
    init(_ verb: ServeVerb, _ configuration: Configuration, _ manager: ServiceManager) throws(Problem) {
        self.manager = manager
        command = verb.command
        // A client that hands over a socket wants a server of its own, and so does a command that is run beside one.
        let isCaptive = verb.command != nil || (!manager.sockets.isEmpty && !manager.isListening)
        let level = verb.logLevel ?? configuration.logLevel ?? (isCaptive ? "warning" : "info")
        logLevel = try configuration.locating("log-level", unless: verb.logLevel != nil) { () throws(Problem) in
            guard let known = Logger.Level(rawValue: level) else {
                let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem(.usage, "there is no log level '\(level)'; there are \(levels)", errno: "EINVAL")
            }
            return known
        }

        let socket = verb.socket ?? (isCaptive ? nil : configuration.socket)
        let addresses = try configuration.locating("nbd", unless: !verb.nbd.isEmpty) { () throws(Problem) in
            try (verb.nbd.isEmpty ? configuration.nbd ?? [] : verb.nbd).filter { $0 != "none" }
                .map { (text) throws(Problem) in
                    try SocketAddress.parse(text, option: verb.nbd.isEmpty ? "'nbd'" : "--nbd")
                }
        }
        http = try configuration.locating("http", unless: verb.http != nil) { () throws(Problem) in
            try (verb.http ?? configuration.http).map { (text) throws(Problem) in
                try ServePlan.loopback(text, option: verb.http == nil ? "'http'" : "--http")
            }
        }
        hotplug = try ServePlan.hotplug(verb, configuration)
        metricsAreOpen = verb.metricsOpen || configuration.metricsAreOpen ?? false
        mediaPollMilliseconds = try ServePlan.mediaPoll(verb, configuration)
        stopTimeout = try ServePlan.stopTimeout(verb, configuration)
        providers = configuration.providers
        mounts = (verb.mount.isEmpty ? configuration.mount ?? [] : verb.mount).map { HostFile.canonical($0) }
        disks = configuration.disks
        if let driver = verb.driver.first {
            disks.append(
                DiskPlan(
                    driver: driver, parameters: DriverWords.parameters(of: driver, Array(verb.driver.dropFirst()))))
        }

        try DiskPlan.checkNames(disks)

        if isCaptive {
            let directory: String
            do throws(SystemError) {
                directory = try HostFile.makeTemporaryDirectory(prefix: "platter")
            } catch {
                throw Problem(.failed, "no directory for private sockets can be made: \(error)", errno: error.name)
            }
            privateDirectory = directory
            paths = ControlPaths(socket: socket ?? directory + "/control.sock")
            nbd = manager.sockets.isEmpty ? [.unix(path: directory + "/nbd.sock")] : []
        } else {
            paths = ControlPaths(socket: socket)
            let isNamed = !verb.nbd.isEmpty || configuration.nbd != nil
            nbd = isNamed ? addresses : [.unix(path: paths.nbdSocket)]
        }
        if !manager.sockets.isEmpty { nbd = manager.sockets.map { .inherited($0) } }
        tokenFile = verb.tokenFile ?? configuration.tokenFile ?? paths.tokenFile
    }

    private static func mediaPoll(_ verb: ServeVerb, _ configuration: Configuration) throws(Problem) -> Int {
        try configuration.locating("media-poll", unless: verb.mediaPoll != nil) { () throws(Problem) in
            guard let text = verb.mediaPoll ?? configuration.mediaPoll, text != "0", text != "off" else { return 0 }
            let option = verb.mediaPoll == nil ? "media-poll" : "--media-poll"
            let milliseconds = try Units.duration(text, option: option).asSeconds * 1000
            guard milliseconds >= 1, milliseconds <= 86_400_000 else {
                throw Problem(.usage, "\(option)=\(text) is not between 1ms and 24h; 0 is never", errno: "EINVAL")
            }
            return Int(milliseconds)
        }
    }

    private static func stopTimeout(_ verb: ServeVerb, _ configuration: Configuration) throws(Problem) -> Duration {
        try configuration.locating("stop-timeout", unless: verb.stopTimeout != nil) { () throws(Problem) in
            guard let text = verb.stopTimeout ?? configuration.stopTimeout else { return .seconds(30) }
            let option = verb.stopTimeout == nil ? "stop-timeout" : "--stop-timeout"
            return try Units.duration(text, option: option)
        }
    }

    /// A program that is not there is said at once, not at the first event.
    private static func hotplug(
        _ verb: ServeVerb, _ configuration: Configuration
    ) throws(Problem) -> (program: String, limit: Duration)? {
        let limit = try configuration.locating("hotplug-timeout", unless: verb.hotplugTimeout != nil) {
            () throws(Problem) in
            let text = verb.hotplugTimeout ?? configuration.hotplugTimeout
            let limit =
                try text.map { (text) throws(Problem) in
                    try Units.duration(
                        text, option: verb.hotplugTimeout == nil ? "hotplug-timeout" : "--hotplug-timeout")
                } ?? .seconds(30)
            guard limit > .zero else {
                throw Problem(.usage, "a hotplug helper needs more time than none", errno: "EINVAL")
            }
            return limit
        }
        return try configuration.locating("hotplug", unless: verb.hotplug != nil) { () throws(Problem) in
            guard let program = verb.hotplug.map({ HostFile.absolute($0) }) ?? configuration.hotplug else { return nil }
            guard let status = HostFile.status(program), status.kind == .file, status.mode & 0o111 != 0 else {
                throw Problem(
                    .failed, "the hotplug helper '\(program)' is no program that can be run", errno: "EACCES")
            }
            return (program, limit)
        }
    }

    /// Only this machine's own addresses: there is no encryption, and a token in the clear is none.
    static func loopback(_ text: String, option: String = "--http") throws(Problem) -> (host: String, port: Int) {
        let address = text.hasPrefix("tcp:") ? text : "tcp:" + text
        guard case .tcp(let host, let port)? = SocketAddress(address) else {
            throw Problem(.usage, "\(option) takes HOST:PORT, such as 127.0.0.1:8080, not '\(text)'", errno: "EINVAL")
        }
        guard host == "localhost" || host == "::1" || host.hasPrefix("127.") else {
            throw Problem(
                .usage,
                "\(option) \(text): only loopback addresses are served, such as 127.0.0.1:\(port); "
                    + "from afar go through ssh or a TLS proxy", errno: "EINVAL")
        }
        return (host, Int(port))
    }
}

extension Configuration {
    /// An error about a value of `[serve]` gets the place where the value stands, unless the command line gave it.
    func locating<Value>(
        _ key: String, unless isFromCommandLine: Bool, _ body: () throws(Problem) -> Value
    ) throws(Problem) -> Value {
        do throws(Problem) {
            return try body()
        } catch {
            guard !isFromCommandLine, let place = places[key] else { throw error }
            throw Problem(error.kind, "\(place): \(error.detail)", errno: error.errno)
        }
    }
}
