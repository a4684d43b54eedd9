// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc
internal import Synchronization

/// The way between the kernel's FUSE client and whoever serves a mount: messages in, messages out.
///
/// One thread reads; any number of threads reply, each with one call. It stays open for those who are inside until they
/// have come out, so a late answer never goes to another file that got the number.
public final class FuseChannel: Sendable {
    private let number: Int32
    /// Who is inside, plus one until it is closed.
    private let users = Atomic<Int>(1)
    private let isClosed = Atomic<Bool>(false)

    /// Takes a descriptor over: the FUSE device, or the end of a pair that keeps messages apart.
    public init(_ descriptor: consuming Descriptor) {
        number = descriptor.release()
    }

    deinit { close() }

    /// A channel of the kernel's, to be mounted.
    /// - Throws: ENOENT where there is no FUSE, EACCES where this user may not have it.
    public static func open() throws(SystemError) -> FuseChannel {
        FuseChannel(try Descriptor(result: platter_fuse_open()))
    }

    /// A channel, and one that plays the kernel: for tests.
    package static func pair() throws(SystemError) -> (channel: FuseChannel, kernel: FuseChannel) {
        var first: Int32 = -1
        var second: Int32 = -1
        let result = platter_packet_pair(&first, &second)
        guard result == 0 else { throw SystemError(errno: -result) }
        let own = Descriptor(adopting: first)
        let theirs = Descriptor(adopting: second)
        try own.makeNonblocking()
        return (FuseChannel(own), FuseChannel(theirs))
    }

    /// Whether there is something to read, or will be within that time.
    package func isReadable(within limit: Duration) -> Bool {
        platter_wait_readable(number, Int32(clamping: limit.nanoseconds / 1_000_000)) == 1
    }

    /// For the options of a mount.
    var rawNumber: Int32 { number }

    /// Has it watched for requests.
    public func watch(on reactor: Reactor, _ handler: any ReactorHandler) throws(SystemError) -> Registration {
        let borrowed = Descriptor(adopting: number)
        let result: Result<Registration, SystemError>
        do throws(SystemError) {
            result = .success(try reactor.watch(borrowed, for: .read, handler))
        } catch {
            result = .failure(error)
        }
        _ = borrowed.release()
        return try result.get()
    }

    /// The next request, in one piece.
    /// - Context: the one thread that reads, before the close.
    public func read(into memory: IOMemory) -> Transfer {
        let result = platter_read(number, memory.address, memory.count)
        if result > 0 { return .moved(result) }
        if result == 0 { return .ended }
        if result == -Int(EAGAIN) { return .wouldBlock }
        return .failed(SystemError(errno: Int32(-result)))
    }

    /// Sends one message: a head and, behind it, what lies in memory.
    ///
    /// That nobody waits for it any more is no failure: the request was taken back, or the mount is gone.
    /// - Context: any thread; does not wait.
    public func send(_ head: [UInt8], _ data: IOMemory = .none) {
        guard enter() else { return }
        defer { leave() }
        head.withUnsafeBytes { bytes in
            withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { parts in
                let base = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
                parts.initializeElement(at: 0, to: iovec(iov_base: base, iov_len: bytes.count))
                parts.initializeElement(at: 1, to: iovec(iov_base: data.address, iov_len: data.count))
                _ = platter_writev(number, parts.baseAddress, data.count > 0 ? 2 : 1)
            }
        }
    }

    /// Closes it as soon as nobody is inside. Requests that are not answered by then fail. A second close does nothing.
    public func close() {
        guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
        leave()
    }

    private func enter() -> Bool {
        var count = users.load(ordering: .relaxed)
        while count > 0 {
            if isClosed.load(ordering: .acquiring) { return false }
            let (done, seen) = users.compareExchange(
                expected: count, desired: count + 1, ordering: .acquiringAndReleasing)
            if done { return true }
            count = seen
        }
        return false
    }

    private func leave() {
        guard users.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
        _ = Descriptor(adopting: number)
    }
}
