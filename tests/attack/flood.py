"""Valid requests, ten times as many as an honest application sends and then as many as processes can send, over both
protocols, while that application goes on: flood.py [--soak] [--seed N].

At ten times the honest pace the application's requests are acknowledged in about their usual time. In the flood without a
pace the ledger stands still for a while and the small outbox fills up: requests are refused, but so that a client knows to
come again; the application does, and in the end all of its requests are acknowledged. Whatever was acknowledged to anybody is in the export exactly once. Records that the agent dropped, since
they cannot be mapped and are too many to keep a stub of each, are as many in its answers as in its signed batches.
"""

import collections
import json
import signal
import subprocess
import sys
import threading
import time

import cbor2
import flooders
import measure
from road import Fault, Tally, compare, until

# Requests a second of an honest application, all three of its clients.
HONEST_RATE = 3 / measure.PERIOD_S

# Requests wait in 64 MiB, and batches of 2 MiB on their way to the outbox, some of them compressed.
MEMORY_MIB = {"agent": 64 + 64, "ledger": 128}


def flood(road, place, processes, rate, seconds, seed, tally):
    """Floods for so long; what all processes were answered."""
    begin = 10**9 * (1 + tally.floods * processes)
    tally.floods += 1
    children = []
    for number in range(processes):
        result = place.dir / f"flood-{tally.floods}-{number}.json"
        arguments = [road.http_port, road.grpc_port, begin + 10**9 * number, seconds, rate / processes, seed + number, result]
        command = [sys.executable, "tests/attack/flooders.py", *map(str, arguments)]
        children.append((subprocess.Popen(command), result))
    return children


def results(children, seconds, tally):
    """Waits for them, and puts what they know into the tally."""
    answers, dropped = collections.Counter(), 0
    for child, result in children:
        try:
            code = child.wait(seconds + 60)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise Fault("a process of the flood did not come to its end") from None
        if code != 0:
            raise Fault(f"a process of the flood ended with {code}")
        told = json.loads(result.read_text())
        if told["useless"]:
            raise Fault(f"answers that no client can act on: {told['useless'][:3]}")
        answers += collections.Counter(told["answers"])
        dropped += told["dropped"]
        for name, numbers in [("acknowledged", tally.acknowledged), ("unacknowledged", tally.unacknowledged)]:
            for first in told[name]:
                numbers.update(range(first, first + flooders.RECORDS))
    return dict(answers), dropped


def signed_drops(road):
    """Records dropped, as the last batch of the one epoch says: claim 19 (docs/spec/03-statements.md) of the statement in
    the newest receipt (docs/spec/04-log.md 4.5)."""
    newest = max((road.agent_dir / "receipts").iterdir(), key=lambda file: file.stat().st_mtime_ns)
    _, statement, _ = cbor2.loads(newest.read_bytes())
    _, _, claims, _ = cbor2.loads(statement).value
    received, sealed, dropped, resent, *_ = cbor2.loads(claims)[19]
    if received != sealed + dropped + resent:
        raise Fault(f"{received} records were received, {sealed} sealed, {dropped} dropped, {resent} sent again")
    return dropped


def attack(place, seconds, processes, allowance, source):
    road = place.road(place.dir / "flood", outbox="bytes_max = 1048576", batch="")
    road.start()
    road.ready(road.serve)
    road.ready(road.agent)
    attacked = {"agent": road.agent, "ledger": road.serve}
    tally = Tally()
    tally.floods = 0
    honest = measure.Honest(road, tally)
    honest.p99_over(1)
    requests, before = honest.p99_over(seconds)
    print(f"  before: {requests} honest requests, p99 {before * 1000:.0f} ms", flush=True)
    base = {name: measure.reset_peak(process) for name, process in attacked.items()}
    said = 0
    for name, rate in [("ten times as many", 10 * HONEST_RATE), ("as many as can be", 0)]:
        refusals = collections.Counter(tally.refusals)
        children = flood(road, place, processes, rate, seconds + 1, source.randrange(1 << 30), tally)
        try:
            time.sleep(1)
            if not rate:
                road.serve.child.send_signal(signal.SIGSTOP)
                threading.Timer(1 + seconds / 3, road.serve.child.send_signal, [signal.SIGCONT]).start()
            requests, during = honest.p99_over(seconds)
            answers, dropped = results(children, seconds, tally)
        finally:
            for child, _ in children:
                if child.poll() is None:
                    child.kill()
                    child.wait()
        said += dropped
        print(
            f"  {name}: flood answered {answers}, {dropped} records dropped; {requests} honest requests, p99 "
            f"{during * 1000:.0f} ms, tries refused {dict(tally.refusals - refusals)}",
            flush=True,
        )
        if rate:
            if sum(answers.values()) < 0.8 * rate * seconds:
                raise Fault(f"only {sum(answers.values())} requests were sent: no flood of {rate:.0f} a second")
            measure.judge_p99(before, during, allowance)
        elif not answers.get("503") or not answers.get("UNAVAILABLE"):
            raise Fault("nobody was refused: this was no flood")
    honest.finish()
    until("the outbox is empty", lambda: not road.metric("sealtrail_agent_outbox_pending_batches"))
    told = [
        measure.judge_memory(name, base[name], measure.peak_mib(process), MEMORY_MIB[name])
        for name, process in attacked.items()
    ]
    print(f"  memory: {'; '.join(told)}")
    # The counter is read while there is somebody to ask; all batches are sealed.
    counted = road.metric("sealtrail_agent_records_dropped_total")
    road.stop()
    verdict = road.verify()
    counts = road.exported(stubs=True)
    compare(tally, counts)
    signed = signed_drops(road)
    print(f"  {verdict}")
    print(
        f"  {len(tally.acknowledged)} records acknowledged, {counts.total()} and {road.stubs} stubs exported; "
        f"dropped: {said} in answers, {counted} counted, {signed} signed"
    )
    # An answer that did not reach its client says nothing, so answers may know of fewer.
    if not said or not said <= counted == signed:
        raise Fault(f"{said} records were dropped as answers say, {counted} as the metric, {signed} as signed batches")


if __name__ == "__main__":
    measure.run_case("flood", "floods", attack, short=(3, 2, 0.5), soak=(30, 4, 0.05))
