"""A process that sends what is small and unpacks to much, what is too large, and what says that it is: bombers.py HTTP GRPC
LEDGER TRAIL SECONDS THREADS SEED. At the end, as JSON: answers by kind, and every answer that was not to be expected.
"""

import collections
import functools
import http.client
import json
import random
import socket
import struct
import sys
import threading
import time

import grpc
import wire
from road import field, varint

PROTOBUF, JSON = "application/x-protobuf", "application/json"

# Whoever comes when there is no memory comes again.
BUSY = {"503", "UNAVAILABLE"}


def record(body):
    return field(1, field(2, field(2, varint(1 << 3 | 1) + bytes(8) + field(5, body))))


def framed(message, compressed=False, length=None):
    return struct.pack(">BI", compressed, len(message) if length is None else length) + message


def zstd_of_any_length():
    """A frame that says it holds 2^60 bytes, under a window of 2^31 (RFC 8878 3.1.1.1)."""
    return b"\x28\xb5\x2f\xfd" + b"\xc0" + bytes([21 << 3]) + struct.pack("<Q", 1 << 60) + b"\x03\x00\x10" + b"\x00"


@functools.cache
def kinds(trail):
    """What is sent, where, and what is answered. A declared length goes without so much of a body."""
    batches = f"/v1/trails/{trail}/batches"
    gzip, zstd = wire.gzip_bomb(), wire.zstd_bomb()
    assert len(zstd) < 17 << 10, len(zstd)
    deep_json = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":' + b'{"arrayValue":{"values":[' * 50_000
    cbor_of_any_length = b"\x83\x01\x00\x9b" + b"\x7f" * 8
    return {
        "gzip bomb": ("http", {"Content-Type": PROTOBUF, "Content-Encoding": "gzip"}, gzip, {"413"}),
        "zstd bomb": ("http", {"Content-Type": PROTOBUF, "Content-Encoding": "zstd"}, zstd, {"413"}),
        "zstd length": ("http", {"Content-Type": JSON, "Content-Encoding": "zstd"}, zstd_of_any_length(), {"400"}),
        "deep protobuf": ("http", {"Content-Type": PROTOBUF}, record(wire.nested_any_value(20_000)), {"200", "400"}),
        "deep JSON": ("http", {"Content-Type": JSON}, deep_json, {"400"}),
        "long field": ("http", {"Content-Type": PROTOBUF}, b"\x0a" + varint(1 << 60), {"400"}),
        "21 MiB": ("http", {"Content-Type": PROTOBUF}, bytes(21 << 20), {"413"}),
        "2^40 announced": ("http", {"Content-Type": PROTOBUF, "Content-Length": str(1 << 40)}, b"", {"413"}),
        "gzip message": ("grpc", "gzip", framed(gzip, True), {"RESOURCE_EXHAUSTED"}),
        "zstd message": ("grpc", "zstd", framed(zstd, True), {"RESOURCE_EXHAUSTED"}),
        "deep message": ("grpc", "identity", framed(record(wire.nested_any_value(20_000))), {"OK"}),
        "4 GiB message": ("grpc", "identity", framed(b"a", length=0xFFFFFFFF), {"RESOURCE_EXHAUSTED"}),
        "33 MiB to the ledger": ("ledger", batches, bytes(33 << 20), {"413"}),
        "2^40 to the ledger": ("ledger", batches, 1 << 40, {"413"}),
        "CBOR length": ("ledger", batches, cbor_of_any_length, {"400"}),
        "long path": ("ledger", "/v1/" + 30_000 * "a", b"", {"431", "414", "404"}),
    }


class Bomber:
    def __init__(self, http_port, grpc_port, ledger_port, trail, seed):
        self.ports = {"http": http_port, "ledger": ledger_port}
        self.grpc_port = grpc_port
        self.kinds = kinds(trail)
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.answers = collections.defaultdict(collections.Counter)
        self.unexpected = []

    def post(self, port, path, headers, body):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("POST", path, body, headers)
        except (BrokenPipeError, ConnectionResetError):
            # Refused before all of it was sent; the answer may still be there.
            pass
        try:
            return str(connection.getresponse().status)
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()

    def message(self, coding, framed):
        """Raw, since a client of gRPC would not send such frames: the status in the answer's bytes."""
        with socket.create_connection(("127.0.0.1", self.grpc_port), timeout=20) as sock:
            coded = [*wire.GRPC, ("grpc-encoding", coding)]
            begin = wire.frame(wire.SETTINGS, 0, flags=1) + wire.headers(1, wire.EXPORT, coded)
            pieces = [framed[at : at + 16_000] for at in range(0, len(framed), 16_000)]
            try:
                sock.sendall(wire.PREFACE + wire.frame(wire.SETTINGS, 0))
                # Its windows count from where its settings are acknowledged and it has widened the connection's.
                came = b""
                while b"\x00\x00\x04\x08\x00" not in came and (more := sock.recv(1 << 16)):
                    came += more
                sock.sendall(begin)
                for number, piece in enumerate(pieces):
                    sock.sendall(wire.frame(wire.DATA, 1, piece, flags=number == len(pieces) - 1))
            except OSError:
                pass
            return self.status(sock)

    def status(self, sock):
        """By HPACK's literals: `grpc-status` and its value stand in the answer's headers or trailers."""
        came, end = b"", time.monotonic() + 20
        try:
            while time.monotonic() < end and (more := sock.recv(1 << 16)):
                came += more
                for code in grpc.StatusCode:
                    if wire.hpack_status(code.value[0]) in came:
                        return code.name
        except OSError as error:
            return type(error).__name__
        return "closed"

    def send(self, name):
        what, how, body, _ = self.kinds[name]
        if what == "grpc":
            return self.message(how, body)
        if what == "http":
            return self.post(self.ports["http"], "/v1/logs", how, body)
        headers = {"Content-Type": "application/cbor"}
        if isinstance(body, int):
            headers["Content-Length"], body = str(body), b""
        return self.post(self.ports["ledger"], how, headers, body)

    def work(self, end):
        while time.monotonic() < end:
            with self.lock:
                name = self.random.choice(list(self.kinds))
            told = self.send(name)
            with self.lock:
                self.answers[name][told] += 1
                if told not in self.kinds[name][3] | BUSY | {"BrokenPipeError", "ConnectionResetError"}:
                    self.unexpected.append(f"{name}: {told}")


def main():
    *ports, = map(int, sys.argv[1:4])
    bomber = Bomber(*ports, sys.argv[4], int(sys.argv[7]))
    end = time.monotonic() + float(sys.argv[5])
    threads = [threading.Thread(target=bomber.work, args=(end,)) for _ in range(int(sys.argv[6]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"answers": bomber.answers, "unexpected": bomber.unexpected}))


if __name__ == "__main__":
    main()
