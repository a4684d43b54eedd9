// SPDX-License-Identifier: Apache-2.0
@main
struct Platter {
    static func main() {}
}
