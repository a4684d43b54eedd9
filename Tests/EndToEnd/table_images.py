# SPDX-License-Identifier: Apache-2.0
"""Disk images with partition tables made from field values, normal and nasty, and the comparison of two readers.

  table_images.py make DIRECTORY SEED COUNT     COUNT images a format, and a file 'list'
  table_images.py corpus DIRECTORY SEED COUNT   the same as inputs of the fuzzers, a directory for each target
  table_images.py kernel DIRECTORY LOG PLATTER  what a kernel said of them (lines 'guest: image …') against --as kernel
  table_images.py blkid DIRECTORY PLATTER       what partx says of them against --as blkid
"""
import binascii
import json
import os
import random
import subprocess
import sys

rng = random.Random()


def le(value, count=4):
    return (value & (1 << 8 * count) - 1).to_bytes(count, "little")


def be(value, count=4):
    return (value & (1 << 8 * count) - 1).to_bytes(count, "big")


class Image:
    """A sparse disk of `capacity` sectors of 512 bytes."""

    def __init__(self, capacity=None, block_size=512):
        self.capacity = capacity or rng.choice([131072, 131072, 20480, 65536 + rng.randrange(16)])
        self.block_size = block_size
        self.scale = block_size // 512
        self.parts = []
        self.extra = []

    def put(self, sector, offset, data):
        self.parts.append((sector * 512 + offset, bytes(data)))

    def sector(self, number):
        """The bytes of a sector as written so far."""
        data = bytearray(512)
        for offset, part in self.parts:
            start = max(offset, number * 512)
            end = min(offset + len(part), number * 512 + 512)
            if start < end:
                data[start - number * 512:end - number * 512] = part[start - offset:end - offset]
        return data

    def save(self, path):
        with open(path, "wb") as file:
            file.truncate(self.capacity * 512)
            for offset, part in self.parts:
                if offset < self.capacity * 512:
                    file.seek(offset)
                    file.write(part[:self.capacity * 512 - offset])


def odd(image, bits=32):
    """A number that is likely to hurt."""
    c = image.capacity
    return rng.choice([
        0, 1, 2, 7, 8, 63, 255, 256, c - 1, c, c + 1, c // 2, 2 * c, (1 << bits) - 1, 1 << (bits - 1),
        (1 << bits) - c, rng.randrange(c), rng.randrange(1 << bits),
    ])


def near(image):
    """A start and a size that fit the disk, or nearly always so."""
    if rng.random() < 0.2:
        return odd(image), odd(image)
    start = rng.randrange(1, image.capacity - 64)
    return start, rng.randrange(1, image.capacity - start)


def sized():
    return rng.choice([512, 512, 512, 4096, 1024, 2048])


# MARK: MBR


def slot(kind, start, count, boot=0):
    return bytes([boot, 0, 2, 0, kind, 0xFE, 0xFF, 0xFF]) + le(start) + le(count)


def record(slots, signature=0x1234ABCD, mark=b"\x55\xaa"):
    data = bytearray(512)
    data[440:444] = le(signature)
    for index, one in enumerate(slots):
        data[446 + 16 * index:462 + 16 * index] = one
    data[510:512] = mark
    return data


