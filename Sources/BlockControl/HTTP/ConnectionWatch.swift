// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import NIOCore
internal import NIOHTTP1

/// Asks the connection to call this, once, when the caller hangs up before the answer is written: a stream needs it, which
/// may have nothing to write.
struct HangUpWish: Sendable {
    let body: @Sendable () -> Void
}

/// Looks after one connection: tells streams that the caller has gone, and closes what holds its place for nothing.
///
/// On TCP who hangs up closes his side only, as one may who has sent all he has to say: a request is still answered then, a
/// stream is not.
final class ConnectionWatch: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private var patience: ConnectionPatience
    private var deadline: Instant?
    private var timer: Scheduled<Void>?
    private var wishes: [HangUpWish] = []
    private var hasHungUp = false

    init(_ limits: ConnectionLimits) { patience = ConnectionPatience(limits, opened: .now) }

    func handlerAdded(context: ChannelHandlerContext) { look(context) }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head: saw(.head, context)
        case .body: break
        case .end: saw(.end, context)
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) {
            saw(.answered, context)
            wishes = []
        }
        context.write(data, promise: promise)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        saw(context.channel.isWritable ? .flowing : .blocked, context)
        context.fireChannelWritabilityChanged()
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard let wish = event as? HangUpWish else {
            return context.triggerUserOutboundEvent(event, promise: promise)
        }
        saw(.streaming, context)
        if hasHungUp { wish.body() } else { wishes.append(wish) }
        promise?.succeed()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent { hangUp() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        hangUp()
        context.fireChannelInactive()
    }

    private func hangUp() {
        hasHungUp = true
        let wishes = wishes
        self.wishes = []
        for wish in wishes { wish.body() }
    }

    private func saw(_ happening: ConnectionPatience.Happening, _ context: ChannelHandlerContext) {
        patience.saw(happening, at: .now)
        look(context)
    }

    private func look(_ context: ChannelHandlerContext) {
        guard patience.deadline != deadline else { return }
        timer?.cancel()
        timer = nil
        deadline = patience.deadline
        guard let deadline else { return }
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(deadline - .now)) {
            context.close(promise: nil)
        }
    }
}
