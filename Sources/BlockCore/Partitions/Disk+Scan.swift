// SPDX-License-Identifier: Apache-2.0

public import BlockPartitions
internal import BlockSystem

extension Disk {
    /// Why nothing came in time: a frozen disk is no silent driver.
    var silence: (reason: String, errno: Int32) {
        freezeDepth > 0
            ? ("it is frozen: 'platter thaw \(name)' lets it go on", DiskError.busy)
            : ("its driver does not answer", DiskError.ioError)
    }

    /// Reads the partition table that is on the disk now, and changes nothing.
    ///
    /// - Throws: EIO when it cannot be read by the deadline, ENODEV when the disk is gone.
    public func scanTable(
        policy: PartitionPolicy = .platter, deadline: Duration = .seconds(10)
    ) async throws(DiskError) -> PartitionScan {
        try await scanTable(options: PartitionScanOptions(policy: policy), deadline: deadline)
    }

    /// Reads the partition table that is on the disk now by these rules, and changes nothing.
    ///
    /// - Throws: EIO when it cannot be read by the deadline, ENODEV when the disk is gone.
    public func scanTable(
        options: PartitionScanOptions, deadline: Duration = .seconds(10)
    ) async throws(DiskError) -> PartitionScan {
        try await onControlThread("pl-scan") { [self] () throws(DiskError) in
            guard var reader = DeviceReader(self, deadline: Instant.now + deadline) else { throw goneError() }
            let scan = scanPartitions(&reader, options: options)
            if reader.hasTimedOut {
                throw DiskError(
                    errno: silence.errno, disk: name, sequence: sequence,
                    reason: "the partition table of \(name) could not be read in time: \(silence.reason)")
            }
            if let failure = scan.error {
                throw DiskError(
                    errno: DiskError.ioError, disk: name, sequence: sequence,
                    reason: "the partition table of \(name) cannot be read: \(failure)")
            }
            return scan
        }
    }
}
