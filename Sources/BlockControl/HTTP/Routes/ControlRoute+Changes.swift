// SPDX-License-Identifier: Apache-2.0

internal import Hummingbird

extension ControlRoute {
    /// Routes that change a disk that is there.
    static let changes = [resizeDisk, setDisk, rescanDisk, editTable, freezeDisk, thawDisk, insertMedium, ejectMedium]

    /// `POST /v1/disks/NAME/resize`
    public static let resizeDisk = change(
        "/v1/disks/{name}/resize", RouteDescription("resizeDisk", "Change the size", takes: "Resize", gives: "Disk")
    ) { service, call, ifMatch in
        try .document(await service.resize(call.name, try await call.body(), ifMatch: ifMatch))
    }

    /// `POST /v1/disks/NAME/set`
    public static let setDisk = change(
        "/v1/disks/{name}/set",
        RouteDescription("setDisk", "Change settings of the disk or its driver", takes: "Set", gives: "Disk")
    ) { service, call, ifMatch in
        try .document(await service.set(call.name, try await call.body(), ifMatch: ifMatch))
    }

    /// `POST /v1/disks/NAME/rescan`
    public static let rescanDisk = change(
        "/v1/disks/{name}/rescan",
        RouteDescription(
            "rescanDisk", "Read the partition table again and make its partitions devices", gives: "Rescan")
    ) { service, call, ifMatch in try .document(await service.rescan(call.name, ifMatch: ifMatch)) }

    /// `POST /v1/disks/NAME/table`
    public static let editTable = change(
        "/v1/disks/{name}/table",
        RouteDescription(
            "editTable", "Write another partition table and make its partitions devices", takes: "TableEdit",
            gives: "TableChange"
        ).with(\.done, "Done, or what would be done")
    ) { service, call, ifMatch in
        try .document(await service.editTable(call.name, try await call.body(), ifMatch: ifMatch))
    }

    /// `POST /v1/disks/NAME/freeze`
    public static let freezeDisk = change(
        "/v1/disks/{name}/freeze",
        RouteDescription(
            "freezeDisk", "Let no I/O in, and wait until what is under way is done", takes: "Freeze", gives: "Disk"
        ).with(\.isBodyOptional, true)
    ) { service, call, ifMatch in
        try .document(await service.freeze(call.name, try await call.body(), ifMatch: ifMatch))
    }

    /// `POST /v1/disks/NAME/thaw`
    public static let thawDisk = change(
        "/v1/disks/{name}/thaw",
        RouteDescription("thawDisk", "Take one freeze back; what waited goes on", gives: "Disk")
    ) { service, call, ifMatch in try .document(await service.thaw(call.name, ifMatch: ifMatch)) }

    /// `POST /v1/disks/NAME/insert`
    public static let insertMedium = change(
        "/v1/disks/{name}/insert",
        RouteDescription(
            "insertMedium", "Put a medium into a disk with removable media", takes: "Insert", gives: "Medium")
    ) { service, call, ifMatch in
        try .document(await service.insert(call.name, try await call.body(), ifMatch: ifMatch))
    }

    /// `POST /v1/disks/NAME/eject`
    public static let ejectMedium = change(
        "/v1/disks/{name}/eject",
        RouteDescription(
            "ejectMedium", "Take the medium out of a disk with removable media", takes: "Eject", gives: "Medium"
        ).with(\.isBodyOptional, true)
    ) { service, call, ifMatch in
        try .document(await service.eject(call.name, try await call.body(), ifMatch: ifMatch))
    }
}
