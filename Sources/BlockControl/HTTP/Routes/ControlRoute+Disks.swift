// SPDX-License-Identifier: Apache-2.0

internal import Hummingbird

extension ControlRoute {
    /// Routes of disks as such: they come, are looked at, and go.
    static let disks = [listDisks, addDisk, showDisk, diskPartitions, removeDisk, cancelRemoval, quarantine]

    /// `GET /v1/disks`
    public static let listDisks = ControlRoute(
        .get, "/v1/disks",
        RouteDescription(
            "listDisks", "All disks with their partitions",
            query: [
                .flag("hidden", "with the hidden ones"), .flag("sysfs", "with what the attributes of each say"),
            ], gives: "DeviceList")
    ) { service, call in
        try .document(service.list(hidden: try call.isSet("hidden"), sysfs: try call.isSet("sysfs")))
    }

    /// `POST /v1/disks`
    public static let addDisk = ControlRoute(
        .post, "/v1/disks",
        RouteDescription("addDisk", "Add a disk", takes: "Add", gives: "Disk").with(\.status, 201)
            .with(\.hasTag, true)
    ) { service, call in
        let detail = try await service.add(try await call.body())
        return try .document(
            detail, status: .created, headers: [.eTag: detail.tag, .location: "/v1/disks/" + detail.device.name])
    }

    /// `GET /v1/disks/NAME`
    public static let showDisk = ControlRoute(
        .get, "/v1/disks/{name}",
        RouteDescription("showDisk", "Everything about one disk or partition", gives: "Disk").with(\.hasTag, true)
    ) { service, call in try .disk(await service.show(call.name)) }

    /// `GET /v1/disks/NAME/partitions`
    public static let diskPartitions = ControlRoute(.get, "/v1/disks/{name}/partitions", table) { service, call in
        let query = PartitionQuery(call.query, isExplained: try call.isSet("explain"))
        return try .document(await service.partitions(call.name, query))
    }

    /// `POST /v1/disks/NAME/remove`
    public static let removeDisk = change(
        "/v1/disks/{name}/remove",
        RouteDescription("removeDisk", "Remove a disk, in one of six modes", takes: "Remove", gives: "Removal")
            .with(\.other, (202, "Removed when its openers leave"))
    ) { service, call, ifMatch in
        let report = try await service.remove(call.name, try await call.body(), ifMatch: ifMatch)
        return try .document(report, status: report.outcome == "pending" ? .accepted : .ok)
    }

    /// `POST /v1/disks/NAME/cancel`
    public static let cancelRemoval = change(
        "/v1/disks/{name}/cancel",
        RouteDescription("cancelRemoval", "Take a deferred or hidden removal back", gives: "Disk")
    ) { service, call, ifMatch in try .document(await service.cancelRemoval(call.name, ifMatch: ifMatch)) }

    /// `GET /v1/quarantine`
    public static let quarantine = ControlRoute(
        .get, "/v1/quarantine",
        RouteDescription("quarantine", "What removed disks still owe", gives: "QuarantineList")
    ) { service, _ in try .document(service.quarantine()) }

    private static let table = RouteDescription(
        "diskPartitions", "Read the partition table that is on the disk now",
        query: [
            .init(name: "as", values: ["platter", "kernel", "blkid"]),
            .init(name: "formats", description: "the formats to ask, separated by commas"),
            .flag("explain", "with what each format saw, and why it said no"),
            .init(name: "geometry", description: "cylinders, heads and sectors per track: C/H/S"),
            .init(name: "cmdline", description: "the kernel's parameter blkdevparts="),
        ], gives: "PartitionTable")
}
