"""Clients that send HTTP/2 frames which ask for nothing (SETTINGS, PING, WINDOW_UPDATE) as fast as they are taken, alone or
with a byte of a call in between, at the agent's gRPC address and the ledger's, from several processes, while an honest
application goes on: babble.py [--soak] [--seed N].

They are put out, come again (babblers.py), and change little for others: the application's requests are acknowledged, and
the ledger is read, in about the time that they take while the same flood goes to somebody who throws it away.
"""

import json
import subprocess
import sys
import time

import measure
from babblers import KINDS
from road import Fault, Tally, compare, get, until

# What a connection may cost, with a call on every fourth; what honest requests take meanwhile.
CONNECTION_KIB, HONEST_MIB = 64 + 16 // 4, 32

PUT_OUT = {"agent": "sealtrail_agent_connections_flooding_total", "ledger": "sealtrail_connections_flooding_total"}


class Flood:
    """Processes of babblers at some ports, for so long. They have machines of their own, so here they give way."""

    def __init__(self, count, processes, seconds, ports, source):
        self.seconds = seconds
        self.children = []
        for _ in range(processes):
            command = ["nice", sys.executable, "tests/attack/babblers.py", count // processes, source.randrange(1 << 30), seconds, *ports]
            self.children.append(subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True))

    def figures(self):
        total = {}
        for child in self.children:
            out, _ = child.communicate(timeout=self.seconds + 60)
            if child.returncode != 0:
                raise Fault(f"a process of babblers ended with {child.returncode}")
            for name, figure in json.loads(out).items():
                total[name] = total.get(name, 0) + figure
        return total

    def end(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
                child.wait()


def under(flood, honest, seconds, ledger_port):
    """The 99th percentiles of honest requests and of reads of the ledger under a flood."""
    try:
        time.sleep(1)
        reader = measure.Reader(ledger_port)
        requests, p99 = honest.p99_over(seconds)
        read, again, failed, read_p99 = reader.finish()
        figures = flood.figures()
    finally:
        flood.end()
    print(
        f"    {figures}; {requests} honest requests, p99 {p99 * 1000:.0f} ms; {read} reads of the ledger, {again} tries "
        f"again, {failed} failed, p99 {read_p99 * 1000:.0f} ms",
        flush=True,
    )
    if failed:
        raise Fault(f"{failed} of {read + failed} who wanted to read the ledger could not")
    return p99, read_p99, figures


def thrown_away(count, processes, seconds, source, honest, ledger_port):
    """The same flood to somebody else, which takes the same of this machine."""
    sink = subprocess.Popen(["nice", sys.executable, "tests/attack/sink.py"], stdout=subprocess.PIPE, text=True)
    try:
        port = int(sink.stdout.readline())
        flood = Flood(count, processes, seconds + 2, [port], source)
        return under(flood, honest, seconds, ledger_port)
    finally:
        sink.kill()
        sink.wait()


def put_out(road):
    ledger = get(road.ledger_port, "/metrics")[1].split()
    name = PUT_OUT["ledger"]
    counts = [int(value) for key, value in zip(ledger, ledger[1:]) if key == name and value.isdecimal()]
    return {"agent": road.metric(PUT_OUT["agent"]), "ledger": sum(counts)}


def attack(place, count, processes, seconds, allowance, source):
    road = place.road(place.dir / "babble", batch="")
    road.start()
    road.ready(road.serve)
    road.ready(road.agent)
    attacked = {"agent": road.agent, "ledger": road.serve}
    tally = Tally()
    honest = measure.Honest(road, tally)
    honest.p99_over(1)
    print(f"  {count} connections, thrown away:", flush=True)
    before, read_before, _ = thrown_away(count, processes, seconds, source, honest, road.ledger_port)
    base = {name: measure.reset_peak(process) for name, process in attacked.items()}
    print("  at agent and ledger:", flush=True)
    flood = Flood(count, processes, seconds + 2, [road.grpc_port, road.ledger_port], source)
    during, read_during, figures = under(flood, honest, seconds, road.ledger_port)
    told = [
        measure.judge_memory(name, base[name], measure.peak_mib(process), HONEST_MIB + count * CONNECTION_KIB / 1024)
        for name, process in attacked.items()
    ]
    print(f"  memory: {'; '.join(told)}")
    measure.judge_p99(before, during, allowance)
    measure.judge_p99(read_before, read_during, allowance)
    out = put_out(road)
    print(f"  put out: {out}", flush=True)
    kinds = [figures[kind.__name__] for kind in KINDS]
    each = min(kinds)
    # A kind that is found out later than the others is put out less often.
    if each < max(count // len(KINDS), max(kinds) // 4) or min(out.values()) < count // 2:
        raise Fault(f"of {figures['opened']} connections that ask for nothing {figures['put out']} were put out, {each} of a kind")
    honest.finish()
    until("the outbox is empty", lambda: not road.metric("sealtrail_agent_outbox_pending_batches"))
    road.stop()
    verdict = road.verify()
    counts = road.exported()
    compare(tally, counts)
    print(f"  {verdict}; {len(tally.acknowledged)} records acknowledged, {counts.total()} exported")


if __name__ == "__main__":
    measure.run_case("babble", "babble", attack, short=(400, 2, 4, 0.5), soak=(800, 4, 30, 0.05))
