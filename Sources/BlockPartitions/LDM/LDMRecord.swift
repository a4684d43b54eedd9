// SPDX-License-Identifier: Apache-2.0

/// A record of a dynamic disk's database, as far as partitions need it.
///
/// All records must be sound, whatever they are about: a broken one makes the database useless.
enum LDMRecord {
    /// A disk by its number and GUID.
    case disk(id: UInt64, guid: [UInt8])
    case partition(disk: UInt64, start: UInt64, size: UInt64, name: String?)
    /// A volume, component or group.
    case other

    /// Reads a record with its header of 16 bytes; nil if it is broken or of an unknown kind.
    init?(_ bytes: TableBytes) {
        var fields = LDMFields(bytes)
        switch bytes.u8(at: 0x13) {
        case 0x51: guard Self.isVolume(&fields) else { return nil }
        case 0x32: guard Self.isComponent(&fields) else { return nil }
        case 0x35: guard Self.isGroup(&fields, hasGUIDText: true) else { return nil }
        case 0x45: guard Self.isGroup(&fields, hasGUIDText: false) else { return nil }
        case 0x33:
            guard let partition = Self.partition(&fields) else { return nil }
            self = partition
            return
        case 0x34, 0x44:
            guard let disk = Self.disk(&fields, isNew: bytes.u8(at: 0x13) == 0x44) else { return nil }
            self = disk
            return
        default: return nil
        }
        self = .other
    }

    private static func partition(_ fields: inout LDMFields) -> LDMRecord? {
        fields.variable()
        let name = fields.variable()
        fields.fixed(12)
        let start = fields.fixed64()
        fields.fixed(8)
        let size = fields.number()
        fields.variable()
        let disk = fields.number()
        if fields.flags & 0x08 != 0 { fields.variable() }
        guard fields.isSound(atLeast: 28) else { return nil }
        return .partition(disk: disk, start: start, size: size, name: name.text(at: 0, count: name.count))
    }

    private static func disk(_ fields: inout LDMFields, isNew: Bool) -> LDMRecord? {
        let id = fields.number()
        fields.variable()
        let guid: [UInt8]?
        if isNew {
            guid = Array(fields.fixed(16).bytes)
            fields.fixed(29)
        } else {
            guid = guidBytes(fields.ahead(36, from: 1))
            fields.variable()
            fields.variable()
            fields.fixed(12)
        }
        guard fields.isSound(exactly: isNew ? 45 : 12), let guid, guid.count == 16 else { return nil }
        return .disk(id: id, guid: guid)
    }

    private static func isVolume(_ fields: inout LDMFields) -> Bool {
        fields.variable(4)
        fields.fixed(21)
        fields.variable()
        fields.fixed(16)
        fields.variable()
        fields.fixed(21)
        for flag: UInt8 in [0x08, 0x20, 0x80, 0x02] where fields.flags & flag != 0 { fields.variable() }
        return fields.isSound(atLeast: 58)
    }

    private static func isComponent(_ fields: inout LDMFields) -> Bool {
        fields.variable(3)
        fields.fixed(5)
        fields.variable()
        fields.fixed(16)
        fields.variable()
        fields.fixed(1)
        if fields.flags & 0x10 != 0 { fields.variable(2) }
        return fields.isSound(exactly: 22)
    }

    private static func isGroup(_ fields: inout LDMFields, hasGUIDText: Bool) -> Bool {
        fields.variable(hasGUIDText ? 3 : 2)
        fields.fixed(hasGUIDText ? 12 : 44)
        if fields.flags & 0x08 != 0 { fields.variable(2) }
        return fields.isSound(exactly: hasGUIDText ? 12 : 44)
    }
}

/// The fields of a record one after the other. A variable one is a byte that tells its length, and that many bytes.
private struct LDMFields {
    private let bytes: TableBytes
    private var position = 0x18
    /// The sum of the variable fields with their length bytes.
    private var variableLength = 0
    private var isInside = true

    init(_ bytes: TableBytes) {
        self.bytes = bytes
    }

    var flags: UInt8 { bytes.u8(at: 0x12) }

    /// The length that the record gives for its body.
    private var bodyLength: Int { Int(bytes.be32(at: 0x14)) }

    func isSound(exactly fixed: Int) -> Bool { isInside && bodyLength == fixed + variableLength }
    func isSound(atLeast fixed: Int) -> Bool { isInside && bodyLength >= fixed + variableLength }

    /// The next variable field; one that reaches past the record spoils it.
    @discardableResult mutating func variable() -> TableBytes {
        let length = Int(bytes.u8(at: position))
        guard isInside, position < bytes.count, position + length < bytes.count else {
            isInside = false
            return TableBytes([])
        }
        defer {
            position += 1 + length
            variableLength += 1 + length
        }
        return bytes.part(at: position + 1, count: length)
    }

    mutating func variable(_ count: Int) {
        for _ in 0..<count { variable() }
    }

    /// The next variable field as a number of one to eight bytes.
    mutating func number() -> UInt64 {
        let field = variable()
        guard (1...8).contains(field.count) else { return 0 }
        return field.bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    @discardableResult mutating func fixed(_ count: Int) -> TableBytes {
        defer { position += count }
        return bytes.part(at: position, count: count)
    }

    mutating func fixed64() -> UInt64 { fixed(8).be64(at: 0) }

    /// What comes next, without taking it.
    func ahead(_ count: Int, from offset: Int) -> TableBytes { bytes.part(at: position + offset, count: count) }
}

/// Records that come in pieces, by their group.
struct LDMPieces {
    private struct Group {
        let number: UInt32
        let count: Int
        var pieces: [Int: TableBytes] = [:]
    }

    private var groups: [Group] = []
    private var indices: [UInt32: Int] = [:]

    /// Takes a piece; false if it cannot belong to its group.
    mutating func add(_ piece: TableBytes) -> Bool {
        let (number, index, count) = (piece.be32(at: 8), Int(piece.be16(at: 12)), Int(piece.be16(at: 14)))
        guard piece.count >= 32, index < count else { return false }
        let at = indices[number] ?? groups.count
        if at == groups.count {
            groups.append(Group(number: number, count: count))
            indices[number] = at
        }
        guard index < groups[at].count else { return false }
        return groups[at].pieces.updateValue(piece, forKey: index) == nil
    }

    /// The whole records in the order of their first pieces, nil if a piece is missing.
    var records: [TableBytes]? {
        var records: [TableBytes] = []
        for group in groups {
            guard group.pieces.count == group.count, let first = group.pieces[0] else { return nil }
            var bytes = Array(first.bytes.prefix(16))
            for index in 0..<group.count {
                bytes += group.pieces[index]?.bytes.dropFirst(16) ?? []
            }
            // Headers of further pieces count for the length, as in Linux.
            bytes += Array(repeating: 0, count: group.count * first.count - bytes.count)
            records.append(TableBytes(bytes[...]))
        }
        return records
    }
}
