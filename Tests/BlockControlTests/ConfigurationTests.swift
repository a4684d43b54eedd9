// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockDrivers
import BlockSystem
import Testing
import platter

@Suite struct `The configuration file` {
    @Test func `disks and the daemon's settings are read`() throws {
        let configuration = try Configuration(
            text: """
                [serve]
                socket = "/run/x.sock"
                nbd = ["unix:/run/n.sock", "tcp:127.0.0.1:10809"]
                metrics-open = true
                log-level = "debug"
                hotplug = "bin/helper"
                hotplug-timeout = "5s"
                stop-timeout = "10s"

                [[disk]]
                driver = "ram"
                size = "1G"
                ro = true

                [[disk]]
                driver = "file"
                path = "/var/lib/disk.img"
                sector-size = 4096
                """, file: "/etc/f")
        #expect(configuration.hotplug == "/etc/bin/helper" && configuration.hotplugTimeout == "5s")
        #expect(configuration.stopTimeout == "10s")
        #expect(configuration.socket == "/run/x.sock")
        #expect(configuration.nbd == ["unix:/run/n.sock", "tcp:127.0.0.1:10809"])
        #expect(configuration.metricsAreOpen == true)
        #expect(configuration.logLevel == "debug")
        #expect(configuration.disks.map(\.driver) == ["ram", "file"])
        #expect(
            configuration.disks.first?.parameters.sorted { ($0.key ?? "") < ($1.key ?? "") } == [
                Parameter(key: "ro", value: "on"), Parameter(key: "size", value: "1G"),
            ])
        #expect(configuration.disks.last?.parameters.contains(Parameter(key: "sector-size", value: "4096")) == true)
    }

    @Test(arguments: [
        ("[serve]\nsoket = \"x\"", "f:2: unknown key 'soket'; [serve] has socket, nbd, "),
        ("[[disk]]\nsize = \"1G\"", "f:1: this disk lacks 'driver'"),
        ("[[disk]]\ndriver = \"ram\"\n\n[[disk]]\n\nsize = 1\n", "f:4: this disk lacks 'driver'"),
        ("[[disk]]\ndriver = \"ram\"\n[[disk]]\ndriver = \"ram\"\nsize = 1979-05-27", "f:5: 'size' is a text"),
        ("# hello\nserve = 3", "f:2: 'serve' is a table: write [serve]"),
        ("[disk]\ndriver = \"ram\"", "f:1: 'disk' is a list: write [[disk]]"),
        ("[serve]\nmetrics-open = 3", "f:2: 'metrics-open' is true or false"),
        ("[other]\nx = 1", "f:1: unknown table or key 'other'"),
        ("[serve]\nsocket = \"a\"\nsocket = \"b\"", "f:3: "),
        ("[serve\n", "f:1: "), ("x = \"", "f:1: "),
    ])
    func `an error names file, line and key`(text: String, start: String) {
        let problem = #expect(throws: Problem.self) { try Configuration(text: text, file: "f") }
        #expect(problem?.kind == .usage)
        #expect(problem?.detail.hasPrefix(start) == true, "\(problem?.detail ?? "")")
        #expect(problem?.detail.contains("\n") == false)
    }

    @Test func `what a driver refuses is told with the line of its key`() throws {
        let configuration = try Configuration(
            text: "[[disk]]\ndriver = \"ram\"\nname = \"a\"\nsize = \"12x\"\n", file: "f")
        let disk = try #require(configuration.disks.first)
        #expect(disk.locate("ram: size=12x has an unknown unit") == "f:4: ram: size=12x has an unknown unit")
        #expect(disk.locate("ram: unknown key 'name': it has size=") == "f:3: ram: unknown key 'name': it has size=")
        #expect(disk.locate("unknown driver") == "f:2: unknown driver")
        #expect(disk.locate("it is too late") == "f:1: it is too late")
        #expect(disk.locate("'a' is in use") == "f:3: 'a' is in use")
    }

    @Test func `a name that two disks have is refused with the lines of both`() throws {
        let text = "[[disk]]\ndriver = \"ram\"\nname = \"a\"\n[[disk]]\nname = \"b\"\ndriver = \"ram\"\n"
        let disks = try Configuration(text: text, file: "f").disks
        #expect(throws: Never.self) { try DiskPlan.checkNames(disks) }
        let twice = try Configuration(text: text + "[[disk]]\ndriver = \"null\"\nname = \"a\"\n", file: "f").disks
        let problem = #expect(throws: Problem.self) { try DiskPlan.checkNames(twice) }
        #expect(problem?.detail == "f:9: name=a is given twice: line 3 has it, too")
        var typed = disks[1]
        typed.origin = nil
        let other = #expect(throws: Problem.self) { try DiskPlan.checkNames(disks + [typed]) }
        #expect(other?.detail == "name=b is given twice: f:5 has it, too")
    }

    /// A driver that is given a key it does not know says which it knows.
    @Test(arguments: DriverCatalogue.names)
    func `each key that a driver takes is in the help of add`(driver: String) throws {
        let lower = ["linear", "delay"].contains(driver) ? [("lower", "x")] : []
        let error = #expect(throws: ConfigurationError.self) {
            _ = try DriverCatalogue.make(driver: driver, keys: lower + [("colour", "red")])
        }
        let reason = try #require(error?.reason)
        let keys = reason.split(separator: " ").filter { $0.hasSuffix("=") }.map(String.init)
        #expect(keys.count > 6, "\(reason)")
        let help = try #require(DriverHelp.keys.first { $0.0 == driver }).1 + " " + DriverHelp.common
        let told = Set(help.split { $0 == " " || $0 == "[" }.map { $0.prefix { $0 != "=" } + "=" })
        for key in keys { #expect(told.contains(Substring(key)), "\(key) of \(driver)") }
    }

    @Test func `a bare word has no key, and a path with an equals sign is a bare word`() {
        #expect(Parameter("size=1G") == Parameter(key: "size", value: "1G"))
        #expect(Parameter("disk.img") == Parameter(key: nil, value: "disk.img"))
        #expect(Parameter("./a=b.img") == Parameter(key: nil, value: "./a=b.img"))
        #expect(Parameter("key=a=b") == Parameter(key: "key", value: "a=b"))
        let words = [Parameter("x"), Parameter("m=1"), Parameter("m=2")]
        #expect(words.object == ["": .one("x"), "m": .many(["1", "2"])])
        #expect([Parameter](words.object) == words)
    }
}

