"""A whole road for tests that break it: ledger and agent in processes of their own, clients that send again what was not
acknowledged, and the comparison at the end.

Everything lies below one directory. Addresses are chosen once, so that whoever is started again is found again.
"""

import collections
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

BEGINNING_NS = 1_767_225_600_000_000_000

# An SDK gives up on an answer after this and sends the same bytes again.
ANSWER_WITHIN_S = 10

# Between two tries of one request. SDKs wait longer; here time is dear.
RETRY_S = 0.05

# How long a process may take to be ready, or to end: much more than it does, on a busy machine.
PATIENCE_S = 60


class Fault(Exception):
    """Something that must not happen did."""


def build():
    """The binary under test."""
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    named = os.environ.get("SEALTRAIL_BINARY")
    return pathlib.Path(named or f"{target}/debug/sealtrail").resolve()


def free_ports(count):
    """Ports outside the range from which outgoing connections take theirs: a client that connects again and again to a port
    where nobody listens could otherwise meet itself."""
    found = []
    candidates = random.SystemRandom().sample(range(20_000, 30_000), 200)
    for port in candidates:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise Fault("no free ports")


def until(what, holds, patience=PATIENCE_S, pause=0.01):
    """Waits until something holds, and gives it back."""
    end = time.monotonic() + patience
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > end:
            raise Fault(f"waited {patience} s in vain: {what}")
        time.sleep(pause)


class Process:
    """A ledger or an agent, with what was put before its command line."""

    def __init__(self, name, command, log, before=()):
        self.name = name
        self.log = log
        with open(log, "ab") as out:
            self.child = subprocess.Popen([*before, *command], stdout=out, stderr=out)

    @property
    def alive(self):
        return self.child.poll() is None

    def kill(self):
        """SIGKILL; says whether it was alive and died of it."""
        alive = self.alive
        self.child.kill()
        return alive and self.child.wait() == -signal.SIGKILL

    def stop(self, patience=PATIENCE_S):
        """SIGTERM, and its exit code."""
        self.child.terminate()
        try:
            return self.child.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Fault(f"{self.name} did not end within {patience} s of SIGTERM; see {self.log}") from None


