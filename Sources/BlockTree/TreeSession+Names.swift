// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// Names, attributes, links and directories: all on the reactor.
extension TreeSession {
    private func attributes(_ number: UInt64, _ node: TreeNode) -> FuseAttributes? {
        let attributes = view.attributes(of: node, known: own.value.nodes.size(of: number))
        if let attributes, case .file = node { own.value.nodes.setSize(attributes.size, of: number) }
        return attributes
    }

    /// The entry of a file that is there, counted as looked up.
    private func entry(_ node: TreeNode) -> FuseEntry? {
        // What is gone is not found, whoever still has it open.
        guard var attributes = view.attributes(of: node) else { return nil }
        let number = own.value.nodes.lookUp(node)
        if case .file = node {
            if attributes.size == 0 { attributes.size = own.value.nodes.size(of: number) }
            own.value.nodes.setSize(attributes.size, of: number)
        }
        let validity = view.validity(of: node)
        return FuseEntry(
            node: number, attributes: attributes, nameSeconds: validity.name, attributeSeconds: validity.attributes)
    }

    func lookUp(_ unique: UInt64, _ name: String, in parent: UInt64) {
        guard let folder = own.value.nodes.node(parent) else { return refuse(unique, FuseErrno.noEntry) }
        guard let node = view.lookUp(name, in: folder), let entry = entry(node) else {
            return refuse(unique, FuseErrno.noEntry)
        }
        channel.send(FuseReply.entry(unique, entry))
    }

    func getAttributes(_ unique: UInt64, _ number: UInt64) {
        guard let node = own.value.nodes.node(number), let attributes = attributes(number, node) else {
            return refuse(unique, FuseErrno.noEntry)
        }
        channel.send(FuseReply.attributes(unique, attributes, seconds: view.validity(of: node).attributes))
    }

    /// A device has the size that it has: an open that truncates, and a file that is cut, change nothing, as on a
    /// device.
    func setAttributes(_ unique: UInt64, _ number: UInt64, _ fields: FuseWire.SetFields, _ size: UInt64) {
        guard let node = own.value.nodes.node(number), let attributes = attributes(number, node) else {
            return refuse(unique, FuseErrno.noEntry)
        }
        guard fields.isDisjoint(with: [.mode, .user, .group]) else { return refuse(unique, FuseErrno.notPermitted) }
        if fields.contains(.size), case .file = node, size > attributes.size {
            return refuse(unique, FuseErrno.invalid)
        }
        channel.send(FuseReply.attributes(unique, attributes, seconds: view.validity(of: node).attributes))
    }

    func readLink(_ unique: UInt64, _ number: UInt64) {
        guard let node = own.value.nodes.node(number), let target = view.target(of: node) else {
            return refuse(unique, FuseErrno.noEntry)
        }
        channel.send(FuseReply.text(unique, Array(target.utf8)[...]))
    }

    // MARK: Directories

    func openDirectory(_ unique: UInt64, _ number: UInt64) {
        guard let node = own.value.nodes.node(number), view.attributes(of: node) != nil else {
            return refuse(unique, FuseErrno.noEntry)
        }
        guard let handle = handles.add(.directory(DirectoryFile(view.list(node)))) else {
            return refuse(unique, FuseErrno.noDevice)
        }
        channel.send(FuseReply.opened(unique, handle: handle, []))
    }

    func readDirectory(_ unique: UInt64, _ transfer: FuseRequest.Transfer, _ isPlus: Bool) {
        guard case .directory(let directory)? = handles[transfer.handle] else {
            return refuse(unique, FuseErrno.badHandle)
        }
        var reply = FuseReply(unique, reserving: transfer.count)
        let room = FuseWire.replyHead + transfer.count
        // `.` and `..` come first, and have no node here.
        let dots = [".", ".."]
        var place = Int(clamping: transfer.offset)
        while place < dots.count + directory.entries.count {
            let isDot = place < dots.count
            let name = isDot ? dots[place] : directory.entries[place - dots.count].name
            guard reply.bytes.count + FuseReply.entrySize(name, isPlus: isPlus) <= room else { break }
            place += 1
            if isDot {
                reply.put(
                    name: name, inode: TreeNode.hash(name, 0), .directory, offset: UInt64(place),
                    isPlus ? .some(.none) : .none)
                continue
            }
            let node = directory.entries[place - 1 - dots.count].node
            var entry: FuseEntry?
            if isPlus {
                // It has gone since: the place in the directory stays.
                entry = self.entry(node)
                if entry == nil { continue }
            }
            reply.put(
                name: name, inode: node.inode, node.kind, offset: UInt64(place), isPlus ? .some(entry) : .none)
        }
        channel.send(reply.finished())
    }
}
