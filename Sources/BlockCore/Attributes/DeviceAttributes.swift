// SPDX-License-Identifier: Apache-2.0

internal import BlockPartitions
internal import BlockSystem

/// What stands in the directory of a disk or of a partition.
enum DeviceAttributes {
    static let rows: [Attribute] =
        disk + partition + identity + [
            Attribute("alignment_offset", { String($0.alignmentOffset) }),
            // A hidden disk has a number, and nobody is told of it.
            Attribute("dev", if: { !$0.disk.options.isHidden }, { "\($0.number.major):\($0.number.minor)" }),
            Attribute("inflight") { device in
                let now = device.disk.underWay(in: device.partitionNumber == 0 ? nil : device.partitionNumber)
                return AttributeText.right(now.reads, 8) + " " + AttributeText.right(now.others, 8)
            },
            Attribute("stat", { $0.statistics().statText }),
            Attribute("discard_alignment", { String($0.discardAlignment) }),
            Attribute("ro", { AttributeText.flag($0.isReadOnly) }),
            Attribute("size", { String($0.size) }),
            Attribute("uevent", show: { $0.eventKeys }, store: sendEvent),
        ]

    private static let isDisk: @Sendable (BlockDevice) -> Bool = { $0.partitionNumber == 0 }
    private static let isPartition: @Sendable (BlockDevice) -> Bool = { $0.partitionNumber != 0 }

    private static let disk: [Attribute] = [
        // Deprecated in the kernel, where it is this constant, too.
        Attribute("capability", if: isDisk, { _ in "0" }),
        Attribute("device/delete", if: isDisk, show: nil, store: delete),
        Attribute("diskseq", if: isDisk, { String($0.disk.sequence) }),
        Attribute("events", if: isDisk, { $0.disk.eventWords }),
        // None that the device tells of without being asked.
        Attribute("events_async", if: isDisk, { _ in "" }),
        Attribute("events_poll_msecs", if: isDisk, show: { String($0.disk.mediaPollMilliseconds) }, store: setPoll),
        Attribute("ext_range", if: isDisk, { String($0.disk.deviceLimit) }),
        Attribute("hidden", if: isDisk, { AttributeText.flag($0.disk.options.isHidden) }),
        Attribute("partscan", if: isDisk, { AttributeText.flag($0.disk.scansPartitions && $0.disk.deviceLimit > 1) }),
        Attribute("range", if: isDisk, { String($0.disk.options.minors) }),
        Attribute("removable", if: isDisk, { AttributeText.flag($0.disk.isRemovable) }),
    ]

    /// What its driver says of the device behind, where it says it.
    private static let identity: [Attribute] = [
        ("model", "model"), ("vendor", "vendor"), ("rev", "revision"), ("serial", "serial"), ("wwid", "wwn"),
    ].map { path, key in
        Attribute(
            "device/" + path, if: { $0.partitionNumber == 0 && $0.disk.options.attributes[key] != nil },
            { $0.disk.options.attributes[key] ?? "" })
    }

    private static let partition: [Attribute] = [
        Attribute("partition", if: isPartition, { String($0.partitionNumber) }),
        Attribute("start", if: isPartition, { String($0.start) }),
        // Its presence is what it says.
        Attribute("whole_disk", if: { $0.entry?.isWholeDisk == true }, { _ in "" }),
    ]

    /// Ends the disk by surprise, and returns when it is gone: the handler must not be waited for by what it waits for.
    private static let delete: Attribute.Store = { device, value, visit throws(AttributeError) in
        guard value == "1" else { throw .invalid("device/delete takes 1, not '\(value)'") }
        visit.breakProtection()
        let done = Parker()
        device.disk.requestRemoval(.surprise) { _ in done.raise() }
        done.wait()
    }

    private static let sendEvent: Attribute.Store = { device, value, _ throws(AttributeError) in
        do throws(DiskError) {
            try device.synthesizeEvent(value)
        } catch {
            throw AttributeError(error)
        }
    }

    private static let setPoll: Attribute.Store = { device, value, _ throws(AttributeError) in
        guard let milliseconds = Int(value), milliseconds >= -1 else {
            throw .invalid("events_poll_msecs cannot be '\(value)': it is a number of milliseconds, 0 or -1")
        }
        guard device.disk.media != nil else {
            throw .failed(errno: DiskError.gone, "\(device.name) has no events to ask for")
        }
        do throws(DiskError) {
            try device.disk.setMediaPoll(milliseconds: milliseconds)
        } catch {
            throw AttributeError(error)
        }
    }
}

extension Disk {
    /// The events that listeners are told of, as the kernel lists them.
    fileprivate var eventWords: String {
        guard let profile = media?.profile, profile.tells else { return "" }
        return profile.events.words.joined(separator: " ")
    }
}

extension BlockDevice {
    /// Bytes from its first sector to the next physical block; -1 where the parts of a stack do not line up.
    fileprivate var alignmentOffset: Int {
        let limits = disk.limits
        guard !limits.isMisaligned else { return -1 }
        // As the kernel's queue_limit_alignment_offset: the preferred size counts where it is larger.
        let unit = max(limits.physicalBlockSize, limits.minimumIO)
        let from = Int(start * UInt64(sectorSize) % UInt64(unit))
        return partitionNumber == 0 ? limits.alignmentOffset : (unit + limits.alignmentOffset - from) % unit
    }

    /// Bytes from its first sector to the next sector where a discard may begin.
    fileprivate var discardAlignment: Int {
        let limits = disk.limits
        let granularity = UInt64(limits.discardGranularity / sectorSize)
        guard disk.profile.discard != .unsupported, granularity > 0 else { return 0 }
        return Int((granularity - start % granularity) % granularity) * sectorSize
    }

    /// The keys of an event of it, without what only an event has.
    fileprivate var eventKeys: String {
        let ofEvents: Set<String> = ["ACTION", "DEVPATH", "SUBSYSTEM", "SEQNUM"]
        return disk.event(.change, of: self).properties.filter { !ofEvents.contains($0.key) }
            .map { "\($0.key)=\($0.value)" }.joined(separator: "\n")
    }
}
