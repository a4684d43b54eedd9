// SPDX-License-Identifier: Apache-2.0

public import BlockPartitions

/// The options of `partitions` as words, as they stand on the command line and in a query.
public struct PartitionQuery: Sendable {
    /// Whose rules: `platter`, `kernel` or `blkid`.
    public var policy: String?
    /// The formats to ask, separated by commas.
    public var formats: String?
    /// Whether each format is to say why it said no.
    public var isExplained = false
    /// Cylinders, heads and sectors per track: `C/H/S`.
    public var geometry: String?
    /// The kernel's parameter `blkdevparts=`.
    public var commandLine: String?

    /// No options.
    public init() {}

    /// What a query says, by its keys; what its flag means is for the caller to judge.
    public init(_ value: (String) -> String?, isExplained: Bool) {
        policy = value("as")
        formats = value("formats")
        self.isExplained = isExplained
        geometry = value("geometry")
        commandLine = value("cmdline")
    }

    /// The query that says the same.
    public var parameters: [(String, String)] {
        [
            ("as", policy), ("formats", formats), ("explain", isExplained ? "1" : nil), ("geometry", geometry),
            ("cmdline", commandLine),
        ].compactMap { key, value in value.map { (key, $0) } }
    }

    /// What the words mean.
    /// - Throws: ``Problem`` of the kind `usage` with what there is.
    public func options() throws(Problem) -> PartitionScanOptions {
        guard let policy = PartitionPolicy(rawValue: policy ?? "platter") else {
            throw Problem(
                .usage, "there is no policy '\(policy ?? "")'; there are platter, kernel and blkid", errno: "EINVAL")
        }
        var options = PartitionScanOptions(policy: policy, commandLine: commandLine, isExplained: isExplained)
        if let formats {
            var asked: Set<PartitionTableKind> = []
            let all = (["acorn"] + PartitionTableKind.allCases.map(\.rawValue)).joined(separator: ", ")
            for word in formats.split(separator: ",") {
                guard let kinds = PartitionTableKind.named(String(word)) else {
                    throw Problem(.usage, "there is no format '\(word)'; there are \(all)", errno: "EINVAL")
                }
                asked.formUnion(kinds)
            }
            guard !asked.isEmpty else {
                throw Problem(.usage, "the list of formats is empty; there are \(all)", errno: "EINVAL")
            }
            options.formats = asked
        }
        if let geometry {
            guard let parsed = DiskGeometry(geometry) else {
                throw Problem(
                    .usage, "'\(geometry)' is no geometry: cylinders, heads and sectors per track, C/H/S",
                    errno: "EINVAL")
            }
            options.geometry = parsed
        }
        return options
    }
}
