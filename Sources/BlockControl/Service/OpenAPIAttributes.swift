// SPDX-License-Identifier: Apache-2.0

extension OpenAPIDocument {
    /// Routes of attributes.
    static let attributePaths = #"""
            "/v1/disks/{name}/attributes": {
              "get": {
                "operationId": "listAttributes",
                "summary": "The attributes of a disk or a partition, as in /sys/block",
                "parameters": [
                  {"$ref": "#/components/parameters/Name"},
                  {
                    "name": "path",
                    "in": "query",
                    "description": "only this one: size, queue/iostats",
                    "schema": {"type": "string"}
                  }
                ],
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {
                      "application/json": {"schema": {"$ref": "#/components/schemas/AttributeList"}}
                    }
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              },
              "post": {
                "operationId": "writeAttribute",
                "summary": "Write one attribute; the answer is what it says then",
                "parameters": [
                  {"$ref": "#/components/parameters/Name"},
                  {"$ref": "#/components/parameters/IfMatch"}
                ],
                "requestBody": {
                  "required": true,
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/WriteAttribute"}}}
                },
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {
                      "application/json": {"schema": {"$ref": "#/components/schemas/AttributeList"}}
                    }
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            }
        """#

    /// What they take and answer, and the figures of statistics.
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
