// SPDX-License-Identifier: Apache-2.0

/// Finds the partitions of a disk: GPT first, then MBR, as Linux looks for them.
///
/// Hostile tables are expected. A scan ends after a bounded number of steps, reads at most
/// ``PartitionScanLimits/bytes`` from the source, holds no more than that, and never traps.
///
/// - Context: blocks as long as the source's reads do.
/// - Complexity: one read of 4096 bytes for a disk without a table; 64 KiB at most for an MBR without logical
///   partitions or a GPT of 128 entries.
public func scanPartitions(
    _ source: inout some PartitionSource, policy: PartitionPolicy = .platter
) -> PartitionScan {
    guard [512, 1024, 2048, 4096].contains(source.logicalBlockSize) else {
        return PartitionScan(error: .unsupportedBlockSize(source.logicalBlockSize))
    }
    guard source.capacity > 0 else { return PartitionScan() }
    var scanner = PartitionScanner(reader: PageReader(source), policy: policy)
    let scan = scanner.scan()
    source = scanner.reader.source
    return scan
}

/// A scan under way: what the parsers share.
struct PartitionScanner<Source: PartitionSource> {
    var reader: PageReader<Source>
    let policy: PartitionPolicy
    var warnings = WarningList()

    /// Asks each parser in turn; the first that claims the disk ends the scan.
    mutating func scan() -> PartitionScan {
        var firstError: UInt64?
        for kind in [PartitionTableKind.gpt, .dos] {
            switch parse(kind) {
            case .claimed(let table):
                return finish(table, unreadable: nil)
            case .error(let sector):
                firstError = firstError ?? sector
            case .notMine:
                break
            }
        }
        let unreadable = policy == .kernel ? firstError ?? reader.firstBeyondEnd : reader.firstFailure
        return finish(nil, unreadable: unreadable)
    }

    private mutating func parse(_ kind: PartitionTableKind) -> Verdict {
        switch kind {
        case .gpt: parseGPT()
        case .dos: parseMBR()
        }
    }

    private mutating func finish(_ table: ParsedTable?, unreadable: UInt64?) -> PartitionScan {
        var scan = PartitionScan(error: unreadable.map { .unreadable(sector: $0) })
        if let table {
            scan.table = table.kind
            scan.tableID = table.id
            let partitions = table.slots.partitions(capacity: reader.capacity, warnings: &warnings)
            if policy == .platter {
                warnOfOverlaps(partitions, warnings: &warnings)
            }
            scan.entries = partitions.map(\.entry)
        }
        scan.warnings = warnings.lines
        return scan
    }
}
