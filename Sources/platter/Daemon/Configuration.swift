// SPDX-License-Identifier: Apache-2.0

package import BlockControl
import BlockSystem
import TOMLKit

/// A disk to add at start, and where it was asked for.
package struct DiskPlan: Sendable, Equatable {
    package var driver: String
    package var parameters: [Parameter]
    /// Where an error about it is: a file and its lines by key, the empty key for the disk as a whole.
    package var origin: Origin?

    package struct Origin: Sendable, Equatable {
        package var file: String
        package var lines: [String: Int]
    }

    /// The error line with the place of the key that it speaks of in front.
    package func locate(_ reason: String) -> String {
        guard let origin else { return reason }
        // The first key that the line names is the one it is about; others may follow as a list of what there is.
        let words = reason.split { $0 == " " || $0 == ":" }.map { $0.filter { $0 != "'" } }
        let keys = words.compactMap {
            $0.split(separator: "=", omittingEmptySubsequences: false).first.map(String.init)
        }
        let key = keys.first { !$0.isEmpty && origin.lines[$0] != nil } ?? key(ofValueIn: reason)
        let line = origin.lines[key ?? ""] ?? origin.lines[""] ?? 1
        return "\(origin.file):\(line): \(reason)"
    }

    /// The key with a value that an error line names: `/x.img does not exist` is about `path`.
    private func key(ofValueIn reason: String) -> String? {
        let words = reason.split(separator: " ").map { $0.filter { $0 != "'" && $0 != ":" && $0 != "," } }
        return parameters.first { $0.key != nil && words.contains($0.value) }?.key
    }

    /// What it is to be called, and where that is said.
    var name: (text: String, line: Int?)? {
        guard let name = parameters.first(where: { $0.key == "name" }) else { return nil }
        return (name.value, origin?.lines["name"])
    }

    /// Looks for two disks that are to have one name.
    /// - Throws: ``Problem`` with where both are.
    package static func checkNames(_ disks: [DiskPlan]) throws(Problem) {
        var first: [String: DiskPlan] = [:]
        for disk in disks {
            // That of the command line comes last, so that the other one is in the file.
            guard let name = disk.name, let other = first.updateValue(disk, forKey: name.text),
                let file = other.origin?.file, let line = other.name?.line
            else { continue }
            let place = disk.origin == nil ? "\(file):\(line)" : "line \(line)"
            throw Problem(
                .usage, disk.locate("name=\(name.text) is given twice: \(place) has it, too"), errno: "EINVAL")
        }
    }
}

/// Disks to make when they are opened: `[[provide]]`.
package struct ProviderPlan: Sendable, Equatable {
    package var pattern: String
    package var disk: DiskPlan
}

