// SPDX-License-Identifier: Apache-2.0

extension IOMemory {
    /// Copies bytes in at `offset`, where there must be room for them.
    public func store(_ bytes: ArraySlice<UInt8>, at offset: Int) {
        bytes.withUnsafeBytes { source in
            guard let from = source.baseAddress else { return }
            slice(offset, source.count).address?.copyMemory(from: from, byteCount: source.count)
        }
    }
}

extension Descriptor {
    /// Sends as much of the bytes as the socket takes now.
    public func send(_ bytes: ArraySlice<UInt8>) -> Transfer {
        bytes.withUnsafeBytes { source in
            send(IOMemory(base: UnsafeMutableRawPointer(mutating: source.baseAddress), count: source.count))
        }
    }
}
