// SPDX-License-Identifier: Apache-2.0

/// Who waits for a place at the opener, in the order in which they came.
struct TransferQueue {
    private var transfers: [DeviceTransfer?] = []
    private var first = 0

    mutating func append(_ transfer: DeviceTransfer) { transfers.append(transfer) }

    mutating func popFirst() -> DeviceTransfer? {
        while first < transfers.count {
            let transfer = transfers[first]
            transfers[first] = nil
            first += 1
            if first == transfers.count || first > 1024 { compact() }
            if transfer != nil { return transfer }
        }
        return nil
    }

    /// Takes one out of the middle, and leaves a gap.
    mutating func remove(where isMeant: (DeviceTransfer) -> Bool) -> DeviceTransfer? {
        guard let index = transfers.firstIndex(where: { $0.map(isMeant) ?? false }) else { return nil }
        defer { transfers[index] = nil }
        return transfers[index]
    }

    mutating func takeAll() -> [DeviceTransfer] {
        defer { self = TransferQueue() }
        return transfers.compactMap { $0 }
    }

    private mutating func compact() {
        transfers.removeFirst(first)
        first = 0
    }
}
