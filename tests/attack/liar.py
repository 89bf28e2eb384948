"""A ledger that answers nonsense: stands between an agent and the real one, and misbehaves by a seeded script.

Of the agent's calls (`challenges`, `epochs`, `batches`, and what it reads of the published history) those in `lying` are
answered in one of the ways below, but for one in three, which is passed on like all others, so that the agent does not wait
ever longer between its tries. What is done to an answer is done after the real ledger has had the request, or without: so
statements may have been taken, and the agent does not know.
"""

import collections
import http.client
import http.server
import random
import socketserver
import threading
import time

# More than any answer may have, and more than an agent could hold.
HUGE_BYTES = 1 << 30

PROBLEM = b'{"class":"%s","detail":"%s","expected":%d,"status":%d,"title":"t","type":"t"}'


class Liar:
    def __init__(self, port, ledger_port, seed):
        self.ledger_port = ledger_port
        self.random = random.Random(seed)
        self.lying = set()
        self.due = set()
        self.told = collections.Counter()
        self.replay = {}
        liar = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except OSError:
                    self.close_connection = True

            def do_POST(self):
                liar.answer(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def do_GET(self):
                liar.answer(self, None)

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def lie_to(self, calls):
        """To these calls from now on; to each of them at least once."""
        self.lying, self.due = calls, set(calls)

    def close(self):
        self.lying = set()
        self.server.shutdown()
        self.server.server_close()

    def pass_on(self, handler, body):
        """What the real ledger says: status, type, bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ledger_port, timeout=30)
        try:
            connection.request(handler.command, handler.path, body, {"Content-Type": "application/cbor"})
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type", ""), answer.read()
        except (OSError, http.client.HTTPException):
            return 503, "text/plain", b"away"
        finally:
            connection.close()

    def answer(self, handler, body):
        call = handler.path.rsplit("/", 1)[-1] if body is not None else "published"
        lucky = self.random.random() < 1 / 3 and call not in self.due
        if call not in self.lying or lucky:
            status, kind, text = self.pass_on(handler, body)
            if status == 200:
                self.replay.setdefault(call, text)
            send(handler, status, kind, text)
            return
        self.due.discard(call)
        way = self.random.choice(WAYS)
        self.told[f"{call} {way.__name__}"] += 1
        # The real one has had every other of them.
        status, kind, text = self.pass_on(handler, body) if self.random.random() < 0.5 else (200, "application/cbor", b"\x84\x01")
        way(self, handler, status, kind, text)
        handler.close_connection = True

    def calls_lied_to(self):
        return {told.partition(" ")[0] for told in self.told}


def send(handler, status, kind, text):
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(text)))
    handler.end_headers()
    handler.wfile.write(text)


def raw(handler, pieces, pause=0.0):
    """Writes until the agent has had enough or the lying is over."""
    for piece in pieces:
        handler.wfile.write(piece)
        time.sleep(pause)


def while_lying(liar, piece):
    while liar.lying:
        yield piece


def for_a_second(liar, piece):
    end = time.monotonic() + 1
    while liar.lying and time.monotonic() < end:
        yield piece


def garbage(liar, handler, *_):
    raw(handler, [liar.random.randbytes(1 << 16)])


def nothing(liar, handler, *_):
    pass


def endless_head(liar, handler, *_):
    raw(handler, [b"HTTP/1.1 200 OK\r\n"])
    raw(handler, while_lying(liar, b"x-more: " + 1000 * b"a" + b"\r\n"))


def endless_hints(liar, handler, *_):
    raw(handler, for_a_second(liar, b"HTTP/1.1 103 Early Hints\r\n\r\n"), 0.001)


def endless_body(liar, handler, *_):
    raw(handler, [b"HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\nTransfer-Encoding: chunked\r\n\r\n"])
    raw(handler, while_lying(liar, b"10000\r\n" + bytes(1 << 16) + b"\r\n"))


def huge_body(liar, handler, *_):
    raw(handler, [b"HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\nContent-Length: %d\r\n\r\n" % HUGE_BYTES])
    raw(handler, (piece for _, piece in zip(range(HUGE_BYTES >> 20), while_lying(liar, bytes(1 << 20)))))


def huge_refusal(liar, handler, *_):
    raw(handler, [b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % HUGE_BYTES])
    raw(handler, (piece for _, piece in zip(range(HUGE_BYTES >> 20), while_lying(liar, bytes(1 << 20)))))


def dribble(liar, handler, *_):
    raw(handler, [b"HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\nContent-Length: 1000000\r\n\r\n"])
    raw(handler, for_a_second(liar, b"\x84"), 0.05)


def empty(liar, handler, *_):
    send(handler, 200, "application/cbor", b"")


def wrong_type(liar, handler, *_):
    send(handler, 200, "text/html", b"<html>it works</html>")


def deep(liar, handler, *_):
    send(handler, 200, "application/cbor", b"\x81" * (4 << 20))


def long_arrays(liar, handler, *_):
    send(handler, 200, "application/cbor", b"\x84\x01\x9b" + b"\x7f" * 8)


def broken_off(liar, handler, status, kind, text):
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(text)))
    handler.end_headers()
    handler.wfile.write(text[: len(text) // 2])


def flipped(liar, handler, status, kind, text):
    text = bytearray(text)
    if text:
        text[liar.random.randrange(len(text))] ^= 1 << liar.random.randrange(8)
    send(handler, status, kind, bytes(text))


def another_answer(liar, handler, status, kind, text):
    """One that was good, for another request: a receipt for another batch."""
    call = liar.random.choice(sorted(liar.replay) or [""])
    send(handler, 200, "application/cbor", liar.replay.get(call, b""))


def redirect(liar, handler, *_):
    raw(handler, [b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"])


def html_refusal(liar, handler, *_):
    """What something in between may say: nobody's refusal."""
    send(handler, liar.random.choice([400, 403, 404, 409, 413, 422]), "text/html", b"<html>no</html>")


def busy(liar, handler, *_):
    send(handler, liar.random.choice([429, 500, 502, 503]), "text/plain", b"later")


def circles(liar, handler, *_):
    """Asks for batches that there may never have been."""
    problem = PROBLEM % (b"sequence-ahead", 1000 * b"a", liar.random.choice([0, 1, 2**53 - 1]), 409)
    send(handler, 409, "application/problem+json", problem)


WAYS = [
    garbage, nothing, endless_head, endless_hints, endless_body, huge_body, huge_refusal, dribble, empty, wrong_type, deep,
    long_arrays, broken_off, flipped, another_answer, redirect, html_refusal, busy, circles,
]
