// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// What a disk with a removable medium has besides: disks without have none of it.
final class DiskMedia: Sendable {
    struct State {
        var events: MediaEvents
        /// Openers that hold the disk for writing alone, and keep checks away.
        var blockers: Set<UInt64> = []
        /// Eject requests and the like that go out with the next change.
        var untold: MediaEventSet = []
        /// The driver has told of a change that was not seen to; otherwise there is only the number to go by.
        var isSaid = false
        /// The medium is on its way out: nobody is let in.
        var isEjecting = false
    }
    let profile: MediaProfile
    let state: Lock<State>
    /// Rings when a check is over.
    let bell = Bell()
    /// Under which the reaper has the timer.
    let tag = Reaper.shared.newTag()
    /// The medium that the disk is about; 0: none. Changes under the disk's lock.
    let current: Atomic<UInt64>

    init(_ profile: MediaProfile, current: UInt64) {
        self.profile = profile
        self.current = Atomic(current)
        state = Lock(State(events: MediaEvents(profile)))
    }

    deinit { Reaper.shared.cancel(tag: tag) }

    var number: UInt64 { current.load(ordering: .acquiring) }
}

extension Disk {
    // MARK: When the device is asked

    /// No check of the medium begins by itself until as many unblocks. One that runs is waited for by the caller's own.
    func blockMedia(_ media: DiskMedia) { _ = media.state.withLock { $0.events.block() } }

    func unblockMedia(_ media: DiskMedia, checkNow: Bool = false) {
        let standard = registry.mediaPollInterval
        schedule(media, media.state.withLock { $0.events.unblock(checkNow: checkNow, standard: standard) })
    }

    /// The driver has something to tell, or something happened after which it is to be asked.
    func wantMediaCheck(clearing mask: MediaEventSet = []) {
        guard let media else { return }
        let standard = registry.mediaPollInterval
        schedule(media, media.state.withLock { $0.events.want(clearing: mask, standard: standard) })
    }

    /// The gate is shut for good: no more timers. A check that runs has a lease, and the drain waits for it (T58).
    func endMedia() {
        guard let media else { return }
        _ = media.state.withLock { $0.events.block() }
        Reaper.shared.cancel(tag: media.tag)
    }

    /// How many keep checks away: what the tests hold against a baseline.
    package var mediaBlockDepth: Int { media?.state.withLock { $0.events.depth } ?? 0 }

    /// What it is waiting for: what the tests look at.
    package var mediaNext: MediaEvents.Next {
        let standard = registry.mediaPollInterval
        guard let media else { return .nothing }
        return media.state.withLock { state in
            var events = state.events
            return events.isChecking ? .check : events.next(standard)
        }
    }

    func schedule(_ media: DiskMedia, _ next: MediaEvents.Next) {
        switch next {
        case .nothing: break
        case .check: WorkerThread.detach(name: "pl-media") { [self] in checkMedia(media) }
        case .wait(let milliseconds):
            // One timer: two that meet here leave one more, which finds nothing to do.
            Reaper.shared.forget(tag: media.tag)
            // Weak: a timer does not keep its disk.
            Reaper.shared.watch(nil, until: Instant.now + .milliseconds(milliseconds), tag: media.tag) {
                [weak self] _ in
                WorkerThread.detach(name: "pl-media") { [weak self] in self?.checkMedia(media, isDue: true) }
            }
        }
    }

    /// A check by itself: a timer's, a close's, or because the driver has called.
    private func checkMedia(_ media: DiskMedia, isDue: Bool = false) {
        let begun = media.state.withLock { state in
            if isDue { _ = state.events.want(standard: 0) }
            return state.events.begin(isSynchronous: false)
        }
        guard let clearing = begun else { return }
        let isAlive = check(media, clearing, isSynchronous: false)
        guard isAlive else { return }
        let standard = registry.mediaPollInterval
        schedule(media, media.state.withLock { $0.events.next(standard) })
    }

    /// A check by an open or a verb, which has blocked the others: waits for one that runs.
    func checkMediaNow(_ media: DiskMedia) {
        while true {
            let heard = media.bell.value
            if let clearing = media.state.withLock({ $0.events.begin(isSynchronous: true) }) {
                _ = check(media, clearing, isSynchronous: true)
                return
            }
            media.bell.wait(after: heard)
        }
    }

