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
        """#
}
