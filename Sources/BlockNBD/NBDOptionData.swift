// SPDX-License-Identifier: Apache-2.0

/// The facts of an export that a client is told.
package struct NBDExportFacts: Sendable, Equatable {
    /// The name to tell the client, which may have asked for the empty one.
    package var name: String
    /// A line about it; may be empty.
    package var description: String
    /// Bytes.
    package var size: UInt64
    /// What it can do, without what depends on the framing.
    package var abilities: NBDTransmissionFlags
    /// Bytes: what offsets and lengths must be multiples of.
    package var blockSizeMin: UInt32
    /// Bytes: what they had better be multiples of.
    package var blockSizePreferred: UInt32

    package init(
        name: String, description: String, size: UInt64, abilities: NBDTransmissionFlags, blockSizeMin: UInt32,
        blockSizePreferred: UInt32
    ) {
        self.name = name
        self.description = description
        self.size = size
        self.abilities = abilities
        self.blockSizeMin = blockSizeMin
        self.blockSizePreferred = blockSizePreferred
    }

    /// The flags to announce.
    package func flags(framing: NBDFraming) -> NBDTransmissionFlags {
        framing == .simple ? abilities : abilities.union(.sendDF)
    }
}

/// The data of INFO and GO: an export, and what the client would like to know of it.
package struct NBDExportRequest: Sendable, Equatable {
    package var name: String
    package var infos: Set<UInt16>

    /// Nil where the data is malformed.
    package init?(_ data: [UInt8]) {
        var reader = NBDReader(data)
        guard let name = reader.nextCountedString(), let count = reader.next(UInt16.self) else { return nil }
        guard reader.remaining == Int(count) * 2 else { return nil }
        self.name = name
        infos = []
        while let info = reader.next(UInt16.self) { infos.insert(info) }
    }

    /// The data of each information reply, in order.
    package func replies(_ facts: NBDExportFacts, framing: NBDFraming) -> [[UInt8]] {
        var replies: [[UInt8]] = []
        var export: [UInt8] = []
        export.append(bigEndian: NBDInfo.export.rawValue)
        export.append(bigEndian: facts.size)
        export.append(bigEndian: facts.flags(framing: framing).rawValue)
        replies.append(export)
        for (info, text) in [(NBDInfo.name, facts.name), (.description, facts.description)]
        where infos.contains(info.rawValue) && !(info == .description && text.isEmpty) {
            var data: [UInt8] = []
            data.append(bigEndian: info.rawValue)
            replies.append(data + [UInt8](text.utf8.prefix(NBDWire.stringMax)))
        }
        // A client that does not ask assumes 512; where that is wrong it is told all the same.
        if infos.contains(NBDInfo.blockSize.rawValue) || facts.blockSizeMin > 512 {
            var data: [UInt8] = []
            data.append(bigEndian: NBDInfo.blockSize.rawValue)
            data.append(bigEndian: facts.blockSizeMin)
            data.append(bigEndian: facts.blockSizePreferred)
            data.append(bigEndian: UInt32(NBDWire.payloadMax))
            replies.append(data)
        }
        return replies
    }
}

/// The data of LIST_META_CONTEXT and SET_META_CONTEXT: an export and queries for contexts.
package struct NBDMetaContextRequest: Sendable, Equatable {
    package var name: String
    package var queries: [String]

    /// Nil where the data is malformed.
    package init?(_ data: [UInt8]) {
        var reader = NBDReader(data)
        guard let name = reader.nextCountedString(), let count = reader.next(UInt32.self) else { return nil }
        self.name = name
        queries = []
        for _ in 0..<count {
            // Bounded by the data: each query takes four bytes of it at least.
            guard let query = reader.nextCountedString() else { return nil }
            queries.append(query)
        }
        guard reader.remaining == 0 else { return nil }
    }

    /// Whether the allocation context is among what was asked for. A listing knows wildcards: no query, and `base:`.
    package func selectsAllocation(listing: Bool) -> Bool {
        if queries.contains(NBDWire.allocationContext) { return true }
        return listing && (queries.isEmpty || queries.contains("base:"))
    }
}
