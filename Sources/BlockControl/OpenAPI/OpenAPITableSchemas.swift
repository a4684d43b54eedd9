// SPDX-License-Identifier: Apache-2.0

extension OpenAPIDocument {
    /// The documents of edits of a table.
    static let tableSchemas = #"""
              "TableEdit": {
                "type": "object",
                "required": ["edit"],
                "properties": {
                  "edit": {
                    "type": "string",
                    "enum": ["make", "create", "delete", "resize", "name", "convert", "apply"]
                  },
                  "table": {"type": ["string", "null"], "enum": ["gpt", "dos", null]},
                  "number": {"type": ["integer", "null"]},
                  "numbers": {"type": ["array", "null"], "items": {"type": "integer"}},
                  "start": {"type": ["integer", "null"], "description": "In bytes"},
                  "size": {"type": ["integer", "null"], "description": "In bytes"},
                  "type": {"type": ["string", "null"]},
                  "uuid": {"type": ["string", "null"]},
                  "name": {"type": ["string", "null"]},
                  "bootable": {"type": ["boolean", "null"]},
                  "script": {"type": ["string", "null"], "description": "As sfdisk reads it"},
                  "force": {"type": ["boolean", "null"]},
                  "dry_run": {"type": ["boolean", "null"]}
                }
              },
              "TableChange": {
                "type": "object",
                "required": ["disk", "dry_run", "writes", "table", "notes", "added", "removed"],
                "properties": {
                  "disk": {"type": "string"},
                  "dry_run": {"type": "boolean"},
                  "writes": {
                    "type": "array",
                    "items": {
                      "type": "object",
                      "required": ["offset", "length", "what"],
                      "properties": {
                        "offset": {"type": "integer"},
                        "length": {"type": "integer"},
                        "what": {"type": "string"}
                      }
                    }
                  },
                  "table": {"$ref": "#/components/schemas/PartitionTable"},
                  "notes": {"type": "array", "items": {"type": "string"}},
                  "added": {"type": "array", "items": {"type": "string"}},
                  "removed": {"type": "array", "items": {"type": "string"}}
                }
              }
        """#
}
