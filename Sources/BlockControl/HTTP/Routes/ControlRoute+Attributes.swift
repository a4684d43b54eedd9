// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import Hummingbird
internal import HummingbirdCore
internal import NIOCore

extension ControlRoute {
    /// Routes of what is to be seen of a disk: its attributes, and its I/O as it happens.
    static let attributes = [listAttributes, writeAttribute, traceDisk, stopTrace]

    /// `GET /v1/disks/NAME/attributes`
    public static let listAttributes = ControlRoute(
        .get, "/v1/disks/{name}/attributes",
        RouteDescription(
            "listAttributes", "The attributes of a disk or a partition, as in /sys/block",
            query: [.init(name: "path", description: "only this one: size, queue/iostats")], gives: "AttributeList")
    ) { service, call in try .document(service.attributes(call.name, path: call.query("path"))) }

    /// `POST /v1/disks/NAME/attributes`
    public static let writeAttribute = change(
        "/v1/disks/{name}/attributes",
        RouteDescription(
            "writeAttribute", "Write one attribute; the answer is what it says then", takes: "WriteAttribute",
            gives: "AttributeList")
    ) { service, call, ifMatch in
        try .document(await service.writeAttribute(call.name, try await call.body(), ifMatch: ifMatch))
    }

    /// `GET /v1/disks/NAME/trace`
    public static let traceDisk = ControlRoute(
        .get, "/v1/disks/{name}/trace",
        RouteDescription(
            "traceDisk", "Each step of its I/O as it happens, in the binary format of blktrace",
            query: [
                .init(name: "actions", description: "categories of records, separated by commas"),
                .init(name: "start", description: "the first sector of the device", type: "integer"),
                .init(name: "end", description: "its last sector that is wanted", type: "integer"),
                .init(name: "pid", description: "the process whose I/O is wanted", type: "integer"),
                .init(name: "buffer", description: "bytes between the disk and who reads this", type: "integer"),
            ], gives: .binary)
    ) { service, call in stream(try service.trace(call.name, TraceQuery(call.query)), to: call) }

    /// `DELETE /v1/disks/NAME/trace`
    public static let stopTrace = ControlRoute(
        .delete, "/v1/disks/{name}/trace",
        RouteDescription("stopTrace", "End the trace that runs, whoever reads it", gives: "StoppedTrace")
    ) { service, call in try .document(service.stopTrace(call.name)) }

    private static func stream(_ feed: TraceFeed, to call: ControlCall) -> Response {
        // A listener that hangs up ends it at once, whether or not there is I/O.
        call.whenGone { [weak trace = feed.trace] in trace?.stop() }
        let body = ResponseBody { writer in
            for await _ in feed.wakes {
                let (bytes, isLast) = feed.take()
                if !bytes.isEmpty { try await writer.write(ByteBuffer(bytes: bytes)) }
                if isLast { break }
            }
            try await writer.finish(nil)
        }
        return .stream(type: "application/octet-stream", body)
    }
}
