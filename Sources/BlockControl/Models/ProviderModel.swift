// SPDX-License-Identifier: Apache-2.0

/// Disks that are to be made when somebody opens them: `POST /v1/providers`.
public struct ProvideRequest: Codable, Sendable, Equatable {
    /// The names that are made disks of; `*` stands for any run of characters.
    public var pattern: String
    /// The driver of each.
    public var driver: String
    /// Its keys and those of every driver but `name`; `{name}` in a value is the name that was asked for.
    public var parameters: [String: ParameterValue]?

    /// A request.
    public init(pattern: String, driver: String, parameters: [String: ParameterValue]?) {
        self.pattern = pattern
        self.driver = driver
        self.parameters = parameters
    }
}

/// Who makes disks of a pattern of names.
public struct ProviderModel: Codable, Sendable, Equatable {
    /// The names.
    public var pattern: String
    /// The driver.
    public var driver: String
    /// Its keys.
    public var parameters: [String: ParameterValue]
    /// How many disks it has made.
    public var made: UInt64
    /// How often it could not.
    public var failed: UInt64
    /// Why, the last time.
    public var failure: String?

    /// A provider that has made nothing yet.
    public init(pattern: String, driver: String, parameters: [String: ParameterValue]) {
        self.pattern = pattern
        self.driver = driver
        self.parameters = parameters
        made = 0
        failed = 0
    }
}

/// All providers: `GET /v1/providers`.
public struct ProviderList: Codable, Sendable, Equatable {
    /// In the order in which they are asked.
    public var providers: [ProviderModel]

    /// A list.
    public init(providers: [ProviderModel]) { self.providers = providers }
}
