// SPDX-License-Identifier: Apache-2.0

extension OpenAPIDocument {
    /// What the routes of attributes and traces take and answer, and the figures of statistics.
    static let attributeSchemas = #"""
              "AttributeList": {
                "type": "object",
                "required": ["device", "diskseq", "attributes"],
                "properties": {
                  "device": {"type": "string"},
                  "diskseq": {"type": "integer"},
                  "attributes": {"type": "array", "items": {"$ref": "#/components/schemas/Attribute"}}
                }
              },
              "Attribute": {
                "type": "object",
                "required": ["path", "readable", "writable", "value"],
                "properties": {
                  "path": {"type": "string", "description": "size, queue/iostats"},
                  "readable": {"type": "boolean"},
                  "writable": {"type": "boolean"},
                  "value": {"type": ["string", "null"]}
                }
              },
              "WriteAttribute": {
                "type": "object",
                "required": ["path", "value"],
                "properties": {"path": {"type": "string"}, "value": {"type": "string"}}
              },
              "StoppedTrace": {
                "type": "object",
                "required": ["device", "was_traced"],
                "properties": {"device": {"type": "string"}, "was_traced": {"type": "boolean"}}
              },
              "Latency": {
                "type": "object",
                "required": ["operation", "count", "p50", "p90", "p99", "p99.9", "max"],
                "properties": {
                  "operation": {"type": "string", "enum": ["read", "write", "discard", "flush"]},
                  "count": {"type": "integer"},
                  "p50": {"type": "number", "description": "seconds"},
                  "p90": {"type": "number"},
                  "p99": {"type": "number"},
                  "p99.9": {"type": "number"},
                  "max": {"type": "number"}
                }
              }
        """#
}
