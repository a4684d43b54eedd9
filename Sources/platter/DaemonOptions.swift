// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

/// How every verb but `serve` finds the daemon.
struct DaemonOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The daemon's control socket; $PLATTER_SOCKET and the runtime directory are tried without it.",
            valueName: "path"))
    var socket: String?

    var client: ControlClient { ControlClient(paths: ControlPaths(socket: socket)) }
}

/// How verbs that print are told to print for programs.
struct PrintOptions: ParsableArguments {
    @Flag(help: "Print one JSON document instead of text.")
    var json = false
}
