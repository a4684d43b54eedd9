// SPDX-License-Identifier: Apache-2.0

/// One record of the binary format of blktrace, version 7: `struct blk_io_trace` of Linux's `blktrace_api.h` in the byte
/// order of a little-endian machine, which `blkparse` recognises by the magic number.
///
/// ```
///  0 magic 0x65617407 u32    16 sector u64              32 process u32     44 error u16, a negated errno
///  4 sequence u32            24 bytes u32               36 device u32      46 length of what follows u16
///  8 nanoseconds u64         28 action | categories<<16  40 CPU u32         48 …
/// ```
/// As words of 64 bits, because that is how it is written: what follows is filled up to whole words.
struct TraceRecord {
    static let magic: UInt32 = 0x6561_7407
    static let words = 6

    var time: UInt64 = 0
    var sector: UInt64 = 0
    var bytes: UInt32 = 0
    var action: UInt32 = 0
    var process: UInt32 = 0
    var device: UInt32 = 0
    var error: UInt16 = 0

    /// Whether a trace with this mask has it: Linux's rule, one common category is enough.
    func isWanted(_ mask: TraceCategories) -> Bool { action >> 16 & UInt32(mask.rawValue) != 0 }

    func write(to words: inout [UInt64], sequence: UInt32, following: [UInt64] = [], length: Int = 0) {
        words.append(UInt64(Self.magic) | UInt64(sequence) << 32)
        words.append(time)
        words.append(sector)
        words.append(UInt64(bytes) | UInt64(action) << 32)
        words.append(UInt64(process) | UInt64(device) << 32)
        words.append(UInt64(error) << 32 | UInt64(UInt16(clamping: length)) << 48)
        words.append(contentsOf: following)
    }

    /// The bytes that follow the record which begins at a word.
    static func lengthFollowing(_ words: [UInt64], at index: Int) -> Int { Int(words[index + 5] >> 48) }

    /// Bytes as words, filled up with zeroes.
    static func words(of bytes: some Sequence<UInt8>) -> [UInt64] {
        var words: [UInt64] = []
        for (index, byte) in bytes.enumerated() {
            if index % 8 == 0 { words.append(0) }
            words[words.count - 1] |= UInt64(byte) << UInt64(index % 8 * 8)
        }
        return words
    }

    /// Numbers of the big-endian kind, which what follows a record has.
    static func bigEndian(_ first: UInt32, _ second: UInt32) -> UInt64 {
        UInt64(first.byteSwapped) | UInt64(second.byteSwapped) << 32
    }
}

/// What is not of an I/O.
enum TraceNotice: UInt32 {
    /// The name of a process.
    case process = 0
    /// The time of day at which the records' clock stood at this record's.
    case timestamp = 1
    /// A line for people.
    case message = 2

    var action: UInt32 { rawValue | UInt32(TraceCategories.notify.rawValue) << 16 }
}

extension DeviceNumber {
    /// As the kernel has it inside: 12 bits of major, 20 of minor.
    var packed: UInt32 { UInt32(truncatingIfNeeded: major) << 20 | UInt32(truncatingIfNeeded: minor) & 0xf_ffff }
}
