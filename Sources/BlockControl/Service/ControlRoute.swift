// SPDX-License-Identifier: Apache-2.0

/// Every route of the control interface: the router is built from this table, and the OpenAPI document is tested
/// against it in both directions.
public enum ControlRoute: CaseIterable, Sendable {
    case listDisks, addDisk, showDisk, diskPartitions, removeDisk, cancelRemoval, resizeDisk, setDisk, rescanDisk
    case editTable
    case freezeDisk, thawDisk, traceDisk, stopTrace
    case listAttributes, writeAttribute
    case insertMedium, ejectMedium
    case quarantine
    case listExports, addExport, removeExport
    case listProviders, addProvider, removeProvider
    case listMounts, addMount, removeMount
    case events, settle
    case metrics, health, openAPI

    /// The method.
    public var method: String {
        switch self {
        case .addDisk, .removeDisk, .cancelRemoval, .resizeDisk, .setDisk, .rescanDisk, .editTable, .freezeDisk,
            .thawDisk, .insertMedium, .ejectMedium, .addExport, .addProvider, .addMount, .settle, .writeAttribute:
            "POST"
        case .removeExport, .removeProvider, .removeMount, .stopTrace: "DELETE"
        default: "GET"
        }
    }

    /// The path, with `{name}` and `{id}` where a name or an id stands.
    public var path: String {
        switch self {
        case .listDisks, .addDisk: "/v1/disks"
        case .showDisk: "/v1/disks/{name}"
        case .diskPartitions: "/v1/disks/{name}/partitions"
        case .removeDisk: "/v1/disks/{name}/remove"
        case .cancelRemoval: "/v1/disks/{name}/cancel"
        case .resizeDisk: "/v1/disks/{name}/resize"
        case .setDisk: "/v1/disks/{name}/set"
        case .rescanDisk: "/v1/disks/{name}/rescan"
        case .editTable: "/v1/disks/{name}/table"
        case .freezeDisk: "/v1/disks/{name}/freeze"
        case .thawDisk: "/v1/disks/{name}/thaw"
        case .traceDisk, .stopTrace: "/v1/disks/{name}/trace"
        case .listAttributes, .writeAttribute: "/v1/disks/{name}/attributes"
        case .insertMedium: "/v1/disks/{name}/insert"
        case .ejectMedium: "/v1/disks/{name}/eject"
        case .quarantine: "/v1/quarantine"
        case .listExports, .addExport: "/v1/exports"
        case .removeExport: "/v1/exports/{id}"
        case .listProviders, .addProvider: "/v1/providers"
        case .removeProvider: "/v1/providers/{name}"
        case .listMounts, .addMount: "/v1/mounts"
        case .removeMount: "/v1/mounts/{id}"
        case .events: "/v1/events"
        case .settle: "/v1/settle"
        case .metrics: "/metrics"
        case .health: "/healthz"
        case .openAPI: "/openapi.json"
        }
    }

    /// Whether it changes a disk that is there: such a route honours If-Match.
    public var honoursIfMatch: Bool {
        switch self {
        case .removeDisk, .cancelRemoval, .resizeDisk, .setDisk, .rescanDisk, .freezeDisk, .thawDisk: true
        case .insertMedium, .ejectMedium, .writeAttribute, .editTable: true
        default: false
        }
    }
}
