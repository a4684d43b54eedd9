// SPDX-License-Identifier: Apache-2.0

public import BlockCore

/// Knows the drivers by name and makes them from `key=value` pairs.
public enum DriverCatalogue {
    /// A driver, and how to make it from its keys once the common ones are taken.
    private struct Entry: Sendable {
        let name: String
        let make: Make
        typealias Make =
            @Sendable (inout DriverKeys, CommonKeys, DriverContext) throws(ConfigurationError) -> any BlockDriver

        init(
            name: String,
            make: @escaping @Sendable (inout DriverKeys, CommonKeys) throws(ConfigurationError) -> any BlockDriver
        ) {
            self.name = name
            self.make = { (keys, common, _) throws(ConfigurationError) in try make(&keys, common) }
        }

        /// One that stands on other devices.
        init(name: String, stacked make: @escaping Make) {
            self.name = name
            self.make = make
        }
    }

    private static let entries = [
        Entry(
            name: "delay",
            stacked: { (keys, common, context) throws(ConfigurationError) in
                try DelayDriver.make(&keys, common, context)
            }),
        Entry(name: "file") { (keys, common) throws(ConfigurationError) in try FileDriver(&keys, common) },
        Entry(
            name: "linear",
            stacked: { (keys, common, context) throws(ConfigurationError) in
                try LinearDriver.make(&keys, common, context)
            }),
        Entry(name: "null") { (keys, common) throws(ConfigurationError) in try NullDriver.make(&keys, common) },
        Entry(name: "ram") { (keys, common) throws(ConfigurationError) in try RamDriver.make(&keys, common) },
        Entry(name: "removable") { (keys, common) throws(ConfigurationError) in
            try RemovableDriver.make(&keys, common)
        },
    ]

    /// The names of the drivers.
    public static var names: [String] { entries.map(\.name) }

    /// Makes a driver; nothing is added to any registry. One that stands on other devices claims them here.
    ///
    /// - Parameter context: where a driver finds the devices it is to stand on.
    /// - Context: may block: it opens files, loads images, and waits for claims.
    /// - Throws: one line that says which key is wrong and what is possible, or what is the matter with a file.
    public static func make(
        driver: String, keys pairs: [(String, String)], context: DriverContext = .none
    ) throws(ConfigurationError) -> any BlockDriver {
        try makeWithOptions(driver: driver, keys: pairs, context: context).driver
    }

    /// Makes a driver, and hands out the common keys that were among its pairs.
    public static func makeWithOptions(
        driver name: String, keys pairs: [(String, String)], context: DriverContext = .none
    ) throws(ConfigurationError) -> (driver: any BlockDriver, common: CommonKeys) {
        guard let entry = entries.first(where: { $0.name == name }) else {
            throw ConfigurationError("unknown driver '\(name)': there are \(names.joined(separator: ", "))")
        }
        var keys = DriverKeys(driver: name, pairs)
        if name == "file" { keys.nameBareWord("path") }
        let common = try CommonKeys(from: &keys)
        return (try entry.make(&keys, common, context), common)
    }

    /// Takes back what making a driver has left behind, where its add has failed: a file that was not there before.
    /// - Context: may block. Once, and not for a driver that serves or has served a disk.
    public static func discard(_ driver: any BlockDriver) { (driver as? FileDriver)?.discard() }
}
