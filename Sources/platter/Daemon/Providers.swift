// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockCore
import BlockDrivers
import BlockSystem
import Logging

/// Makes disks of one driver for a pattern of names, when somebody opens one that is not there.
final class TemplateProvider: DiskProvider {
    let pattern: String
    private let driver: String
    private let parameters: [Parameter]
    private let registry: DiskRegistry
    private let logger: Logger

    private struct Counts: Sendable {
        var made: UInt64 = 0
        var failed: UInt64 = 0
        var failure: String?
    }
    private let counts = Lock(Counts())

    /// Drivers that are made of their keys alone: what is wrong with those is said when they are registered.
    private static let pure: Set = ["ram", "null"]

    /// - Throws: ``Problem`` for a driver that there is not, keys that cannot be, and `name=`, which is the asker's.
    init(
        _ pattern: String, driver: String, _ parameters: [Parameter], _ registry: DiskRegistry, _ logger: Logger
    ) throws(Problem) {
        self.pattern = pattern
        self.driver = driver
        self.parameters = parameters
        self.registry = registry
        self.logger = logger
        guard DriverCatalogue.names.contains(driver) else {
            throw Problem(
                .usage, "unknown driver '\(driver)': there are \(DriverCatalogue.names.joined(separator: ", "))",
                errno: "EINVAL")
        }
        guard !parameters.contains(where: { $0.key == "name" }) else {
            throw Problem(
                .usage, "a disk that is made when it is opened has the name that it is opened by: leave out name=",
                errno: "EINVAL")
        }
        if Self.pure.contains(driver), !parameters.contains(where: { $0.value.contains("{name}") }) {
            do throws(ConfigurationError) {
                _ = try make(for: "x")
            } catch {
                throw Problem(error)
            }
        }
    }

    private func make(for name: String) throws(ConfigurationError) -> (driver: any BlockDriver, common: CommonKeys) {
        let keys = parameters.map { parameter in
            (parameter.key ?? "", Self.filled(parameter.value, name))
        }
        return try DriverCatalogue.makeWithOptions(driver: driver, keys: keys, context: DriverContext(registry))
    }

    /// The value with each `{name}` replaced. What is no disk's name never comes here, and so no '/'.
    private static func filled(_ value: String, _ name: String) -> String {
        let mark = "{name}"
        var rest = value[...]
        var result = ""
        while let first = rest.first {
            if rest.hasPrefix(mark) {
                result += name
                rest = rest.dropFirst(mark.count)
            } else {
                result.append(first)
                rest = rest.dropFirst()
            }
        }
        return result
    }

    /// `a3p1` is a partition of `a3`: whoever asks for it does not get a disk of that name.
    static func isPartition(_ name: String) -> Bool {
        let digits = name.reversed().prefix { $0.isASCII && $0.isNumber }.count
        let rest = name.dropLast(digits)
        return digits > 0 && rest.last == "p" && rest.dropLast().last?.isNumber == true
    }

    func probe(_ key: DiskKey) async throws -> ProvidedDisk? {
        guard case .name(let name) = key, !Self.isPartition(name) else { return nil }
        do throws(ConfigurationError) {
            let made = try make(for: name)
            var options = made.common.options
            options.isTransient = made.common.goesWithLastOpener ?? true
            options.attributes["provider"] = pattern
            counts.withLock { $0.made += 1 }
            logger.info("disk made for who opens it", metadata: ["disk": "\(name)", "provider": "\(pattern)"])
            var provided = ProvidedDisk(made.driver, options)
            provided.undo = { DriverCatalogue.discard(made.driver) }
            return provided
        } catch {
            counts.withLock { counts in
                counts.failed += 1
                counts.failure = error.reason
            }
            logger.warning(
                "a disk could not be made for who opens it",
                metadata: ["disk": "\(name)", "provider": "\(pattern)", "reason": "\(error.reason)"])
            throw error
        }
    }

    var model: ProviderModel {
        var model = ProviderModel(pattern: pattern, driver: driver, parameters: parameters.object)
        counts.withLock { counts in
            model.made = counts.made
            model.failed = counts.failed
            model.failure = counts.failure
        }
        return model
    }
}

/// The providers of the daemon.
final class Providers: Sendable {
    private struct Entry: Sendable {
        let provider: TemplateProvider
        let registration: ProviderRegistration
    }
    private let registry: DiskRegistry
    private let logger: Logger
    private let entries = Lock<[Entry]>([])

    init(_ registry: DiskRegistry, _ logger: Logger) {
        self.registry = registry
        self.logger = logger
    }

    var models: [ProviderModel] { entries.withLock { $0.map(\.provider) }.map(\.model) }

    func add(_ pattern: String, driver: String, _ parameters: [Parameter]) throws(Problem) -> ProviderModel {
        let provider = try TemplateProvider(pattern, driver: driver, parameters, registry, logger)
        let registration: ProviderRegistration
        do throws(DiskError) {
            registration = try registry.register(provider, for: .names(pattern))
        } catch  where SystemError(errno: error.errno).name == "EBUSY" {
            throw Problem(
                .exists, "disks are made for '\(pattern)' already; take that back with 'platter unprovide \(pattern)'",
                errno: "EEXIST")
        } catch {
            throw Problem(error)
        }
        entries.withLock { $0.append(Entry(provider: provider, registration: registration)) }
        return provider.model
    }

    /// Makes no more; a disk that is just being made is waited for. Disks that were made stay.
    func remove(_ pattern: String) async throws(Problem) -> ProviderModel {
        let entry = entries.withLock { entries -> Entry? in
            guard let index = entries.firstIndex(where: { $0.provider.pattern == pattern }) else { return nil }
            return entries.remove(at: index)
        }
        guard let entry else {
            throw Problem(
                .notFound, "no disks are made for '\(pattern)'; 'platter provide' lists what disks are made for",
                errno: "ENOENT")
        }
        await registry.unregister(entry.registration)
        return entry.provider.model
    }

    /// Makes no more disks at all.
    func removeAll() async {
        for model in models { _ = try? await remove(model.pattern) }
    }
}

/// Keeps disks open that a driver is to stand on, while it is made: those that are there for their openers only.
final class LowerHold: BioSink, Sendable {
    private let openers = Lock<[Held]>([])
    private final class Held: Sendable {
        let opener: Lock<Opener?>
        init(_ opener: consuming Opener) { self.opener = Lock(consume opener) }
    }

    /// Opens what is named by `lower=` and not there yet, so that it is made. Blocks. What fails is the driver's to tell.
    func open(_ parameters: [Parameter], in registry: DiskRegistry) {
        for parameter in parameters where parameter.key == "lower" {
            let name = String(parameter.value.prefix { $0 != "," })
            guard registry.device(named: name) == nil else { continue }
            guard
                let opener = try? registry.openOrCreateBlocking(
                    .name(name), .read, as: OpenerIdentity(kind: "add"), depth: 1, sink: self)
            else { continue }
            let held = Held(opener)
            openers.withLock { $0.append(held) }
        }
    }

    /// The driver has them open by now, or never will.
    func close() { openers.withLock { openers in openers.removeAll() } }

    func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?) {}
}
