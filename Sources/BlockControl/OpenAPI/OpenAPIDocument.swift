// SPDX-License-Identifier: Apache-2.0

/// The description of the control interface, in OpenAPI 3.1, served at `/openapi.json`. Its paths are made of the routes,
/// ``ControlRoute``; its schemas are written by hand, in files of their own by area, and tested against the models in
/// both directions.
public enum OpenAPIDocument {
    /// The document.
    public static let text = [
        beginning, paths, middle,
        [diskSchemas, tableSchemas, attributeSchemas, requestSchemas, answerSchemas].joined(separator: ",\n"), ending,
    ].joined(separator: "\n")

    private static let beginning = #"""
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
        """#

    private static let middle = #"""
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
            },
            "schemas": {
        """#

    private static let ending = #"""
            }
          }
        }
        """#
}
