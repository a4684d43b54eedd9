// SPDX-License-Identifier: Apache-2.0

/// The counters as the kernel's files show them.
extension DiskStatistics {
    /// The seventeen fields of `/proc/diskstats` and `stat`: reads, merged, sectors, milliseconds, the same for writes,
    /// in flight, milliseconds busy, weighted milliseconds, four for discards, flushes and their milliseconds.
    ///
    /// Nothing is ever merged: those are 0. Milliseconds and what is in flight wrap at 2^32, as the kernel's do.
    public var fields: [UInt64] {
        func wrapped(_ value: UInt64) -> UInt64 { value & UInt64(UInt32.max) }
        func milliseconds(_ nanoseconds: UInt64) -> UInt64 { wrapped(nanoseconds / 1_000_000) }
        func group(_ group: Group) -> [UInt64] {
            [group.completed, 0, group.sectors, milliseconds(group.nanoseconds)]
        }
        let weighted =
            reads.nanoseconds &+ writes.nanoseconds &+ discards.nanoseconds &+ flushCommands.nanoseconds
        return group(reads) + group(writes) + [
            wrapped(inFlight), milliseconds(busyNanoseconds), milliseconds(weighted),
        ] + group(discards) + [flushCommands.completed, milliseconds(flushCommands.nanoseconds)]
    }

    /// The fields in columns of eight, as in `stat`; without a newline.
    var statText: String { fields.map { AttributeText.right($0, 8) }.joined(separator: " ") }
}

extension DiskRegistry {
    /// In the order of their registration, as the kernel lists them.
    private func inOrder(hidden: Bool) -> [Disk] {
        disks(hidden: hidden).sorted { $0.identity < $1.identity }
    }

    /// `/proc/diskstats`: a line for each disk, empty and hidden ones, too, and for each of their partitions.
    /// - Context: any thread, under no lock; does not block.
    public func diskstatsText() -> String {
        var text = ""
        for disk in inOrder(hidden: true) {
            for device in disk.devices where device.partitionNumber == 0 || device.size > 0 {
                let fields = device.statistics().fields.map(String.init).joined(separator: " ")
                let number =
                    AttributeText.right(device.number.major, 4) + " " + AttributeText.right(device.number.minor, 7)
                text += "\(number) \(device.name) \(fields)\n"
            }
        }
        return text
    }

    /// `/proc/partitions`: a line with the size in KiB for each disk that has one and is not hidden, and its partitions.
    /// - Context: as ``diskstatsText()``.
    public func partitionsText() -> String {
        let disks = inOrder(hidden: false)
        guard !disks.isEmpty else { return "" }
        var text = "major minor  #blocks  name\n\n"
        for disk in disks where disk.capacity > 0 {
            for device in disk.devices where device.size > 0 {
                let number =
                    AttributeText.right(device.number.major, 4) + "  " + AttributeText.right(device.number.minor, 7)
                text += "\(number) \(AttributeText.right(device.size / 2, 10)) \(device.name)\n"
            }
        }
        return text
    }

    /// `/proc/devices`: the majors that are registered, and that of extended numbers. There are no character devices.
    /// - Context: as ``diskstatsText()``.
    public func devicesText() -> String {
        let majors = (registeredMajors + [(major: Self.extendedMajor, name: "blkext")]).sorted { $0.major < $1.major }
        let lines = majors.map { "\(AttributeText.right($0.major, 3)) \($0.name)\n" }
        return "Character devices:\n\nBlock devices:\n" + lines.joined()
    }
}
