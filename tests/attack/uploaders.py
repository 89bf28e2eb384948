"""A process full of clients that upload to the ledger over HTTP/2 and end nothing: uploaders.py COUNT SECONDS LEDGER TRAIL

Each sends 1 MiB of a request as fast as the windows allow (RFC 9113 section 5.2), and waits. Whoever is answered begins the
next request, whoever is put out comes again. At the end, figures as JSON: connections opened and put out, requests answered,
MiB sent.
"""

import collections
import json
import select
import socket
import struct
import sys
import time

import wire

BODY_BYTES = 1 << 20
FRAME_BYTES = 16 << 10
WINDOW_BYTES = 65_535
INITIAL_WINDOW_SIZE = 4


class Uploader:
    """One connection: what it may send, and what came that is no whole frame yet."""

    def __init__(self, sock, path):
        self.sock, self.path = sock, path
        self.stream = -1
        self.out = bytearray(wire.PREFACE + wire.frame(wire.SETTINGS, 0))
        self.came = bytearray()
        self.initial = self.connection = WINDOW_BYTES
        self.begin()

    def begin(self):
        self.stream += 2
        self.window, self.left = self.initial, BODY_BYTES
        self.out += wire.headers(self.stream, self.path, [("content-type", "application/cbor")])

    def fill(self):
        """Puts out what the windows allow."""
        length = min(self.window, self.connection, self.left, FRAME_BYTES)
        # The last few bytes of a window would be a flood of small frames, which is not what is tried here.
        if not self.left or len(self.out) >= 4 * FRAME_BYTES or length < min(self.left, 1024):
            return False
        self.out += wire.frame(wire.DATA, self.stream, bytes(length))
        self.window, self.connection, self.left = self.window - length, self.connection - length, self.left - length
        return True

    def frames(self):
        while len(self.came) >= 9 and len(self.came) >= 9 + (length := int.from_bytes(self.came[:3])):
            kind, flags, stream = struct.unpack(">BBI", self.came[3:9])
            yield kind, flags, stream, bytes(self.came[9 : 9 + length])
            del self.came[: 9 + length]

    def read(self):
        """Takes what came; whether this request was answered."""
        answered = False
        for kind, flags, stream, payload in self.frames():
            if kind == wire.SETTINGS and not flags & 1:
                for name, value in struct.iter_unpack(">HI", payload):
                    if name == INITIAL_WINDOW_SIZE:
                        self.window, self.initial = self.window + value - self.initial, value
                self.out += wire.frame(wire.SETTINGS, 0, flags=1)
            elif kind == wire.WINDOW_UPDATE and stream == 0:
                self.connection += int.from_bytes(payload)
            elif kind == wire.WINDOW_UPDATE and stream == self.stream:
                self.window += int.from_bytes(payload)
            elif kind in (wire.HEADERS, wire.RST_STREAM) and stream == self.stream:
                answered = True
        return answered


class Uploaders:
    def __init__(self, count, port, trail):
        self.port, self.path = port, f"/v1/trails/{trail}/batches"
        self.poll = select.epoll()
        self.open = {}
        self.figures = collections.Counter()
        for _ in range(count):
            self.connect()

    def connect(self):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", self.port))
        self.open[sock.fileno()] = Uploader(sock, self.path)
        self.poll.register(sock, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        self.figures["opened"] += 1

    def turn(self, client):
        """Reads and sends until nothing moves; `OSError` once put out."""
        try:
            while True:
                came = client.sock.recv(1 << 16)
                if not came:
                    raise ConnectionResetError
                client.came += came
                if client.read():
                    self.figures["answered"] += 1
                    client.out += wire.frame(wire.RST_STREAM, client.stream, struct.pack(">I", 8))
                    client.begin()
        except BlockingIOError:
            pass
        try:
            while client.fill() or client.out:
                sent = client.sock.send(client.out)
                del client.out[:sent]
                self.figures["bytes"] += sent
        except BlockingIOError:
            pass

    def run(self, end):
        while time.monotonic() < end:
            for descriptor, _ in self.poll.poll(0.1):
                client = self.open[descriptor]
                try:
                    self.turn(client)
                except OSError:
                    self.open.pop(descriptor)
                    self.poll.unregister(descriptor)
                    client.sock.close()
                    self.figures["put out"] += 1
                    self.connect()


def main():
    uploaders = Uploaders(int(sys.argv[1]), int(sys.argv[3]), sys.argv[4])
    uploaders.run(time.monotonic() + float(sys.argv[2]))
    figures = uploaders.figures
    print(json.dumps({name: figures[name] for name in ("opened", "put out", "answered")} | {"MiB": figures["bytes"] >> 20}))


if __name__ == "__main__":
    main()
