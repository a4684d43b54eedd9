// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

#if DEBUG
    /// Where a test stops a thread on the way of an answer. Debug builds only.
    package enum RequestHooks {
        private static let isSet = Atomic<Bool>(false)
        private struct Body {
            var run: (@Sendable () -> Void)?
        }
        private static let body = Lock(Body())

        /// Sets what is called before a copy into memory of the submitter's; nil: nothing.
        package static func set(copying hook: (@Sendable () -> Void)?) {
            body.withLock { $0.run = hook }
            isSet.store(hook != nil, ordering: .releasing)
        }

        static func copying() {
            if isSet.load(ordering: .acquiring) { body.withLock { $0.run }?() }
        }
    }
#endif
