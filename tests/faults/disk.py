"""Fills a small disk under load, the ledger's and then the agent's, makes room again, and compares in the end:
disk.py [--megabytes 64].

The disk is an ext4 file system of its own in a loop-mounted file. Where that is not permitted it is a tmpfs, and where
that is not either, nothing is tested and the last line says so.

A full disk refuses with the typed answer, and is ready again by itself after room is made; the process is never
started again.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import time

from road import Fault, Load, Place, Tally, compare, get, until

LEDGER = """
publish_interval_ms = 200
hole_window_ms = 600000
[storage]
segment_bytes = 4194304
control_segment_bytes = 1048576
"""

RECORDS = 40


@contextlib.contextmanager
def small_disk(place, megabytes):
    """A mounted file system of so many megabytes; `None` where nothing can be mounted."""
    image, mount = place.dir / "image", place.dir / "small"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    made = done(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)])
    how = None
    if made and done(["mount", "-o", "loop", str(image), str(mount)]):
        how = "ext4 on a loop device"
    elif done(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(mount)]):
        how = "tmpfs"
    try:
        yield (mount, how) if how else None
    finally:
        if how:
            for road in place.roads:
                road.halt()
            until("the small disk can be unmounted", lambda: done(["umount", str(mount)]), patience=20, pause=0.2)


def done(command):
    try:
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    except OSError:
        return False


def noise(number):
    """Text that does not compress to less than half."""
    return random.Random(number).randbytes(1000).hex().encode()


def fill(path, leave):
    """Takes the disk's room but for so many bytes, in a file that can be removed."""
    free = os.statvfs(path.parent)
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1 << 20, free.f_bavail * free.f_frsize - leave))


def run(place, mount, victim):
    """One process on the small disk, filled up under load."""
    outbox = "bytes_max = 4294967296"
    road = place.road(place.dir / victim, ledger=LEDGER, outbox=outbox, agent="heartbeat_ms = 1000", on=(victim, mount))
    tally = Tally()
    road.start()
    road.ready(road.serve)
    road.ready(road.agent)
    if victim == "agent":
        # The ledger takes nothing, so that the outbox grows until the disk is full.
        road.serve.kill()
    load = Load(road.http_port, tally, 2, RECORDS, pause=0.001, text=noise)
    filler = mount / "filler"
    fill(filler, leave=24 << 20)
    refusals = full(road, victim, tally)
    acknowledged = len(tally.acknowledged)
    # It stays so for a while, and whoever asks is told.
    time.sleep(1.0)
    alive(road, victim)
    filler.unlink()
    if victim == "agent":
        until("records are acknowledged again", lambda: len(tally.acknowledged) > acknowledged + 10 * RECORDS)
        road.start_ledger()
    else:
        until("the ledger takes batches again", lambda: committed(road) > refusals["committed"] + 5)
    load.finish()
    until("the outbox is empty", lambda: not road.metric("sealtrail_agent_outbox_pending_batches"))
    alive(road, victim)
    road.stop()
    verdict = road.verify()
    counts = road.exported()
    compare(tally, counts)
    print(f"  {victim}: {verdict}")
    print(
        f"  {victim}: {len(tally.acknowledged)} records acknowledged, {counts.total()} exported;"
        f" while the disk was full {refusals['told']}"
    )
    shutil.rmtree(mount / victim)


def committed(road):
    return road.metric("sealtrail_agent_batches_committed_total")


def alive(road, victim):
    process = road.agent if victim == "agent" else road.serve
    if not process.alive:
        raise Fault(f"{victim} ended with {process.child.returncode} on a full disk; see {process.log}")


def full(road, victim, tally):
    """Waits until the disk is full and says what that looked like."""
    def agent_full():
        tally.check()
        alive(road, victim)
        return sum(n for why, n in tally.refusals.items() if "full" in why) >= 5

    def ledger_full():
        tally.check()
        alive(road, victim)
        # What the ledger answers, as the agent's operator reads it.
        return "disk is full" in (road.dir / "agent.log").read_text()

    if victim == "agent":
        until("the agent's disk is full", agent_full, patience=120)
        status, text = get(road.http_port, "/readyz")
        if status != 503:
            raise Fault(f"/readyz of an agent with a full disk answers {status}: {text}")
        return {"told": f"clients {dict(tally.refusals)}, /readyz {status} `{text.strip()}`"}
    until("the ledger's disk is full", ledger_full, patience=120)
    before = committed(road)
    status, _ = get(road.ledger_port, "/readyz")
    failure = json.loads(get(road.ledger_port, "/v1/status")[1])["failure"]
    if failure is not None:
        raise Fault(f"the ledger stopped writing on a full disk: {failure}")
    calls = road.metric("sealtrail_agent_ledger_calls_failed_total")
    return {"committed": before, "told": f"the agent {calls} times to come again, /readyz {status}"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=64)
    args = parser.parse_args()
    begun = time.monotonic()
    with Place("disk", None) as place, small_disk(place, args.megabytes) as disk:
        if disk is None:
            print("disk: skipped: no file system can be mounted here")
            return
        mount, how = disk
        for victim in ("ledger", "agent"):
            run(place, mount, victim)
        print(f"disk: {args.megabytes} MiB of {how}, filled up under the ledger and under the agent; {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except Fault as fault:
        sys.exit(f"disk: {fault}")
