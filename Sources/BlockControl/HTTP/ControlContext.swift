// SPDX-License-Identifier: Apache-2.0

internal import Hummingbird
internal import NIOCore

/// What a request carries through the router.
struct ControlContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }

    /// No document of the control interface is larger.
    var maxUploadSize: Int { 1 << 20 }
}
