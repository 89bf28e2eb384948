"""A process full of clients that send HTTP/2 frames which ask for nothing, as fast as they are taken: babblers.py COUNT SEED
SECONDS PORT…

The clients are divided among the ports and the kinds of frames; whoever is put out comes again at once. At the end, figures
as JSON: connections opened, put out, and put out of each kind, MiB sent.
"""

import collections
import itertools
import json
import random
import select
import socket
import struct
import sys
import time

import wire

# Frames given to the system at once.
FRAMES = 2000


def settings():
    yield wire.frame(wire.SETTINGS, 0, struct.pack(">HI", 4, 65_535)) * FRAMES


def pings():
    yield wire.frame(wire.PING, 0, b"12345678") * FRAMES


def window_updates():
    """Of the connection."""
    yield wire.frame(wire.WINDOW_UPDATE, 0, struct.pack(">I", 1)) * FRAMES


def updates_of_a_stream():
    """The same within a request that never ends."""
    yield wire.headers(1, wire.EXPORT, wire.GRPC)
    while True:
        yield wire.frame(wire.WINDOW_UPDATE, 1, struct.pack(">I", 1)) * FRAMES


def pings_in_calls():
    """Sixteen PINGs and a byte of a call that is slow, again and again, then the next call."""
    for stream in itertools.count(1, 2):
        begin = wire.headers(stream, wire.EXPORT, wire.GRPC) + wire.frame(wire.DATA, stream, struct.pack(">BI", 0, FRAMES))
        slow = wire.frame(wire.PING, 0, b"12345678") * 16 + wire.frame(wire.DATA, stream, b"a")
        yield begin + slow * (FRAMES // 17)
        yield wire.frame(wire.RST_STREAM, stream, struct.pack(">I", 8))


KINDS = [settings, pings, window_updates, updates_of_a_stream, pings_in_calls]


def endless(kind):
    yield wire.PREFACE + wire.frame(wire.SETTINGS, 0)
    while True:
        yield from kind()


class Babblers:
    def __init__(self, count, seed, ports):
        self.poll = select.epoll()
        self.open = {}
        self.figures = collections.Counter()
        clients = [(ports[n % len(ports)], KINDS[n // len(ports) % len(KINDS)]) for n in range(count)]
        random.Random(seed).shuffle(clients)
        for port, kind in clients:
            self.connect(port, kind)

    def connect(self, port, kind):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", port))
        self.poll.register(sock, select.EPOLLIN | select.EPOLLOUT)
        self.open[sock.fileno()] = [sock, port, kind, endless(kind), b""]
        self.figures["opened"] += 1

    def turn(self, client, event):
        """Reads what came and sends what goes; `OSError` once put out."""
        sock, _, _, script, left = client
        if event & select.EPOLLIN and not sock.recv(1 << 16):
            raise ConnectionResetError
        if event & select.EPOLLOUT:
            left = left or next(script)
            sent = sock.send(left)
            client[4] = left[sent:]
            self.figures["bytes"] += sent
        elif event & (select.EPOLLHUP | select.EPOLLERR):
            raise ConnectionResetError

    def run(self, end):
        while time.monotonic() < end:
            for descriptor, event in self.poll.poll(0.1):
                client = self.open[descriptor]
                try:
                    self.turn(client, event)
                except BlockingIOError:
                    pass
                except OSError:
                    sock, port, kind, *_ = self.open.pop(descriptor)
                    self.poll.unregister(descriptor)
                    sock.close()
                    self.figures["put out"] += 1
                    self.figures[kind.__name__] += 1
                    self.connect(port, kind)


def main():
    count, seed = map(int, sys.argv[1:3])
    babblers = Babblers(count, seed, list(map(int, sys.argv[4:])))
    babblers.run(time.monotonic() + float(sys.argv[3]))
    figures = babblers.figures
    kinds = {kind.__name__: figures[kind.__name__] for kind in KINDS}
    print(json.dumps({"opened": figures["opened"], "put out": figures["put out"], **kinds, "MiB": figures["bytes"] >> 20}))


if __name__ == "__main__":
    main()
