"""A process that floods an agent: flooders.py HTTP GRPC FIRST SECONDS RATE SEED RESULT

RATE requests a second (0: as fast as they are answered) over OTLP/HTTP and gRPC on some connections, each record numbered
from FIRST on; every tenth request has records that cannot be mapped, of which a batch keeps 128 as stubs and the agent drops
the rest. What is refused is not sent again. RESULT gets, as JSON, the ranges of numbers acknowledged and not, answers
counted, records said to be dropped, and every answer that no client could act on.
"""

import collections
import json
import pathlib
import random
import re
import sys
import threading
import time

import grpc
import http.client
from measure import RETRY_INFO
from road import field, request, varint
from wire import EXPORT, nested_any_value

RECORDS = 20

# Records of one request that cannot be mapped, so that some of them are dropped wherever a batch ends.
BROKEN = 400

# Each request waits for its batch, a fifth of a second.
CONNECTIONS = 64


def broken_request(number):
    """Records whose bodies are nested too deep, each another one."""
    deep = nested_any_value(100)
    records = b"".join(
        field(2, varint(1 << 3 | 1) + (number * BROKEN + n + 1).to_bytes(8, "little") + field(5, deep))
        for n in range(BROKEN)
    )
    return field(1, field(2, records))


def dropped(answer):
    """`rejected_log_records` of an ExportLogsServiceResponse."""
    found = re.match(rb"\x0a.{1,2}?\x08([\x80-\xff]*[\x00-\x7f])\x12", answer, re.S)
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(found[1])) if found else 0


class Flooder:
    def __init__(self, http_port, grpc_port, first, seconds, rate, seed):
        self.http_port = http_port
        self.channel = grpc.insecure_channel(f"127.0.0.1:{grpc_port}")
        self.call = self.channel.unary_unary(EXPORT)
        self.first, self.rate, self.random = first, rate, random.Random(seed)
        self.begun = time.monotonic()
        self.end = self.begun + seconds
        self.lock = threading.Lock()
        self.sent = 0
        self.result = {"acknowledged": [], "unacknowledged": [], "dropped": 0, "useless": []}
        self.answers = collections.Counter()

    def next(self):
        """The number of the next request, when it is due; `None` at the end."""
        with self.lock:
            number, self.sent = self.sent, self.sent + 1
        if self.rate:
            time.sleep(max(0.0, self.begun + number / self.rate - time.monotonic()))
        return number if time.monotonic() < self.end else None

    def over_http(self, connection, body):
        connection.request("POST", "/v1/logs", body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        text = answer.read()
        useful = answer.status == 200 or answer.status in (429, 503) and answer.getheader("Retry-After", "").isdecimal()
        return str(answer.status), answer.status == 200, useful, text

    def over_grpc(self, body):
        try:
            return "OK", True, True, self.call(body, timeout=10)
        except grpc.RpcError as error:
            code = error.code()
            details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
            useful = code.name in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")
            return code.name, False, useful or RETRY_INFO in details, error.details().encode()

    def work(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        while (number := self.next()) is not None:
            broken = number % 10 == 9
            first = self.first + number * RECORDS
            body = broken_request(self.first + number) if broken else request(first, RECORDS)
            try:
                told, taken, useful, text = self.over_grpc(body) if number % 2 else self.over_http(connection, body)
            except (OSError, http.client.HTTPException) as error:
                # Nothing was said: a client that hears nothing sends again.
                connection.close()
                told, taken, useful, text = type(error).__name__, False, True, b""
            with self.lock:
                self.answers[told] += 1
                if not useful:
                    self.result["useless"].append(f"{told} {text!r}")
                if not broken:
                    self.result["acknowledged" if taken else "unacknowledged"].append(first)
                elif taken:
                    self.result["dropped"] += dropped(text)
        connection.close()

    def run(self):
        threads = [threading.Thread(target=self.work) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {**self.result, "answers": self.answers}


def main():
    http_port, grpc_port, first = map(int, sys.argv[1:4])
    seconds, rate = float(sys.argv[4]), float(sys.argv[5])
    result = Flooder(http_port, grpc_port, first, seconds, rate, int(sys.argv[6])).run()
    pathlib.Path(sys.argv[7]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
