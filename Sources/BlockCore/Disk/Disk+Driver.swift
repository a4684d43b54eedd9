// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// A setting of a disk or of its driver, or a fact worth showing.
public struct DiskSetting: Sendable, Codable, Equatable {
    /// `ro`, `answer`, `path`.
    public var key: String
    /// Its present value.
    public var value: String

    /// A setting with its value.
    public init(key: String, value: String) {
        self.key = key
        self.value = value
    }
}

/// What a driver says of itself.
public struct DriverFacts: Sendable, Codable, Equatable {
    /// Settings of the disk, then of its driver.
    public var settings: [DiskSetting] = []
    /// What went wrong beneath the disk.
    public var notes: [String] = []
    /// The driver did not answer in time: what it said last stands here, or nothing of it.
    public var isStale = false
}

extension Disk {
    /// How long the driver may take over a setting where nothing else is said.
    public static let settingDeadline: Duration = .seconds(10)

    /// Changes `ro`, `partscan` or `autoclear` of the disk, or a setting of its driver. Works on a disk that owes, too.
    ///
    /// Settings of the driver are made one after the other, on a thread of the control side.
    /// - Throws: EINVAL for what cannot be set, EPERM for a driver that is read-only, ENODEV when the disk is gone,
    ///   ETIMEDOUT when the driver did not answer by the deadline; its line says whether the setting may still be made.
    /// - Context: any task; nothing waits for the driver but the caller.
    public func set(
        _ key: String, to value: String, deadline: Duration = Disk.settingDeadline
    ) async throws(DiskError) {
        switch key {
        case "ro": try setReadOnly(parseSwitch(key, value))
        case "partscan":
            let isOn = try parseSwitch(key, value)
            state.withLock { $0.scansPartitions = isOn }
        case "autoclear": try setAutoclear(parseSwitch(key, value))
        case "events_poll_msecs" where media != nil:
            guard let milliseconds = Int(value) else {
                throw DiskError(
                    errno: DiskError.invalid, disk: name, sequence: sequence,
                    reason: "\(key) of \(name) cannot be '\(value)': it is a number of milliseconds, 0 or -1")
            }
            try setMediaPoll(milliseconds: milliseconds)
        default:
            let answer = await lane.call(self, until: Instant.now + deadline) { [self] driver -> DriverSettingError? in
                do throws(DriverSettingError) {
                    try driver.set(key, to: value)
                    keep(driver)
                    return nil
                } catch {
                    return error
                }
            }
            switch answer {
            case .success(nil): break
            case .success(let error?):
                throw DiskError(errno: DiskError.invalid, disk: name, sequence: sequence, reason: error.reason)
            case .failure(let refusal): throw settingError(refusal, key, deadline)
            }
        }
    }

    private func settingError(_ refusal: DriverLane.Refusal, _ key: String, _ deadline: Duration) -> DiskError {
        let what =
            switch refusal {
            case .gone: ""
            case .notBegun: "another setting is still under way, and this one was not begun"
            case .notReturned: "it may still take effect"
            }
        guard refusal != .gone else { return goneError() }
        return DiskError(
            errno: DiskError.timedOut, disk: name, sequence: sequence,
            reason: "the driver of \(name) did not answer '\(key)' within \(deadline): \(what)")
    }

    /// What the driver says of its settings and its state, asked now.
    ///
    /// - Parameter limit: how long to wait for a driver that does not answer; then what it said last is returned, and
    ///   marked as stale. A disk that is gone answers what was said last.
    /// - Context: any task; a driver that hangs costs the caller `limit` and nobody else anything.
    public func driverFacts(within limit: Duration = .milliseconds(100)) async -> DriverFacts {
        let answer = await lane.call(self, until: Instant.now + limit) { [self] in keep($0) }
        let isStale =
            switch answer {
            case .success, .failure(.gone): false
            case .failure(.notBegun), .failure(.notReturned): true
            }
        return facts.withLock { facts in
            DriverFacts(settings: ownSettings + facts.settings, notes: facts.notes + queueNotes, isStale: isStale)
        }
    }

    private var ownSettings: [DiskSetting] {
        var own = [
            DiskSetting(key: "ro", value: isReadOnly ? "on" : "off"),
            DiskSetting(key: "partscan", value: scansPartitions ? "on" : "off"),
            DiskSetting(key: "autoclear", value: isAutoclear ? "on" : "off"),
        ]
        if media != nil {
            own.append(DiskSetting(key: "events_poll_msecs", value: String(mediaPollMilliseconds)))
        }
        return own
    }

    /// Inside the lane: asks the driver, and keeps what it says.
    private func keep(_ driver: any BlockDriver) {
        let settings = driver.settings.map { DiskSetting(key: $0.key, value: $0.value) }
        let notes = driver.notes
        facts.withLock { facts in
            facts.settings = settings
            facts.notes = notes
        }
    }

    private func parseSwitch(_ key: String, _ value: String) throws(DiskError) -> Bool {
        switch value {
        case "on": return true
        case "off": return false
        default:
            throw DiskError(
                errno: DiskError.invalid, disk: name, sequence: sequence,
                reason: "\(key) of \(name) cannot be '\(value)': say \(key)=on or \(key)=off")
        }
    }

    private func setReadOnly(_ isOn: Bool) throws(DiskError) {
        guard isOn || !profile.isReadOnly else {
            throw DiskError(
                errno: DiskError.notPermitted, disk: name, sequence: sequence,
                reason: "\(name) is read-only by its driver; add it anew without ro=on")
        }
        guard readOnly.exchange(isOn, ordering: .relaxed) != isOn else { return }
        state.withLock { state in
            guard state.lifecycle.state != .adding, !state.lifecycle.isOver else { return }
            registry.events.append([event(.change, of: part0, extra: ["DISK_RO=\(isOn ? 1 : 0)"])])
        }
        registry.events.pump()
    }

    /// Nobody calls the driver any more: the last references of ours go. On a thread of the control side.
    func letDriverGo() {
        // While we still have it: a new object at the same address must not be taken for this one.
        driverUse.withLock { $0 = nil }
        queue.letDriverGo()
    }
}
