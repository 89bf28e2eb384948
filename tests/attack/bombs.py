"""Requests that unpack to 512 MiB, that are nested too deep, too large, or say that they are, many at a time, while an honest
application goes on: bombs.py [--soak] [--seed N].

Each is refused for what it is (bombers.py), memory stays bounded, the application's requests are acknowledged in about their
usual time and come out exactly once.
"""

import collections
import json
import random
import subprocess
import sys
import time

import measure
from road import Fault, Tally, compare, until

# The agent: 64 MiB for requests; as much again in the windows of zstd decoders, which hold what came out of them; and what
# the C library's allocator keeps for each of the two threads that read requests: twice the largest block that was freed,
# 20 MiB. The ledger: what it has for requests.
MEMORY_MIB = {"agent": 64 + 64 + 2 * 40, "ledger": 128}


def bombers(road, processes, threads, seconds, random):
    ports = [road.http_port, road.grpc_port, road.ledger_port]
    command = [sys.executable, "tests/attack/bombers.py", *ports, road.trail, seconds, threads]
    return [
        subprocess.Popen([*map(str, command), str(random.randrange(1 << 30))], stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]


def results(children, seconds):
    """Answers by kind, of all processes."""
    answers = collections.defaultdict(collections.Counter)
    for child in children:
        out, _ = child.communicate(timeout=seconds + 60)
        if child.returncode != 0:
            raise Fault(f"a process of bombers ended with {child.returncode}")
        told = json.loads(out)
        if told["unexpected"]:
            raise Fault(f"unexpected answers: {sorted(set(told['unexpected']))[:10]}")
        for kind, counts in told["answers"].items():
            answers[kind].update(counts)
    return answers


def attack(place, seconds, processes, threads, allowance, source):
    road = place.road(place.dir / "bombs", batch="")
    road.start()
    road.ready(road.serve)
    road.ready(road.agent)
    attacked = {"agent": road.agent, "ledger": road.serve}
    tally = Tally()
    honest = measure.Honest(road, tally)
    honest.p99_over(1)
    requests, before = honest.p99_over(seconds)
    print(f"  before: {requests} honest requests, p99 {before * 1000:.0f} ms", flush=True)
    base = {name: measure.reset_peak(process) for name, process in attacked.items()}
    children = bombers(road, processes, threads, seconds + 2, source)
    try:
        # They make their bombs first.
        time.sleep(2)
        requests, during = honest.p99_over(seconds)
        answers = results(children, seconds)
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
    for kind, counts in sorted(answers.items()):
        print(f"    {kind}: {dict(counts)}")
    print(f"  during: {requests} honest requests, p99 {during * 1000:.0f} ms, tries refused {dict(tally.refusals)}", flush=True)
    told = [
        measure.judge_memory(name, base[name], measure.peak_mib(process), MEMORY_MIB[name])
        for name, process in attacked.items()
    ]
    print(f"  memory: {'; '.join(told)}")
    measure.judge_p99(before, during, allowance)
    honest.finish()
    until("the outbox is empty", lambda: not road.metric("sealtrail_agent_outbox_pending_batches"))
    road.stop()
    verdict = road.verify()
    counts = road.exported(stubs=True)
    compare(tally, counts)
    print(f"  {verdict}; {len(tally.acknowledged)} records acknowledged, {counts.total()} and {road.stubs} stubs exported")
    landed = sum(counts[told] for kind, counts in answers.items() if "bomb" in kind for told in counts if told == "413")
    if not landed or not road.stubs:
        raise Fault(f"{landed} bombs landed and left {road.stubs} stubs")


if __name__ == "__main__":
    measure.run_case("bombs", "bombs", attack, short=(3, 1, 12, 0.5), soak=(30, 2, 16, 0.05))
