"""A ledger that answers nonsense, hugely, slowly, or for another, to each of the agent's calls: nonsense.py [--soak] [--seed N].

The agent takes records all the while, its memory stays bounded, it lets go of nothing that it has no receipt for; and when
the real ledger answers again, everything that was acknowledged is in the export exactly once.
"""

import signal
import time

import measure
from liar import Liar
from road import Fault, Load, Tally, compare, free_ports, until

# Three calls at once (batches, an epoch, the published history), each with an answer of 8 MiB at most, held twice while
# it is put together; and what is sent: requests of 4 MiB, twice.
MEMORY_MIB = 3 * 2 * 8 + 2 * 4 + 8

# Longest wait of the agent between two tries, and then some.
BACK_S = 30


def lie(road, liar, tally, calls, seconds):
    """Lies to these calls for so long; records go on being taken where an epoch is open."""
    before = len(tally.acknowledged)
    liar.lie_to(calls)
    if "epochs" in calls or "challenges" in calls:
        # Another epoch is begun: by a new configuration, as far as the agent knows.
        road.agent.child.send_signal(signal.SIGHUP)
    time.sleep(seconds)
    # On a slow machine the next try may come later. What is published is read only when there is a reason to.
    until("the agent was lied to", lambda: not liar.due - {"published"}, BACK_S)
    tally.check()
    if not road.agent.alive:
        raise Fault(f"the agent ended while it was lied to; see {road.agent.log}")
    taken, pending = len(tally.acknowledged) - before, road.metric("sealtrail_agent_outbox_pending_batches")
    liar.lie_to(set())
    if calls == {"batches", "published"} and not taken:
        raise Fault("no record was taken while the ledger answered nonsense")
    begun = time.monotonic()
    until("the agent takes records again", road.agent_ready, patience=BACK_S)
    until("the outbox is nearly empty", lambda: road.metric("sealtrail_agent_outbox_pending_batches") < 50, BACK_S)
    print(
        f"  {' and '.join(sorted(calls))}: {taken} records taken meanwhile, {pending} batches waited; well again after "
        f"{time.monotonic() - begun:.1f} s",
        flush=True,
    )


def attack(place, rounds, seconds, source):
    port = free_ports(1)[0]
    road = place.road(place.dir / "nonsense", agent="heartbeat_ms = 500", between=port)
    liar = Liar(port, road.ledger_port, source.randrange(1 << 30))
    try:
        road.start()
        road.ready(road.serve)
        road.ready(road.agent)
        tally = Tally()
        load = Load(road.http_port, tally, 2, 20, pause=0.02)
        time.sleep(1)
        base = measure.reset_peak(road.agent)
        for _ in range(rounds):
            for calls in [{"batches", "published"}, {"challenges"}, {"epochs", "batches"}]:
                lie(road, liar, tally, calls, seconds)
        load.finish()
        until("the outbox is empty", lambda: not road.metric("sealtrail_agent_outbox_pending_batches"), BACK_S)
        print(f"  memory: {measure.judge_memory('agent', base, measure.peak_mib(road.agent), MEMORY_MIB)}")
        refused = road.metric("sealtrail_agent_batches_refused_total")
        if refused:
            raise Fault(f"the agent took nonsense for the refusal of {refused} batches")
        road.stop()
    finally:
        liar.close()
    verdict = road.verify()
    counts = road.exported()
    compare(tally, counts)
    missing = {"batches", "published", "challenges", "epochs"} - liar.calls_lied_to()
    print(f"  {liar.told.total()} answers were nonsense, of {len(liar.told)} kinds; requests sent again: {dict(tally.refusals)}")
    print(f"  {verdict}; {len(tally.acknowledged)} records acknowledged, {counts.total()} exported")
    if missing:
        raise Fault(f"nobody was lied to about {missing}")


if __name__ == "__main__":
    measure.run_case("nonsense", "a ledger that answers nonsense", attack, short=(1, 3), soak=(10, 10))
