// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockPartitions
import BlockSystem

/// An image file or a block device whose table is edited, locked while it is open as the driver `file` locks it.
struct TableFile {
    private let path: String
    private let isDryRun: Bool
    private let file: DiskFile
    private let facts: DiskFile.Facts
    private let source: FilePartitionSource

    /// - Throws: ``Problem`` where it cannot be written, or somebody uses it.
    init(path: String, blockSize: Int?, isDryRun: Bool) throws(Problem) {
        self.path = path
        self.isDryRun = isDryRun
        do throws(SystemError) {
            source = try FilePartitionSource(path: path, blockSize: blockSize)
            // A block device that the kernel itself uses must not be written behind its back.
            let isDevice = HostFile.status(path)?.kind == .blockDevice
            let exclusive: DiskFile.Mode = isDevice ? [.exclusive] : []
            // A dry run is refused as the edit would be. Only a lock for writing meets every other; who may not write the
            // file may look all the same, and a device that was open for writing is scanned anew by the machine.
            let writes = isDevice ? !isDryRun : !isDryRun || HostFile.isReadableAndWritable(path)
            file = try DiskFile.open(path, writes ? exclusive.union(.write) : exclusive)
            facts = try file.facts()
            if writes { try Self.lock(file) }
        } catch {
            switch error.name {
            case "EBUSY", "EAGAIN":
                throw Problem(
                    .busy,
                    "'\(path)' is in use by this machine, another disk or a program (lsblk and lslocks tell which): "
                        + "end that first", errno: "EBUSY")
            default: throw Problem(.failed, "'\(path)' cannot be written: \(error)", errno: error.name)
            }
        }
    }

    private static func lock(_ file: DiskFile) throws(SystemError) {
        do throws(SystemError) {
            try file.lock(exclusive: true)
        } catch {
            // A file system without locks cannot keep a second writer off; that is no reason to refuse the first.
            if ["EAGAIN", "EACCES"].contains(error.name) { throw SystemError(errno: 11) }
        }
    }

    /// Writes what the edit asks for.
    func edit(_ request: TableEditRequest) throws(Problem) -> TableChangeModel {
        var source = source
        let size = source.logicalBlockSize
        let shape = DiskShape(
            sectors: source.capacity, blockSize: size,
            physicalBlockSize: facts.kind == .blockDevice ? facts.physicalBlockSize : 0, optimalIO: facts.optimalIO)
        let edit = try request.tableEdit(blockSize: size)
        var generator = SystemRandomNumberGenerator()
        let change: TableChange
        do throws(TableEditError) {
            change = try edit.change(on: &source, shape: shape, using: &generator)
        } catch {
            throw Problem(
                error.isNoRoom ? .failed : .usage, "the table of '\(path)' is not edited: \(error.reason)",
                errno: error.isNoRoom ? "ENOSPC" : "EINVAL")
        }
        var model = TableChangeModel(disk: path, dryRun: isDryRun, change, sectorSize: size)
        guard !isDryRun else { return model }
        do throws(SystemError) {
            for group in change.groups { try write(group) }
        } catch {
            throw Problem(
                .failed, "writing to '\(path)' failed: \(error); the table that is on it can be read",
                errno: error.name)
        }
        if facts.kind == .blockDevice {
            do throws(SystemError) {
                try file.rereadTable()
            } catch {
                model.notes.append("the kernel does not read the table again by itself (\(error.name))")
            }
        }
        return model
    }

    /// A group of writes, on the medium when this returns.
    private func write(_ group: [TableWrite]) throws(SystemError) {
        for write in group {
            let buffer = try IOBuffer(count: write.bytes.count)
            buffer.memory.copy(from: write.bytes)
            var done = 0
            while done < buffer.count {
                let result = file.perform(
                    .write(
                        at: write.offset + UInt64(done), from: buffer.memory.slice(done, buffer.count - done),
                        durable: false))
                guard result > 0 else { throw SystemError(errno: result == 0 ? 28 : Int32(clamping: -result)) }
                done += result
            }
        }
        let result = file.perform(.sync)
        guard result >= 0 else { throw SystemError(errno: Int32(clamping: -result)) }
    }
}
