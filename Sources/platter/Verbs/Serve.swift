// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl
import BlockSystem

struct ServeVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run the daemon, with a disk if a driver is named.",
        discussion: """
            platter serve ram size=1G
            platter serve file disk.img ro=on --nbd tcp:127.0.0.1:10809
            platter serve ram size=64M --run 'nbdinfo "$uri"'
            nbdinfo -- [ platter serve ram size=64M ]

            SIGTERM flushes and removes the disks and ends, after --stop-timeout at the latest; a second one cuts.
            """)

    @Option(help: ArgumentHelp("The configuration file.", valueName: "file"))
    var config: String?
    @Option(help: ArgumentHelp("The control socket.", valueName: "path"))
    var socket: String?
    @Option(
        help: ArgumentHelp(
            "An NBD address: unix:PATH, tcp:HOST:PORT or none; may be repeated. Default: nbd.sock beside the control "
                + "socket.", valueName: "address"))
    var nbd: [String] = []
    @Option(help: ArgumentHelp("Serve HTTP on a loopback address too, to who has the token.", valueName: "host:port"))
    var http: String?
    @Option(
        name: .customLong("token-file"),
        help: ArgumentHelp("The token for --http; made if it is missing.", valueName: "file"))
    var tokenFile: String?
    @Flag(name: .customLong("metrics-open"), help: "Serve /metrics over --http without the token.")
    var metricsOpen = false
    @Option(
        help: ArgumentHelp(
            "Call a program for each event, one at a time: the event is its environment, 'block' its argument.",
            valueName: "program"))
    var hotplug: String?
    @Option(
        name: .customLong("hotplug-timeout"),
        help: ArgumentHelp("How long one call of it may take, such as 5s; 30s if it is not given.", valueName: "time"))
    var hotplugTimeout: String?
    @Option(
        name: .customLong("media-poll"),
        help: ArgumentHelp(
            "How often devices with removable media are asked for changes that they do not tell of, such as 2s; 0 is "
                + "never, and what holds if it is not given.", valueName: "time"))
    var mediaPoll: String?
    @Option(
        name: .customLong("stop-timeout"),
        help: ArgumentHelp(
            "How long all disks together may take to flush and to answer when the daemon ends; 30s if it is not given.",
            valueName: "time"))
    var stopTimeout: String?
    @Option(
        help: ArgumentHelp(
            "Show the disks as files under an empty directory; may be repeated.", valueName: "directory"),
        completion: .directory)
    var mount: [String] = []
    @Option(
        name: .customLong("run"),
        help: ArgumentHelp(
            "Run a shell command with $uri, $nbd and $PLATTER_SOCKET set, on private sockets, and end with it.",
            valueName: "cmd"))
    var command: String?
    @Option(
        name: .customLong("log-level"),
        help: ArgumentHelp("trace, debug, info, notice, warning, error or critical.", valueName: "level"),
        completion: .list(["trace", "debug", "info", "notice", "warning", "error", "critical"]))
    var logLevel: String?
    @Argument(help: ArgumentHelp("A driver and its keys.", valueName: "driver key=value"))
    var driver: [String] = []

    func validate() throws { for directory in mount { try HostFile.checkNotEmpty(directory) } }

    func run() async throws {
        let manager = ServiceManager.adopt()
        let configuration = try Configuration.load(config)
        let daemon = try Daemon(try ServePlan(self, configuration, manager))
        let status = try await daemon.run()
        if status != 0 { throw ExitCode(status) }
    }
}