/// The configuration file: `[serve]` for the daemon, a `[[disk]]` for each disk that should always be there, a
/// `[[provide]]` for names that disks are made for when they are opened.
package struct Configuration: Sendable, Equatable {
    package var socket: String?
    package var nbd: [String]?
    package var http: String?
    package var tokenFile: String?
    package var metricsAreOpen: Bool?
    package var logLevel: String?
    package var hotplug: String?
    package var hotplugTimeout: String?
    package var mediaPoll: String?
    package var stopTimeout: String?
    package var mount: [String]?
    package var disks: [DiskPlan] = []
    package var providers: [ProviderPlan] = []
    /// Where the keys of `[serve]` stand: FILE:LINE.
    package var places: [String: String] = [:]

    static let serveKeys = [
        "socket", "nbd", "http", "token-file", "metrics-open", "log-level", "hotplug", "hotplug-timeout",
        "media-poll", "stop-timeout", "mount",
    ]

    /// Where the file is when none is named.
    static func defaultPath(
        userID: UInt32 = Host.userID, environment: (String) -> String? = { Host.environment($0) }
    ) -> String? {
        if userID == 0 { return "/etc/platter/platter.toml" }
        if let home = environment("XDG_CONFIG_HOME"), !home.isEmpty { return home + "/platter/platter.toml" }
        return environment("HOME").map { $0 + "/.config/platter/platter.toml" }
    }

    /// The file that was named, which must be there, or the default one, which need not.
    static func load(_ named: String?) throws(Problem) -> Configuration {
        guard let path = named ?? defaultPath() else { return Configuration() }
        let text: String
        do throws(SystemError) {
            text = try HostFile.readText(path)
        } catch {
            if named == nil, error.name == "ENOENT" { return Configuration() }
            throw Problem(.failed, "the configuration '\(path)' cannot be read: \(error)", errno: error.name)
        }
        return try Configuration(text: text, file: path)
    }

    /// No configuration.
    package init() {}

    /// The configuration in a text.
    /// - Throws: ``Problem`` with file, line and key.
    package init(text: String, file: String) throws(Problem) {
        // What a crash left behind must not pass for a configuration without disks.
        let isText = { (line: Substring) in !line.contains("\0") && !line.contains("\u{FFFD}") }
        let texts = text.split(separator: "\n", omittingEmptySubsequences: false)
        if let broken = texts.firstIndex(where: { !isText($0) }) {
            throw Problem(
                .usage, "\(file):\(broken + 1): this is not text: the file is damaged, or no configuration",
                errno: "EINVAL")
        }
        let table: TOMLTable
        do {
            table = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw Problem(.usage, "\(file):\(error.source.begin.line): \(error.description)", errno: "EINVAL")
        } catch {
            throw Problem(.usage, "\(file): this is not TOML: \(error)", errno: "EINVAL")
        }
        let reader = ConfigurationReader(file: file, lines: ConfigurationLines(text))
        for key in table.keys {
            switch key {
            case "serve":
                guard let serve = table[key]?.table else {
                    throw reader.wrong("'serve' is a table: write [serve]", key)
                }
                try read(serve, reader)
            case "disk":
                guard let disks = table[key]?.array else { throw reader.wrong("'disk' is a list: write [[disk]]", key) }
                for (index, disk) in disks.enumerated() {
                    guard let disk = disk.table else { throw reader.wrong("'disk' is a list: write [[disk]]", key) }
                    self.disks.append(try reader.disk(disk, index: index))
                }
            case "provide":
                guard let patterns = table[key]?.array else {
                    throw reader.wrong("'provide' is a list: write [[provide]]", key)
                }
                for (index, table) in patterns.enumerated() {
                    guard let table = table.table else {
                        throw reader.wrong("'provide' is a list: write [[provide]]", key)
                    }
                    providers.append(try reader.provider(table, index: index))
                }
            default:
                throw reader.wrong("unknown table or key '\(key)'; there are [serve], [[disk]] and [[provide]]", key)
            }
        }
    }

    private mutating func read(_ serve: TOMLTable, _ reader: ConfigurationReader) throws(Problem) {
        for key in serve.keys {
            guard let value = serve[key] else { continue }
            places[key] = reader.place(of: key, in: "serve", 0)
            func one() throws(Problem) -> String { try reader.text(value, key, in: "serve", 0) }
            switch key {
            case "socket": socket = try one()
            case "nbd": nbd = try reader.texts(value, key, in: "serve", 0)
            case "http": http = try one()
            case "token-file": tokenFile = try one()
            case "metrics-open":
                guard let isOpen = value.bool else {
                    throw reader.wrong("'metrics-open' is true or false", key, in: "serve", 0)
                }
                metricsAreOpen = isOpen
            case "log-level": logLevel = try one()
            case "hotplug":
                let path = try one()
                hotplug = HostFile.absolute(path.hasPrefix("/") ? path : reader.directory + "/" + path)
            case "hotplug-timeout": hotplugTimeout = try one()
            case "media-poll": mediaPoll = try one()
            case "stop-timeout": stopTimeout = try one()
            case "mount":
                mount = try reader.texts(value, key, in: "serve", 0)
                    .map { $0.hasPrefix("/") ? $0 : reader.directory + "/" + $0 }
            default:
                let keys = Configuration.serveKeys.joined(separator: ", ")
                throw reader.wrong("unknown key '\(key)'; [serve] has \(keys)", key, in: "serve", 0)
            }
        }
    }
}

/// Takes values out of a parsed file and says where they stood.
private struct ConfigurationReader {
    let file: String
    let lines: ConfigurationLines

