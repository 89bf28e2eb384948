"""Clients that hold connections for nothing, from several processes, while honest ones go on: dribble.py [--soak] [--seed N].

They send a byte every few seconds, end neither head nor body, open HTTP/2 connections and streams and leave them so, take
requests back, read no answers, and come again when they are put out (dribblers.py), at all three listeners. Meanwhile an
honest application's requests are acknowledged in about their usual time. Then the attackers fall silent, and none of them
hangs up: from then on clients with new connections are served in their usual time, and within 15 s the places of all
strangers are free. Whoever was served and reads no answer keeps his place until another needs it; so the same once more
where all places are held by these.

The short form has fewer of them, and processes that may open 512 files: so places are fewer than attackers there, too, and
files have to be opened in spite of them.
"""

import json
import random
import subprocess
import sys
import threading
import time

import measure
from road import Fault, Tally, compare, until

# What a connection may cost: buffers, HTTP/2's tables, its task. Over gRPC 16 calls of 16 KiB more; at the ledger 8 answers
# of which 48 KiB each wait to be read, and its window of bodies.
CONNECTION_KIB, CALLS_KIB, ANSWERS_KIB, WINDOW_KIB = 64, 16 * 16, 8 * 48, 64

# Memory for requests that are arriving: the agent's MEMORY_BYTES_MAX, the ledger's http.memory_bytes_max.
BODIES_MIB = {"agent": 64, "ledger": 128}

# Places of a listener where descriptors are no matter, and where there are 512.
PLACES, PLACES_OF_512 = 1024, 96

# How long attackers may keep their places once they send nothing any more.
SLOTS_BACK_S = 15


