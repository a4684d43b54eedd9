// SPDX-License-Identifier: Apache-2.0

import Testing
import platter

@Suite struct `The book of mounts` {
    private var book = TreeBook<String>()

    @Test mutating func `gives a path to one of two, until it is gone`() {
        let (first, second) = (book.reserve("/a"), book.reserve("/a"))
        #expect(first == .reserved(id: "1") && second == .taken)
        let standing = book.enter("1", "tree")
        #expect(standing == .mounted && book.mounted.map(\.tree) == ["tree"])
        let path = book.ended("1")
        #expect(path == "/a" && book.mounted.isEmpty)
        let third = book.reserve("/a")
        #expect(third == .reserved(id: "2"))
    }

    @Test mutating func `says that the end has come, not that the path is taken`() {
        _ = book.reserve("/a")
        _ = book.stop()
        let (same, other) = (book.reserve("/a"), book.reserve("/b"))
        #expect(same == .ending && other == .ending)
    }

    @Test mutating func `does not have what was unmounted before it was entered`() {
        _ = book.reserve("/a")
        let path = book.ended("1")
        let standing = book.enter("1", "tree")
        #expect(path == "/a" && standing == .ended && book.mounted.isEmpty)
    }

    @Test mutating func `leaves what was mounted after the end to who mounted it`() {
        _ = book.reserve("/a")
        _ = book.reserve("/b")
        _ = book.enter("1", "tree")
        let stopped = book.stop()
        let standing = book.enter("2", "late")
        #expect(stopped == ["tree"] && standing == .ending && book.mounted.isEmpty)
        let path = book.ended("1")
        #expect(path == nil, "nobody is told of an end that we made")
    }

    @Test mutating func `lets one at a time take it away`() {
        _ = book.reserve("/a")
        guard case .unknown = book.leave("1") else { return _ = Issue.record("it is not mounted yet") }
        _ = book.enter("1", "tree")
        guard case .leaves("tree") = book.leave("1"), case .isLeaving("tree") = book.leave("1") else {
            return _ = Issue.record("two take it away")
        }
        book.stay("1")
        guard case .leaves = book.leave("1") else { return _ = Issue.record("it does not stay") }
        let taken = book.reserve("/a")
        let path = book.ended("1")
        #expect(taken == .taken && path == nil)
    }
}
