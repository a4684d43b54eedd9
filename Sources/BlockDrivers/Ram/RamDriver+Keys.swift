// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

extension RamDriver {
    /// `ram size=1G [image=FILE]`; without a size, the image's.
    static func make(_ keys: inout DriverKeys, _ common: CommonKeys) throws(ConfigurationError) -> RamDriver {
        let sector = common.sectorSize ?? 512
        var size = try keys.takeSize("size", multipleOf: sector)
        let image = try keys.take("image")
        try keys.finish()
        if let size, size > SparseMemory.limit {
            throw ConfigurationError("ram: size=\(ByteSize.format(size)) is too large: at most 256T")
        }
        let memory: SparseMemory
        do throws(SystemError) {
            memory = try SparseMemory()
        } catch {
            throw ConfigurationError("ram: no memory for the disk: \(error)", errno: error.errno)
        }
        if let image { size = try load(image, into: memory, size: size, sector: UInt64(sector)) }
        guard let size else {
            throw ConfigurationError("ram: size= is missing: for example size=1G, or image=FILE")
        }
        return RamDriver(capacity: size / 512, memory: memory)
    }

    /// Copies an image in, and returns the size of the disk: as asked for, or the image's, in whole sectors.
    private static func load(
        _ path: String, into memory: SparseMemory, size: UInt64?, sector: UInt64
    ) throws(ConfigurationError) -> UInt64 {
        let bytes: UInt64
        let file: DiskFile
        do throws(SystemError) {
            file = try DiskFile.open(path, [])
            let facts = try file.facts()
            guard facts.kind == .regular || facts.kind == .blockDevice else {
                throw SystemError(errno: 22)
            }
            bytes = facts.size
        } catch {
            throw ConfigurationError("ram: image=\(path) cannot be read: \(error)", errno: error.errno)
        }
        let rounded = (bytes + sector - 1) / sector * sector
        guard bytes > 0, bytes <= size ?? SparseMemory.limit else {
            throw ConfigurationError(
                "ram: image=\(path) has \(bytes) bytes: "
                    + (bytes == 0 ? "an empty image is no disk" : "size= must be at least \(rounded), or left out"))
        }
        do throws(SystemError) {
            try memory.load(file, size: bytes)
        } catch {
            throw ConfigurationError("ram: image=\(path) cannot be loaded: \(error)", errno: error.errno)
        }
        return size ?? rounded
    }
}
