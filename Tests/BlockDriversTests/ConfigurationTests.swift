// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockDrivers
import Testing

@Suite("Sizes and durations") struct TextTests {
    @Test(arguments: [
        ("512", 512), ("4k", 4096), ("4K", 4096), ("4KiB", 4096), ("1M", 1 << 20), ("1MiB", 1 << 20), ("1G", 1 << 30),
        ("3T", 3 << 40), ("2PiB", 2 << 50), ("7E", 7 << 60), ("0", 0),
    ])
    func `a size is powers of 1024`(text: String, bytes: UInt64) throws {
        #expect(try ByteSize.parse(text) == bytes)
    }

    @Test(arguments: ["", "k", "-1", "1.5G", "1kB", "1X", "8E", "99999999999999999999", "1 M", "0x10", "١"])
    func `what is no size is refused with a line`(text: String) {
        #expect { try ByteSize.parse(text, key: "size") } throws: { error in
            (error as? ConfigurationError)?.reason.hasPrefix("size=\(text) ") == true
        }
    }

    @Test func `a size that is not a multiple of the sector says which are`() {
        #expect(
            throws: ConfigurationError("size=1000 is not a multiple of the sector size 512: use 512 or 1024")
        ) { try ByteSize.parse("1000", multipleOf: 512) }
    }

    @Test(arguments: [(0, "0"), (1536, "1536"), (4096, "4k"), (64 << 20, "64M"), (3 << 40, "3T")])
    func `a size is written short and exact`(bytes: UInt64, text: String) throws {
        #expect(ByteSize.format(bytes) == text)
        #expect(try ByteSize.parse(text) == bytes)
    }

    @Test(arguments: [
        ("5ms", Duration.milliseconds(5)), ("1s", .seconds(1)), ("2m", .seconds(120)), ("1h", .seconds(3600)),
        ("7us", .microseconds(7)), ("9ns", .nanoseconds(9)), ("1.5s", .milliseconds(1500)),
        ("0.25ms", .microseconds(250)),
        ("1.000000001s", .nanoseconds(1_000_000_001)), ("2.50m", .seconds(150)), ("0s", .zero),
    ])
    func `a duration has a unit`(text: String, duration: Duration) throws {
        #expect(try DurationText.parse(text, key: "latency") == duration)
        #expect(try DurationText.parse(DurationText.format(duration), key: "latency") == duration)
    }

    @Test(arguments: [
        "", "5", "s", "5d", "-5s", "1.5", ".5s", "1.s", "1..5s", "1.5.5s", "0.5ns", "1.0000000001s", "9999999999999h",
        "9223372036854775807s", "99999999999999999999s", "0.0000000000000000000001s",
    ])
    func `what is no duration is refused with a line`(text: String) {
        #expect { try DurationText.parse(text, key: "latency") } throws: { error in
            (error as? ConfigurationError)?.reason.hasPrefix("latency=\(text) ") == true
        }
    }
}

@Suite("The driver catalogue") struct CatalogueTests {
    private func refusal(_ driver: String, _ words: String...) -> String {
        do throws(ConfigurationError) {
            _ = try DriverCatalogue.make(driver: driver, keys: DriverKeys.split(words))
            return "made"
        } catch {
            return error.reason
        }
    }

    @Test func `every refusal says what, where and how to mend it`() {
        #expect(
            refusal("rma", "size=1M")
                == "unknown driver 'rma': there are delay, file, linear, null, ram, removable")
        #expect(refusal("ram") == "ram: size= is missing: for example size=1G, or image=FILE")
        #expect(refusal("null") == "null: size= is missing: for example size=1G")
        #expect(refusal("file") == "file: path= is missing: for example path=/var/tmp/disk.img")
        #expect(refusal("ram", "size=1M", "size=2M") == "ram: size= is given 2 times: keep one")
        #expect(refusal("ram", "size=") == "ram: size= has no value")
        #expect(refusal("ram", "size=0") == "ram: size=0 is no size for a disk")
        #expect(
            refusal("ram", "size=1000") == "ram: size=1000 is not a multiple of the sector size 512: use 512 or 1024")
        #expect(
            refusal("ram", "size=6k", "sector-size=4096")
                == "ram: size=6k is not a multiple of the sector size 4096: use 4096 or 8192")
        #expect(refusal("ram", "size=1M", "ro=yes") == "ram: ro=yes is not possible: use ro=on|off")
        #expect(
            refusal("ram", "size=1M", "sector-size=1024")
                == "ram: sector-size=1024 is not possible: use sector-size=512|4096")
        #expect(refusal("null", "size=1M", "latency=5") == "null: latency=5 has no unit: write 5ms, 5s or 5m")
        #expect(
            refusal("ram", "size=1M", "sise=2")
                == "ram: unknown key 'sise': it has name= ro= sector-size= partscan= export= "
                + "autoclear= size= image=")
        #expect(refusal("ram", "size=1M", "word") == "ram: 'word' is not key=value")
        #expect(refusal("ram", "size=1P") == "ram: size=1P is too large: at most 256T")
        #expect(
            refusal("ram", "image=/nowhere/a")
                == "ram: image=/nowhere/a cannot be read: No such file or directory (ENOENT)")
    }

    @Test func `the common keys come back as options`() throws {
        let (driver, common) = try DriverCatalogue.makeWithOptions(
            driver: "null",
            keys: DriverKeys.split(["size=1M", "name=a", "ro=on", "sector-size=4096", "partscan=off", "export=none"]))
        #expect(driver.driverName == "null")
        #expect(driver.capacity == 2048)
        #expect(common.options.name == "a")
        #expect(common.options.isReadOnly)
        #expect(common.options.logicalBlockSize == 4096)
        #expect(!common.options.scansPartitions)
        #expect(!common.options.isExported)
    }

    @Test func `a bare word is the path of a file, also with its key`() throws {
        let folder = try TemporaryFolder()
        let path = try folder.image("a", size: 4096)
        #expect(try DriverCatalogue.make(driver: "file", keys: [("", path)]).capacity == 8)
        #expect(try DriverCatalogue.make(driver: "file", keys: [("path", path)]).capacity == 8)
    }
}
