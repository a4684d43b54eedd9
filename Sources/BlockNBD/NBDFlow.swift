// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// A request that was not answered while it was submitted.
final class NBDSlot: @unchecked Sendable {
    // SAFETY: the reactor's, but for `buffer` and `extents`: these are set by the thread that answers, between the
    // submission and the lock of the inbox, while the reactor leaves the slot alone.

    enum Kind { case command, read, blockStatus }
    var kind = Kind.command
    var isWrite = false
    var flags: NBDCommandFlags = []
    var cookie: UInt64 = 0
    var offset: UInt64 = 0
    var length = 0
    /// The memory of a read, or of a write that is still being received.
    var buffer: IOBuffer?
    /// What a block status request found.
    var extents: [DeviceExtent] = []
    /// Bytes counted against the connection's limit.
    var held = 0
}

/// An answer that came on another thread.
struct NBDAnswer {
    var slot: Int
    var status: BlockStatus
}

/// Memory that goes out next; it belongs to a slot, or to the workspace (or the backlog) if `slot` is -1.
struct NBDPart {
    var memory: IOMemory
    var slot: Int
}

/// Why a connection takes in no more requests now.
enum NBDPause {
    /// It needs more bytes.
    case hungry
    /// It had its share of this turn.
    case hadItsShare
    /// Its replies do not go out, or it has as much under way as it may have.
    case blocked
    /// It is over.
    case stop(String)
}

/// What the transmission of one connection consists of. Touched by its reactor's thread only.
struct NBDFlow: ~Copyable {
    /// Requests under way at most.
    static let depth = 128
    /// What the opener may have in flight: more than `depth`, because an answer is told before its place is free.
    static let openerDepth = depth + 32
    /// Memory for data that one connection may hold; one request may always be under way.
    static let heldMax = NBDWire.payloadMax
    /// A turn's share.
    static let requestsPerTurn = 64
    static let bytesPerTurn = 1 << 20
    /// Replies go out after so many requests while there are more to do, so that the client works on them meanwhile. With
    /// all of a batch in one send the two take turns, and each sleeps while the other works: 32 in flight made 440,000
    /// requests a second at 1.5 us of server time that way, and 880,000 at 1.1 us this way.
    static let repliesPerSend = 8
    /// A larger payload that has not come in whole is received straight into its own buffer.
    static let smallPayload = 32 << 10

    var socket: Descriptor?
    var registration: Registration?
    var opener: Opener?
    var agreement = NBDAgreement()
    var isReadOnly = false
    var headSize = NBDWire.requestSize
    var replySize = 16

    // Input: bytes that were read and not yet parsed; a payload that is being received; bytes to throw away.
    var carry: IOBuffer?
    var carryStart = 0
    var carryCount = 0
    /// What is carried is less than a request: more has to be read first.
    var isHungry = true
    var incomingSlot = -1
    var incomingFilled = 0
    var skip: UInt64 = 0
    /// No more requests are taken; when all is answered and sent the connection is closed, for this reason.
    var farewell: String?
    var isPutOff = false
    /// Waits for an answer or for room to send: no input is looked at.
    var isBlocked = false
    var requests = 0

    // Requests under way.
    var freeSlots: [Int] = []
    var held = 0
    var answers: [NBDAnswer] = []

    /// Where replies are put together: the workspace's memory, as it was when the turn began.
    var output = IOMemory.none
    /// The connection is broken, and ends with the turn.
    var isBroken = false
    /// Why the connection is to end as soon as its session is back.
    var leaving: String?

    // Output of this turn: `used` bytes of the workspace, of which those before `segment` are in `parts` already.
    var used = 0
    var segment = 0
    var parts: [NBDPart] = []
    // Output that the socket did not take.
    var backlog: IOBuffer?
    var backlogParts: [NBDPart] = []

    /// What a turn has left.
    var requestsLeft = 0
    var bytesLeft = 0

    var underWay: Int { Self.depth - freeSlots.count }
    var hasBacklog: Bool { !backlogParts.isEmpty }

    init() { freeSlots = Array((0..<Self.depth).reversed()) }
}
