// SPDX-License-Identifier: Apache-2.0

extension OpenAPIDocument {
    /// What comes of a removal, exports, events, and problems.
    static let answerSchemas = #"""
              "Removal": {
                "type": "object",
                "required": [
                  "outcome",
                  "disk",
                  "diskseq",
                  "mode",
                  "requested_mode",
                  "state",
                  "duration_seconds",
                  "deadline_passed",
                  "in_flight",
                  "parked",
                  "failed",
                  "failed_write_bytes",
                  "unflushed_bytes",
                  "flush",
                  "quarantined",
                  "quarantined_bytes",
                  "driver_faults",
                  "stuck_sinks",
                  "openers",
                  "notes"
                ],
                "properties": {
                  "outcome": {
                    "type": "string",
                    "enum": [
                      "removed",
                      "pending",
                      "busy",
                      "failed",
                      "cancelled",
                      "would-remove",
                      "would-wait",
                      "would-be-busy"
                    ]
                  },
                  "disk": {"type": "string"},
                  "diskseq": {"type": "integer"},
                  "mode": {"type": "string"},
                  "requested_mode": {"type": "string"},
                  "state": {"type": "string"},
                  "duration_seconds": {"type": "number"},
                  "deadline_passed": {"type": "boolean"},
                  "in_flight": {"type": "integer"},
                  "parked": {"type": "integer"},
                  "failed": {"type": "integer"},
                  "failed_write_bytes": {"type": "integer"},
                  "unflushed_bytes": {"type": ["integer", "null"]},
                  "flush": {"type": "string"},
                  "quarantined": {"type": "integer"},
                  "quarantined_bytes": {"type": "integer"},
                  "driver_faults": {"type": "integer"},
                  "stuck_sinks": {"type": "integer"},
                  "openers": {"type": "array", "items": {"$ref": "#/components/schemas/Opener"}},
                  "notes": {"type": "array", "items": {"type": "string"}}
                }
              },
              "QuarantineList": {
                "type": "object",
                "required": ["quarantine"],
                "properties": {
                  "quarantine": {"type": "array", "items": {"$ref": "#/components/schemas/Quarantine"}}
                }
              },
              "Quarantine": {
                "type": "object",
                "required": ["disk", "diskseq", "driver", "ios", "bytes", "since"],
                "properties": {
                  "disk": {"type": "string"},
                  "diskseq": {"type": "integer"},
                  "driver": {"type": "string"},
                  "ios": {"type": "integer"},
                  "bytes": {"type": "integer"},
                  "since": {"type": "number"}
                }
              },
              "MountList": {
                "type": "object",
                "required": ["mounts"],
                "properties": {"mounts": {"type": "array", "items": {"$ref": "#/components/schemas/Mount"}}}
              },
              "Mount": {
                "type": "object",
                "required": ["id", "path", "sysroot"],
                "properties": {
                  "id": {"type": "string"},
                  "path": {"type": "string"},
                  "sysroot": {"type": "boolean", "description": "whether the device files are text about the disks"}
                }
              },
              "ExportList": {
                "type": "object",
                "required": ["exports"],
                "properties": {"exports": {"type": "array", "items": {"$ref": "#/components/schemas/Export"}}}
              },
              "Export": {
                "type": "object",
                "required": ["id", "kind", "device", "name", "uri", "ro"],
                "properties": {
                  "id": {"type": ["string", "null"]},
                  "kind": {"type": "string"},
                  "device": {"type": "string"},
                  "name": {"type": "string"},
                  "uri": {"type": "string"},
                  "ro": {"type": "boolean"}
                }
              },
              "Health": {
                "type": "object",
                "required": ["status", "instance", "version", "pid", "disks", "uptime_seconds"],
                "properties": {
                  "status": {"type": "string"},
                  "instance": {"type": "string"},
                  "version": {"type": "string"},
                  "pid": {"type": "integer"},
                  "disks": {"type": "integer"},
                  "uptime_seconds": {"type": "number"}
                }
              },
              "ProviderList": {
                "type": "object",
                "required": ["providers"],
                "properties": {"providers": {"type": "array", "items": {"$ref": "#/components/schemas/Provider"}}}
              },
              "Provider": {
                "type": "object",
                "required": ["pattern", "driver", "parameters", "made", "failed", "failure"],
                "properties": {
                  "pattern": {"type": "string"},
                  "driver": {"type": "string"},
                  "parameters": {
                    "type": "object",
                    "additionalProperties": {"type": ["string", "array"], "items": {"type": "string"}}
                  },
                  "made": {"type": "integer", "description": "disks"},
                  "failed": {"type": "integer"},
                  "failure": {"type": ["string", "null"], "description": "why, the last time"}
                }
              },
              "Settled": {
                "type": "object",
                "required": ["seqnum", "exists"],
                "properties": {
                  "seqnum": {"type": "integer"},
                  "exists": {"type": ["boolean", "null"]}
                }
              },
              "Event": {
                "type": "object",
                "required": [
                  "seqnum",
                  "action",
                  "devpath",
                  "subsystem",
                  "devname",
                  "devtype",
                  "major",
                  "minor",
                  "diskseq",
                  "partn",
                  "partname",
                  "partuuid",
                  "time",
                  "properties",
                  "environment"
                ],
                "properties": {
                  "seqnum": {"type": "integer"},
                  "action": {"type": "string"},
                  "devpath": {"type": "string"},
                  "subsystem": {"type": "string"},
                  "devname": {"type": "string"},
                  "devtype": {"type": "string"},
                  "major": {"type": "integer"},
                  "minor": {"type": "integer"},
                  "diskseq": {"type": "integer"},
                  "partn": {"type": ["integer", "null"]},
                  "partname": {"type": ["string", "null"]},
                  "partuuid": {"type": ["string", "null"]},
                  "time": {"type": "number"},
                  "properties": {"type": "object", "additionalProperties": {"type": "string"}},
                  "environment": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "KEY=value as a kernel sends them, in its order"
                  }
                }
              },
              "Problem": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                  "type": {"type": "string"},
                  "title": {"type": "string"},
                  "status": {"type": "integer"},
                  "detail": {"type": "string"},
                  "errno": {"type": ["string", "null"]},
                  "disk": {"type": ["string", "null"]},
                  "diskseq": {"type": ["integer", "null"]},
                  "openers": {
                    "oneOf": [
                      {"type": "array", "items": {"$ref": "#/components/schemas/Opener"}},
                      {"type": "null"}
                    ]
                  },
                  "report": {"oneOf": [{"$ref": "#/components/schemas/Removal"}, {"type": "null"}]}
                }
              }
        """#
}
