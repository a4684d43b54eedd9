// SPDX-License-Identifier: Apache-2.0

extension OpenAPIDocument {
    /// What a verb asks for.
    static let requestSchemas = #"""
              "Add": {
                "type": "object",
                "required": ["driver"],
                "properties": {
                  "driver": {"type": "string"},
                  "parameters": {
                    "type": "object",
                    "additionalProperties": {"type": ["string", "array"], "items": {"type": "string"}},
                    "description": "key=value; a list where a key repeats; bare words under the empty key"
                  }
                }
              },
              "Remove": {
                "type": "object",
                "required": [],
                "properties": {
                  "mode": {
                    "type": "string",
                    "enum": ["safe", "deferred", "hide", "soft", "hard", "surprise"],
                    "default": "safe"
                  },
                  "timeout_seconds": {"type": "number"},
                  "wait": {"type": "boolean"},
                  "dry_run": {"type": "boolean"}
                }
              },
              "Resize": {
                "type": "object",
                "required": ["size"],
                "properties": {"size": {"type": "integer", "description": "bytes"}}
              },
              "Freeze": {
                "type": "object",
                "properties": {"timeout_seconds": {"type": "number", "description": "30 where it is absent"}}
              },
              "Set": {
                "type": "object",
                "required": ["settings"],
                "properties": {"settings": {"type": "object", "additionalProperties": {"type": "string"}}}
              },
              "Insert": {
                "type": "object",
                "required": ["path"],
                "properties": {"path": {"type": "string", "description": "of an image or a block device"}}
              },
              "Eject": {
                "type": "object",
                "properties": {"force": {"type": "boolean"}, "timeout_seconds": {"type": "number"}}
              },
              "Provide": {
                "type": "object",
                "required": ["pattern", "driver"],
                "properties": {
                  "pattern": {"type": "string", "description": "* stands for any run of characters"},
                  "driver": {"type": "string"},
                  "parameters": {
                    "type": "object",
                    "additionalProperties": {"type": ["string", "array"], "items": {"type": "string"}},
                    "description": "as of Add; {name} in a value is the name that was asked for"
                  }
                }
              },
              "Settle": {
                "type": "object",
                "properties": {
                  "timeout_seconds": {"type": "number", "description": "120 where it is absent"},
                  "exit_if_exists": {"type": "string", "description": "a disk or partition that is enough"}
                }
              },
              "AddMount": {
                "type": "object",
                "required": ["path"],
                "properties": {
                  "path": {"type": "string", "description": "an empty directory, absolute"},
                  "sysroot": {"type": "boolean", "description": "device files are text, as 'lsblk --sysroot' reads it"},
                  "allow_other": {"type": "boolean", "description": "other users may look in"}
                }
              },
              "AddExport": {
                "type": "object",
                "required": ["device", "kind"],
                "properties": {
                  "device": {"type": "string"},
                  "kind": {"type": "string"},
                  "parameters": {
                    "type": "object",
                    "additionalProperties": {"type": ["string", "array"], "items": {"type": "string"}},
                    "description": "key=value; a list where a key repeats; bare words under the empty key"
                  }
                }
              }
        """#
}
