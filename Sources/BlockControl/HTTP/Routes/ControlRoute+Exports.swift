// SPDX-License-Identifier: Apache-2.0

internal import Hummingbird

extension ControlRoute {
    /// Routes of what clients connect to.
    static let exports = [listExports, addExport, removeExport]

    /// `GET /v1/exports`
    public static let listExports = ControlRoute(
        .get, "/v1/exports", RouteDescription("listExports", "What clients can connect to", gives: "ExportList")
    ) { service, _ in try .document(await service.exports()) }

    /// `POST /v1/exports`
    public static let addExport = ControlRoute(
        .post, "/v1/exports",
        RouteDescription("addExport", "Offer a disk to clients", takes: "AddExport", gives: "Export")
            .with(\.status, 201)
    ) { service, call in try .document(await service.export(try await call.body()), status: .created) }

    /// `DELETE /v1/exports/ID`
    public static let removeExport = ControlRoute(
        .delete, "/v1/exports/{id}", RouteDescription("removeExport", "Take an export back", gives: "Export")
    ) { service, call in try .document(await service.unexport(call.id)) }

    /// Routes of names for which disks are made when they are opened.
    static let providers = [listProviders, addProvider, removeProvider]

    /// `GET /v1/providers`
    public static let listProviders = ControlRoute(
        .get, "/v1/providers",
        RouteDescription(
            "listProviders", "For which names disks are made when they are opened", gives: "ProviderList")
    ) { service, _ in try .document(await service.providers()) }

    /// `POST /v1/providers`
    public static let addProvider = ControlRoute(
        .post, "/v1/providers",
        RouteDescription(
            "addProvider", "Have disks made for a pattern of names when they are opened", takes: "Provide",
            gives: "Provider"
        ).with(\.status, 201)
    ) { service, call in try .document(await service.provide(try await call.body()), status: .created) }

    /// `DELETE /v1/providers/PATTERN`
    public static let removeProvider = ControlRoute(
        .delete, "/v1/providers/{name}",
        RouteDescription(
            "removeProvider", "Make no more disks for a pattern; those that were made stay", gives: "Provider"
        ).with(\.pathParameter, "the pattern")
    ) { service, call in try .document(await service.unprovide(call.name)) }

    /// Routes of directories under which disks are files.
    static let mounts = [listMounts, addMount, removeMount]

    /// `GET /v1/mounts`
    public static let listMounts = ControlRoute(
        .get, "/v1/mounts",
        RouteDescription("listMounts", "Under which directories disks are shown as files", gives: "MountList")
    ) { service, _ in try .document(await service.mounts()) }

    /// `POST /v1/mounts`
    public static let addMount = ControlRoute(
        .post, "/v1/mounts",
        RouteDescription(
            "addMount", "Show the disks as files under an empty directory", takes: "AddMount", gives: "Mount"
        ).with(\.status, 201)
    ) { service, call in try .document(await service.mount(try await call.body()), status: .created) }

    /// `DELETE /v1/mounts/ID`
    public static let removeMount = ControlRoute(
        .delete, "/v1/mounts/{id}",
        RouteDescription(
            "removeMount", "Take a tree of files away",
            query: [.flag("lazy", "also while files there are open; they work until they are closed")],
            gives: "Mount")
    ) { service, call in try .document(await service.unmount(call.id, lazily: try call.isSet("lazy"))) }
}
