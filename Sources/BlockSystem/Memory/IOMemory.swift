// SPDX-License-Identifier: Apache-2.0

public import CPlatter
internal import Glibc

/// A place in memory that I/O may touch: an address and a length, opaque to safe code.
///
/// It owns nothing. Whoever passes it on keeps what is behind it alive until the answer has come; the core holds to
/// that by owning buffers, or by lending memory only for the length of a call.
@frozen @safe public struct IOMemory: @unchecked Sendable {
    // SAFETY: a plain address; data races on what it points to are excluded by the ownership rule above.
    @usableFromInline let base: UnsafeMutableRawPointer?

    /// How many bytes.
    public let count: Int

    /// Memory at an address. For code that talks to the kernel; the caller vouches for the range.
    @inlinable @unsafe public init(base: UnsafeMutableRawPointer?, count: Int) {
        self.base = base
        self.count = count
    }

    /// No memory.
    @inlinable public static var none: IOMemory { unsafe IOMemory(base: nil, count: 0) }

    /// The address, for system calls; nil only when empty.
    @inlinable @unsafe public var address: UnsafeMutableRawPointer? { unsafe base }

    /// The `count` bytes from `offset`, which must lie inside.
    @inlinable public func slice(_ offset: Int, _ count: Int) -> IOMemory {
        precondition(offset >= 0 && count >= 0 && offset <= self.count - count, "slice outside the memory")
        return unsafe IOMemory(base: base.map { unsafe $0 + offset }, count: count)
    }

    /// Copies as many bytes as this memory has from `source`, which must have at least as many.
    @inlinable public func copy(from source: IOMemory) {
        precondition(source.count >= count, "copy from less memory than asked for")
        if let base = unsafe base, let from = unsafe source.base, count > 0 { unsafe memmove(base, from, count) }
    }

    /// Copies bytes in; `bytes` must not be longer than this memory.
    @inlinable public func copy(from bytes: RawSpan) {
        precondition(bytes.byteCount <= count, "copy of more bytes than there is room for")
        guard let base = unsafe base else { return }
        unsafe bytes.withUnsafeBytes { source in
            if let from = source.baseAddress { unsafe memcpy(base, from, source.count) }
        }
    }

    /// Copies bytes in; `bytes` must not be more than this memory has.
    public func copy(from bytes: [UInt8]) {
        precondition(bytes.count <= count, "copy of more bytes than there is room for")
        guard let base = unsafe base else { return }
        unsafe bytes.withUnsafeBytes { source in
            if let from = source.baseAddress { unsafe memcpy(base, from, source.count) }
        }
    }

    /// Fills it with zeroes.
    @inlinable public func zero() {
        if let base = unsafe base, count > 0 { unsafe memset(base, 0, count) }
    }

    /// Whether every byte is zero.
    public var isZero: Bool {
        guard let base = unsafe base, count > 0 else { return true }
        guard unsafe base.load(as: UInt8.self) == 0 else { return false }
        return unsafe count == 1 || memcmp(base, base + 1, count - 1) == 0
    }

    /// Runs `body` with the bytes, to read.
    @inlinable public func withBytes<Result, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe body(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: base, count: count)))
    }

    /// Runs `body` with the bytes, to write.
    @inlinable public func withMutableBytes<Result, Failure: Error>(
        _ body: (inout MutableRawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var span = unsafe MutableRawSpan(_unsafeBytes: UnsafeMutableRawBufferPointer(start: base, count: count))
        return try body(&span)
    }

    /// An integer in network order at `offset`, which must lie inside.
    @inlinable public func loadBigEndian<T: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as type: T.Type) -> T {
        precondition(offset >= 0 && offset <= count - MemoryLayout<T>.size, "read outside the memory")
        guard let base = unsafe base else { return 0 }
        return unsafe T(bigEndian: base.loadUnaligned(fromByteOffset: offset, as: T.self))
    }

    /// Stores an integer in network order at `offset`, which must lie inside.
    @inlinable public func storeBigEndian<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
        precondition(offset >= 0 && offset <= count - MemoryLayout<T>.size, "write outside the memory")
        if let base = unsafe base { unsafe base.storeBytes(of: value.bigEndian, toByteOffset: offset, as: T.self) }
    }

    /// An integer in the machine's order at `offset`, which must lie inside.
    @inlinable public func load<T: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as type: T.Type) -> T {
        precondition(offset >= 0 && offset <= count - MemoryLayout<T>.size, "read outside the memory")
        guard let base = unsafe base else { return 0 }
        return unsafe base.loadUnaligned(fromByteOffset: offset, as: T.self)
    }

    /// A copy of the bytes.
    public var array: [UInt8] {
        withBytes { bytes in
            unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }
        }
    }
}

/// Memory of ours for I/O: page aligned, moved and never copied, given back at the end of its life.
public struct IOBuffer: ~Copyable, @unchecked Sendable {
    // SAFETY: the only owner of the memory; noncopyable.
    private let base: UnsafeMutableRawPointer
    /// How many bytes.
    public let count: Int

    /// Bytes alive in all buffers together: what the tests hold against a baseline.
    public static let bytesAlive = Counter()

    /// `count` bytes, content undefined but never secret of another process.
    /// - Throws: ENOMEM.
    public init(count: Int) throws(SystemError) {
        guard let pointer = BufferCache.shared.take(count) else { throw SystemError(errno: ENOMEM) }
        unsafe base = pointer
        self.count = count
        Self.bytesAlive.add(count)
    }

    deinit {
        BufferCache.shared.giveBack(unsafe base, count)
        Self.bytesAlive.add(-count)
    }

    /// The memory; valid while the buffer lives.
    public var memory: IOMemory { unsafe IOMemory(base: base, count: count) }
}
