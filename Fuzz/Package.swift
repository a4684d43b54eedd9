// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

/// Fuzzers of what reads strangers' bytes; built and run by Scripts/fuzz, which names the toolchain's libFuzzer.
let runtime = Context.environment["PLATTER_FUZZER"] ?? "libclang_rt.fuzzer_no_main.a"

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .unsafeFlags(["-sanitize=fuzzer,address"]),
]

let package = Package(
    name: "platter-fuzz",
    targets: [
        // A link to the library's sources, so that they are built with what libFuzzer counts.
        .target(name: "BlockPartitions", swiftSettings: settings),
        .target(name: "CFuzzer"),
        .executableTarget(
            name: "fuzz-tables", dependencies: ["BlockPartitions", "CFuzzer"], swiftSettings: settings,
            linkerSettings: [.unsafeFlags([runtime, "-sanitize=address"]), .linkedLibrary("stdc++")]),
    ]
)
