// SPDX-License-Identifier: Apache-2.0

/// What an open can ask for that is not there yet.
public enum DiskKey: Sendable, Hashable, CustomStringConvertible {
    /// A disk by its name.
    case name(String)
    /// A disk, or a partition of one, by its number.
    case number(DeviceNumber)

    /// As it stands in a line of text.
    public var description: String {
        switch self {
        case .name(let name): "'\(name)'"
        case .number(let number): "number \(number.major):\(number.minor)"
        }
    }
}

/// What a provider makes disks for.
public enum ProviderRange: Sendable, Equatable {
    /// Names that a pattern matches, in which `*` stands for any run of characters: `md*`.
    case names(String)
    /// The disks whose first minors lie in a range under a registered major, `perDisk` minors each.
    case numbers(major: Int, minors: Range<Int>, perDisk: Int)

    /// The key of the disk that has to be made for what is asked; nil: it is none of its.
    func covers(_ key: DiskKey) -> DiskKey? {
        switch (self, key) {
        case (.names(let pattern), .name(let name)):
            Self.matches(Array(name.utf8)[...], Array(pattern.utf8)[...]) ? key : nil
        case (.numbers(let major, let minors, let perDisk), .number(let number)):
            number.major == major && minors.contains(number.minor)
                ? .number(
                    DeviceNumber(
                        major: major, minor: minors.lowerBound + (number.minor - minors.lowerBound) / perDisk * perDisk)
                )
                : nil
        case (.names, .number), (.numbers, .name): nil
        }
    }

    private static func matches(_ text: ArraySlice<UInt8>, _ pattern: ArraySlice<UInt8>) -> Bool {
        guard let first = pattern.first else { return text.isEmpty }
        if first == UInt8(ascii: "*") {
            return (text.startIndex...text.endIndex).contains { matches(text[$0...], pattern.dropFirst()) }
        }
        return text.first == first && matches(text.dropFirst(), pattern.dropFirst())
    }
}

/// A disk that a provider has for a key.
public struct ProvidedDisk: Sendable {
    /// The driver; made for this disk.
    public var driver: any BlockDriver
    /// How it is to be added. Name or number are the registry's to fill in.
    public var options: DiskOptions
    /// Takes back what making the driver has left behind, such as a file: called once if the add fails, before whoever
    /// asked for the disk hears of it, on the thread of the probe.
    public var undo: (@Sendable () -> Void)?

    /// A driver with its options; unless said otherwise the disk goes with its last opener.
    public init(_ driver: any BlockDriver, _ options: DiskOptions? = nil) {
        self.driver = driver
        if let options {
            self.options = options
        } else {
            self.options = DiskOptions()
            self.options.isTransient = true
        }
    }
}

/// Makes disks when somebody opens what is not there: what a driver registers for a major or a pattern of names.
public protocol DiskProvider: AnyObject, Sendable {
    /// A disk for the key, or nil if there is none.
    ///
    /// - Context: one at a time for each key, on a thread of its own that may block; no lock is held. One that does not
    ///   return holds up those who ask for this key, until their deadlines, and whoever unregisters the provider. It must
    ///   not unregister its own provider.
    func probe(_ key: DiskKey) async throws -> ProvidedDisk?
}
