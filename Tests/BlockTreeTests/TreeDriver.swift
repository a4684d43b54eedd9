// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization

@testable import BlockTree

/// A disk in memory that can be told to keep what it gets, to hang in an open, and to tell what it was asked.
final class TreeDriver: BlockDriver {
    let capacity: UInt64
    let profile: DriverProfile
    let driverName = "memory"
    private let data: Lock<[UInt8]>
    private let held = Lock(Held())
    private let keeping = Atomic<Bool>(false)
    let log = Lock<[String]>([])
    /// While it is set, an open waits for it.
    let gate = Lock<Parker?>(nil)
    /// Up when somebody is in the open.
    let isInOpen = Parker()

    private final class Held { var bios = BioQueue() }

    init(sectors: UInt64 = 2048, style: SubmissionStyle = .async, _ change: (inout DriverProfile) -> Void = { _ in }) {
        capacity = sectors
        var profile = DriverProfile()
        profile.style = style
        profile.discard = .native
        profile.writeZeroes = .native
        profile.fua = .native
        profile.hasWriteCache = true
        change(&profile)
        self.profile = profile
        data = Lock([UInt8](repeating: 0, count: Int(sectors) * 512))
    }

    func keep() { keeping.store(true, ordering: .sequentiallyConsistent) }
    var keptCount: Int { held.withLock { $0.bios.count } }

    /// Answers what was kept, and what comes from now on.
    func letGo() {
        keeping.store(false, ordering: .sequentiallyConsistent)
        letOne()
        while keptCount > 0 { letOne() }
    }

    /// Answers the first that was kept.
    func letOne() {
        var first: Bio?
        held.withLock { first = $0.bios.popFirst() }
        if let bio = first.take() { run(bio) }
    }

    func opened() {
        guard let gate = gate.withLock({ $0 }) else { return }
        isInOpen.raise()
        gate.wait()
    }
    func closed() { log.withLock { $0.append("closed") } }

    func submit(_ bio: consuming Bio) {
        let line = "\(bio.operation) \(bio.sector)+\(bio.sectorCount)"
        let flags = (bio.flags.contains(.fua) ? " fua" : "") + (bio.flags.contains(.noUnmap) ? " keep" : "")
        log.withLock { $0.append(line + flags) }
        if keeping.load(ordering: .sequentiallyConsistent) {
            var bio: Bio? = consume bio
            held.withLock { held in if let bio = bio.take() { held.bios.append(bio) } }
            return
        }
        run(bio)
    }

    private func run(_ bio: consuming Bio) {
        let start = Int(bio.sector) * 512
        let count = Int(bio.sectorCount) * 512
        switch bio.operation {
        case .read:
            let bytes = data.withLock { $0[start..<(start + count)] }
            bio.memory.store(bytes, at: 0)
        case .write:
            let bytes = bio.memory.array
            data.withLock { $0.replaceSubrange(start..<(start + count), with: bytes) }
        case .discard, .writeZeroes:
            data.withLock { $0.replaceSubrange(start..<(start + count), with: repeatElement(0, count: count)) }
        case .flush: break
        }
        bio.complete(.ok)
    }

    func abort() {}

    func fill(_ byte: UInt8) { data.withLock { $0 = [UInt8](repeating: byte, count: $0.count) } }
    func put(_ bytes: [UInt8], at offset: Int) {
        data.withLock { $0.replaceSubrange(offset..<(offset + bytes.count), with: bytes) }
    }
    func bytes(_ range: Range<Int>) -> [UInt8] { data.withLock { Array($0[range]) } }
    func calls() -> [String] {
        log.withLock { calls in
            defer { calls = [] }; return calls
        }
    }
}

extension FakeKernel {
    @discardableResult
    func add(_ driver: TreeDriver, _ name: String = "pl0", _ change: (inout DiskOptions) -> Void = { _ in })
        async throws -> Disk
    {
        var options = DiskOptions()
        options.name = name
        options.scansPartitions = false
        change(&options)
        return try await registry.add(driver, options)
    }
}

/// An open file of a disk, without a kernel that asks for it.
func deviceFile(
    _ disk: Disk, _ channel: FuseChannel, requests: Int = 1000, payload: Int = 1 << 20
) throws -> DeviceFile {
    let limits = DiskLine.Limits(requests: requests, payload: payload)
    let file = DeviceFile(disk.part0, isWritable: true, channel, limits: limits)
    try file.open(as: OpenerIdentity(kind: "fuse"), noDelay: false)
    return file
}

/// What is to be written.
func zeroes(_ count: Int) throws -> IOBuffer {
    let buffer = try IOBuffer(count: count)
    buffer.memory.zero()
    return buffer
}
