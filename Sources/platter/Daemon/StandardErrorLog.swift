// SPDX-License-Identifier: Apache-2.0

import BlockSystem
import Logging

/// One line on standard error for each event: `key=value` behind the message, the journal's priority in front where
/// the journal reads.
struct StandardErrorLog: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level
    private let isJournal: Bool

    init(level: Logger.Level, isJournal: Bool = Host.environment("JOURNAL_STREAM") != nil) {
        logLevel = level
        self.isJournal = isJournal
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        var line =
            isJournal
            ? "<\(StandardErrorLog.priority(event.level))>" : "\(Units.moment(Instant.wallClock)) \(event.level) "
        line += "\(event.message)"
        for (key, value) in all.sorted(by: { $0.key < $1.key }) where !key.hasPrefix("hb.") {
            line += " \(key)=\(StandardErrorLog.quoted("\(value)"))"
        }
        try? HostFile.write(2, line + "\n")
    }

    private static func quoted(_ text: String) -> String {
        let isPlain = !text.isEmpty && !text.contains { $0 == " " || $0 == "\"" || $0 == "=" || $0.isNewline }
        if isPlain { return text }
        return "\"" + text.map { $0 == "\"" ? "'" : $0.isNewline ? " " : String($0) }.joined() + "\""
    }

    // syslog's numbers.
    private static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