class Attackers:
    """Processes of dribblers."""

    def __init__(self, road, processes, count, seed, kinds=""):
        ports = [road.http_port, road.grpc_port, road.ledger_port]
        self.children, self.figures = [], [{} for _ in range(processes)]
        for number in range(processes):
            command = [sys.executable, "tests/attack/dribblers.py", count // processes, seed + number, *ports, road.trail, kinds]
            child = subprocess.Popen(
                list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
            )
            self.children.append(child)
            threading.Thread(target=self._read, args=(number, child), daemon=True).start()

    def _read(self, number, child):
        for line in child.stdout:
            self.figures[number] = json.loads(line)

    def total(self, name):
        return sum(figures.get(name, 0) for figures in self.figures)

    def say(self, word):
        for child in self.children:
            if child.poll() is not None:
                raise Fault(f"a process of attackers ended with {child.returncode}")
            child.stdin.write(word + "\n")
            child.stdin.flush()

    def answers(self):
        return {name: self.total(name) for name in sorted({n for f in self.figures for n in f if n.isdecimal()})}

    def end(self):
        for child in self.children:
            if child.poll() is None:
                child.stdin.close()
                try:
                    child.wait(10)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()


def bounds(places):
    """MiB that an attack may add, where all connections are of the most expensive kind: what is arriving, and places of the
    agent's two listeners and the ledger's one."""
    return {
        "agent": BODIES_MIB["agent"] + places * (2 * CONNECTION_KIB + CALLS_KIB) / 1024,
        "ledger": BODIES_MIB["ledger"] + places * (CONNECTION_KIB + ANSWERS_KIB + WINDOW_KIB) / 1024,
    }


def attack(place, count, processes, seconds, descriptors, allowance, random):
    places = PLACES_OF_512 if descriptors else PLACES
    # Outbox files of 512 KiB, so that new ones are opened all the time.
    road = place.road(place.dir / "dribble", outbox="bytes_max = 2097152", batch="")
    road.start_ledger(before=measure.limited(descriptors))
    road.start_agent(before=measure.limited(descriptors))
    road.ready(road.serve)
    road.ready(road.agent)
    attacked = {"agent": road.agent, "ledger": road.serve}
    tally = Tally()
    honest = measure.Honest(road, tally)
    attackers = None
    try:
        honest.p99_over(1)
        requests, before = honest.p99_over(seconds)
        print(f"  before: {requests} honest requests, p99 {before * 1000:.0f} ms", flush=True)
        usual = Newcomers(road, tally).p99_over(seconds)
        held = {name: measure.sockets(process) for name, process in attacked.items()}
        base = {name: measure.reset_peak(process) for name, process in attacked.items()}
        refusals = tally.refusals.total()
        attackers = Attackers(road, processes, count, random.randrange(1 << 30))
        until("all attackers have been there", lambda: attackers.total("opened") >= count, patience=120, pause=0.1)
        reader = measure.Reader(road.ledger_port)
        requests, during = honest.p99_over(seconds)
        read, again, failed, read_p99 = reader.finish()
        most = {name: measure.sockets(process) for name, process in attacked.items()}
        print(
            f"  during: {attackers.total('opened')} connections of {count} attackers, {attackers.total('held')} held by "
            f"them, {attackers.total('put out')} put out; answered {attackers.answers()}; sockets {most}"
        )
        print(
            f"  during: {requests} honest requests, p99 {during * 1000:.0f} ms, {tally.refusals.total() - refusals} tries "
            f"refused {dict(tally.refusals)}; {read} reads of the ledger, {again} tries again, {failed} failed, p99 {read_p99 * 1000:.0f} ms",
            flush=True,
        )
        if attackers.total("held") < min(count, 3 * places) // 2:
            raise Fault("so few connections were held that this was no attack")
        if failed:
            raise Fault(f"{failed} of {read + failed} who wanted to read the ledger could not")
        measure.judge_p99(before, during, allowance)
        silence(road, tally, attackers, attacked, held, usual, allowance)
        attackers.end()
        attackers = Attackers(road, processes, count, random.randrange(1 << 30), "unread")
        until("all have asked for much", lambda: attackers.total("opened") >= count, patience=120, pause=0.1)
        time.sleep(seconds)
        if min(map(measure.sockets, attacked.values())) < places:
            raise Fault("places were left: this was no attack")
        silence(road, tally, attackers, attacked, held, usual, allowance)
        attackers.end()
        until("descriptors are what they were", lambda: within(attacked, held, 4), patience=10)
        limit = bounds(places)
        told = [
            measure.judge_memory(name, base[name], measure.peak_mib(process), limit[name])
            for name, process in attacked.items()
        ]
        print(f"  memory: {'; '.join(told)}", flush=True)
        honest.finish()
    finally:
        if attackers:
            attackers.end()
    for process in attacked.values():
        if not process.alive:
            raise Fault(f"{process.name} ended; see {process.log}")
    until("the outbox is empty", lambda: not road.metric("sealtrail_agent_outbox_pending_batches"))
    road.stop()
    verdict = road.verify()
    # Bytes that dribble may become a broken frame.
    counts = road.exported(stubs=True)
    compare(tally, counts)
    print(f"  {verdict}; {len(tally.acknowledged)} records acknowledged, {counts.total()} and {road.stubs} stubs exported")


def within(attacked, held, more):
    # The honest client that connects anew may just be there, or not.
    return all(measure.sockets(process) <= held[name] + more for name, process in attacked.items())


class Newcomers:
    """Clients that connect anew for each request to the agent, and a reader of the ledger."""

    def __init__(self, road, tally):
        self.clients = measure.Honest(road, tally, measure.newcomers)
        self.reader = measure.Reader(road.ledger_port)

    def p99_over(self, seconds, since=None):
        """The 99th percentiles at the agent, from then on, and at the ledger."""
        requests, p99 = self.clients.p99_over(seconds, since)
        read, again, failed, read_p99 = self.reader.finish()
        self.clients.finish()
        print(
            f"    {requests} requests over new connections, p99 {p99 * 1000:.0f} ms; {read} reads of the ledger, {again} tries "
            f"again, {failed} failed, p99 {read_p99 * 1000:.0f} ms",
            flush=True,
        )
        if failed:
            raise Fault(f"{failed} of {read + failed} who wanted to read the ledger could not")
        return {"agent": p99, "ledger": read_p99}


def silence(road, tally, attackers, attacked, held, usual, allowance):
    """The attackers fall silent and stay; strangers have no places after a while, newcomers are served meanwhile."""
    attackers.say("hold")
    silent, newcomers = time.monotonic(), Newcomers(road, tally)
    sockets = {name: measure.sockets(process) for name, process in attacked.items()}
    # Newcomers may have a connection more.
    free = lambda: within(attacked, held, 6 + attackers.total("unread"))
    try:
        until("places are free again", free, patience=SLOTS_BACK_S, pause=0.1)
    except Fault:
        now = {name: measure.sockets(process) for name, process in attacked.items()}
        raise Fault(f"{SLOTS_BACK_S} s after the attackers fell silent there are sockets {now}, {held} before") from None
    back = time.monotonic() - silent
    after = newcomers.p99_over(silent + SLOTS_BACK_S - time.monotonic(), since=silent)
    now = {name: measure.sockets(process) for name, process in attacked.items()}
    print(
        f"  silent: sockets {sockets}, of strangers none after {back:.1f} s; after {SLOTS_BACK_S} s {now}, {attackers.total('held')} "
        f"attackers still there",
        flush=True,
    )
    for name, p99 in after.items():
        measure.judge_p99(usual[name], p99, allowance)


if __name__ == "__main__":
    measure.run_case("dribble", "dribbling connections", attack, short=(1_000, 2, 4, 512, 0.5), soak=(10_000, 4, 30, None, 0.05))
