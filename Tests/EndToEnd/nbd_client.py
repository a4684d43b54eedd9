#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client of NBD in plain sockets: one that does what it is told, and many that vanish.

  nbd_client.py hold SOCKET NAME              commands on standard input, an answer each
  nbd_client.py vanish SOCKET NAME COUNT SEED clients that leave at random points of the protocol
"""

import errno
import os
import random
import socket
import struct
import sys
import threading

READ, WRITE, DISC, FLUSH, TRIM, CACHE, ZEROES = range(7)
OPT_EXPORT_NAME, OPT_ABORT, OPT_LIST, OPT_INFO, OPT_GO, OPT_STRUCTURED = 1, 2, 3, 6, 7, 8
REPLY_MAGIC = 0x3E889045565A9


class Refused(Exception):
    pass


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.cookie = 0

    def take(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def greet(self):
        magic, option_magic, flags = struct.unpack(">8s8sH", self.take(18))
        assert magic == b"NBDMAGIC" and option_magic == b"IHAVEOPT" and flags & 3 == 3
        self.socket.sendall(struct.pack(">I", 3))

    def option(self, option, data=b""):
        self.socket.sendall(b"IHAVEOPT" + struct.pack(">II", option, len(data)) + data)

    def answer(self):
        magic, option, kind, length = struct.unpack(">QIII", self.take(20))
        assert magic == REPLY_MAGIC
        return kind, self.take(length)

    def go(self, name):
        name = name.encode()
        self.option(OPT_GO, struct.pack(">I", len(name)) + name + struct.pack(">H", 0))
        while True:
            kind, data = self.answer()
            if kind & 0x80000000:
                raise Refused(f"{kind & 0xFFFF} {data.decode(errors='replace')}")
            if kind == 1:
                return
            if kind == 3 and struct.unpack(">H", data[:2])[0] == 0:
                self.size = struct.unpack(">Q", data[2:10])[0]

    def request(self, kind, offset, length, data=b"", flags=0):
        self.cookie += 1
        self.socket.sendall(struct.pack(">IHHQQI", 0x25609513, flags, kind, self.cookie, offset, length) + data)

    def reply(self):
        magic, error, cookie = struct.unpack(">IIQ", self.take(16))
        assert magic == 0x67446698
        return error, cookie

    def ask(self, kind, offset=0, length=0, data=b""):
        self.request(kind, offset, length, data)
        error, _ = self.reply()
        return error, self.take(length) if kind == READ and not error else b""


def say(text):
    print(text, flush=True)


def hold(path, name):
    client = Client(path)
    try:
        client.greet()
        client.go(name)
    except (Refused, EOFError) as problem:
        say(f"refused {problem}")
        return
    say("open")
    for line in sys.stdin:
        verb, *numbers = line.split()
        numbers = [int(number) for number in numbers]
        try:
            if verb == "read":
                error, data = client.ask(READ, *numbers)
                word = f"ok {data[0]}" if data and data.count(data[:1]) == len(data) else "ok mixed"
            elif verb == "write":
                offset, length, byte = numbers
                error, word = client.ask(WRITE, offset, length, bytes([byte]) * length)[0], "ok"
            elif verb == "flush":
                error, word = client.ask(FLUSH)[0], "ok"
            else:
                error, word = errno.EINVAL, ""
            say(errno.errorcode.get(error, str(error)) if error else word)
        except (EOFError, OSError) as problem:
            say(f"closed {type(problem).__name__}")
    client.request(DISC, 0, 0)


def vanish_once(path, name, dice):
    """Connects, goes some way, and leaves: with a reset, a half-close, or in the middle of a message."""
    client = Client(path)
    way = dice.randrange(9)
    try:
        if way == 0:
            return
        if way == 1:
            client.take(dice.randrange(1, 18))
            return
        client.greet()
        if way == 2:
            client.socket.sendall(b"IHAVEOPT" + struct.pack(">II", OPT_GO, 400)[: dice.randrange(9)])
            return
        if way == 3:
            client.option(OPT_LIST)
            return
        if way == 4:
            client.socket.sendall(dice.randbytes(dice.randrange(1, 300)))
            return
        if dice.random() < 0.5:
            client.option(OPT_STRUCTURED)
            client.answer()
        client.go(name)
        half = client.size // 2
        for _ in range(dice.randrange(1, 150)):
            length = 512 * dice.randrange(1, 65)
            if dice.random() < 0.6:
                client.request(READ, 512 * dice.randrange((client.size - length) // 512), length)
            else:
                # The lower half belongs to those who look at what they wrote.
                offset = half + 512 * dice.randrange((half - length) // 512)
                client.request(WRITE, offset, length, dice.randbytes(length))
        if way == 5:
            client.request(WRITE, half, 65536, b"x" * dice.randrange(65536))
        elif way == 6:
            client.socket.sendall(struct.pack(">IHHQ", 0x25609513, 0, READ, 1)[: dice.randrange(1, 16)])
        elif way == 7:
            client.socket.sendall(dice.randbytes(dice.randrange(1, 4096)))
        elif way == 8:
            client.socket.shutdown(socket.SHUT_WR)
            client.socket.recv(dice.randrange(1, 65536))
    except (OSError, EOFError, Refused, struct.error):
        # The server may end a connection that talks nonsense first.
        pass
    finally:
        if dice.random() < 0.5:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()


def vanish(path, name, count, seed):
    say(f"seed {seed}")
    lock, left, problems = threading.Lock(), list(range(count)), []

    def work():
        while True:
            with lock:
                if not left:
                    return
                number = left.pop()
            try:
                vanish_once(path, name, random.Random(seed * 1000003 + number))
            except Exception as problem:  # a client that could not even connect
                problems.append(f"client {number}: {problem!r}")

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for problem in problems:
        say(problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["hold"]:
        hold(*sys.argv[2:4])
    elif sys.argv[1:2] == ["vanish"]:
        vanish(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        sys.exit(__doc__)
    # A client that vanishes takes no leave of its interpreter either.
    sys.stdout.flush()
    os._exit(0)
