// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Values as the kernel's files have them.
enum AttributeText {
    /// A switch: `0` or `1`.
    static func flag(_ isOn: Bool) -> String { isOn ? "1" : "0" }

    /// A decimal number that fits in 32 bits without a sign, as the kernel takes it.
    static func number(
        _ value: String, of path: String, most: UInt64 = UInt64(UInt32.max)
    ) throws(AttributeError) -> UInt64 {
        let digits = value.first == "+" ? value.dropFirst() : Substring(value)
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt64(digits),
            number <= most
        else { throw .invalid("\(path) cannot be '\(value)': it takes a decimal number up to \(most)") }
        return number
    }

    /// Right-aligned in `width` columns; wider where it has to be.
    static func right(_ number: some BinaryInteger, _ width: Int) -> String {
        let text = String(number)
        return text.utf8.count >= width ? text : String(repeating: " ", count: width - text.utf8.count) + text
    }
}

/// Waits on this thread for a verb that is async. Only on threads that may block.
func waitingHere(_ body: @escaping @Sendable () async throws(DiskError) -> Void) throws(AttributeError) {
    let failure = Lock<DiskError?>(nil)
    let done = Parker()
    Task.detached(executorPreference: ControlExecutor.shared) {
        do throws(DiskError) {
            try await body()
        } catch {
            failure.withLock { $0 = error }
        }
        done.raise()
    }
    done.wait()
    if let error = failure.withLock({ $0 }) { throw AttributeError(error) }
}
