// SPDX-License-Identifier: Apache-2.0

/// The description of the control interface, in OpenAPI 3.1: written by hand, served at `/openapi.json`, and tested
/// against ``ControlRoute`` and the models in both directions.
public enum OpenAPIDocument {
    /// The document.
    public static let text = paths + ",\n" + schemas

    private static let paths = #"""
        {
          "openapi": "3.1.0",
          "info": {
            "title": "Platter",
            "version": "1",
            "summary": "The control interface of the platter daemon",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}
          },
          "servers": [
            {
              "url": "http://localhost",
              "description": "through the unix socket: curl --unix-socket"
            }
          ],
          "security": [{}, {"token": []}],
          "paths": {
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
            },
            "/v1/exports": {
              "get": {
                "operationId": "listExports",
                "summary": "What clients can connect to",
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {
                      "application/json": {"schema": {"$ref": "#/components/schemas/ExportList"}}
                    }
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              },
              "post": {
                "operationId": "addExport",
                "summary": "Offer a disk to clients",
                "requestBody": {
                  "required": true,
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AddExport"}}}
                },
                "responses": {
                  "201": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Export"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/exports/{id}": {
              "delete": {
                "operationId": "removeExport",
                "summary": "Take an export back",
                "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Export"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/events": {
              "get": {
                "operationId": "events",
                "summary": "The events of all disks, as server-sent events",
                "parameters": [
                  {
                    "name": "from",
                    "in": "query",
                    "description": "the first event that is wanted",
                    "schema": {"type": "integer"}
                  },
                  {
                    "name": "Last-Event-ID",
                    "in": "header",
                    "description": "the last event that was seen",
                    "schema": {"type": "integer"}
                  }
                ],
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"text/event-stream": {"schema": {"type": "string"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/metrics": {
              "get": {
                "operationId": "metrics",
                "summary": "Counters in Prometheus' text format",
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"text/plain": {"schema": {"type": "string"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/healthz": {
              "get": {
                "operationId": "health",
                "summary": "That the daemon lives, and which one it is",
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/openapi.json": {
              "get": {
                "operationId": "openAPI",
                "summary": "This document",
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"type": "object"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            }
          },
          "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "Over TCP only"}},
            "parameters": {
              "Name": {
                "name": "name",
                "in": "path",
                "required": true,
                "description": "a disk or partition, or seq:N",
                "schema": {"type": "string"}
              },
              "IfMatch": {
                "name": "If-Match",
                "in": "header",
                "description": "ETag of the disk that is meant, or \"INSTANCE-DISKSEQ\"",
                "schema": {"type": "string"}
              }
            },
            "responses": {
              "Problem": {
                "description": "A problem",
                "content": {
                  "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
                }
              }
            }
        """#
}
