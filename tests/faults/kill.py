"""Kills agent, ledger or both at random moments under load, starts them again, and compares in the end:
kill.py [--kills 20] [--seed N] [--threads 3].

Nothing acknowledged is lost, and since every request is sent again until it is acknowledged, everything is there
exactly once.
"""

import argparse
import collections
import random
import sys
import time

from road import Fault, Load, Place, Tally, compare, until

RECORDS = 5

# Small files, so that kills meet the end of one and the beginning of the next.
LEDGER = """
publish_interval_ms = 100
note_interval_ms = 1000
hole_window_ms = 600000
[storage]
segment_bytes = 262144
control_segment_bytes = 262144
"""
OUTBOX = "bytes_max = 1048576"

# Moments of death, seconds after a process was begun or after load reached it.
WHILE_STARTING_S = 0.06
UNDER_LOAD_S = 0.35


class Killer:
    def __init__(self, road, tally, random):
        self.road = road
        self.tally = tally
        self.random = random
        self.injected = collections.Counter()
        self.landed = collections.Counter()
        self.starting = 0

    def kill(self):
        """One death."""
        victims = self.random.choice([("agent",), ("agent",), ("ledger",), ("ledger",), ("agent", "ledger")])
        while_starting = self.random.random() < 0.2
        if while_starting:
            time.sleep(self.random.uniform(0, WHILE_STARTING_S))
        else:
            before = len(self.tally.acknowledged)
            until("records are acknowledged", lambda: self.advanced(before))
            time.sleep(self.random.uniform(0, UNDER_LOAD_S))
            # A request takes some ms: any part of its way may be cut off, as long as it is on its way.
            until("a request is on its way", lambda: self.tally.in_flight, pause=0.0002)
            time.sleep(self.random.uniform(0, 0.004))
            until("a request is on its way", lambda: self.tally.in_flight, pause=0.0002)
        self.tally.check()
        name = " and ".join(victims)
        self.injected[name] += 1
        busy = while_starting or self.tally.in_flight > 0
        killed = [
            (self.road.agent if victim == "agent" else self.road.serve).kill() for victim in victims
        ]
        if all(killed) and busy:
            self.landed[name] += 1
            self.starting += while_starting
        # Whoever was not killed and is not there ended by itself.
        for process in (self.road.agent, self.road.serve):
            if not process.alive and process.name not in victims:
                raise Fault(f"{process.name} ended by itself with {process.child.returncode}; see {process.log}")
        self.road.start()

    def advanced(self, before):
        self.tally.check()
        return len(self.tally.acknowledged) > before


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--threads", type=int, default=3)
    args = parser.parse_args()
    begun = time.monotonic()
    with Place("kill", args.seed) as place:
        road = place.road(place.dir, ledger=LEDGER, outbox=OUTBOX, agent="heartbeat_ms = 1000")
        tally = Tally()
        road.start()
        road.ready(road.serve)
        road.ready(road.agent)
        load = Load(road.http_port, tally, args.threads, RECORDS, pause=0.002)
        killer = Killer(road, tally, random.Random(args.seed))
        for number in range(args.kills):
            killer.kill()
            if (number + 1) % 50 == 0:
                print(f"  {number + 1} kills in {time.monotonic() - begun:.0f} s", flush=True)
        road.start()
        load.finish()
        refused = road.metric("sealtrail_agent_batches_refused_total")
        if refused:
            raise Fault(f"the ledger refused {refused} batches")
        road.stop()
        verdict = road.verify()
        counts = road.exported()
        compare(tally, counts)
        injected, landed = killer.injected.total(), killer.landed.total()
        print(f"  seed {args.seed}: {verdict}")
        print(f"  by victim: {dict(sorted(killer.landed.items()))}, {killer.starting} while they started")
        print(f"  tries that were not acknowledged: {dict(tally.refusals.most_common())}")
        print(
            f"kill: {injected} kills injected, {landed} landed; {len(tally.acknowledged)} records acknowledged,"
            f" {counts.total()} exported, {tally.resent} requests sent again; {time.monotonic() - begun:.0f} s"
        )
        if args.kills and landed == 0:
            raise Fault("no kill landed")


if __name__ == "__main__":
    try:
        main()
    except Fault as fault:
        sys.exit(f"kill: {fault}")