    /// Asks the driver, inside the gate: a removal waits. False: the disk is dead.
    ///
    /// - Parameter isSynchronous: the caller sees to a change itself.
    private func check(_ media: DiskMedia, _ clearing: MediaEventSet, isSynchronous: Bool) -> Bool {
        let isAlive = queue.gate.enterPrivileged(1)
        var found: MediaEventSet = []
        if isAlive, let driver = queue.driver {
            found = driver.checkEvents(clearing: clearing)
            if found.contains(.change) { media.state.withLock { $0.isSaid = true } }
            // What is in counts, whatever the driver says of it.
            if driver.medium.number != media.number { found.insert(.change) }
        }
        let news = media.state.withLock { state in
            let news = state.events.end(found: found, cleared: clearing).intersection(profileEvents(media))
            if news.contains(.change) { state.untold.formUnion(news) }
            return news
        }
        media.bell.ringAll()
        if news.contains(.change) {
            if !isSynchronous { ask(.medium) }
        } else if !news.isEmpty, media.profile.tells {
            state.withLock { state in
                guard !queue.gate.isDead else { return }
                registry.events.append([event(.change, of: part0, extra: Self.extras(news))])
            }
            registry.events.pump()
        }
        if isAlive { queue.gate.leave(1) }
        return isAlive
    }

    /// A change is always seen to; what else there is must have been declared.
    private func profileEvents(_ media: DiskMedia) -> MediaEventSet { media.profile.events.union(.change) }

    static func extras(_ events: MediaEventSet) -> [String] {
        (events.contains(.change) ? ["DISK_MEDIA_CHANGE=1"] : [])
            + (events.contains(.ejectRequest) ? ["DISK_EJECT_REQUEST=1"] : [])
    }

    // MARK: Opens

    /// The first step of an open: checks are held off until its end, and what they would find is noticed now, so that no
    /// open returns among the partitions of a medium that is gone (T56).
    func beginOpenOfMedium() throws(DiskError) {
        guard let media else { return }
        blockMedia(media)
        do throws(DiskError) {
            try noticeMedium(media)
        } catch {
            unblockMedia(media)
            throw error
        }
    }

    func endOpenOfMedium() {
        if let media { unblockMedia(media) }
    }

    /// Asks the driver and, if the medium is another one, waits until the disk is about that.
    func noticeMedium(_ media: DiskMedia) throws(DiskError) {
        checkMediaNow(media)
        guard media.state.withLock({ $0.events.pending.contains(.change) }) else { return }
        do throws(DiskError) {
            try beginReconfiguring(isPatient: true)
        } catch {
            // It is on its way out, and others may still use it.
            ask(.medium)
            throw error
        }
        changeMedium()
        endReconfiguring()
    }

    /// Why an open is refused because of the medium; nil: it is not. Under the lock.
    func mediumRefusesOpen(_ device: BlockDevice, _ mode: OpenMode) -> DiskError? {
        guard let media else { return nil }
        if media.state.withLock({ $0.isEjecting }) {
            return DiskError(
                errno: DiskError.busy, disk: device.name, sequence: sequence,
                reason: "the medium of \(name) is being ejected: try again when that is over")
        }
        return media.number == 0 && !mode.contains(.noDelay) ? noMediumError(device) : nil
    }

    func noMediumError(_ device: BlockDevice) -> DiskError {
        DiskError(
            errno: DiskError.noMedium, disk: device.name, sequence: sequence,
            reason: "\(name) has no medium: 'platter insert \(name) FILE' puts one in")
    }

    /// A handle is in: it is about this medium and no other. Under the lock.
    func mediumOpened(_ core: OpenerCore) {
        guard let media else { return }
        core.medium.store(media.number, ordering: .relaxed)
        guard media.profile.blocksOnExclusiveWrite, core.mode.contains(.write), core.isClaiming else { return }
        media.state.withLock { state in
            state.blockers.insert(core.id)
            // The open has blocked already: no check runs that would have to be waited for.
            _ = state.events.block()
        }
    }

    /// A handle is closed. Whoever had it may have ejected the medium by a command: the driver is asked.
    func mediumClosed(_ core: OpenerCore) {
        guard let media, !core.isPrivate else { return }
        if media.state.withLock({ $0.blockers.remove(core.id) }) != nil { unblockMedia(media) }
        wantMediaCheck(clearing: .change)
    }
}
