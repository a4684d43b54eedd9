// SPDX-License-Identifier: Apache-2.0

public import BlockCore
internal import BlockSystem

/// Why something could not be done, as the control interface tells it (RFC 9457, `application/problem+json`).
public struct Problem: Error, Codable, Sendable, Equatable {
    /// The kinds of problem: what a program should look at.
    public enum Kind: String, Codable, Sendable, CaseIterable {
        /// The request makes no sense: a wrong key, size or name.
        case usage
        /// There is no such disk, export or route.
        case notFound = "not-found"
        /// The path is a route, but not for this method.
        case methodNotAllowed = "method-not-allowed"
        /// Somebody holds the disk, or another verb is under way.
        case busy
        /// The name is taken.
        case exists
        /// The disk behind the name is another one by now.
        case changed
        /// The caller may not do this.
        case notPermitted = "not-permitted"
        /// The device or the machine could not do it.
        case failed
        /// No daemon answers: only the command line says this.
        case unreachable

        /// The status of the HTTP answer.
        public var status: Int {
            switch self {
            case .usage: 400
            case .notFound: 404
            case .methodNotAllowed: 405
            case .busy, .exists: 409
            case .changed: 412
            case .notPermitted: 403
            case .failed: 500
            case .unreachable: 503
            }
        }

        /// A few words that are the same each time.
        public var title: String {
            switch self {
            case .usage: "The request is wrong"
            case .notFound: "No such thing"
            case .methodNotAllowed: "Not with this method"
            case .busy: "Busy"
            case .exists: "The name is taken"
            case .changed: "The disk is another one by now"
            case .notPermitted: "Not permitted"
            case .failed: "It failed"
            case .unreachable: "No daemon answers"
            }
        }

        /// How a verb of the command line ends with it.
        public var exitStatus: ExitStatus {
            switch self {
            case .usage, .methodNotAllowed: .usage
            case .notFound: .noSuchDisk
            // Whoever has the name may give it back.
            case .busy, .exists: .busy
            case .changed, .failed: .failed
            case .notPermitted: .notPermitted
            case .unreachable: .unreachable
            }
        }
    }

    /// The kind, as a URI: `urn:platter:busy`.
    public let type: String
    /// ``Kind/title``.
    public let title: String
    /// The status of the HTTP answer.
    public let status: Int
    /// One line: what, which disk, why, and what to do.
    public let detail: String
    /// The name of the error number that fits best, such as `EBUSY`.
    public let errno: String?
    /// The disk it is about.
    public let disk: String?
    /// The sequence number of that disk.
    public let diskseq: UInt64?
    /// Who holds the disk, where that is why.
    public let openers: [OpenerModel]?
    /// The report of a removal that was refused or failed.
    public let report: RemovalModel?

    /// A problem of a kind.
    public init(
        _ kind: Kind, _ detail: String, errno: String? = nil, disk: String? = nil, diskseq: UInt64? = nil,
        openers: [OpenerModel]? = nil, report: RemovalModel? = nil
    ) {
        type = "urn:platter:" + kind.rawValue
        title = kind.title
        status = kind.status
        self.detail = detail
        self.errno = errno
        self.disk = disk
        self.diskseq = diskseq
        self.openers = openers
        self.report = report
    }

    /// The kind; ``Kind/failed`` for one that is not known here.
    public var kind: Kind { Kind(rawValue: String(type.split(separator: ":").last ?? "")) ?? .failed }

    /// How a verb of the command line ends with it: of all that can be missing, disks have a status of their own.
    public var exitStatus: ExitStatus { kind == .notFound && errno == "ENOENT" ? .failed : kind.exitStatus }

    /// The problem that an error of the core is.
    public init(_ error: DiskError) {
        let kind: Kind =
            switch error.errno {
            case ErrorNumber.exists: .exists
            case ErrorNumber.busy, ErrorNumber.again: .busy
            case ErrorNumber.noDevice, ErrorNumber.noAddress: .notFound
            case ErrorNumber.invalid: .usage
            case ErrorNumber.access, ErrorNumber.notPermitted: .notPermitted
            default: .failed
            }
        self.init(
            kind, error.reason, errno: SystemError(errno: error.errno).name, disk: error.disk,
            diskseq: error.sequence, openers: error.openers.isEmpty ? nil : error.openers.map(OpenerModel.init))
    }

    /// The answer to a name that leads nowhere.
    public static func noSuchDisk(_ name: String) -> Problem {
        Problem(
            .notFound, "no disk is called '\(name)'; 'platter list' shows the disks there are", errno: "ENODEV",
            disk: name)
    }
}

/// The error numbers of Linux that the control interface tells apart.
enum ErrorNumber {
    static let notPermitted: Int32 = 1
    static let noEntry: Int32 = 2
    static let noAddress: Int32 = 6
    static let again: Int32 = 11
    static let access: Int32 = 13
    static let busy: Int32 = 16
    static let exists: Int32 = 17
    static let noDevice: Int32 = 19
    static let invalid: Int32 = 22
    static let timedOut: Int32 = 110
    static let refused: Int32 = 111
}
