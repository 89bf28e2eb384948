"""Takes the ledger away while records come, kills the agent meanwhile, brings the ledger back, and compares in the end:
away.py [--records 50000] [--seed N].

What was acknowledged as sealed waits in the outbox, over the agent's death; the agent that is started again has no epoch
and says so until the ledger is there. Then a ledger that stays away longer than the outbox has room: it pushes back.
"""

import argparse
import random
import sys
import time

from road import Fault, Load, Place, Tally, compare, get, until

RECORDS = 500

LEDGER = "publish_interval_ms = 200\nhole_window_ms = 600000\n"


def noise(number):
    """Text that does not compress to less than half."""
    return random.Random(number).randbytes(250).hex().encode()


def away(place, count, random):
    """So many records while there is no ledger, with a death of the agent after a part of them."""
    road = place.road(place.dir / "away", ledger=LEDGER, outbox="bytes_max = 1073741824")
    tally = Tally()
    road.start()
    road.ready(road.serve)
    road.ready(road.agent)
    kills = landed = 0
    while len(tally.acknowledged) < count:
        # The ledger goes, gracefully or not, and a part of the records comes without it.
        if random.random() < 0.5:
            road.serve.kill()
        else:
            road.serve.stop()
        load = Load(road.http_port, tally, 3, RECORDS)
        part = min(count, len(tally.acknowledged) + int(count * random.uniform(0.3, 0.6)))
        until("records are sealed without a ledger", lambda: reached(tally, part), patience=600)
        until("a request is on its way", lambda: tally.in_flight, pause=0.0002)
        busy = tally.in_flight > 0
        kills += 1
        landed += road.agent.kill() and busy
        road.start_agent()
        waiting(road)
        road.start_ledger()
        # What the killed agent had not acknowledged is sent again.
        load.finish()
        until("the outbox is empty", lambda: drained(road), patience=300, pause=0.05)
    road.stop()
    finish(road, tally, "away")
    print(f"  away: {kills} kills of the agent injected, {landed} landed; {tally.resent} requests sent again")
    if landed == 0:
        raise Fault("no kill landed")


def reached(tally, part):
    tally.check()
    return len(tally.acknowledged) >= part


def waiting(road):
    """An agent without a ledger keeps what it has, and takes nothing."""
    status = until("the agent answers", lambda: get(road.http_port, "/readyz")[0])
    pending = road.metric("sealtrail_agent_outbox_pending_batches")
    if status != 503 or not pending:
        raise Fault(f"an agent without a ledger answers {status} on /readyz and holds {pending} batches")


def drained(road):
    status, _ = get(road.http_port, "/readyz")
    return status == 200 and not road.metric("sealtrail_agent_outbox_pending_batches")


def overflow(place):
    """A small outbox: when it is full it says so, and loses nothing."""
    road = place.road(place.dir / "overflow", ledger=LEDGER, outbox="bytes_max = 2097152")
    tally = Tally()
    road.start()
    road.ready(road.serve)
    road.ready(road.agent)
    road.serve.kill()
    load = Load(road.http_port, tally, 3, 50, text=noise)

    def pushed_back():
        tally.check()
        return sum(n for why, n in tally.refusals.items() if "outbox is full" in why) > 20

    until("the outbox is full", pushed_back, patience=120)
    sealed = len(tally.acknowledged)
    time.sleep(0.5)
    if len(tally.acknowledged) > sealed + 150:
        raise Fault("a full outbox went on taking records")
    road.start_ledger()
    until("records are taken again", lambda: reached(tally, sealed + 500))
    load.finish()
    until("the outbox is empty", lambda: drained(road))
    road.stop()
    finish(road, tally, "overflow")
    print(f"  overflow: pushed back {tally.refusals.total()} times: {dict(tally.refusals)}")


def finish(road, tally, name):
    verdict = road.verify()
    counts = road.exported()
    compare(tally, counts)
    print(f"  {name}: {verdict}")
    print(f"  {name}: {len(tally.acknowledged)} records acknowledged, {counts.total()} exported")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    args = parser.parse_args()
    begun = time.monotonic()
    source = random.Random(args.seed)
    with Place("away", args.seed) as place:
        away(place, args.records, source)
        overflow(place)
        print(f"away: {args.records} records without a ledger; {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except Fault as fault:
        sys.exit(f"away: {fault}")
