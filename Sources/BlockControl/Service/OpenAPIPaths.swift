// SPDX-License-Identifier: Apache-2.0

extension OpenAPIDocument {
    /// Routes of disks as such: they come, are looked at, and go.
    static let diskPaths = #"""
            "/v1/disks": {
              "get": {
                "operationId": "listDisks",
                "summary": "All disks with their partitions",
                "parameters": [
                  {
                    "name": "hidden",
                    "in": "query",
                    "description": "1: with the hidden ones",
                    "schema": {"type": "string", "enum": ["0", "1"]}
                  },
                  {
                    "name": "sysfs",
                    "in": "query",
                    "description": "1: with what the attributes of each say",
                    "schema": {"type": "string", "enum": ["0", "1"]}
                  }
                ],
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {
                      "application/json": {"schema": {"$ref": "#/components/schemas/DeviceList"}}
                    }
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              },
              "post": {
                "operationId": "addDisk",
                "summary": "Add a disk",
                "requestBody": {
                  "required": true,
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Add"}}}
                },
                "responses": {
                  "201": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Disk"}}},
                    "headers": {
                      "ETag": {
                        "description": "\"INSTANCE-DISKSEQ-GENERATION\"",
                        "schema": {"type": "string"}
                      }
                    }
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/disks/{name}": {
              "get": {
                "operationId": "showDisk",
                "summary": "Everything about one disk or partition",
                "parameters": [{"$ref": "#/components/parameters/Name"}],
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Disk"}}},
                    "headers": {
                      "ETag": {
                        "description": "\"INSTANCE-DISKSEQ-GENERATION\"",
                        "schema": {"type": "string"}
                      }
                    }
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/disks/{name}/partitions": {
              "get": {
                "operationId": "diskPartitions",
                "summary": "Read the partition table that is on the disk now",
                "parameters": [
                  {"$ref": "#/components/parameters/Name"},
                  {
                    "name": "as",
                    "in": "query",
                    "schema": {"type": "string", "enum": ["platter", "kernel", "blkid"]}
                  },
                  {
                    "name": "formats",
                    "in": "query",
                    "description": "the formats to ask, separated by commas",
                    "schema": {"type": "string"}
                  },
                  {"name": "explain", "in": "query", "schema": {"type": "string", "enum": ["1"]}},
                  {
                    "name": "geometry",
                    "in": "query",
                    "description": "cylinders, heads and sectors per track: C/H/S",
                    "schema": {"type": "string"}
                  },
                  {
                    "name": "cmdline",
                    "in": "query",
                    "description": "the kernel's parameter blkdevparts=",
                    "schema": {"type": "string"}
                  }
                ],
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {
                      "application/json": {"schema": {"$ref": "#/components/schemas/PartitionTable"}}
                    }
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/disks/{name}/remove": {
              "post": {
                "operationId": "removeDisk",
                "summary": "Remove a disk, in one of six modes",
                "parameters": [
                  {"$ref": "#/components/parameters/Name"},
                  {"$ref": "#/components/parameters/IfMatch"}
                ],
                "requestBody": {
                  "required": true,
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Remove"}}}
                },
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Removal"}}}
                  },
                  "202": {
                    "description": "Removed when its openers leave",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Removal"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/disks/{name}/cancel": {
              "post": {
                "operationId": "cancelRemoval",
                "summary": "Take a deferred or hidden removal back",
                "parameters": [
                  {"$ref": "#/components/parameters/Name"},
                  {"$ref": "#/components/parameters/IfMatch"}
                ],
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Disk"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/quarantine": {
              "get": {
                "operationId": "quarantine",
                "summary": "What removed disks still owe",
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {
                      "application/json": {"schema": {"$ref": "#/components/schemas/QuarantineList"}}
                    }
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            }
        """#
}
