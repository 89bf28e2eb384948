"""A process full of clients that hold connections for nothing: dribblers.py COUNT SEED HTTP GRPC LEDGER TRAIL [KINDS]

KINDS is part of their names. Each client sends a little every few seconds and reads what comes; whoever is put out comes again. A line `hold` on standard
input: nobody sends or comes again any more, everybody stays; `end`: all go. Every answer to a line, and once a second,
figures are printed as JSON.
"""

import collections
import heapq
import json
import random
import re
import select
import socket
import sys
import time

import wire

# Between two bytes, about.
PAUSE_S = 3.0

PROTOBUF = "application/x-protobuf"
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


def kinds(http, grpc, ledger, trail):
    """Every way to keep somebody waiting: port, script, whether answers are read."""
    batches, segment = f"/v1/trails/{trail}/batches", f"/v1/trails/{trail}/segments/0000000000.seg"
    return {
        "http-silent": (http, wire.silent, True),
        "http-head": (http, lambda r: wire.head(r, "/v1/logs"), True),
        "http-body": (http, lambda r: wire.body(r, "/v1/logs", PROTOBUF, 1 << 20), True),
        "http-chunked": (http, lambda r: wire.chunked(r, "/v1/logs", PROTOBUF), True),
        "http-unread": (http, lambda r: wire.unread(r, "/metrics"), False),
        "grpc-preface": (grpc, wire.preface, True),
        "grpc-settings": (grpc, wire.settings, True),
        "grpc-pings": (grpc, wire.pings, True),
        "grpc-streams": (grpc, lambda r: wire.streams(r, wire.EXPORT, wire.GRPC), True),
        "grpc-resets": (grpc, lambda r: wire.resets(r, wire.EXPORT, wire.GRPC), True),
        "ledger-silent": (ledger, wire.silent, True),
        "ledger-head": (ledger, lambda r: wire.head(r, batches), True),
        "ledger-body": (ledger, lambda r: wire.body(r, batches, "application/cbor", 32 << 20), True),
        "ledger-preface": (ledger, wire.preface, True),
        "ledger-settings": (ledger, wire.settings, True),
        "ledger-streams": (ledger, lambda r: wire.streams(r, batches, []), True),
        "ledger-resets": (ledger, lambda r: wire.resets(r, batches, []), True),
        "ledger-unread": (ledger, lambda r: wire.unread(r, segment), False),
        "ledger-unread-streams": (ledger, lambda r: wire.unread_streams(r, segment), False),
    }


class Dribblers:
    def __init__(self, count, seed, ports, trail, names):
        self.random = random.Random(seed)
        self.kinds = [(name, kind) for name, kind in kinds(*ports, trail).items() if names in name]
        self.poll = select.epoll()
        self.open = {}
        self.due = []
        self.holding = False
        self.figures = collections.Counter()
        begun = time.monotonic()
        for number in range(count):
            # All within a second, in no order of their kinds.
            heapq.heappush(self.due, (begun + number / count, number, self.random.randrange(len(self.kinds))))

    def wait(self):
        return self.random.uniform(0.5, 1.5) * PAUSE_S

    def connect(self, number, kind):
        name, (port, script, reads) = self.kinds[kind]
        sock = socket.socket()
        if not reads:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", port))
        events = select.EPOLLRDHUP | (select.EPOLLIN if reads else 0)
        self.poll.register(sock, events)
        self.open[sock.fileno()] = (sock, number, kind, reads)
        self.figures["opened"] += 1
        self.figures[name] += 1
        return sock, script(self.random)

    def turn(self, number, what, now):
        """A client's turn: connects, or sends its next bytes."""
        if isinstance(what, int):
            what = (*self.connect(number, what), what)
        sock, script, kind = what
        if sock.fileno() < 0:
            return
        try:
            sock.send(next(script))
        except (BlockingIOError, StopIteration):
            pass
        except OSError:
            self.leave(sock.fileno())
            return
        heapq.heappush(self.due, (now + self.wait(), number, (sock, script, kind)))

    def leave(self, descriptor):
        """Somebody was put out, and comes again after a while."""
        sock, number, kind, _ = self.open.pop(descriptor)
        self.poll.unregister(descriptor)
        sock.close()
        self.figures["put out"] += 1
        if not self.holding:
            heapq.heappush(self.due, (time.monotonic() + self.wait(), number, kind))

    def read(self, descriptor, event):
        if descriptor not in self.open:
            return
        sock, _, _, reads = self.open[descriptor]
        try:
            came = sock.recv(1 << 16) if reads else b""
        except BlockingIOError:
            return
        except OSError:
            came = b""
        for status in STATUS.findall(came[:4096]):
            self.figures[status.decode()] += 1
        if not came:
            self.leave(descriptor)

    def hold(self):
        self.holding = True
        self.due.clear()

    def run(self):
        self.poll.register(sys.stdin.fileno(), select.EPOLLIN)
        told = 0.0
        while True:
            now = time.monotonic()
            # Not all at once, or nobody would be read meanwhile.
            for _ in range(200):
                if not self.due or self.due[0][0] > now:
                    break
                _, number, what = heapq.heappop(self.due)
                self.turn(number, what, now)
            for descriptor, event in self.poll.poll(0.02 if self.holding or not self.due else max(0, min(0.02, self.due[0][0] - now))):
                if descriptor != sys.stdin.fileno():
                    self.read(descriptor, event)
                    continue
                line = sys.stdin.readline().strip()
                if line != "hold":
                    return
                self.hold()
            if now - told >= 1:
                told = now
                unread = sum(not reads for *_, reads in self.open.values())
                print(json.dumps({"held": len(self.open), "unread": unread, **self.figures}), flush=True)


def main():
    count, seed, http, grpc, ledger = map(int, sys.argv[1:6])
    Dribblers(count, seed, (http, grpc, ledger), sys.argv[6], "".join(sys.argv[7:])).run()


if __name__ == "__main__":
    main()
