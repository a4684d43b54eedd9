// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl
import BlockDrivers

struct ProvideVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "provide",
        abstract: "Have disks made when somebody opens one that is not there; without arguments, list for which names.",
        discussion: """
            platter provide 'ram*' ram size=64M
            platter provide 'vm-*' file path=/images/{name}.img autoclear=off

            An NBD client that asks for ram7 gets it, made for it; so does a disk that is to stand on it (lower=ram7).
            It goes with its last opener, and what is in it with it where the driver keeps nothing, unless autoclear=off.
            {name} in a value is the name that was asked for.
            """)

    @Argument(help: "The names; * stands for any run of characters.")
    var pattern: String?
    @Argument(help: "The driver.", completion: .list(DriverCatalogue.names))
    var driver: String?
    @Argument(help: ArgumentHelp("Its keys, as for add, but without name=.", valueName: "key=value"))
    var parameters: [String] = []
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func validate() throws {
        if pattern != nil, driver == nil { throw ValidationError("Name the driver of these disks.") }
    }

    func run() async throws {
        guard let pattern, let driver else {
            let list = try await daemon.client.send(.listProviders, as: ProviderList.self)
            if output.json { return try Output.json(list) }
            if !list.providers.isEmpty { Output.line(list.text) }
            return
        }
        let request = ProvideRequest(
            pattern: pattern, driver: driver, parameters: DriverWords.parameters(of: driver, parameters).object)
        let provider = try await daemon.client.send(.addProvider, body: request, as: ProviderModel.self)
        if output.json { try Output.json(provider) }
    }
}

struct UnprovideVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unprovide", abstract: "Make no more disks for a pattern of names; those that were made stay.")

    @Argument(help: "The pattern, as 'platter provide' lists it.")
    var pattern: String
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        let provider = try await daemon.client.send(.removeProvider, pattern, as: ProviderModel.self)
        if output.json { try Output.json(provider) }
    }
}

extension ProviderList {
    var text: String {
        let rows = providers.map { provider in
            let keys = [Parameter](provider.parameters).map { ($0.key.map { $0 + "=" } ?? "") + $0.value }
            let failed = provider.failed == 0 ? "" : "\(provider.failed) (\(provider.failure ?? ""))"
            return [provider.pattern, provider.driver, "\(provider.made)", failed, keys.joined(separator: " ")]
        }
        let hasFailures = providers.contains { $0.failed > 0 }
        let table = [["PATTERN", "DRIVER", "MADE", "FAILED", "KEYS"]] + rows
        return Columns.text(
            table.map { row in hasFailures ? row : row.enumerated().filter { $0.offset != 3 }.map(\.element) })
    }
}
