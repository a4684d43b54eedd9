// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The process and the machine it runs on: who, where, how much is allowed.
public enum Host {
    /// The effective user of this process.
    public static var userID: UInt32 { geteuid() }

    /// The effective group of this process.
    public static var groupID: UInt32 { getegid() }

    /// The number of this process.
    public static var processID: Int32 { getpid() }

    /// A variable of the environment; nil when it is not set.
    public static func environment(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        return String(cString: value)
    }

    /// Takes a variable out of the environment, so that no child sees it.
    public static func unsetEnvironment(_ name: String) { unsetenv(name) }

    /// The running kernel's release, such as `6.1.0-56-amd64`.
    public static var kernelRelease: String {
        var names = utsname()
        guard uname(&names) == 0 else { return "unknown" }
        return withUnsafeBytes(of: &names.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// What the process is called: the kernel's name for it, at most 15 bytes.
    public static func programName(of process: Int32) -> String? {
        guard let text = try? HostFile.readText("/proc/\(process)/comm", limit: 64) else { return nil }
        let name = text.split(separator: "\n", maxSplits: 1).first.map(String.init)
        return name?.isEmpty == false ? name : nil
    }

    /// Whether the descriptor is a terminal.
    public static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// Takes the user's character set for what C libraries print, such as the lines of a tree.
    public static func adoptCharacterSet() { setlocale(LC_CTYPE, "") }

    /// Ends the process now with this status.
    public static func exit(_ status: Int32) -> Never { Glibc.exit(status) }

    /// A limit of this process.
    public enum Limit: Sendable {
        /// Open descriptors.
        case openFiles
        /// Bytes of memory that may not be swapped out.
        case lockedMemory
    }

    /// A limit: what holds now, and how far it may be raised. `nil`: without bound.
    public struct LimitValue: Sendable, Equatable {
        /// What holds now.
        public let now: UInt64?
        /// How far this process may raise it.
        public let most: UInt64?
    }

    /// What a limit is now.
    public static func limit(_ limit: Limit) -> LimitValue {
        var value = rlimit()
        guard getrlimit(resource(limit), &value) == 0 else { return LimitValue(now: nil, most: nil) }
        return LimitValue(now: bounded(value.rlim_cur), most: bounded(value.rlim_max))
    }

    /// Raises the limit on open descriptors as far as allowed, and returns what holds then.
    @discardableResult
    public static func raiseOpenFiles() -> LimitValue {
        var value = rlimit()
        if getrlimit(resource(.openFiles), &value) == 0, value.rlim_cur < value.rlim_max {
            value.rlim_cur = value.rlim_max
            _ = setrlimit(resource(.openFiles), &value)
        }
        return limit(.openFiles)
    }

    /// Fills bytes from the kernel's random source.
    public static func randomBytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    // The numbers of the kernel's interface: the header's own names are not all imported.
    private static func resource(_ limit: Limit) -> Int32 {
        switch limit {
        case .openFiles: 7  // RLIMIT_NOFILE
        case .lockedMemory: 8  // RLIMIT_MEMLOCK
        }
    }

    private static func bounded(_ value: rlim_t) -> UInt64? { value == rlim_t.max ? nil : UInt64(value) }
}
