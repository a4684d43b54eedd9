// SPDX-License-Identifier: Apache-2.0

extension OpenAPIDocument {
    /// What there is to say about a disk.
    static let diskSchemas = #"""
              "DeviceList": {
                "type": "object",
                "required": ["blockdevices"],
                "properties": {
                  "blockdevices": {"type": "array", "items": {"$ref": "#/components/schemas/Device"}}
                }
              },
              "Device": {
                "type": "object",
                "required": [
                  "name",
                  "maj:min",
                  "rm",
                  "size",
                  "ro",
                  "type",
                  "diskseq",
                  "state",
                  "driver",
                  "openers",
                  "uppers",
                  "lowers"
                ],
                "properties": {
                  "name": {"type": "string"},
                  "maj:min": {"type": "string"},
                  "rm": {"type": "boolean"},
                  "size": {"type": "integer", "description": "bytes"},
                  "ro": {"type": "boolean"},
                  "type": {"type": "string", "description": "disk, part, or the driver of what stands on others"},
                  "diskseq": {"type": "integer"},
                  "state": {"type": "string", "enum": ["adding", "live", "frozen", "no-medium", "removing", "owing", "gone"]},
                  "driver": {"type": "string"},
                  "openers": {"type": "integer"},
                  "uppers": {"type": "array", "items": {"type": "string"}, "description": "what stands on it"},
                  "lowers": {"type": "array", "items": {"type": "string"}, "description": "what it stands on"},
                  "start": {"type": "integer", "description": "512-byte sectors; partitions only"},
                  "parttype": {"type": ["string", "null"]},
                  "partuuid": {"type": ["string", "null"]},
                  "partlabel": {"type": ["string", "null"]},
                  "pttype": {"type": "string", "description": "only with ?sysfs=1"},
                  "partflags": {"type": "string", "description": "only with ?sysfs=1, and where any is set"},
                  "sysfs": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "attributes; only with ?sysfs=1"
                  },
                  "children": {"type": "array", "items": {"$ref": "#/components/schemas/Device"}}
                }
              },
              "Disk": {
                "allOf": [
                  {"$ref": "#/components/schemas/Device"},
                  {
                    "type": "object",
                    "required": [
                      "instance",
                      "generation",
                      "removal",
                      "profile",
                      "settings",
                      "holders",
                      "statistics",
                      "ledger",
                      "latencies",
                      "errors",
                      "exports",
                      "settings_stale",
                      "notes",
                      "hidden",
                      "node",
                      "parent",
                      "attributes",
                      "limits",
                      "freeze_depth",
                      "parked",
                      "waiting"
                    ],
                    "properties": {
                      "instance": {"type": "string"},
                      "generation": {"type": "string"},
                      "removal": {"type": ["string", "null"]},
                      "profile": {"type": "object", "additionalProperties": {"type": "string"}},
                      "settings": {"type": "object", "additionalProperties": {"type": "string"}},
                      "holders": {"type": "array", "items": {"$ref": "#/components/schemas/Opener"}},
                      "statistics": {"type": "array", "items": {"$ref": "#/components/schemas/Statistics"}},
                      "ledger": {"$ref": "#/components/schemas/Ledger"},
                      "latencies": {"type": "array", "items": {"$ref": "#/components/schemas/Latency"}},
                      "errors": {"type": "object", "additionalProperties": {"type": "integer"}},
                      "exports": {"type": "array", "items": {"$ref": "#/components/schemas/Export"}},
                      "settings_stale": {
                        "type": "boolean",
                        "description": "the driver did not answer in time: the settings are the last it said"
                      },
                      "notes": {"type": "array", "items": {"type": "string"}},
                      "hidden": {"type": "boolean"},
                      "node": {"anyOf": [{"$ref": "#/components/schemas/Node"}, {"type": "null"}]},
                      "parent": {"type": ["string", "null"]},
                      "attributes": {"type": "object", "additionalProperties": {"type": "string"}},
                      "limits": {"$ref": "#/components/schemas/Limits"},
                      "freeze_depth": {"type": "integer", "description": "thaws that are needed until I/O is let in"},
                      "parked": {"type": "integer", "description": "I/Os that wait at the gate for them"},
                      "waiting": {
                        "type": "integer",
                        "description": "I/Os that were let in and wait for a place at the driver, a flush or a resume"
                      }
                    }
                  }
                ]
              },
              "Limits": {
                "type": "object",
                "description": "sizes in bytes, counts in 512-byte sectors; null: no limit",
                "required": [
                  "logical_block_size",
                  "physical_block_size",
                  "alignment_offset",
                  "minimum_io_size",
                  "optimal_io_size",
                  "max_sectors",
                  "max_hw_sectors",
                  "max_dev_sectors",
                  "max_user_sectors",
                  "chunk_sectors",
                  "max_discard_sectors",
                  "max_hw_discard_sectors",
                  "max_user_discard_sectors",
                  "discard_granularity",
                  "max_write_zeroes_sectors",
                  "misaligned"
                ],
                "properties": {
                  "logical_block_size": {"type": "integer"},
                  "physical_block_size": {"type": "integer"},
                  "alignment_offset": {"type": "integer"},
                  "minimum_io_size": {"type": "integer"},
                  "optimal_io_size": {"type": "integer"},
                  "max_sectors": {"type": ["integer", "null"]},
                  "max_hw_sectors": {"type": ["integer", "null"]},
                  "max_dev_sectors": {"type": "integer"},
                  "max_user_sectors": {"type": ["integer", "null"]},
                  "chunk_sectors": {"type": "integer"},
                  "max_discard_sectors": {"type": ["integer", "null"]},
                  "max_hw_discard_sectors": {"type": ["integer", "null"]},
                  "max_user_discard_sectors": {"type": ["integer", "null"]},
                  "discard_granularity": {"type": "integer"},
                  "max_write_zeroes_sectors": {"type": ["integer", "null"]},
                  "misaligned": {"type": "boolean"}
                }
              },
              "Node": {
                "type": "object",
                "required": ["path", "mode", "uid", "gid"],
                "properties": {
                  "path": {"type": "string", "description": "below /dev"},
                  "mode": {"type": ["integer", "null"]},
                  "uid": {"type": ["integer", "null"]},
                  "gid": {"type": ["integer", "null"]}
                }
              },
              "Opener": {
                "type": "object",
                "required": [
                  "device",
                  "opener",
                  "mode",
                  "claim",
                  "pid",
                  "uid",
                  "program",
                  "address",
                  "since",
                  "in_flight",
                  "holder"
                ],
                "properties": {
                  "device": {"type": "string"},
                  "opener": {"type": "string"},
                  "mode": {"type": "string"},
                  "claim": {"type": "boolean"},
                  "pid": {"type": ["integer", "null"]},
                  "uid": {"type": ["integer", "null"]},
                  "program": {"type": ["string", "null"]},
                  "address": {"type": ["string", "null"]},
                  "since": {"type": "number", "description": "seconds since 1970"},
                  "in_flight": {"type": "integer"},
                  "holder": {"type": ["string", "null"], "description": "for whom it claims the device"}
                }
              },
              "Counters": {
                "type": "object",
                "required": ["completed", "bytes", "seconds"],
                "properties": {
                  "completed": {"type": "integer"},
                  "bytes": {"type": "integer"},
                  "seconds": {"type": "number"}
                }
              },
              "Statistics": {
                "type": "object",
                "required": [
                  "device",
                  "reads",
                  "writes",
                  "discards",
                  "flushes",
                  "flush_commands",
                  "busy_seconds",
                  "in_flight"
                ],
                "properties": {
                  "device": {"type": "string"},
                  "reads": {"$ref": "#/components/schemas/Counters"},
                  "writes": {"$ref": "#/components/schemas/Counters"},
                  "discards": {"$ref": "#/components/schemas/Counters"},
                  "flushes": {"$ref": "#/components/schemas/Counters"},
                  "flush_commands": {"$ref": "#/components/schemas/Counters"},
                  "busy_seconds": {"type": "number"},
                  "in_flight": {"type": "integer"}
                }
              },
              "Ledger": {
                "type": "object",
                "required": [
                  "accepted",
                  "ok",
                  "failed",
                  "aborted",
                  "quarantined",
                  "in_flight",
                  "timed_out",
                  "expired",
                  "late",
                  "refused",
                  "driver_faults"
                ],
                "properties": {
                  "accepted": {"type": "integer"},
                  "ok": {"type": "integer"},
                  "failed": {"type": "integer"},
                  "aborted": {"type": "integer", "description": "answered in the driver's stead, and by it later"},
                  "quarantined": {"type": "integer", "description": "answered in its stead, and still owed by it"},
                  "in_flight": {"type": "integer"},
                  "timed_out": {"type": "integer", "description": "of aborted and quarantined, by a timeout"},
                  "expired": {"type": "integer", "description": "of aborted and quarantined, by a removal's deadline"},
                  "late": {"type": "integer"},
                  "refused": {"type": "integer"},
                  "driver_faults": {"type": "integer"}
                }
              },
              "PartitionTable": {
                "type": "object",
                "required": ["table", "sector_size", "partitions", "warnings", "id", "probes"],
                "properties": {
                  "table": {"type": ["string", "null"]},
                  "sector_size": {"type": "integer"},
                  "partitions": {"type": "array", "items": {"$ref": "#/components/schemas/Partition"}},
                  "warnings": {"type": "array", "items": {"type": "string"}},
                  "id": {"type": ["string", "null"]},
                  "probes": {
                    "type": ["array", "null"],
                    "items": {
                      "type": "object",
                      "required": ["format", "outcome", "reason", "sectors"],
                      "properties": {
                        "format": {"type": "string"},
                        "outcome": {"type": "string", "enum": ["claimed", "no", "error"]},
                        "reason": {"type": "string"},
                        "sectors": {
                          "type": "array",
                          "items": {"type": "array", "items": {"type": "integer"}}
                        }
                      }
                    }
                  }
                }
              },
              "Partition": {
                "type": "object",
                "required": [
                  "number", "start", "size", "extent", "type", "uuid", "name", "flags", "attributes", "nested"
                ],
                "properties": {
                  "number": {"type": "integer"},
                  "start": {"type": "integer"},
                  "size": {"type": "integer"},
                  "extent": {"type": ["integer", "null"], "description": "Of an extended partition: its sectors"},
                  "type": {"type": ["string", "null"]},
                  "uuid": {"type": ["string", "null"]},
                  "name": {"type": ["string", "null"]},
                  "flags": {"type": "array", "items": {"type": "string"}},
                  "attributes": {"type": ["string", "null"]},
                  "nested": {"type": ["string", "null"]}
                }
              },
              "Medium": {
                "type": "object",
                "required": [
                  "disk",
                  "diskseq",
                  "size",
                  "table",
                  "partitions",
                  "warnings",
                  "unflushed_bytes",
                  "openers"
                ],
                "properties": {
                  "disk": {"type": "string"},
                  "diskseq": {"type": "integer"},
                  "size": {"type": "integer", "description": "bytes; 0: nothing is in"},
                  "table": {"type": ["string", "null"]},
                  "partitions": {"type": "array", "items": {"type": "string"}},
                  "warnings": {"type": "array", "items": {"type": "string"}},
                  "unflushed_bytes": {"type": "integer"},
                  "openers": {"type": "array", "items": {"$ref": "#/components/schemas/Opener"}}
                }
              },
              "Rescan": {
                "type": "object",
                "required": ["disk", "diskseq", "table", "partitions", "added", "removed", "warnings"],
                "properties": {
                  "disk": {"type": "string"},
                  "diskseq": {"type": "integer"},
                  "table": {"type": ["string", "null"]},
                  "partitions": {"type": "array", "items": {"type": "string"}},
                  "added": {"type": "array", "items": {"type": "string"}},
                  "removed": {"type": "array", "items": {"type": "string"}},
                  "warnings": {"type": "array", "items": {"type": "string"}}
                }
              }
        """#
}
