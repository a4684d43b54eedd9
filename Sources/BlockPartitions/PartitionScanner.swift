// SPDX-License-Identifier: Apache-2.0

/// Finds the partitions of a disk: asks one format after the other, as Linux does.
///
/// Hostile tables are expected. A scan ends after a bounded number of steps, reads at most
/// ``PartitionScanLimits/bytes`` from the source, holds no more than that, and never traps.
///
/// - Context: blocks as long as the source's reads do.
/// - Complexity: at most ``PartitionScanLimits/readsOfEmptyDisk`` reads for a disk without a table; 64 KiB at most for
///   an MBR without logical partitions or a GPT of 128 entries.
public func scanPartitions(
    _ source: inout some PartitionSource, policy: PartitionPolicy = .platter
) -> PartitionScan {
    scanPartitions(&source, options: PartitionScanOptions(policy: policy))
}

/// Finds the partitions of a disk, with what the disk alone does not tell.
///
/// The bounds and guarantees are those of ``scanPartitions(_:policy:)``.
public func scanPartitions(_ source: inout some PartitionSource, options: PartitionScanOptions) -> PartitionScan {
    guard [512, 1024, 2048, 4096].contains(source.logicalBlockSize) else {
        return PartitionScan(error: .unsupportedBlockSize(source.logicalBlockSize))
    }
    guard source.capacity > 0 else { return PartitionScan() }
    var scanner = PartitionScanner(
        reader: PageReader(source, isExplained: options.isExplained, readsBytes: options.policy == .blkid),
        options: options)
    let scan = scanner.scan()
    source = scanner.reader.source
    return scan
}

/// A scan under way: what the parsers share.
struct PartitionScanner<Source: PartitionSource> {
    var reader: PageReader<Source>
    let options: PartitionScanOptions
    var warnings = WarningList()
    private var trace: [ProbeTrace] = []

    /// What a format had found before it said no: libblkid lists it with the table of the next that says yes.
    var leftOver = LeftOverPartitions()

    init(reader: PageReader<Source>, options: PartitionScanOptions) {
        self.reader = reader
        self.options = options
    }

    var policy: PartitionPolicy { options.policy }

    /// Asks each parser in turn; the first that claims the disk ends the scan.
    ///
    /// An error is remembered and the next one is asked; to libblkid it is the end.
    mutating func scan() -> PartitionScan {
        var firstError: PartitionScanError?
        let order = policy == .blkid ? PartitionTableKind.blkidOrder : PartitionTableKind.kernelOrder
        for kind in order where options.asks(kind) {
            let verdict = ask(kind)
            note(kind, verdict)
            switch verdict {
            case .claimed(let table):
                return finish(table, error: nil)
            case .unreadable(let sector):
                // libblkid takes a read past the end for the end of the question.
                if policy == .blkid, sector >= reader.capacity { break }
                firstError = firstError ?? .unreadable(sector: sector)
            case .malformed(let reason):
                firstError = firstError ?? .malformed(kind, reason: reason)
                if policy == .platter { warnings.add("\(kind.rawValue): \(reason): refused") }
            case .notMine:
                break
            }
            if policy == .blkid, firstError != nil { break }
        }
        switch policy {
        case .platter: firstError = firstError ?? reader.firstFailure.map { .unreadable(sector: $0) }
        case .kernel: firstError = firstError ?? reader.firstBeyondEnd.map { .unreadable(sector: $0) }
        case .blkid: break
        }
        return finish(nil, error: firstError)
    }

    private mutating func ask(_ kind: PartitionTableKind) -> Verdict {
        if policy == .platter, reader.capacity < kind.leastSectors {
            return .notMine("the disk has \(reader.capacity) sectors, such a table needs \(kind.leastSectors)")
        }
        if policy == .blkid, kind.hasBlkidMark, reader.capacity < 2 {
            return .notMine("libblkid looks for its mark in 1024 bytes, the disk is smaller")
        }
        return switch kind {
        case .acornICS: parseICS()
        case .acornPowerTec: parsePowerTec()
        case .acornEESOX: parseEESOX()
        case .acornCumana: parseCumana()
        case .acornADFS: parseADFS()
        case .cmdline: parseCommandLine()
        case .deviceTree: parseDeviceTree()
        case .gpt: parseGPT()
        case .sgi: parseSGI()
        case .ldm: parseLDM()
        case .aix: parseAIX()
        case .dos: policy == .blkid ? parseBlkidMBR() : parseMBR()
        case .osf: parseOSF()
        case .sun: parseSun()
        case .amiga: parseAmiga()
        case .atari: policy == .blkid ? parseBlkidAtari() : parseAtari()
        case .mac: policy == .blkid ? parseBlkidMac() : parseMac()
        case .ultrix: parseUltrix()
        case .ibm: parseIBM()
        case .karma: parseKarma()
        case .sysv68: parseSysV68()
        case .bsd: parseBareBSD()
        case .solaris: parseBareSolaris()
        case .minix, .unixware: .notMine("only inside an MBR")
        case .protectiveMBR: parseProtectiveMBR()
        }
    }

    private mutating func note(_ kind: PartitionTableKind, _ verdict: Verdict) {
        guard options.isExplained else { return }
        let (outcome, reason): (ProbeTrace.Outcome, String) =
            switch verdict {
            case .claimed(.some): (.claimed, "its table")
            case .claimed(nil): (.claimed, "a file system on the whole disk, without partitions")
            case .notMine(let reason): (.no, reason)
            case .unreadable(let sector): (.error, "sector \(sector) cannot be read")
            case .malformed(let reason): (.error, reason)
            }
        trace.append(ProbeTrace(format: kind, outcome: outcome, reason: reason, sectors: reader.takeTrail()))
    }

    private mutating func finish(_ table: ParsedTable?, error: PartitionScanError?) -> PartitionScan {
        var scan = PartitionScan(error: error)
        if let table {
            scan.table = table.kind
            scan.tableID = table.id
            let partitions = table.slots.partitions(
                capacity: reader.capacity, policy: policy, warnings: &warnings)
            if policy == .platter {
                warnOfOverlaps(partitions, warnings: &warnings)
            }
            scan.entries = policy == .blkid ? leftOver.before(partitions) : partitions.map(\.entry)
        }
        scan.warnings = warnings.lines
        scan.trace = trace
        return scan
    }
}
