// SPDX-License-Identifier: Apache-2.0

extension OpenAPIDocument {
    /// Routes of exports, events, and of the daemon itself.
    static let servicePaths = #"""
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
            "/v1/providers": {
              "get": {
                "operationId": "listProviders",
                "summary": "For which names disks are made when they are opened",
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {
                      "application/json": {"schema": {"$ref": "#/components/schemas/ProviderList"}}
                    }
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              },
              "post": {
                "operationId": "addProvider",
                "summary": "Have disks made for a pattern of names when they are opened",
                "requestBody": {
                  "required": true,
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Provide"}}}
                },
                "responses": {
                  "201": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Provider"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/providers/{name}": {
              "delete": {
                "operationId": "removeProvider",
                "summary": "Make no more disks for a pattern; those that were made stay",
                "parameters": [
                  {"name": "name", "in": "path", "required": true, "description": "the pattern", "schema": {"type": "string"}}
                ],
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Provider"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/mounts": {
              "get": {
                "operationId": "listMounts",
                "summary": "Under which directories disks are shown as files",
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {
                      "application/json": {"schema": {"$ref": "#/components/schemas/MountList"}}
                    }
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              },
              "post": {
                "operationId": "addMount",
                "summary": "Show the disks as files under an empty directory",
                "requestBody": {
                  "required": true,
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AddMount"}}}
                },
                "responses": {
                  "201": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Mount"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            },
            "/v1/mounts/{id}": {
              "delete": {
                "operationId": "removeMount",
                "summary": "Take a tree of files away",
                "parameters": [
                  {"name": "id", "in": "path", "required": true, "schema": {"type": "string"}},
                  {
                    "name": "lazy",
                    "in": "query",
                    "description": "1: also while files there are open; they work until they are closed",
                    "schema": {"type": "string"}
                  }
                ],
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Mount"}}}
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
                    "description": "the first event that is wanted: INSTANCE-N, or N",
                    "schema": {"type": "string"}
                  },
                  {
                    "name": "device",
                    "in": "query",
                    "description": "disks, with their partitions, or partitions; separated by commas",
                    "schema": {"type": "string"}
                  },
                  {
                    "name": "action",
                    "in": "query",
                    "description": "add, remove, change, …; separated by commas",
                    "schema": {"type": "string"}
                  },
                  {"name": "devtype", "in": "query", "schema": {"type": "string", "enum": ["disk", "partition"]}},
                  {
                    "name": "Last-Event-ID",
                    "in": "header",
                    "description": "the id of the last event that was seen",
                    "schema": {"type": "string"}
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
            "/v1/settle": {
              "post": {
                "operationId": "settle",
                "summary": "Wait until the hotplug helper and all listeners have handled what has happened until now",
                "requestBody": {
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Settle"}}}
                },
                "responses": {
                  "200": {
                    "description": "Done",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Settled"}}}
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
        """#
}
