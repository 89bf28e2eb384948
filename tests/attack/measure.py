"""What an honest client sees while others attack, and what the attacked processes take of the machine."""

import argparse
import os
import pathlib
import random
import re
import sys
import threading
import time

import grpc
from road import BEGINNING_NS, Client, Fault, Place, get, request
from wire import EXPORT

# A request of an application: so many records, so often.
RECORDS = 20
PERIOD_S = 0.1

# Codes that a client has to take for *come again*. RESOURCE_EXHAUSTED among them only where it says when.
RETRY_INFO = b"google.rpc.RetryInfo"


class Calls:
    """As road's Client, over gRPC."""

    def __init__(self, port, tally):
        self.tally = tally
        # The reconnection of gRPC waits for a second by default, which would be what is measured.
        options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000)]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)
        self.call = self.channel.unary_unary(EXPORT)

    def send(self, body):
        try:
            answer = self.call(body, timeout=10)
        except grpc.RpcError as error:
            code = error.code()
            details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
            if code is grpc.StatusCode.RESOURCE_EXHAUSTED and RETRY_INFO in details:
                return code.name
            if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
                return code.name
            raise Fault(f"a call was refused for good: {code} {error.details()}") from None
        if answer:
            raise Fault(f"a call was not taken whole: {answer!r}")
        return True

    def deliver(self, first, count, body, go_on=lambda: True):
        return Client.deliver(self, first, count, body, go_on)

    def close(self):
        self.channel.close()


class Fresh(Client):
    """Connects anew for each request: whoever cannot get a place is found out."""

    def send(self, body):
        told = super().send(body)
        self.close()
        return told


class FreshCalls(Calls):
    """The same over gRPC."""

    def __init__(self, port, tally):
        super().__init__(port, tally)
        self.port = port

    def send(self, body):
        self.close()
        # gRPC would take a connection that there is from any channel of the same options.
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}", options)
        self.call = self.channel.unary_unary(EXPORT)
        return super().send(body)


def application(road, tally):
    """HTTP, HTTP with new connections, gRPC."""
    return [Client(road.http_port, tally), Fresh(road.http_port, tally), Calls(road.grpc_port, tally)]


def newcomers(road, tally):
    """Nobody of them has a place before a request."""
    return [Fresh(road.http_port, tally), FreshCalls(road.grpc_port, tally)]


class Honest:
    """Clients at a steady pace. A request's time is from the moment it was due to its acknowledgement, all tries in between
    included."""

    def __init__(self, road, tally, clients=application):
        self.tally = tally
        self.times = []
        self.ending = threading.Event()
        clients = clients(road, tally)
        self.threads = [threading.Thread(target=self._work, args=(client,), daemon=True) for client in clients]
        for thread in self.threads:
            thread.start()

    def _work(self, client):
        due = time.monotonic()
        try:
            while not self.ending.is_set():
                first = self.tally.take(RECORDS)
                client.deliver(first, RECORDS, request(first, RECORDS))
                done = time.monotonic()
                self.times.append((done, done - due))
                # What took longer than its turn does not make the next ones late: one client does one thing at a time.
                due = max(due + PERIOD_S, done)
                time.sleep(max(0.0, due - time.monotonic()))
        except Exception as error:  # Told by `check` in the main thread.
            self.tally.faults.append(error)
        finally:
            client.close()

    def p99_over(self, seconds, since=None):
        """Requests in the coming seconds, or from `since` on: how many, and the 99th percentile of their times in s."""
        begun = since or time.monotonic()
        time.sleep(max(0.0, seconds))
        self.tally.check()
        times = sorted(took for done, took in self.times if done >= begun)
        if not times:
            raise Fault(f"no honest request was acknowledged in {seconds} s: {dict(self.tally.refusals)}")
        return len(times), times[min(len(times) - 1, int(len(times) * 0.99))]

    def finish(self, patience=60):
        self.ending.set()
        for thread in self.threads:
            thread.join(patience)
        self.tally.check()
        if any(thread.is_alive() for thread in self.threads):
            raise Fault(f"an honest request was not acknowledged within {patience} s: {dict(self.tally.refusals)}")


class Reader:
    """Somebody who reads the ledger, with a new connection each time, and tries again where that breaks off."""

    TRIES = 3

    def __init__(self, port):
        self.port = port
        self.times = []
        self.failed = self.again = 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self):
        while not self.ending.wait(PERIOD_S):
            begun = time.monotonic()
            for _ in range(self.TRIES):
                if get(self.port, "/readyz", timeout=5)[0] == 200:
                    self.times.append(time.monotonic() - begun)
                    break
                self.again += 1
            else:
                self.failed += 1

    def finish(self):
        """How many reads, tries again and failures there were, and the 99th percentile of their times in s."""
        self.ending.set()
        self.thread.join(20)
        times = sorted(self.times)
        return len(times), self.again, self.failed, times[int(len(times) * 0.99)] if times else float("inf")


def judge_p99(before, during, allowance):
    """Twice what is usual, and what a busy machine takes."""
    bound = 2 * before + allowance
    if during > bound:
        raise Fault(f"p99 of honest requests went from {before * 1000:.0f} to {during * 1000:.0f} ms, above {bound * 1000:.0f}")


def proc(process, name):
    return pathlib.Path(f"/proc/{process.child.pid}/{name}")


def peak_mib(process):
    """The most that was resident since `reset_peak`."""
    return int(re.search(r"^VmHWM:\s+(\d+) kB", proc(process, "status").read_text(), re.M)[1]) / 1024


def reset_peak(process):
    proc(process, "clear_refs").write_text("5")
    return peak_mib(process)


def sockets(process):
    """Connections that a process holds, its listeners included."""
    count = 0
    for descriptor in proc(process, "fd").iterdir():
        try:
            count += os.readlink(descriptor).startswith("socket:")
        except FileNotFoundError:
            pass
    return count


def judge_memory(name, base, peak, bound):
    if peak > base + bound:
        raise Fault(f"{name} took {peak:.0f} MiB, {base:.0f} before and {bound:.0f} more were expected at most")
    return f"{name} {base:.0f} MiB before, {peak:.0f} at most (bound {base + bound:.0f})"


def limited(descriptors):
    """Puts a process under a limit of file descriptors, which it cannot raise."""
    return ["sh", "-c", f'ulimit -n {descriptors}; exec "$0" "$@"'] if descriptors else []


def run_case(name, what, attack, short, soak):
    """A case as a program: `attack(place, *figures, source)`, with the figures of its short or its long form."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--soak", action="store_true")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    args = parser.parse_args()
    begun = time.monotonic()
    try:
        with Place(name, args.seed) as place:
            attack(place, *(soak if args.soak else short), random.Random(args.seed))
    except Fault as fault:
        sys.exit(f"{name}: {fault}")
    print(f"suite: attack: {what}, {time.monotonic() - begun:.0f} s")