    func wrong(_ reason: String, _ key: String, in table: String = "", _ index: Int = 0) -> Problem {
        Problem(.usage, "\(place(of: key, in: table, index)): \(reason)", errno: "EINVAL")
    }

    func place(of key: String, in table: String, _ index: Int) -> String {
        "\(file):\(lines.line(of: key, in: table, index))"
    }

    /// A path in a file means the same wherever the daemon is started. Without the slash at its end.
    var directory: String {
        let slash = file.lastIndex(of: "/")
        return String(HostFile.absolute(slash.map { String(file[...$0]) } ?? "").dropLast())
    }

    func provider(_ table: TOMLTable, index: Int) throws(Problem) -> ProviderPlan {
        var disk = try disk(table, index: index, in: "provide")
        let patterns = disk.parameters.filter { $0.key == "pattern" }
        disk.parameters.removeAll { $0.key == "pattern" }
        guard let pattern = patterns.first?.value, patterns.count == 1 else {
            throw wrong("this provider lacks 'pattern', such as pattern = \"ram*\"", "", in: "provide", index)
        }
        return ProviderPlan(pattern: pattern, disk: disk)
    }

    func disk(_ table: TOMLTable, index: Int, in kind: String = "disk") throws(Problem) -> DiskPlan {
        var parameters: [Parameter] = []
        var driver: String?
        let directory = self.directory
        var places = ["": lines.line(of: "", in: kind, index)]
        for key in table.keys {
            guard let value = table[key] else { continue }
            places[key] = lines.line(of: key, in: kind, index)
            if key == "driver" {
                driver = try text(value, key, in: kind, index)
                continue
            }
            for text in try texts(value, key, in: kind, index) {
                parameters.append(DriverWords.absolute(Parameter(key: key, value: text), of: "", from: directory))
            }
        }
        guard let driver else {
            throw wrong("this \(kind) lacks 'driver', such as driver = \"ram\"", "", in: kind, index)
        }
        return DiskPlan(driver: driver, parameters: parameters, origin: DiskPlan.Origin(file: file, lines: places))
    }

    func text(_ value: any TOMLValueConvertible, _ key: String, in table: String, _ index: Int) throws(Problem)
        -> String
    {
        if let text = value.string { return text }
        if let isOn = value.bool { return isOn ? "on" : "off" }
        if let number = value.int { return String(number) }
        throw wrong("'\(key)' is a text, a number, or true or false", key, in: table, index)
    }

    func texts(
        _ value: any TOMLValueConvertible, _ key: String, in table: String, _ index: Int
    ) throws(Problem) -> [String] {
        guard let array = value.array else { return [try text(value, key, in: table, index)] }
        var result: [String] = []
        for element in array { result.append(try text(element, key, in: table, index)) }
        return result
    }
}

/// Where the keys of a TOML file stand: the parser keeps the lines of its errors only.
struct ConfigurationLines: Sendable {
    private var places: [String: Int] = [:]

    init(_ text: String) {
        var table = ""
        var counts: [String: Int] = [:]
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = ConfigurationLines.trimmed(line)
            if line.hasPrefix("[") {
                let name = ConfigurationLines.trimmed(line.drop { $0 == "[" }.prefix { $0 != "]" })
                let count = counts[name, default: -1] + 1
                counts[name] = count
                table = "\(name)/\(count)/"
                places[table] = index + 1
                if places["/0/" + name] == nil { places["/0/" + name] = index + 1 }
            } else if !line.hasPrefix("#"), let equals = line.firstIndex(of: "=") {
                let key = ConfigurationLines.trimmed(line[..<equals]).filter { $0 != "\"" && $0 != "'" }
                let place = (table.isEmpty ? "/0/" : table) + key
                if places[place] == nil { places[place] = index + 1 }
            }
        }
    }

    /// The line of a key in the n-th table of a name; the table's own line for the empty key.
    func line(of key: String, in table: String, _ index: Int) -> Int {
        places["\(table)/\(index)/\(key)"] ?? places["\(table)/\(index)/"] ?? 1
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        let front = text.drop { $0 == " " || $0 == "\t" || $0 == "\r" }
        var result = String(front)
        while let last = result.last, last == " " || last == "\t" || last == "\r" { result.removeLast() }
        return result
    }
}
