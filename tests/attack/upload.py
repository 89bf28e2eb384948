"""Clients that fill the ledger's memory for requests with bodies that do not end, and then the windows of all connections
over HTTP/2 (uploaders.py), while an honest application goes on: upload.py [--soak] [--seed N].

What came on a connection and waits to be read, since no memory is left for it, is in no budget. The ledger stays under what
docs/operate.md promises all the same, and what the application was acknowledged is committed in the end.
"""

import json
import subprocess
import sys
import time

import measure
from dribble import BODIES_MIB, WINDOW_KIB, bounds
from road import Fault, Tally, compare, until


def uploaders(road, count, processes, seconds):
    command = [sys.executable, "tests/attack/uploaders.py", count // processes]
    return [
        subprocess.Popen(
            list(map(str, ["nice", *command, seconds, road.ledger_port, road.trail])),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]


def results(children, seconds):
    total = {}
    for child in children:
        out, _ = child.communicate(timeout=seconds + 60)
        if child.returncode != 0:
            raise Fault(f"a process of uploaders ended with {child.returncode}")
        for name, figure in json.loads(out).items():
            total[name] = total.get(name, 0) + figure
    return total


def attack(place, count, processes, seconds, allowance, _source):
    road = place.road(place.dir / "upload", batch="")
    road.start()
    road.ready(road.serve)
    road.ready(road.agent)
    tally = Tally()
    honest = measure.Honest(road, tally)
    honest.p99_over(1)
    requests, before = honest.p99_over(seconds)
    print(f"  before: {requests} honest requests, p99 {before * 1000:.0f} ms", flush=True)
    base = measure.reset_peak(road.serve)
    children = uploaders(road, count, processes, seconds + 2)
    try:
        time.sleep(2)
        reader = measure.Reader(road.ledger_port)
        requests, during = honest.p99_over(seconds)
        read, again, failed, read_p99 = reader.finish()
        figures = results(children, seconds)
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
    print(
        f"  during: {figures}; {requests} honest requests, p99 {during * 1000:.0f} ms; {read} reads of the ledger, "
        f"{again} tries again, {failed} failed, p99 {read_p99 * 1000:.0f} ms",
        flush=True,
    )
    told = measure.judge_memory("ledger", base, measure.peak_mib(road.serve), bounds(count)["ledger"])
    print(f"  memory: {told}", flush=True)
    if failed:
        raise Fault(f"{failed} of {read + failed} who wanted to read the ledger could not")
    # Each of them filled its window, and so many whole bodies as there is memory for.
    least = BODIES_MIB["ledger"] + count * WINDOW_KIB // 1024
    if figures["MiB"] < least or not figures["answered"]:
        raise Fault(f"{figures['MiB']} MiB were sent, {least} fill the memory and the windows: this was no attack")
    measure.judge_p99(before, during, allowance)
    honest.finish()
    until("the outbox is empty", lambda: not road.metric("sealtrail_agent_outbox_pending_batches"))
    road.stop()
    verdict = road.verify()
    counts = road.exported()
    compare(tally, counts)
    print(f"  {verdict}; {len(tally.acknowledged)} records acknowledged, {counts.total()} exported")


if __name__ == "__main__":
    measure.run_case("upload", "uploads that do not end", attack, short=(1_000, 2, 4, 0.5), soak=(1_000, 4, 30, 0.05))
