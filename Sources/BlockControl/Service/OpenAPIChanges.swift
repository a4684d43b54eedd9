// SPDX-License-Identifier: Apache-2.0

extension OpenAPIDocument {
    /// Routes that change a disk that is there.
    static let changePaths = #"""
            "/v1/disks/{name}/resize": {
              "post": {
                "operationId": "resizeDisk",
                "summary": "Change the size",
                "parameters": [
                  {"$ref": "#/components/parameters/Name"},
                  {"$ref": "#/components/parameters/IfMatch"}
                ],
                "requestBody": {
                  "required": true,
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Resize"}}}
                },
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Disk"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/disks/{name}/set": {
              "post": {
                "operationId": "setDisk",
                "summary": "Change settings of the disk or its driver",
                "parameters": [
                  {"$ref": "#/components/parameters/Name"},
                  {"$ref": "#/components/parameters/IfMatch"}
                ],
                "requestBody": {
                  "required": true,
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Set"}}}
                },
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Disk"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/disks/{name}/rescan": {
              "post": {
                "operationId": "rescanDisk",
                "summary": "Read the partition table again and make its partitions devices",
                "parameters": [
                  {"$ref": "#/components/parameters/Name"},
                  {"$ref": "#/components/parameters/IfMatch"}
                ],
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Rescan"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/disks/{name}/table": {
              "post": {
                "operationId": "editTable",
                "summary": "Write another partition table and make its partitions devices",
                "parameters": [
                  {"$ref": "#/components/parameters/Name"},
                  {"$ref": "#/components/parameters/IfMatch"}
                ],
                "requestBody": {
                  "required": true,
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TableEdit"}}}
                },
                "responses": {
                  "200": {
                    "description": "Done, or what would be done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TableChange"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/disks/{name}/freeze": {
              "post": {
                "operationId": "freezeDisk",
                "summary": "Let no I/O in, and wait until what is under way is done",
                "parameters": [
                  {"$ref": "#/components/parameters/Name"},
                  {"$ref": "#/components/parameters/IfMatch"}
                ],
                "requestBody": {
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Freeze"}}}
                },
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Disk"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/disks/{name}/thaw": {
              "post": {
                "operationId": "thawDisk",
                "summary": "Take one freeze back; what waited goes on",
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
            "/v1/disks/{name}/trace": {
              "get": {
                "operationId": "traceDisk",
                "summary": "Each step of its I/O as it happens, in the binary format of blktrace",
                "parameters": [
                  {"$ref": "#/components/parameters/Name"},
                  {"name": "actions", "in": "query", "schema": {"type": "string"}},
                  {"name": "start", "in": "query", "schema": {"type": "integer"}},
                  {"name": "end", "in": "query", "schema": {"type": "integer"}},
                  {"name": "pid", "in": "query", "schema": {"type": "integer"}},
                  {"name": "buffer", "in": "query", "schema": {"type": "integer"}}
                ],
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              },
              "delete": {
                "operationId": "stopTrace",
                "summary": "End the trace that runs, whoever reads it",
                "parameters": [{"$ref": "#/components/parameters/Name"}],
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"type": "object"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/disks/{name}/insert": {
              "post": {
                "operationId": "insertMedium",
                "summary": "Put a medium into a disk with removable media",
                "parameters": [
                  {"$ref": "#/components/parameters/Name"},
                  {"$ref": "#/components/parameters/IfMatch"}
                ],
                "requestBody": {
                  "required": true,
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Insert"}}}
                },
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Medium"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/disks/{name}/eject": {
              "post": {
                "operationId": "ejectMedium",
                "summary": "Take the medium out of a disk with removable media",
                "parameters": [
                  {"$ref": "#/components/parameters/Name"},
                  {"$ref": "#/components/parameters/IfMatch"}
                ],
                "requestBody": {
                  "required": true,
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Eject"}}}
                },
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Medium"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            }
        """#
}
