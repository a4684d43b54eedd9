// SPDX-License-Identifier: Apache-2.0

/// A value of a parameter: one text, or a list where a key was given more than once.
public enum ParameterValue: Codable, Sendable, Equatable {
    /// Given once.
    case one(String)
    /// Given more than once, in order.
    case many([String])

    /// All the texts.
    public var all: [String] {
        switch self {
        case .one(let text): [text]
        case .many(let texts): texts
        }
    }

    /// Reads a text or a list of texts.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            self = .one(text)
        } else {
            self = .many(try container.decode([String].self))
        }
    }

    /// Writes a text or a list of texts.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .one(let text): try container.encode(text)
        case .many(let texts): try container.encode(texts)
        }
    }
}

/// `key=value` as it stands on a command line; the key is absent in a bare word.
public struct Parameter: Sendable, Equatable {
    /// What stands before the first `=`.
    public var key: String?
    /// What stands behind it.
    public var value: String

    /// A parameter from its parts.
    public init(key: String?, value: String) {
        self.key = key
        self.value = value
    }

    /// A parameter from a word of the command line.
    ///
    /// A word is bare if it has no `=`, or if what stands before it cannot be a key (`./a=b.img`).
    public init(_ word: String) {
        guard let equals = word.firstIndex(of: "=") else {
            self.init(key: nil, value: word)
            return
        }
        let key = word[..<equals]
        let isKey =
            !key.isEmpty && key.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") }
        if isKey {
            self.init(key: String(key), value: String(word[word.index(after: equals)...]))
        } else {
            self.init(key: nil, value: word)
        }
    }
}

extension [Parameter] {
    /// As an object: repeated keys make a list; bare words stand under the empty key.
    public var object: [String: ParameterValue] {
        var result: [String: ParameterValue] = [:]
        for parameter in self {
            let key = parameter.key ?? ""
            if let before = result[key] {
                result[key] = .many(before.all + [parameter.value])
            } else {
                result[key] = .one(parameter.value)
            }
        }
        return result
    }

    /// From an object; the keys in alphabetical order, bare words first.
    public init(_ object: [String: ParameterValue]) {
        self = object.sorted { $0.key < $1.key }.flatMap { key, value in
            value.all.map { Parameter(key: key.isEmpty ? nil : key, value: $0) }
        }
    }
}

/// A new disk: `POST /v1/disks`.
public struct AddRequest: Codable, Sendable, Equatable {
    /// The driver.
    public var driver: String
    /// Its keys and those of every driver.
    public var parameters: [String: ParameterValue]?

    /// A request.
    public init(driver: String, parameters: [String: ParameterValue]?) {
        self.driver = driver
        self.parameters = parameters
    }
}

/// A new size: `POST /v1/disks/NAME/resize`.
public struct ResizeRequest: Codable, Sendable, Equatable {
    /// The size in bytes.
    public var size: UInt64

    /// A request.
    public init(size: UInt64) { self.size = size }
}

/// A freeze: `POST /v1/disks/NAME/freeze`.
public struct FreezeRequest: Codable, Sendable, Equatable {
    /// How long what is under way may take; 30 s where it is absent.
    public var timeoutSeconds: Double?

    enum CodingKeys: String, CodingKey { case timeoutSeconds = "timeout_seconds" }

    /// A request.
    public init(timeoutSeconds: Double? = nil) { self.timeoutSeconds = timeoutSeconds }
}

/// Settings of a disk: `POST /v1/disks/NAME/set`.
public struct SetRequest: Codable, Sendable, Equatable {
    /// Keys with their new values.
    public var settings: [String: String]

    /// A request.
    public init(settings: [String: String]) { self.settings = settings }
}

/// What a rescan of the partition table found: `POST /v1/disks/NAME/rescan`.
public struct RescanModel: Codable, Sendable, Equatable {
    /// The disk.
    public var disk: String
    /// Its sequence number.
    public var diskseq: UInt64
    /// The kind of table; absent where there is none.
    public var table: String?
    /// The partitions there are now.
    public var partitions: [String]
    /// Of those, the new ones.
    public var added: [String]
    /// The partitions that are gone.
    public var removed: [String]
    /// What is odd about the table, a line each.
    public var warnings: [String]

    /// An answer.
    public init(
        disk: String, diskseq: UInt64, table: String?, partitions: [String], added: [String], removed: [String],
        warnings: [String]
    ) {
        self.disk = disk
        self.diskseq = diskseq
        self.table = table
        self.partitions = partitions
        self.added = added
        self.removed = removed
        self.warnings = warnings
    }
}

/// A new export: `POST /v1/exports`.
public struct ExportRequest: Codable, Sendable, Equatable {
    /// The disk or partition.
    public var device: String
    /// The protocol: `nbd`.
    public var kind: String
    /// Its keys: `name`, `address`, `ro`.
    public var parameters: [String: ParameterValue]?

    /// A request.
    public init(device: String, kind: String, parameters: [String: ParameterValue]?) {
        self.device = device
        self.kind = kind
        self.parameters = parameters
    }
}

/// All exports: `GET /v1/exports`.
public struct ExportList: Codable, Sendable, Equatable {
    /// The exports.
    public var exports: [ExportModel]

    /// A list.
    public init(exports: [ExportModel]) { self.exports = exports }
}

/// Something clients can connect to.
public struct ExportModel: Codable, Sendable, Equatable {
    /// What `unexport` takes; absent for what the daemon serves by itself.
    public var id: String?
    /// The protocol.
    public var kind: String
    /// The disk or partition.
    public var device: String
    /// The name that clients ask for.
    public var name: String
    /// Where it is, as clients take it.
    public var uri: String
    /// Whether clients may not write.
    public var readOnly: Bool

    enum CodingKeys: String, CodingKey {
        case id, kind, device, name, uri
        case readOnly = "ro"
    }

    /// An export.
    public init(id: String?, kind: String, device: String, name: String, uri: String, readOnly: Bool) {
        self.id = id
        self.kind = kind
        self.device = device
        self.name = name
        self.uri = uri
        self.readOnly = readOnly
    }
}

/// That the daemon lives: `GET /healthz`.
public struct HealthModel: Codable, Sendable, Equatable {
    /// `ok`.
    public var status: String
    /// The id of this life of the daemon.
    public var instance: String
    /// The version of the program.
    public var version: String
    /// The number of its process.
    public var pid: Int32
    /// How many disks there are.
    public var disks: Int
    /// How long it has lived.
    public var uptimeSeconds: Double

    enum CodingKeys: String, CodingKey {
        case status, instance, version, pid, disks
        case uptimeSeconds = "uptime_seconds"
    }

    /// An answer.
    public init(status: String, instance: String, version: String, pid: Int32, disks: Int, uptimeSeconds: Double) {
        self.status = status
        self.instance = instance
        self.version = version
        self.pid = pid
        self.disks = disks
        self.uptimeSeconds = uptimeSeconds
    }
}
