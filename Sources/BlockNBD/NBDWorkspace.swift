// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// What all connections of one reactor share: the memory in which replies are put together, and the list of them.
///
/// The memory is free between turns of a connection: what could not be sent is copied out, so idle and fast
/// connections cost no buffer.
final class NBDWorkspace: @unchecked Sendable {
    // SAFETY: everything mutable is touched by the reactor's thread only.

    let reactor: Reactor
    /// Where replies are put together.
    private(set) var output: IOMemory
    private var outputBuffer: IOBuffer
    /// Memory that connections which strayed still use, until they are back.
    private let retired = Confined<[ObjectIdentifier: RetiredMemory]>([:])
    let sessions = Confined<[ObjectIdentifier: NBDSession]>([:])

    /// What is put together before it is sent. Small enough to stay in a processor's second cache; as large as that
    /// allows, because a client that sleeps is woken by each send.
    static let flushSize = 512 << 10
    /// The largest reply that is put together here (256 KiB of data), behind a full load of others.
    static let outputSize = flushSize + (256 << 10) + 4096

    init(name: String) throws(SystemError) {
        outputBuffer = try IOBuffer(count: Self.outputSize)
        output = outputBuffer.memory
        reactor = try Reactor.start(name: name)
    }

    /// A connection's thread did not come back: it keeps the memory that it was using, the others get new.
    func retire(for session: NBDSession) {
        let memory = RetiredMemory()
        memory.scratch = reactor.takeRetired()
        // Without memory for another nobody can be answered here: an invariant of the process is gone.
        guard var fresh = try? IOBuffer(count: Self.outputSize) else { invariantBroken("no memory for replies") }
        swap(&fresh, &outputBuffer)
        memory.output = consume fresh
        output = outputBuffer.memory
        retired.value[ObjectIdentifier(session)] = memory
    }

    /// It is back, and uses the memory no longer.
    func takeBack(_ session: NBDSession) { retired.value[ObjectIdentifier(session)] = nil }
}

private final class RetiredMemory {
    var scratch: IOBuffer?
    var output: IOBuffer?
}
