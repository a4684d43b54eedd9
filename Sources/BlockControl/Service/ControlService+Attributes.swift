// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockPartitions
internal import BlockSystem
internal import Logging

extension ControlService {
    /// `GET /v1/disks/NAME/attributes`: all of a disk or a partition, or the one with this path.
    func attributes(_ name: String, path: String?) throws(Problem) -> AttributeList {
        let (disk, device) = try find(name)
        var found: [AttributeModel] = []
        if let path {
            let info = device.attributes().first { $0.path == path }
            do throws(AttributeError) {
                found = [
                    AttributeModel(
                        path: path, readable: true, writable: info?.isWritable ?? false,
                        value: ControlService.withoutNewline(try device.readAttribute(path)))
                ]
            } catch {
                throw Problem(error, device)
            }
        } else {
            found = device.attributes().map { info in
                // Gone meanwhile: then it has no value any more.
                let value = info.isReadable ? try? device.readAttribute(info.path) : nil
                return AttributeModel(
                    path: info.path, readable: info.isReadable, writable: info.isWritable,
                    value: value.map(ControlService.withoutNewline))
            }
        }
        return AttributeList(device: device.name, diskseq: disk.sequence, attributes: found)
    }

    /// `POST /v1/disks/NAME/attributes`: writes one, and answers with what it says then. What has ended with the disk
    /// says nothing.
    func writeAttribute(
        _ name: String, _ request: AttributeRequest, ifMatch: DiskTag?
    ) async throws(Problem) -> AttributeList {
        let (disk, device) = try find(name)
        _ = try findDisk(disk.name, ifMatch: ifMatch)
        let info = device.attributes().first { $0.path == request.path }
        do throws(AttributeError) {
            try await device.changeAttribute(request.path, to: request.value)
        } catch {
            throw Problem(error, device)
        }
        logger.info("attribute written", metadata: ["device": "\(device.name)", "\(request.path)": "\(request.value)"])
        let value = info?.isReadable == true ? try? device.readAttribute(request.path) : nil
        let model = AttributeModel(
            path: request.path, readable: info?.isReadable ?? false, writable: true,
            value: value.map(ControlService.withoutNewline))
        return AttributeList(device: device.name, diskseq: disk.sequence, attributes: [model])
    }

    /// A line of a listing with what its attributes say.
    func modelWithAttributes(of disk: Disk) -> DeviceModel {
        func fill(_ model: inout DeviceModel, _ device: BlockDevice) {
            model.partitionTable = disk.partitionTable?.rawValue
            model.partFlags = device.tableProperties.first { $0.key == "ID_PART_ENTRY_FLAGS" }?.value
            model.sysfs = [:]
            for info in device.attributes() where info.isReadable {
                model.sysfs?[info.path] = (try? device.readAttribute(info.path)).map(ControlService.withoutNewline)
            }
        }
        let openers = disk.openers
        var model = self.model(of: disk.part0, in: disk, openers: openers)
        fill(&model, disk.part0)
        model.children = disk.partitions.map { partition in
            var child = self.model(of: partition, in: disk, openers: openers)
            fill(&child, partition)
            return child
        }
        return model
    }

    private static func withoutNewline(_ text: String) -> String {
        text.last == "\n" ? String(text.dropLast()) : text
    }
}

extension Problem {
    /// Why an attribute was not read or written.
    init(_ error: AttributeError, _ device: BlockDevice) {
        let remedy =
            switch error {
            case .unknown: "; 'platter attr \(device.name)' lists those there are"
            case .notReadable, .notWritable:
                "; 'platter attr \(device.name)' shows which can be read (r) and written (w)"
            default: ""
            }
        let kind: Kind =
            switch error {
            case .unknown, .gone: .notFound
            case .invalid, .notReadable, .notWritable: .usage
            case .busy: .busy
            case .notSupported, .failed: .failed
            }
        self.init(
            kind, error.description + remedy, errno: SystemError(errno: error.errno).name, disk: device.disk.name,
            diskseq: device.disk.sequence)
    }
}