@Suite struct `Words for people` {
    @Test(arguments: [
        (UInt64(0), "0 bytes"), (1, "1 byte"), (1023, "1023 bytes"), (1024, "1 KiB (1024 bytes)"),
        (1536, "1.5 KiB (1536 bytes)"), (1_048_575, "1 MiB (1048575 bytes)"), (64 << 20, "64 MiB (67108864 bytes)"),
        (1 << 40, "1 TiB (1099511627776 bytes)"),
    ])
    func `sizes are told in both ways`(bytes: UInt64, text: String) {
        #expect(Units.size(bytes) == text)
    }

    @Test(arguments: [
        (0.0000004, "0 µs"), (0.00085, "850 µs"), (0.0032, "3.2 ms"), (1.0, "1.00 s"), (61.26, "61.26 s"),
        (125.0, "2 min 5 s"), (9000.0, "2 h 30 min"),
    ])
    func `durations have the unit that fits`(seconds: Double, text: String) {
        #expect(Units.seconds(seconds) == text)
    }

    @Test(arguments: [
        (0.0, "1970-01-01T00:00:00Z"), (951_782_400.0, "2000-02-29T00:00:00Z"),
        (1_795_232_465.9, "2026-11-21T03:41:05Z"), (4_102_444_800.0, "2100-01-01T00:00:00Z"),
    ])
    func `moments are told in UTC`(seconds: Double, text: String) {
        #expect(Units.moment(seconds) == text)
    }

    @Test func `a size on the command line that is none is a usage error`() {
        #expect(#expect(throws: Problem.self) { try Units.bytes("12x") }?.exitStatus == .usage)
        #expect(#expect(throws: Problem.self) { try Units.duration("5", option: "--timeout") }?.exitStatus == .usage)
    }

    @Test func `addresses become URIs that clients take`() throws {
        func uri(_ text: String, _ name: String) throws -> String {
            try SocketAddress.parse(text, option: "--nbd").uri(export: name)
        }
        #expect(try uri("unix:/run/n.sock", "pl0") == "nbd+unix:///pl0?socket=/run/n.sock")
        #expect(try uri("unix:/a b", "x/y") == "nbd+unix:///x%2Fy?socket=/a%20b")
        #expect(try uri("tcp:127.0.0.1:10809", "pl0") == "nbd://127.0.0.1/pl0")
        #expect(try uri("tcp:[::1]:99", "pl0") == "nbd://[::1]:99/pl0")
        #expect(#expect(throws: Problem.self) { try uri("udp:x", "pl0") }?.exitStatus == .usage)
    }

    @Test func `an event prints as udevadm prints it`() {
        var event = Samples.event
        event.environment = ["ACTION=add", "DEVPATH=/devices/virtual/block/pl0/pl0p1"]
        #expect(
            EventText.text(event, at: 12.000_034) == """
                KERNEL[12.000034] add      /devices/virtual/block/pl0/pl0p1 (block)
                ACTION=add
                DEVPATH=/devices/virtual/block/pl0/pl0p1


                """)
        #expect(EventText.lost(2) == "PLATTER lost 2 events\n\n")
        #expect(EventText.lost(nil) == "PLATTER lost an unknown number of events\n\n")
    }

    @Test func `a report says everything, in lines`() {
        #expect(
            Samples.removal.text.split(separator: "\n").prefix(7) == [
                "pl0 (diskseq 7): removed (surprise) in 3.2 ms",
                "  in flight   128 I/Os in the driver when the disk was shut",
                "  parked      2 I/Os that waited to get in: they failed",
                "  failed      130 I/Os answered with an error by this removal",
                "  flush       skipped: this mode does not flush",
                "  lost writes 512 KiB (524288 bytes) answered with an error since the disk was added",
                "  unflushed   4 KiB (4096 bytes) answered well, but never flushed",
            ])
        #expect(Samples.removal.text.contains("nbdcopy[42]  user 1000  127.0.0.1:4  since 2026-11-21T03:41:06Z"))
        #expect(Samples.removal.text.contains("note: a note"))
    }
}
