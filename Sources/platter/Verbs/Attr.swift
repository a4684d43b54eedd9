// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

struct AttrVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attr",
        abstract: "Show or change attributes of a disk or partition, as in /sys/block.",
        discussion: """
            Without an attribute it lists them all. 'platter attr pl0 stat' prints what one says,
            'platter attr pl0 queue/iostats=0' writes one. 'platter set' changes settings of the driver.
            """)

    @Argument(help: "A disk or partition.")
    var name: String
    @Argument(help: ArgumentHelp("Attributes to print, or to write.", valueName: "path[=value]"))
    var attributes: [String] = []
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        guard !attributes.isEmpty else {
            let list = try await daemon.client.send(.listAttributes, name, as: AttributeList.self)
            if output.json { try Output.json(list) } else { Output.line(AttrVerb.table(list)) }
            return
        }
        var all = AttributeList(device: name, diskseq: 0, attributes: [])
        for word in attributes {
            let answer: AttributeList
            if let equals = word.firstIndex(of: "=") {
                let (path, value) = (String(word[..<equals]), String(word[word.index(after: equals)...]))
                answer = try await daemon.client.send(
                    .writeAttribute, name, body: AttributeRequest(path: path, value: value), as: AttributeList.self)
            } else {
                answer = try await daemon.client.send(
                    .listAttributes, name, query: [("path", word)], as: AttributeList.self)
                // As cat prints the file: nothing at all where it is empty.
                if !output.json, let value = answer.attributes.first?.value, !value.isEmpty { Output.line(value) }
            }
            all.device = answer.device
            all.diskseq = answer.diskseq
            all.attributes += answer.attributes
        }
        if output.json { try Output.json(all) }
    }

    /// A line for each; of a value of several lines each further one stands under the first.
    static func table(_ list: AttributeList) -> String {
        let rows = list.attributes.flatMap { one -> [[String]] in
            let access = (one.readable ? "r" : "-") + (one.writable ? "w" : "-")
            let lines = (one.value ?? "").split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            return lines.enumerated().map { index, line in index == 0 ? [one.path, access, line] : ["", "", line] }
        }
        return Columns.text(rows)
    }
}
