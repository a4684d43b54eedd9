// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import Logging

extension ControlService {
    /// `GET /v1/disks/NAME/trace`: begins a trace, which the listener's leaving ends.
    func trace(_ name: String, _ query: TraceQuery) throws(Problem) -> TraceFeed {
        let (disk, device) = try find(name)
        let filter = try query.filter(for: device)
        let capacity = try query.capacity()
        do throws(DiskError) {
            let trace = try disk.trace(filter, capacity: capacity)
            logger.info("trace begins", metadata: ["disk": "\(disk.name)", "diskseq": "\(disk.sequence)"])
            return TraceFeed(trace)
        } catch {
            throw Problem(error)
        }
    }

    /// `DELETE /v1/disks/NAME/trace`: whoever listens hears the rest, and then the end.
    func stopTrace(_ name: String) throws(Problem) -> StoppedTrace {
        let (disk, _) = try find(name)
        return StoppedTrace(device: disk.name, wasTraced: disk.stopTrace())
    }
}

/// A trace, and when to look at it.
struct TraceFeed: Sendable {
    let trace: DiskTrace
    /// One for whatever was written or ended since the last one.
    let wakes: AsyncStream<Void>

    init(_ trace: DiskTrace) {
        self.trace = trace
        let (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.wakes = wakes
        // One that is not heard yet stands for all: what it is about is taken as a whole.
        trace.onData { wake.yield() }
    }

    /// What was written since, and whether that is all there will be.
    func take() -> (bytes: [UInt8], isLast: Bool) {
        // Its end before its bytes: what comes between the two looks is not missed.
        let hasEnded = trace.hasEnded
        return (trace.take(), hasEnded)
    }
}
