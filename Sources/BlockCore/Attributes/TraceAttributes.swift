// SPDX-License-Identifier: Apache-2.0

/// What the directory `trace` of a disk tells of the trace that runs.
enum TraceAttributes {
    static let rows: [Attribute] = [
        Attribute("trace/act_mask", if: isDisk, { $0.of(\.categories.words) }),
        Attribute("trace/enable", if: isDisk, show: { AttributeText.flag($0.disk.isTraced) }, store: setEnable),
        Attribute("trace/end_lba", if: isDisk, { $0.of { String($0.sectors?.upperBound ?? .max) } }),
        Attribute("trace/pid", if: isDisk, { $0.of { String($0.process ?? 0) } }),
        Attribute("trace/start_lba", if: isDisk, { $0.of { String($0.sectors?.lowerBound ?? 0) } }),
    ]

    private static let isDisk: @Sendable (BlockDevice) -> Bool = { $0.partitionNumber == 0 }

    /// Ends a trace. Whoever begins one takes what it writes, so that cannot be done by a number in a file.
    private static let setEnable: Attribute.Store = { device, value, _ throws(AttributeError) in
        switch value {
        case "0": device.disk.stopTrace()
        case "1":
            guard !device.disk.isTraced else { return }
            throw .notSupported("a trace of \(device.name) begins with who reads it: platter trace \(device.name)")
        default: throw .invalid("trace/enable takes 0 or 1, not '\(value)'")
        }
    }
}

extension BlockDevice {
    /// Of the filter of the trace that runs.
    fileprivate func of(_ value: (TraceFilter) -> String) -> String {
        disk.traceFilter.map(value) ?? "disabled"
    }
}

extension TraceCategories {
    /// The names in Linux's order, those that never occur here included.
    fileprivate var words: String {
        let all = [
            "read", "write", "flush", "sync", "queue", "requeue", "issue", "complete", "fs", "pc", "notify", "ahead",
            "meta",
            "discard", "drv_data", "fua",
        ]
        return all.enumerated().filter { rawValue >> UInt16($0.offset) & 1 != 0 }.map(\.element).joined(separator: ",")
    }
}