def bsd_label(image, start, size):
    count = rng.choice([8, 16, 3, 2, 1, 0, 20])
    data = le(0x82564557) + bytes(128) + le(0x82564557) + bytes(2) + le(count, 2) + bytes(8)
    relative = rng.random() < 0.5
    for index in range(16):
        first = 0 if relative else start
        if index == 2:
            at, length = first, size
        elif rng.random() < 0.2:
            at, length = odd(image), odd(image)
        else:
            at = first + rng.randrange(max(1, size // 2))
            length = rng.randrange(0, max(1, size // 2))
        data += le(length) + le(at) + le(1024) + bytes([rng.choice([7, 7, 1, 0]), 8]) + le(1, 2)
    return data


def solaris_table(image, size):
    data = bytearray(512)
    data[12:20] = le(0x600DDEEE) + le(rng.choice([1, 1, 1, 2]))
    data[20:28] = b"volume\0\0"
    data[28:32] = le(512, 2) + le(rng.choice([8, 16, 9, 0, 7]), 2)
    for index in range(16):
        tag = 5 if index == 2 else rng.choice([2, 3, 0])
        at, length = (0, size) if index == 2 else (rng.randrange(size + 1), rng.randrange(max(1, size // 8)))
        if rng.random() < 0.1:
            at, length = odd(image), odd(image)
        data[72 + 12 * index:84 + 12 * index] = le(tag, 2) + le(0, 2) + le(at) + le(length)
    return data


def unixware_table(image):
    data = bytearray(512)
    data[4:8] = le(rng.choice([0xCA5E600D] * 4 + [1]))
    data[156:160] = le(0x600DDEEE)
    for index in range(16):
        at, length = near(image)
        data[216 + 12 * index:228 + 12 * index] = le(rng.choice([1, 2, 0]), 2) + le(0x200, 2) + le(at) + le(
            rng.choice([length, 0, length]))
    return data


def nest(image, kind, start, size):
    """Writes what partitions of this type hold; positions in sectors."""
    if start + 32 >= image.capacity:
        return
    if kind in (0xA5, 0xA6, 0xA9):
        image.put(start + 1, 0, bsd_label(image, start, size))
    elif kind in (0x82, 0xBF):
        image.put(start + 1, 0, solaris_table(image, size))
    elif kind == 0x63:
        image.put(start + 29, 0, unixware_table(image))
    elif kind == 0x81:
        slots = [slot(rng.choice([0x81, 0x81, 0x83]), *near(image)) for _ in range(4)]
        image.put(start, 0, record(slots, 0, rng.choice([b"\x55\xaa"] * 5 + [b"\0\0"])))


def chain(image, first, extent):
    """A chain of extended boot records that loops, leaves and breaks now and then; positions in blocks."""
    at = first
    for _ in range(rng.randrange(1, 8)):
        link = rng.choice([rng.randrange(1, max(2, extent)), rng.randrange(1, max(2, extent)), 0, odd(image)])
        data = slot(rng.choice([0x83, 0xFD, 0, 7]), rng.choice([1, 63, odd(image)]), rng.choice([10, 100, 0, odd(image)]))
        slots = [data, slot(rng.choice([5, 0x0F, 0x85, 5, 0]), link, rng.choice([extent, 100, odd(image)]))]
        if rng.random() < 0.2:
            slots.reverse()
        if rng.random() < 0.3:
            slots += [slot(0x83, *near(image)) for _ in range(2)]
        if at * image.scale < image.capacity:
            image.put(at * image.scale, 0, record(slots, 0, rng.choice([b"\x55\xaa"] * 9 + [b"\0\0"])))
        at = first + link


def dos():
    image = Image(block_size=sized())
    blocks = image.capacity // image.scale
    slots = []
    for _ in range(4):
        kind = rng.choice([0x83, 0xFD, 0x07, 0, 5, 0x0F, 0x85, 0xA5, 0xA6, 0xA9, 0x82, 0xBF, 0x63, 0x81, 0x51, 0x54, 0x55, 0xB7])
        start = rng.randrange(1, blocks)
        count = rng.randrange(0, blocks - start)
        if rng.random() < 0.15:
            start, count = odd(image), odd(image)
        slots.append(slot(kind, start, count, rng.choice([0, 0, 0x80] + [1] * (rng.random() < 0.05))))
        if kind in (5, 0x0F, 0x85):
            chain(image, start, max(1, count))
        else:
            nest(image, kind, start * image.scale, count * image.scale)
    image.put(0, 0, record(slots, rng.choice([0x1234ABCD, 0, 0xFFFFFFFF])))
    if rng.random() < 0.1:
        # A boot sector of FAT, without the fields that decide.
        image.put(0, 0, b"\xeb\x3c\x90mkfs.fat" + le(512, 2) + b"\4" + le(rng.choice([1, 0]), 2) + b"\2" + le(512, 2)
                  + le(0, 2) + bytes([rng.choice([0xF8, 0xF0, 0xF1])]))
    return image


def logical():
    """Nothing but a long chain, sound or looping."""
    image = Image(131072, block_size=rng.choice([512, 512, 4096]))
    extent = image.capacity // image.scale - 100
    image.put(0, 0, record([slot(0x83, 1, 50), slot(5, 100, extent)]))
    count = rng.choice([3, 20, 98, 99, 100, 101, 102, 120, 250, 251, 252, 260])
    empty = rng.choice([0, 0, 1])
    step = max(2, extent // 300)
    for index in range(count):
        link = 0 if index == count - 1 and rng.random() < 0.5 else (index + 1) * step
        last = index == count - 1
        slots = [] if empty else [slot(0x83, 1, step - 1)]
        if not last or rng.random() < 0.4:
            slots.append(slot(5, link, step))
        image.put((100 + index * step) * image.scale, 0, record(slots, 0))
    return image


# MARK: GPT


def gpt():
    image = Image(block_size=sized())
    size, last = image.block_size, image.capacity // image.scale - 1
    count = rng.choice([128, 128, 4, 255, 256, 300, 1])
    table_blocks = (count * 128 + size - 1) // size
    first, end = 2 + table_blocks, last - 1 - table_blocks
    table = bytearray(count * 128)
    for index in range(count):
        if rng.random() > 8 / count and not (count > 128 and rng.random() < 0.2):
            continue
        start = rng.randrange(first, end)
        stop = rng.randrange(start, end + 1)
        if rng.random() < 0.25:
            start, stop = odd(image, 64), odd(image, 64)
        kind = rng.choice(["af3dc60f838472478e793d69d8477de4", "0f889da1fc053b4da006743f0f84911e"])
        name = rng.choice(["root", "", "Größe", "日本", "a" * 36, "x\u0080y", "\u0100"]).encode("utf-16-le")
        table[index * 128:index * 128 + 128] = bytes.fromhex(kind) + rng.randbytes(16) + le(start, 8) + le(stop, 8) + le(
            rng.choice([0, 4, 1 << 60]), 8) + (name + bytes(72))[:72]

    def header(own, other, entries):
        fields = {"size": 92, "own": own, "first": first, "last": end, "entries": entries, "count": count, "each": 128}
        if rng.random() < 0.15:
            key = rng.choice(list(fields))
            fields[key] = odd(image, 64 if key in ("own", "first", "last", "entries") else 32)
        def packed(check):
            return b"EFI PART" + le(0x10000) + le(fields["size"]) + le(check) + le(0) + le(fields["own"], 8) + le(
                other, 8) + le(fields["first"], 8) + le(fields["last"], 8) + bytes(range(16)) + le(
                    fields["entries"], 8) + le(fields["count"]) + le(fields["each"]) + le(binascii.crc32(table))
        length = fields["size"] & 0xFFFFFFFF
        check = binascii.crc32((packed(0) + bytes(size))[:min(length, size)])
        return packed(check ^ (rng.random() < 0.05))

    image.put(0, 0, record(rng.choice([
        [slot(0xEE, 1, 0xFFFFFFFF)], [slot(0x0C, 100, 100), slot(0xEE, 1, 33)], [slot(0xEE, 1, last)],
        [slot(0xEE, rng.choice([0, 1, 2]), last)], [slot(0x83, 40, 40)],
    ]), 0))
    if rng.random() < 0.9:
        image.put(1 * image.scale, 0, header(1, last, 2))
        image.put(2 * image.scale, 0, table)
    if rng.random() < 0.9:
        image.put(last * image.scale, 0, header(last, 1, last - table_blocks))
        image.put((last - table_blocks) * image.scale, 0, table)
    return image


# MARK: labels in sector 0


def words(data, count, at):
    """Sets the big-endian word at `at` so that the first `count` words add up to 0."""
    data[at:at + 4] = bytes(4)
    total = sum(int.from_bytes(data[4 * index:4 * index + 4], "big") for index in range(count))
    data[at:at + 4] = be(-total)
    return data


def sgi():
    image = Image(block_size=sized())
    data = bytearray(512)
    data[0:4] = be(0x0BE5A941)
    for index in range(16):
        start, size = near(image)
        data[312 + 12 * index:324 + 12 * index] = be(rng.choice([size, 0])) + be(start) + be(rng.choice([0, 6, 0xFD]))
    words(data, 128, 504)
    data[504] ^= rng.random() < 0.1
    image.put(0, 0, data)
    return image


def sun():
    image = Image(block_size=sized())
    data = bytearray(512)
    data[128:132] = be(rng.choice([1, 1, 1, 0, 2]))
    data[140:142] = be(rng.choice([8, 8, 3, 0, 9]), 2)
    data[188:192] = be(rng.choice([0x600DDEEE, 0x600DDEEE, 0, 1]))
    data[436:440] = be(rng.choice([16, 255, 0, 0x7FFF]), 2) + be(rng.choice([63, 1, 0]), 2)
    data[508:510] = be(0xDABE, 2)
    for index in range(8):
        data[142 + 4 * index:146 + 4 * index] = be(rng.choice([2, 3, 5, 0xFD]), 2) + be(0, 2)
        data[444 + 8 * index:452 + 8 * index] = be(rng.choice([rng.randrange(200), odd(image)])) + be(near(image)[1])
    check = 0
    for index in range(255):
        check ^= int.from_bytes(data[2 * index:2 * index + 2], "big")
    data[510:512] = be(check ^ (rng.random() < 0.1), 2)
    image.put(0, 0, data)
    return image


def osf():
    image = Image(block_size=sized())
    image.put(0, 64, bsd_label(image, 0, image.capacity))
    image.put(0, 64 + 138, le(rng.choice([8, 16, 18, 19, 1]), 2))
    image.put(0, 64 + 132, le(rng.choice([0x82564557] * 5 + [0])))
    return image


def ultrix():
    image = Image(block_size=sized())
    data = le(0x032957) + le(rng.choice([1, 1, 1, 2]))
    for _ in range(8):
        start, size = near(image)
        data += le(rng.choice([size, 0, size, -size, -1])) + le(start)
    image.put(31, 440, data)
    return image


def karma():
    image = Image(block_size=sized())
    for index in range(2):
        start, size = near(image)
        image.put(0, 270 + 16 * index, bytes(4) + bytes([rng.choice([0x4D, 0x4D, 0x4E])]) + bytes(3) + le(start) + le(
            rng.choice([size, size, 0])))
    image.put(0, 510, b"\x56\xab")
    return image


def sysv68():
    image = Image(block_size=sized())
    at = rng.choice([3, 9, 100, image.capacity, 0x80000000])
    count = rng.choice([4, 8, 1, 0, 64, 65])
    image.put(0, 248, b"MOTOROLA")
    image.put(0, 384, be(at) + be(count, 2))
    for index in range(64):
        start, size = near(image)
        if at < image.capacity:
            image.put(at, 8 * index, be(rng.choice([size, size, 0])) + be(start))
    return image


def amiga():
    image = Image(block_size=rng.choice([512, 512, 4096]))
    at, block = rng.randrange(16), rng.choice([512, 512, 1024, 4096, 256])
    scale = block // 512
    count = rng.randrange(1, 20)
    blocks = [20 + index for index in range(count)]

    def link(index):
        if index + 1 < count:
            return blocks[index + 1]
        return rng.choice([0xFFFFFFFF, 0xFFFFFFFF, 0, blocks[0], odd(image)])

    total = rng.choice([64, 64, 128, 20])
    data = bytearray(512)
    data[0:8] = b"RDSK" + be(total)
    data[16:20], data[28:32] = be(block), be(blocks[0])
    data = words(data, total & 0x7F, 8)
    if rng.random() < 0.2:
        data[0xDC:0xE0] = be(odd(image))
    data[60] ^= rng.random() < 0.05
    image.put(at, 0, data)
    for index, number in enumerate(blocks):
        low, high = rng.randrange(100), rng.randrange(500)
        if rng.random() < 0.15:
            low, high = odd(image), odd(image)
        part = bytearray(512)
        part[0:8] = rng.choice([b"PART"] * 9 + [b"FSHD"]) + be(64)
        part[16:20] = be(link(index))
        part[36:40] = b"\3DH0"
        part[140:144], part[148:152] = be(rng.choice([2, 16, 0x10000])), be(rng.choice([11, 63, 0x10000 - 1]))
        part[164:172] = be(low) + be(high)
        part[192:196] = b"DOS\3"
        words(part, 64, 8)
        part[80] ^= rng.random() < 0.05
        image.put(number * scale, 0, part)
    return image


def atari():
    image = Image(block_size=rng.choice([512] * 6 + [4096]))

    def entry(flag, name, start, size):
        return bytes([flag]) + name + be(start) + be(size)

    def drawn(names):
        start, size = near(image)
        return entry(rng.choice([1, 1, 0x81, 0]), rng.choice(names), start, size)

    common = [b"GEM", b"BGM", b"LNX", b"SWP", b"RAW"]
    primaries = [drawn(common + [b"XGM", b"XGM", b"F32", b"A-B", b"\xc4\xd6\xdc"]) for _ in range(4)]
    image.put(0, 0x156, b"".join(drawn(common + [b"ABC"]) for _ in range(8)) if rng.random() < 0.6 else bytes(96))
    image.put(0, 0x1C2, be(rng.choice([image.capacity, image.capacity, 0, odd(image)])))
    image.put(0, 0x1C6, b"".join(primaries))
    if rng.random() < 0.2:
        image.put(0, 0x1F6, be(odd(image)) + be(odd(image)))
    for primary in primaries:
        if primary[1:4] == b"XGM" and primary[0] & 1:
            base = at = int.from_bytes(primary[4:8], "big")
            for _ in range(rng.randrange(1, 6)):
                step = rng.choice([rng.randrange(1, 1000), rng.randrange(1, 1000), 0, odd(image)])
                entries = [entry(rng.choice([1] * 6 + [0]), rng.choice(common), 1, rng.randrange(1, 500)),
                           entry(rng.choice([1] * 4 + [0]), rng.choice([b"XGM"] * 5 + [b"GEM"]), step, 500)]
                if at < image.capacity:
                    image.put(at, 0x1C6, b"".join(entries))
                at = base + step & 0xFFFFFFFF
    return image


def mac():
    image = Image(block_size=sized())
    block = rng.choice([512, 512, 512, 1024, 2048, 4096, 768, 0, 256])
    image.put(0, 0, b"ER" + be(block, 2))
    count = rng.choice([1, 3, 10, 64, 0, 255, 256])
    if block >= 512:
        for index in range(min(count, 64)):
            start, size = near(image)
            kind = rng.choice([b"Apple_HFS", b"Apple_partition_map", b"Linux_RAID_x", b"linux_raid"])
            part = bytearray(136)
            part[0:16] = rng.choice([b"PM"] * 30 + [b"TS", b"XX"]) + bytes(2) + be(count) + be(start) + be(size)
            part[16:16 + 4], part[48:48 + len(kind)] = b"name", kind
            offset = (index + 1) * block
            image.put(offset // 512, offset % 512, part)
    return image


# MARK: Acorn


def ics():
    image = Image(block_size=sized())
    data = bytearray(512)
    for index in range(rng.randrange(1, 20)):
        start, size = near(image)
        size &= 0x7FFFFFFF
        data[8 * index:8 * index + 8] = le(start) + le(rng.choice([size, -size, -size, -1]))
        if rng.random() < 0.4 and 8 < start < image.capacity:
            image.put(start, 0, b"LinuxPart")
    data[508:512] = le(0x50617274 + sum(data[:508]) + (rng.random() < 0.05))
    image.put(0, 0, data)
    return image


def powertec():
    image = Image(block_size=sized())
    data = bytearray(512)
    for index in range(12):
        start, size = near(image)
        data[28 * index + 8:28 * index + 16] = le(start) + le(rng.choice([size, 0]))
    data[511] = 0x2A + sum(data[:511]) & 0xFF
    image.put(0, 0, data)
    return image


def eesox():
    image = Image(block_size=sized())
    data, at = bytearray(256), 0
    for index in range(rng.randrange(1, 9)):
        at = rng.choice([at + rng.randrange(1, 10000), at + rng.randrange(1, 10000), odd(image)])
        data[32 * index:32 * index + 6] = b"Eesox\0"
        data[32 * index + 16:32 * index + 20] = le(at)
    image.put(7, 0, bytes(byte ^ b"Neil Critchell  "[index % 16] for index, byte in enumerate(data)))
    return image


def boot_block(sectors, system, cylinder, heads=4, low=0, high=0):
    data = bytearray(512)
    data[0x1C1:0x1C3] = bytes([8, heads])
    data[0x1C8] = low
    data[0x1D0:0x1D4], data[0x1E4:0x1E8] = le(sectors * 512), le(high)
    data[0x1FC:0x1FF] = bytes([system]) + le(cylinder, 2)
    total = 0
    for byte in reversed(data[:511]):
        total = (total & 0xFF) + (total >> 8) + byte
    data[511] = total & 0xFF
    return data


def behind(image, system, at):
    """What lies behind a file system of Acorn's."""
    if at + 1 >= image.capacity:
        return
    if system == 9:
        data = b""
        for _ in range(rng.randrange(0, 8)):
            start, size = near(image)
            data += le(rng.choice([0xDEAFA1DE, 0xDEAFAB1E] * 5 + [0])) + le(start) + le(size)
        image.put(at, 0, data)
    elif rng.random() < 0.8:
        data = le(0x4A657320) + bytes(4)
        for _ in range(8):
            start, size = near(image)
            data += le(start) + le(size) + le(rng.choice([1, 1, 0])) + rng.choice([b"Root", b"All", b"Swap"]).ljust(16, b"\0")
        image.put(at, 0, data)


def adfs():
    image = Image(block_size=sized())
    system, cylinder = rng.choice([0, 1, 2, 9, 9]), rng.choice([0, 1, 3, 100, 0xFFFF])
    low = rng.choice([0, 0, 0x40])
    image.put(6, 0, boot_block(rng.choice([1000, 50000, 0, 0x7FFFFF]), system, cylinder, low=low,
                               high=rng.choice([0, 0, 1])))
    behind(image, system, cylinder * 8 * (5 if low else 4))
    return image


def cumana():
    image = Image(block_size=rng.choice([512, 512, 4096]))
    first = block = 0
    for _ in range(rng.randrange(1, 5)):
        system, cylinder = rng.choice([0, 0, 1, 2, 9]), rng.choice([3, 20, 0])
        if block * 2 + 6 < image.capacity:
            image.put(block * 2 + 6, 0, boot_block(rng.randrange(1, 1000), system, cylinder))
        length = cylinder * 32
        first, block = first + length, block + length // 2
        if length and system in (2, 9):
            behind(image, system, first)
    return image


# MARK: databases


def ldm():
    image = Image(100000)
    base = 97952
    guid = "12345678-9abc-def0-1234-56789abcdef0"
    logical = rng.choice([63, 0, 5000])
    image.put(0, 0, record([slot(0x42, 63, 99000), slot(rng.choice([0, 0x83]), 63, 500)]))

    def maybe(sector, data):
        if rng.random() < 0.96:
            image.put(sector, 0, data)

    def head(text):
        data = bytearray(512)
        data[0:16] = b"PRIVHEAD" + bytes(4) + be(2, 2) + be(rng.choice([11, 12, 12] + [13] * (rng.random() < 0.03)), 2)
        data[0x30:0x30 + 36] = text.encode()
        data[0x11B:0x13B] = be(logical, 8) + be(90000, 8) + be(base, 8) + be(2048, 8)
        return data

    minor = head(guid)
    for sector in (6, base + 1856, base + 2047):
        other = head("0" + guid[1:]) if rng.random() < 0.04 else minor
        maybe(sector, other)
    contents = bytearray(512)
    contents[0:8], contents[0x24:0x2A], contents[0x46:0x49] = b"TOCBLOCK", b"config", b"log"
    contents[0x2E:0x3E] = be(17, 8) + be(100, 8)
    contents[0x50:0x60] = be(1500, 8) + be(100, 8)
    for offset in (1, 2, 2045, 2046):
        maybe(base + offset, contents)

    def field(data):
        return bytes([len(data)]) + data

    def vblk(kind, flags, body, wrong=0):
        return b"VBLK" + be(1) + be(1) + be(0, 2) + be(1, 2) + be(0, 2) + bytes([flags, kind]) + be(len(body) + wrong) + body

    names = field(be(7)) + field(b"name")
    records = []
    for index in range(rng.randrange(1, 12)):
        start, size = near(image)
        body = names + bytes(12) + be(start, 8) + be(0, 8) + field(be(size)) + field(be(3)) + field(
            be(rng.choice([5, 5, 6]), rng.choice([1, 4, 8])))
        flag = rng.choice([0, 0, 8])
        records.append(vblk(0x33, flag, body + (field(b"\1") if flag else b""), rng.choice([0] * 40 + [1, -1])))
    records.append(vblk(0x34, 0, field(be(5, rng.choice([1, 2]))) + field(b"Disk1") + field(guid.encode()) + field(
        b"") + bytes(12)))
    records.append(vblk(0x44, 0, field(be(6)) + field(b"Disk2") + rng.randbytes(16) + bytes(29)))
    records.append(vblk(0x51, 0, names + field(b"gen") + field(b"") + bytes(21) + field(b"\1") + bytes(16) + field(
        be(500)) + bytes(21), rng.choice([0, 3])))
    records.append(vblk(0x32, 0, names + field(b"ACTIVE") + bytes(5) + field(b"\1") + bytes(16) + field(b"\1") + bytes(1)))
    records.append(vblk(0x35, 0, names + field(guid.encode()) + bytes(12)))
    rng.shuffle(records)
    pieces = []
    for index, one in enumerate(records):
        one = one.ljust(128, b"\0")
        if rng.random() < 0.2:
            body = one[16:].ljust(224, b"\0")
            halves = [b"VBLK" + be(1) + be(100 + index) + be(number, 2) + be(2, 2) + body[112 * number:112 * number + 112]
                      for number in (0, 1)]
            rng.shuffle(halves)
            pieces += halves if rng.random() < 0.95 else halves[:1]
        else:
            pieces.append(one[:128])
    while len(pieces) % 4:
        pieces.append(b"VBLK".ljust(128, b"\0"))
    maybe(base + 17, b"VMDB" + be(len(pieces) + 4) + be(128) + be(512) + be(1, 2) + be(4, 2) + be(10, 2))
    for index, one in enumerate(pieces):
        image.put(base + 18 + index // 4, index % 4 * 128, one)
    return image


def aix():
    image = Image(1000000)
    image.put(0, 0, b"\xc9\xc2\xd4\xc1")
    if rng.random() < 0.2:
        image.put(0, 446, b"".join(slot(rng.choice([0x41, 0x83]), 5, 5) for _ in range(4)))
        image.put(0, 510, b"\x55\xaa")
    label = bytearray(512)
    label[0:4] = rng.choice([b"_LVM"] * 9 + [b"_LVN"])
    label[24:32] = be(500) + be(128)
    label[46:48], label[60:62] = be(rng.choice([16, 20, 9, 8]), 2), be(rng.choice([1] * 9 + [2]), 2)
    image.put(7, 0, label)
    lengths = [rng.choice([0, 1, 2, 3, 5]) for _ in range(12)]
    image.put(128, 24, be(sum(length > 0 for length in lengths), 2))
    for index, length in enumerate(lengths):
        image.put(129, 32 * index + 14, be(length, 2))
        image.put(595 + index // 8, index % 8 * 64, b"lv%d" % index)
    parts = []
    order = list(range(12))
    rng.shuffle(order)
    for index in order:
        run = [(index + 1, part + 1) for part in range(lengths[index])]
        if rng.random() < 0.2:
            rng.shuffle(run)
        parts += run + rng.choice([[], [(0, 0)], [(index + 1, 0)], [(rng.randrange(300), rng.randrange(4))]])
    data = bytearray(32)
    data[16:18], data[20:24] = be(len(parts), 2), be(rng.choice([4352, 0]))
    for volume, part in parts:
        data += be(volume, 2) + bytes(4) + be(part, 2) + bytes(24)
    image.put(145, 0, data)
    return image


def mixed():
    """Two formats on one disk."""
    pair = rng.sample([sgi, sun, ultrix, osf, amiga, eesox, adfs, karma, mac, dos, atari], 2)
    first, second = pair[0](), pair[1]()
    first.parts += second.parts
    return first


def mutated():
    """Any other, with a few bytes changed."""
    image = rng.choice([dos, gpt, sgi, sun, osf, amiga, atari, mac, ics, adfs, cumana, ultrix, sysv68, logical])()
    for _ in range(rng.randrange(1, 4)):
        offset, part = rng.choice(image.parts)
        if part:
            at = rng.randrange(len(part))
            image.put(0, offset + at, bytes([rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])]))
    if rng.random() < 0.2:
        image.capacity = rng.randrange(1, image.capacity)
    return image


def small():
    """A disk that is too small for much."""
    image = rng.choice([dos, gpt, mac, atari])()
    image.capacity = rng.choice([1, 2, 5, 6, 7, 8, 15, 16, 17, 31, 32, 33, 64])
    image.parts = [part for part in image.parts if part[0] < image.capacity * 512]
    return image


FORMATS = [dos, logical, gpt, sgi, sun, osf, ultrix, karma, sysv68, amiga, atari, mac, ics, powertec, eesox, adfs, cumana,
           ldm, aix, mixed, mutated, small]


def make(directory, seed, count):
    rng.seed(seed)
    names = []
    for build in FORMATS:
        for index in range(count * (3 if build in (dos, gpt) else 1)):
            image = build()
            name = "%s-%d" % (build.__name__, index)
            image.save(os.path.join(directory, name))
            names.append("%s %d" % (name, image.block_size))
    with open(os.path.join(directory, "list"), "w", encoding="utf-8") as file:
        file.write("\n".join(names) + "\n")
    print("%d images, seed %s" % (len(names), seed))


# MARK: comparing


def platter(program, directory, name, size, rules):
    run = subprocess.run(
        [program, "partitions", os.path.join(directory, name), "--json", "--as", rules, "--sector-size", size],
        capture_output=True, check=False)
    if run.returncode == 1:
        return None, []
    if run.returncode:
        sys.exit("%s: platter ended with %d: %s" % (name, run.returncode, run.stderr.decode()[:300]))
    table = json.loads(run.stdout)
    return table["table"], [(one["number"], one["start"], one["size"]) for one in table["partitions"]]


def images(directory):
    with open(os.path.join(directory, "list"), encoding="utf-8") as file:
        return [line.split() for line in file]


class Report:
    """What differs, and of how many images of each format something was read."""

    def __init__(self):
        self.differences, self.read, self.count = [], {}, 0

    def add(self, name, size, theirs, ours):
        self.count += 1
        kind = name.split("-")[0]
        self.read[kind] = self.read.get(kind, 0) + bool(theirs)
        if theirs != ours[1]:
            self.differences.append("%s (%s): they %s, platter %s %s" % (name, size, theirs[:12], ours[0], ours[1][:12]))

    def finish(self):
        print("something was read of:", " ".join("%s %d" % pair for pair in self.read.items()))
        for line in self.differences[:20]:
            print(line)
        print("%d of %d images read differently" % (len(self.differences), self.count))
        sys.exit(1 if self.differences or not any(self.read.values()) else 0)


def kernel(directory, log, program):
    said = {}
    with open(log, encoding="latin-1") as file:
        for line in file:
            if line.startswith("guest: image "):
                word, *parts = line.split()[2:]
                said[word] = [tuple(int(number) for number in part.split(":")) for part in parts]
    report = Report()
    for name, size in images(directory):
        if name not in said:
            sys.exit("the kernel said nothing of %s" % name)
        report.add(name, size, sorted(said[name]), platter(program, directory, name, size, "kernel"))
    report.finish()


def blkid(directory, program):
    report = Report()
    for name, size in images(directory):
        run = subprocess.run(
            ["partx", "--raw", "--noheadings", "--output", "NR,START,SECTORS", "--sector-size", size,
             os.path.join(directory, name)], capture_output=True, check=False)
        theirs = [tuple(int(number) for number in line.split()) for line in run.stdout.decode().splitlines()]
        report.add(name, size, theirs, platter(program, directory, name, size, "blkid"))
    report.finish()


# MARK: the fuzzers' corpus


def ibm():
    image = Image(100 * 15 * 12 * 8, 4096)
    kind = rng.choice(["e5d6d3f1", "d3d5e7f1", "c3d4e2f1"])
    label = bytearray(512)
    label[0:8] = bytes.fromhex(kind) * 2
    label[15:20] = be(0, 2) + be(1, 2) + b"\2"
    if kind[0] == "d":
        label[79:88] = b"\xf2" + be(1000, 8)
    if kind[0] == "c":
        label[12:16], label[28:32], label[52:56] = be(4096), be(500), be(rng.choice([0, 20]))
    image.put(16, 0, label)
    for index, form in enumerate([0xF4, 0xF5, 0xF1, 0xF7, 0xF8, 0xF9, 0]):
        image.put((15 + index) * 8, 44, bytes([form]))
        image.put((15 + index) * 8, 107, be(index, 2) + be(0, 2) + be(index, 2) + be(14, 2))
    return image


def tree():
    """A flattened device tree with fixed partitions."""
    body, strings = b"", b""

    def node(name):
        return be(1) + (name + b"\0").ljust(len(name) // 4 * 4 + 4, b"\0")

    def value(name, data):
        nonlocal strings
        strings += name + b"\0"
        return be(3) + be(len(data)) + be(len(strings) - len(name) - 1) + data + bytes(-len(data) % 4)

    body += node(b"") + value(b"#address-cells", be(1)) + value(b"#size-cells", be(1)) + node(b"partitions")
    body += value(b"compatible", b"fixed-partitions\0")
    for name in (b"boot@0", b"data@10000"):
        body += node(name) + value(b"reg", be(0) + be(65536)) + value(b"label", b"label\0") + be(2)
    body += be(2) + be(2) + be(9)
    size = 40 + len(body) + len(strings)
    return b"".join(be(word) for word in (0xD00DFEED, size, 40, 40 + len(body), 40, 17, 16, 0, len(strings), len(body))
                    ) + body + strings


def pieces(image, flags):
    """An image as Fuzz/Sources/fuzz-tables/FuzzDisk.swift takes it apart: without its zeros."""
    data = bytes([[512, 4096, 1024, 2048].index(image.block_size) | flags]) + le(image.capacity)
    for offset, part in image.parts:
        at = 0
        while at < len(part):
            if not part[at]:
                at += 1
                continue
            end = at + 1
            while end < len(part) and any(part[end:end + 16]):
                end += 1
            data += le((offset + at) // 512) + le((offset + at) % 512, 2) + le(end - at, 2) + part[at:end]
            at = end
    return data


def corpus(directory, seed, count):
    rng.seed(seed)
    names = {ics: "acorn-ics", powertec: "acorn-powertec", eesox: "acorn-eesox", adfs: "acorn-adfs", cumana: "acorn-cumana",
             logical: "dos", mixed: "all", mutated: "all"}
    targets = [(names.get(build, build.__name__), build) for build in FORMATS + [ibm] if build is not small]
    targets += [("bsd", dos), ("bsd", osf), ("solaris", dos), ("unixware", dos), ("minix", dos), ("PMBR", gpt)]
    for target, build in targets:
        os.makedirs(os.path.join(directory, target), exist_ok=True)
        for index in range(count * 2 if build is gpt else count):
            image = build()
            # An MBR with something behind it, and a GPT of few entries: both sums of a great one take their time.
            while build is dos and len(image.parts) < 4 or build is gpt and not 1000 < sum(
                    len(part) for _, part in image.parts) < 3000:
                image = build()
            # Rules and whether sums are mended: all of them in turn.
            flags = 8 if target in ("bsd", "PMBR") else (0, 4, 8)[index % 3]
            flags |= 0x80 * (build is gpt or index % 2)
            with open(os.path.join(directory, target, "%s%d" % (build.__name__, index)), "wb") as file:
                file.write(pieces(image, flags))
    for target, data in (("cmdline", b"blkdevparts=loop1:64K(a)ro,1M@2M(b)lk,-(c);loop2:0x1000,010000@4096"), ("of", tree())):
        os.makedirs(os.path.join(directory, target), exist_ok=True)
        with open(os.path.join(directory, target, "given"), "wb") as file:
            file.write(b"\0" + le(131072) + data)


def main():
    verb, *rest = sys.argv[1:]
    if verb == "make":
        make(rest[0], rest[1], int(rest[2]))
    elif verb == "corpus":
        corpus(rest[0], rest[1], int(rest[2]))
    elif verb == "kernel":
        kernel(*rest)
    else:
        blkid(*rest)


main()
