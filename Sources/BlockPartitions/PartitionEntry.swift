// SPDX-License-Identifier: Apache-2.0

/// One partition as a scan found it.
public struct PartitionEntry: Sendable, Equatable, Hashable {
    /// The number, 1 to 255. Numbers may have gaps.
    public var number: Int

    /// The first sector, of 512 bytes whatever the block size.
    public var start: UInt64

    /// The length in sectors of 512 bytes; never 0, except by libblkid's rules.
    ///
    /// An extended partition is shown as its boot record only, so that nobody writes over the logical ones in it.
    public var size: UInt64

    /// How far an extended partition reaches, in sectors of 512 bytes; nil for any other, and where `size` says it.
    public var extent: UInt64?

    /// The type in the table's own terms: `0x83`, a GUID in lower case, a word such as `Apple_HFS`; nil if it has none.
    public var type: String?

    /// The partition's own identity, as in Linux's PARTUUID; nil for an extended partition.
    public var uuid: String?

    /// The name, nil if it is empty or the table has none. It may hold any character.
    public var name: String?

    /// The attribute bits of a GPT entry, nil for others.
    public var attributes: UInt64?

    /// Whether firmware is asked to boot from it: the MBR boot flag, or the GPT's legacy boot attribute.
    public var isBootable: Bool

    /// Whether its type says that it is a member of a Linux RAID array.
    public var isRAID: Bool

    /// Whether the table says that it stands for the whole disk.
    public var isWholeDisk = false

    /// Whether the table forbids to write to it.
    public var isReadOnly = false

    /// The table inside another partition that it stands in, nil for the disk's own.
    public var nested: PartitionTableKind?

    /// An entry of these values.
    public init(
        number: Int, start: UInt64, size: UInt64, type: String? = nil, uuid: String? = nil, name: String? = nil,
        attributes: UInt64? = nil, isBootable: Bool = false, isRAID: Bool = false
    ) {
        self.number = number
        self.start = start
        self.size = size
        self.type = type
        self.uuid = uuid
        self.name = name
        self.attributes = attributes
        self.isBootable = isBootable
        self.isRAID = isRAID
    }
}
