// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

/// `PLATTER_PACKAGES=none` leaves out every target that needs a package: sanitizer builds and quick library builds use it.
let withPackages = Context.environment["PLATTER_PACKAGES"] != "none"

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),  // a leaked import is an error
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),  // async calls stay where they are
    .enableExperimentalFeature("Lifetimes"),  // our own types hand out spans
]

/// BlockCore and up mark every unsafe construct, so that it can be counted; BlockSystem is where unsafe code lives.
let checked = settings + [.strictMemorySafety()]

var targets: [Target] = [
    .target(name: "CPlatter"),
    .target(name: "BlockSystem", dependencies: ["CPlatter"], swiftSettings: settings),
    .target(name: "BlockPartitions", swiftSettings: checked),
    .target(name: "BlockCore", dependencies: ["BlockSystem", "BlockPartitions"], swiftSettings: checked),
    .target(name: "BlockDrivers", dependencies: ["BlockCore", "BlockSystem"], swiftSettings: checked),
    .target(name: "BlockNBD", dependencies: ["BlockCore", "BlockSystem"], swiftSettings: checked),
    .target(name: "BlockTree", dependencies: ["BlockCore", "BlockSystem"], swiftSettings: checked),
    .target(
        name: "TestSupport", dependencies: ["BlockCore", "BlockSystem"], path: "Tests/TestSupport",
        swiftSettings: settings),
    .testTarget(name: "BlockSystemTests", dependencies: ["TestSupport", "BlockSystem"], swiftSettings: settings),
    .testTarget(
        name: "BlockPartitionsTests", dependencies: ["TestSupport", "BlockPartitions"], swiftSettings: settings),
    .testTarget(
        name: "BlockCoreTests", dependencies: ["TestSupport", "BlockCore", "BlockSystem"], swiftSettings: settings),
    .testTarget(
        name: "BlockDriversTests", dependencies: ["TestSupport", "BlockDrivers", "BlockCore", "BlockSystem"],
        swiftSettings: settings),
    .testTarget(
        name: "BlockNBDTests", dependencies: ["TestSupport", "BlockNBD", "BlockDrivers", "BlockCore", "BlockSystem"],
        swiftSettings: settings),
    .testTarget(
        name: "BlockTreeTests", dependencies: ["TestSupport", "BlockTree", "BlockCore", "BlockSystem"],
        swiftSettings: settings),
    .target(
        name: "BenchSupport", dependencies: ["BlockSystem"], path: "Benchmarks/Support", swiftSettings: checked),
    .executableTarget(
        name: "CoreBench",
        dependencies: ["BenchSupport", "BlockDrivers", "BlockCore", "BlockPartitions", "BlockSystem"],
        path: "Benchmarks/CoreBench", swiftSettings: checked),
    .executableTarget(
        name: "NBDBench", dependencies: ["BenchSupport", "BlockNBD", "BlockDrivers", "BlockCore", "BlockSystem"],
        path: "Benchmarks/NBDBench", swiftSettings: checked),
]
var dependencies: [Package.Dependency] = []
var products: [Product] = [
    .library(
        name: "Platter",
        targets: ["BlockSystem", "BlockPartitions", "BlockCore", "BlockDrivers", "BlockNBD", "BlockTree"]),
    .executable(name: "platter-bench-core", targets: ["CoreBench"]),
    .executable(name: "platter-bench-nbd", targets: ["NBDBench"]),
]

if withPackages {
    dependencies = [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        // No TLS stack: remote access goes through ssh or a TLS proxy.
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.5.1"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    ]
    products.append(.executable(name: "platter", targets: ["platter"]))
    targets += [
        .systemLibrary(
            name: "CSmartcols", pkgConfig: "smartcols", providers: [.apt(["libsmartcols-dev"])]),
        .target(
            name: "BlockControl",
            dependencies: [
                "BlockCore", "BlockSystem", "BlockPartitions",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "platter",
            dependencies: [
                "BlockControl", "BlockTree", "BlockNBD", "BlockDrivers", "BlockCore", "BlockPartitions", "BlockSystem",
                "CSmartcols",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "TOMLKit", package: "TOMLKit"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "BlockControlTests",
            dependencies: [
                "BlockControl", "platter", "BlockDrivers", "BlockCore", "BlockSystem",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),
    ]
}

targets.append(
    .executableTarget(
        name: "HelloDisk", dependencies: ["BlockNBD", "BlockCore", "BlockSystem"], path: "Examples/HelloDisk",
        swiftSettings: settings))

// What reads the tree has nothing to tell a sanitizer.
if withPackages {
    targets.append(.testTarget(name: "TidyTests", exclude: ["exceptions.txt"], swiftSettings: settings))
}

// `PLATTER_TESTS=BlockCoreTests,BlockDriversTests` builds no other tests, and no benchmarks: a quick turn on one part.
if let wanted = Context.environment["PLATTER_TESTS"]?.split(separator: ",").map(String.init) {
    targets.removeAll { target in
        target.type == .test && !wanted.contains(target.name) || target.path?.hasPrefix("Benchmarks") == true
    }
    products.removeAll { $0.name.hasPrefix("platter-bench") }
}

let package = Package(
    name: "platter",
    products: products,
    dependencies: dependencies,
    targets: targets
)
