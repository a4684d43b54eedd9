// SPDX-License-Identifier: Apache-2.0

public import BlockCore

/// What a driver may ask for while it is made: the devices that it is to stand on.
public struct DriverContext: Sendable {
    let find: @Sendable (String) -> BlockDevice?

    /// Devices as `find` knows them.
    public init(find: @escaping @Sendable (String) -> BlockDevice?) { self.find = find }

    /// The devices of a registry.
    public init(_ registry: DiskRegistry) { self.init { [weak registry] in registry?.device(named: $0) } }

    /// No devices: for drivers that stand on none.
    public static let none = DriverContext { _ in nil }

    func device(_ name: String, for driver: String) throws(ConfigurationError) -> BlockDevice {
        guard let device = find(name) else {
            throw ConfigurationError(
                "\(driver): lower=\(name) is no disk or partition: 'platter list' shows those there are", errno: 6)
        }
        return device
    }
}
