// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl
import BlockDrivers
import BlockSystem

struct AddVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Add a disk and print its name.",
        discussion: "Drivers and their keys:\n\n" + DriverHelp.text)

    @Argument(help: "The driver.", completion: .list(DriverCatalogue.names))
    var driver: String
    @Argument(help: ArgumentHelp("Its keys; a bare first word is the path.", valueName: "key=value"))
    var parameters: [String] = []
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        let request = AddRequest(driver: driver, parameters: DriverWords.parameters(of: driver, parameters).object)
        let detail = try await daemon.client.send(.addDisk, body: request, as: DiskDetail.self)
        if output.json {
            try Output.json(detail)
        } else {
            Output.line(detail.device.name)
            Output.oddities(detail.notes, of: detail.device.name)
        }
    }
}

/// The keys of the drivers, as `add --help` tells them.
package enum DriverHelp {
    /// Of each driver; what is in brackets may be left out.
    package static let keys = [
        ("ram", "size=1G [image=FILE]"),
        ("null", "size=1G [latency=5ms] [answer=on|off]"),
        ("file", "path=FILE [size=1G] [direct=on|off] [engine=auto|io_uring|threads]"),
        ("removable", "[image=FILE]"),
        ("linear", "lower=NAME [offset=1M] [size=1G] [lower=…] [orphaned=remove|stay]"),
        ("delay", "lower=NAME [offset=] [size=] [read=5ms] [write=] [flush=] [orphaned=]"),
    ]
    /// Of every driver.
    package static let common =
        "[name=NAME] [ro=on|off] [sector-size=512|4096] [partscan=on|off] [export=all|none] [autoclear=on|off]"

    static let text =
        keys.map { $0.padded(to: 10) + $1 }.joined(separator: "\n") + """


            Every driver: \(common)

            A file is made if it is not there and has a size. 'orphaned' says what becomes of a disk when all that \
            it stands on is gone; 'autoclear=on' lets a disk go with its last opener.
            """
}

/// The words of a disk on a command line or in a configuration.
enum DriverWords {
    // The daemon has another current directory: paths are made whole where they were typed.
    private static let paths: Set = ["path", "image"]

    static func parameters(of driver: String, _ words: [String]) -> [Parameter] {
        windows(words.map { absolute(Parameter($0), of: driver) })
    }

    /// `lower=a offset=1M lower=b` as `lower=a,offset=1M lower=b`: on their way through an object keys lose their order.
    private static func windows(_ parameters: [Parameter]) -> [Parameter] {
        guard parameters.count(where: { $0.key == "lower" }) > 1 else { return parameters }
        var folded: [Parameter] = []
        var lower: Int?
        for parameter in parameters {
            if let key = parameter.key, key == "offset" || key == "size", let lower {
                folded[lower].value += ",\(key)=\(parameter.value)"
            } else {
                if parameter.key == "lower" { lower = folded.count }
                folded.append(parameter)
            }
        }
        return folded
    }

    /// - Parameter directory: where relative paths start; nil: at this process's directory.
    static func absolute(_ parameter: Parameter, of driver: String, from directory: String? = nil) -> Parameter {
        let isPath = parameter.key.map(paths.contains) ?? (driver == "file")
        guard isPath, !parameter.value.isEmpty else { return parameter }
        let isRelative = !parameter.value.hasPrefix("/")
        let path = isRelative ? directory.map { $0 + "/" + parameter.value } ?? parameter.value : parameter.value
        return Parameter(key: parameter.key, value: HostFile.absolute(path))
    }
}