class Road:
    """One ledger and one agent."""

    def __init__(self, dir, ledger="", agent="", outbox="", on=None, batch="delay_ms = 5", between=None):
        self.dir = pathlib.Path(dir)
        self.dir.mkdir(exist_ok=True)
        self.sealtrail = build()
        self.ledger_port, self.grpc_port, self.http_port = free_ports(3)
        # Where the agent looks for the ledger: somebody may stand between them.
        self.way = between or self.ledger_port
        self.ledger_dir = self.dir / "ledger"
        self.agent_dir = self.dir / "agent"
        if on:
            # One of the two has its directory on another disk.
            who, disk = on
            setattr(self, f"{who}_dir", pathlib.Path(disk) / who)
        self.policy = self.dir / "ledger.trust-policy.toml"
        self.serve = None
        self.agent = None
        self._make(ledger, agent, outbox, batch)

    def _make(self, ledger, agent, outbox, batch):
        self.run("init", self.ledger_dir, "--name", "tests.example/faults", "--policy", self.policy)
        accept = self.run("attest", "reference-value", "--kind", "software", "--dir", self.dir / "attester")
        (self.dir / "accept.toml").write_text(accept)
        added = self.run(
            "stream", "add", "payments", "--ledger", self.ledger_dir, "--accept", self.dir / "accept.toml"
        )
        self.trail = re.search(r"\(([0-9a-f]{32})\)", added)[1]
        with self.policy.open("a") as file:
            file.write(accept)
        trust = dict(re.findall(r'^(control|key) = "(.*)"', self.policy.read_text(), re.M))
        (self.dir / "ledger.toml").write_text(ledger)
        (self.dir / "agent.toml").write_text(f"""\
stream = "payments"
{agent}

[ledger]
url = "http://127.0.0.1:{self.way}"
name = "tests.example/faults"
control = "{trust['control']}"
key = "{trust['key']}"
trail = "{self.trail}"

[otlp]
grpc = "127.0.0.1:{self.grpc_port}"
http = "127.0.0.1:{self.http_port}"

[batch]
{batch}

[outbox]
dir = "{self.agent_dir}"
{outbox}

[attester]
kind = "software"
dir = "{self.dir}/attester"

[redaction]
enabled = false
""")

    def run(self, *arguments, codes=(0,)):
        """Runs the command to its end."""
        done = subprocess.run(
            [self.sealtrail, *map(str, arguments)], capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode not in codes:
            raise Fault(f"`sealtrail {' '.join(map(str, arguments))}` ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def start_ledger(self, before=()):
        command = [
            self.sealtrail, "serve", self.ledger_dir,
            "--config", self.dir / "ledger.toml", "--listen", f"127.0.0.1:{self.ledger_port}",
        ]
        self.serve = Process("ledger", command, self.dir / "ledger.log", before)

    def start_agent(self, before=()):
        command = [self.sealtrail, "agent", "--config", self.dir / "agent.toml"]
        self.agent = Process("agent", command, self.dir / "agent.log", before)

    def start(self):
        """Starts what does not run, the ledger first, since the agent asks it."""
        if self.serve is None or not self.serve.alive:
            self.start_ledger()
        if self.agent is None or not self.agent.alive:
            self.start_agent()

    def ledger_ready(self):
        return get(self.ledger_port, "/readyz")[0] == 200

    def agent_ready(self):
        return get(self.http_port, "/readyz")[0] == 200

    def ready(self, process):
        """Waits until a process takes what is sent to it, or has ended; says which."""
        ask = self.ledger_ready if process is self.serve else self.agent_ready
        until(f"{process.name} is ready; see {process.log}", lambda: not process.alive or ask())
        return process.alive

    def metric(self, name):
        """A figure of the agent."""
        found = re.search(rf"^{name} (\d+)", get(self.http_port, "/metrics")[1], re.M)
        return int(found[1]) if found else 0

    def stop(self):
        """Stops both cleanly."""
        for process in (self.agent, self.serve):
            code = process.stop()
            if code != 0:
                raise Fault(f"{process.name} ended with {code}; see {process.log}")

    def halt(self):
        """Ends whatever still runs."""
        for process in (self.agent, self.serve):
            if process is not None and process.alive:
                process.kill()

    def verify(self):
        """The verdict's first line; anything but VERIFIED is a fault."""
        verdict = self.run("verify", self.ledger_dir, "--policy", self.policy, codes=(0, 1, 2))
        (self.dir / "verdict").write_text(verdict)
        first = verdict.partition("\n")[0]
        if not first.startswith("VERIFIED"):
            raise Fault(f"verify says: {verdict}")
        return first

    def exported(self, stubs=False):
        """How often each numbered record is in the ledger. Stubs of what could not be mapped have no number: where there may
        be some they are counted in `self.stubs`."""
        command = [self.sealtrail, "export", "--jsonl", self.ledger_dir, "--policy", self.policy]
        counts, self.stubs = collections.Counter(), 0
        with subprocess.Popen([*command, "--stream", "payments"], stdout=subprocess.PIPE) as export:
            for line in export.stdout:
                if stubs and b'"stub":{' in line:
                    self.stubs += 1
                else:
                    counts[number_of(line)] += 1
        if export.returncode != 0:
            raise Fault(f"export ended with {export.returncode}")
        return counts


NUMBER = re.compile(rb'"audit\.number":(?:\{"\$i":"(\d+)"\}|(\d+))')


def number_of(line):
    """The number of an exported record; the same text elsewhere in it would be taken for none."""
    found = NUMBER.findall(line)
    if len(found) != 1:
        record = json.loads(line)
        raise Fault(f"an exported record has not one number: {record}")
    return int(found[0][0] or found[0][1])


def get(port, path, timeout=2):
    """Status and text of an answer; 0 where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, payload):
    """A length-delimited field of protobuf."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def key_value(key, value):
    return field(1, key) + field(2, value)


RESOURCE = field(1, field(1, key_value(b"service.name", field(1, b"payments"))))
SCOPE = field(1, field(1, b"sealtrail.faults"))


def approved(number):
    return b"payment %d was approved" % number


def request(first, count, text=approved):
    """An ExportLogsServiceRequest with records numbered from `first`, each in attribute `audit.number`."""
    records = bytearray()
    for number in range(first, first + count):
        time_ns = varint(1 << 3 | 1) + (BEGINNING_NS + number).to_bytes(8, "little")
        attribute = key_value(b"audit.number", varint(3 << 3) + varint(number))
        records += field(2, time_ns + field(5, field(1, text(number))) + field(6, attribute))
    return field(1, RESOURCE + field(2, SCOPE + bytes(records)))


def message(status):
    """The message of a google.rpc.Status of code 14, UNAVAILABLE; any other is a fault."""
    if status[:3] != b"\x08\x0e\x12":
        raise Fault(f"a refusal is no status that asks to come again: {status!r}")
    length, at = status[3], 4
    if length & 0x80:
        length, at = length & 0x7F | status[4] << 7, 5
    # What is wrong stands first, what to do about it after a colon.
    return status[at : at + length].decode().partition(":")[0]


class Tally:
    """What clients sent and what they were told, shared by all of them."""

    def __init__(self):
        self.lock = threading.Lock()
        self.next = 0
        self.acknowledged = set()
        self.unacknowledged = set()
        self.refusals = collections.Counter()
        self.in_flight = 0
        self.resent = 0
        self.faults = []

    def take(self, count):
        """Numbers for a new request, the first of them."""
        with self.lock:
            first = self.next
            self.next += count
            self.unacknowledged.update(range(first, first + count))
            return first

    def acknowledge(self, first, count):
        with self.lock:
            self.acknowledged.update(range(first, first + count))
            self.unacknowledged.difference_update(range(first, first + count))

    def refuse(self, why):
        with self.lock:
            self.refusals[why] += 1

    def flying(self, change):
        with self.lock:
            self.in_flight += change

    def check(self):
        if self.faults:
            raise self.faults[0]


class Client:
    """Sends requests over OTLP/HTTP, one at a time, each again and again, byte for byte, until it is acknowledged."""

    def __init__(self, port, tally):
        self.port = port
        self.tally = tally
        self.connection = None

    def send(self, body):
        """One try: `True` for acknowledged, a word for why not."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_WITHIN_S)
            self.connection.request("POST", "/v1/logs", body, {"Content-Type": "application/x-protobuf"})
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return type(error).__name__
        if answer.will_close:
            self.close()
        if answer.status == 200:
            # An ExportLogsServiceResponse that says nothing is empty: no record was rejected.
            if text:
                raise Fault(f"a request was not taken whole: {text!r}")
            return True
        if answer.status != 503:
            raise Fault(f"a request was answered with {answer.status}: {text!r}")
        return f"503 {message(text)}"

    def deliver(self, first, count, body, go_on=lambda: True, retry=RETRY_S):
        """Sends until acknowledged; `False` where it was told to give up before."""
        tries = 0
        while go_on():
            self.tally.flying(1)
            try:
                told = self.send(body)
            finally:
                self.tally.flying(-1)
            tries += 1
            if told is True:
                self.tally.acknowledge(first, count)
                return True
            self.tally.refuse(told)
            self.tally.resent += 1
            time.sleep(retry)
        return False

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Load:
    """Clients in threads, each with one request after the other, until told to end; then each finishes its last."""

    def __init__(self, port, tally, threads, records, pause=0.0, text=approved):
        self.tally = tally
        self.ending = threading.Event()
        work = (port, records, pause, text)
        self.threads = [threading.Thread(target=self._work, args=work, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _work(self, port, records, pause, text):
        client = Client(port, self.tally)
        try:
            while not self.ending.is_set():
                first = self.tally.take(records)
                client.deliver(first, records, request(first, records, text))
                if pause:
                    time.sleep(pause)
        except Exception as error:  # Told by `check` in the main thread.
            self.tally.faults.append(error)
        finally:
            client.close()

    def finish(self, patience=PATIENCE_S):
        """Waits until everything sent is acknowledged."""
        self.ending.set()
        end = time.monotonic() + patience
        for thread in self.threads:
            thread.join(max(0.0, end - time.monotonic()))
        self.tally.check()
        if any(thread.is_alive() for thread in self.threads):
            raise Fault(f"a request was not acknowledged within {patience} s: {dict(self.tally.refusals)}")


def compare(tally, counts):
    """Every acknowledged record is there exactly once, every other at most once, and nothing else is."""
    missing = sorted(tally.acknowledged - counts.keys())
    twice = sorted(number for number, count in counts.items() if count > 1)
    unknown = sorted(counts.keys() - tally.acknowledged - tally.unacknowledged)
    for what, numbers in [
        ("acknowledged and not there", missing), ("there more than once", twice), ("never sent", unknown)
    ]:
        if numbers:
            raise Fault(f"{len(numbers)} records {what}: {numbers[:10]}")


class Place:
    """A directory for one run, which goes when the run went well and is named when not."""

    def __init__(self, name, seed):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"sealtrail-{name}-"))
        self.seed = seed
        self.roads = []

    def road(self, *arguments, **options):
        road = Road(*arguments, **options)
        self.roads.append(road)
        return road

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for road in self.roads:
            road.halt()
        if error is None:
            shutil.rmtree(self.dir, ignore_errors=True)
        else:
            print(f"seed {self.seed}; everything is kept in {self.dir}", flush=True)
        return False
