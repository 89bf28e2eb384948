"""Kills a process at, or lets fail, every system call with which it changes its directory, during a script of 20 batches:
syscalls.py [--sample N] [--seed N] [--only TEXT].

A first run under strace tells which calls there are. Then, for each of them, with a fresh copy of the same beginnings:
the agent or the ledger runs under `strace -e inject`, 20 batches are sent, each again until it is acknowledged, whoever
died or stopped is started again without strace, both are stopped cleanly, verified, exported and compared.

- KILL: SIGKILL as the call is entered, so that it is the first that did not happen.
- EIO: the call fails once. The process must write nothing more: it ends with an error, or says on /readyz that it has
  stopped. A restart goes on.
- ENOSPC: the call fails five times. The process must refuse meanwhile and go on by itself, without a restart. Three cases
  are excepted: a sync that fails says that something is lost, whatever the error, and stops as EIO does, which it must
  where an outbox file or a segment is synced; so does a write into a segment, whose room was preallocated; and a process
  that cannot even start, or cannot close, ends with an error.

strace counts calls of each thread by itself, and a fault is put into the Nth call of whichever thread comes first (an
error: of each). So that each call has its turn the files are taken in groups, and a run counts only calls on one.
"""

import argparse
import collections
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time

from road import Client, Fault, Place, Process, Tally, compare, get, request, until

BATCHES = 20
RECORDS = 3
FULL_TIMES = 5

CALLS = (
    "write pwrite64 pwritev fsync fdatasync rename renameat renameat2 ftruncate fallocate openat unlink unlinkat mkdir"
).split()
SYNCS = ("fsync", "fdatasync")

LEDGER = """
publish_interval_ms = 50
note_interval_ms = 200
hole_window_ms = 600000
[storage]
segment_bytes = 65536
control_segment_bytes = 65536
"""
# Files of 16 KiB: a script fills some.
OUTBOX = "bytes_max = 65536"

# What files are called whose names are the same in every run, and how they are told apart.
GROUPS = {
    "agent": {"outbox": r"/outbox/\d+\.out$", "recent": r"/recent/", "names": r"/(instance|requests)\."},
    "ledger": {"segments": r"/segments/\d+\.seg$", "scratch": r"/scratch/\d+\.tmp$", "checkpoints": r"/checkpoint$"},
}

# Files to which is appended: what a failed sync of them left behind is not written a second time.
LOG = re.compile(r"/outbox/\d+\.out$|/segments/\d+\.seg$")

LINE = re.compile(r"^(\d+) +(?:<\.\.\. )?([a-z0-9_]+)(?:\(| resumed>)(.*)$")
PATH = re.compile(r'(?:<|")(/[^">]*)[">]')


class Call:
    """A call as strace wrote it down."""

    def __init__(self, thread, name, text, root):
        self.thread, self.name, self.text = thread, name, text
        inside = [path for path in PATH.findall(text) if path.startswith(f"{root}/") or path == str(root)]
        self.paths = inside
        # Opening without making, and making what is there already, change nothing.
        self.changes = bool(inside) and (name != "openat" or "O_CREAT" in text) and "EEXIST" not in text

    @property
    def path(self):
        return self.paths[0] if self.paths else ""


def calls(trace, root):
    """The calls of a trace, in the order in which each thread began them."""
    found = []
    try:
        text = trace.read_text(errors="replace")
    except FileNotFoundError:
        return found
    for line in text.splitlines():
        match = LINE.match(line)
        if not match or match[2] not in CALLS:
            continue
        if " resumed>" in line.split("(")[0]:
            if found and "(INJECTED)" in line:
                last = next(call for call in reversed(found) if call.thread == match[1])
                last.text += match[3]
            continue
        found.append(Call(match[1], match[2], match[3], root))
    return found


class Point:
    """One place to put a fault into."""

    def __init__(self, target, start, group, call, number):
        self.target, self.start, self.group, self.call, self.number = target, start, group, call, number

    def __str__(self):
        return f"{self.target}, {self.start}, {self.group}: {self.call} {self.number}"


class Script:
    """20 batches through a road, and what is started, watched and compared around them."""

    def __init__(self, place):
        self.place = place
        self.road = place.road(place.dir, ledger=LEDGER, outbox=OUTBOX, agent="heartbeat_ms = 60000")
        self.base = place.dir / "base"
        self.trace = place.dir / "trace"
        self.prefix()

    def prefix(self):
        """What every run begins with: a ledger and an agent that were killed after a few batches."""
        road = self.road
        shutil.copytree(road.ledger_dir, self.base / "ledger-new")
        road.start()
        road.ready(road.serve)
        road.ready(road.agent)
        self.before = Tally()
        self.send(Client(road.http_port, self.before), self.before, 3)
        road.agent.kill()
        road.serve.kill()
        shutil.copytree(road.ledger_dir, self.base / "ledger")
        shutil.copytree(road.agent_dir, self.base / "agent")

    def send(self, client, tally, batches, go_on=lambda: True):
        for _ in range(batches):
            first = tally.take(RECORDS)
            client.deliver(first, RECORDS, request(first, RECORDS), go_on, retry=0.02)

    def reset(self, start):
        """The beginnings again. `first`: of an agent that never ran, `again`: of processes that died."""
        road = self.road
        for dir in (road.ledger_dir, road.agent_dir):
            shutil.rmtree(dir, ignore_errors=True)
        again = start == "again"
        shutil.copytree(self.base / ("ledger" if again else "ledger-new"), road.ledger_dir)
        if again:
            shutil.copytree(self.base / "agent", road.agent_dir)
        self.tally = Tally()
        if again:
            self.tally.next = self.before.next
            self.tally.acknowledged = set(self.before.acknowledged)
        for log in ("agent.log", "ledger.log", "trace"):
            (road.dir / log).unlink(missing_ok=True)

    def root(self, target):
        return self.road.ledger_dir if target == "ledger" else self.road.agent_dir

    def strace(self, options):
        # With -D the process is this one's child, and strace its grandchild.
        return ["strace", "-D", "-f", "-qq", "-y", "-o", str(self.trace), "-e", f"trace={','.join(CALLS)}", *options]

    def start(self, target, options):
        road = self.road
        if target == "ledger":
            road.start_ledger(self.strace(options))
            road.start_agent()
        else:
            road.start_ledger()
            road.ready(road.serve)
            road.start_agent(self.strace(options))

    def dry(self, target, start):
        """The points of a run in which nothing fails."""
        self.reset(start)
        self.start(target, [])
        road = self.road
        road.ready(road.agent)
        self.send(Client(road.http_port, self.tally), self.tally, BATCHES)
        until("the outbox is empty", lambda: not road.metric("sealtrail_agent_outbox_pending_batches"))
        # Lets the ledger publish and the agent keep its receipt.
        time.sleep(0.2)
        road.stop()
        time.sleep(0.1)
        found = calls(self.trace, self.root(target))
        if start == "first":
            # What the first start does otherwise, its first thread does.
            found = [call for call in found if call.thread == found[0].thread]
        return self.points(target, start, found)

    def points(self, target, start, found):
        groups = {name: re.compile(text) for name, text in GROUPS[target].items()}
        counts = {name: collections.Counter() for name in [*groups, "all"]}
        numbers = collections.defaultdict(set)
        self.names = getattr(self, "names", {})
        for call in found:
            counts["all"][call.thread, call.name] += 1
            mine = [name for name, text in groups.items() if any(map(text.search, call.paths))]
            for name in mine:
                self.names.setdefault((target, name), set()).update(
                    path for path in call.paths if groups[name].search(path)
                )
                counts[name][call.thread, call.name] += 1
                if call.changes:
                    numbers[name, call.name].add(counts[name][call.thread, call.name])
            if call.changes and not mine:
                numbers["all", call.name].add(counts["all"][call.thread, call.name])
        return [
            Point(target, start, group, call, number)
            for (group, call), all in sorted(numbers.items())
            for number in sorted(all)
        ]

    def run(self, point, fault):
        """One fault. Says whether it landed, and what the process did."""
        self.reset(point.start)
        what = {"KILL": "signal=KILL", "EIO": "error=EIO", "ENOSPC": "error=ENOSPC"}[fault]
        when = f"{point.number}..{point.number + FULL_TIMES - 1}" if fault == "ENOSPC" else point.number
        options = ["-e", f"inject={point.call}:{what}:when={when}"]
        for path in sorted(self.names.get((point.target, point.group), ())):
            options += ["-P", path]
        self.start(point.target, options)
        watch = Watch(self, point, fault)
        client = Client(self.road.http_port, self.tally)
        self.send(client, self.tally, BATCHES, watch.go_on)
        client.close()
        watch.drain()
        watch.stop()
        return watch.judge()

    def compare(self):
        self.road.verify()
        counts = self.road.exported()
        compare(self.tally, counts)
        self.exported = counts.total()


class Watch:
    """Looks after the process with the fault: starts it again when it died or has stopped."""

    def __init__(self, script, point, fault):
        self.script, self.road, self.point, self.fault = script, script.road, point, fault
        self.process = self.faulty = script.road.serve if point.target == "ledger" else script.road.agent
        self.was_ready = False
        self.ended = None
        self.stopping = False
        self.deadline = time.monotonic() + 60

    def go_on(self):
        """Called before every try."""
        if time.monotonic() > self.deadline:
            raise Fault(f"20 batches took more than 60 s: {dict(self.script.tally.refusals)}")
        for other in (self.road.serve, self.road.agent):
            if other is not self.process and not other.alive:
                raise Fault(f"{other.name} ended with {other.child.returncode} though nothing was done to it")
        if not self.process.alive:
            if self.process is not self.faulty:
                raise Fault(f"{self.process.name} ended again, with {self.process.child.returncode}")
            self.again(self.process.child.returncode)
        elif self.process is self.faulty:
            status = get(self.port, "/readyz")[0]
            self.was_ready |= status == 200
            if status == 503 and self.stopped():
                # It has said so; what it still answers is no success. Its operator starts it again.
                self.process.kill()
                self.again("stopped")
        return True

    @property
    def port(self):
        return self.road.ledger_port if self.point.target == "ledger" else self.road.http_port

    def stopped(self):
        """Whether the process says that it has stopped for good."""
        if self.point.target == "ledger":
            status, text = get(self.port, "/v1/status")
            return status == 200 and json.loads(text)["failure"] is not None
        return get(self.port, "/healthz")[0] == 503

    def again(self, how):
        self.ended = how
        self.road.start()
        self.process = self.road.serve if self.point.target == "ledger" else self.road.agent
        if not self.road.ready(self.process):
            raise Fault(f"{self.process.name} does not start again: {self.process.child.returncode}")

    def drain(self):
        """Waits until the ledger has everything."""
        def empty():
            self.go_on()
            status, text = get(self.road.http_port, "/metrics")
            return status == 200 and re.search(r"^sealtrail_agent_outbox_pending_batches 0$", text, re.M)

        until("the outbox is empty", empty, pause=0.03)
        # A ledger that publishes every 50 ms, an agent that keeps receipts: their faults come a little later.
        time.sleep(0.12)
        self.go_on()

    def stop(self):
        """Stops both. Where the fault comes only now, starts once more and stops again."""
        for process in (self.road.agent, self.road.serve):
            self.stopping |= process is self.faulty
            code = process.stop()
            if code != 0 and process is not self.faulty:
                raise Fault(f"{process.name} ended with {code} though nothing was done to it")
            if process is self.faulty and code != 0:
                self.again(code)
                self.road.ready(self.road.serve)
                self.road.ready(self.road.agent)
                self.drain()
        for process in (self.road.agent, self.road.serve):
            if process is not None and process.alive and process.stop() != 0:
                raise Fault(f"{process.name} ended with {process.child.returncode} though nothing was done to it")
        self.script.compare()

    def landed(self):
        """The calls that the fault hit: those that changed something, and those that did not."""
        found = calls(self.script.trace, self.script.root(self.point.target))
        if self.fault == "KILL":
            if self.ended != -signal.SIGKILL:
                return [], []
            hit = [
                call
                for call in found
                if call.name == self.point.call and ("= ?" in call.text or "<unfinished" in call.text)
            ]
        else:
            hit = [call for call in found if "(INJECTED)" in call.text]
        return [call for call in hit if call.changes], hit

    def judge(self):
        """`landed`, `elsewhere` or `not reached`, with what became of the process; a fault where that is wrong."""
        # strace may need a moment to write its last line.
        landed, hit = self.landed()
        for _ in range(20):
            if hit or self.ended is None:
                break
            time.sleep(0.02)
            landed, hit = self.landed()
        if not landed:
            return ("elsewhere" if hit else "not reached"), self.ended
        path = landed[0].path
        if self.fault == "EIO" and self.ended is None:
            raise Fault(f"went on after EIO from {self.point.call} of {path}")
        if self.fault == "ENOSPC" and self.ended is None and self.point.call in SYNCS and LOG.search(path):
            raise Fault(f"went on after a sync of {path} that failed for want of room")
        if self.ended == 0:
            raise Fault(f"ended with 0 after {self.fault} from {self.point.call} of {path}")
        # A process that cannot write its close ends with an error, too.
        working = self.was_ready and not self.stopping
        final = self.point.call in SYNCS or landed[0].name == "pwritev" and "/segments/" in path
        if self.fault == "ENOSPC" and self.ended is not None and working and not final:
            raise Fault(f"did not go on by itself after ENOSPC from {self.point.call} of {path}: {self.ended}")
        return "landed", self.ended


def can_inject():
    try:
        tried = subprocess.run(["strace", "-D", "-f", "-qq", "-o", "/dev/null", "true"], capture_output=True, timeout=20)
    except OSError:
        return False
    return tried.returncode == 0


def sample(jobs, count, random):
    """Some of each kind, turn by turn, so that every kind has its share."""
    kinds = collections.defaultdict(list)
    for point, fault in jobs:
        kinds[point.target, fault, point.call].append((point, fault))
    for all in kinds.values():
        random.shuffle(all)
    queues = list(kinds.values())
    random.shuffle(queues)
    chosen = []
    while len(chosen) < count and queues:
        chosen += [queue.pop() for queue in queues]
        queues = [queue for queue in queues if queue]
    return chosen[:count]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=int, help="so many of all faults [default: all]")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--only", default="", help="only faults whose name contains this, like `agent, again, outbox`")
    parser.add_argument("--keep-going", action="store_true", help="go on after a fault that was not stood")
    args = parser.parse_args()
    if not can_inject():
        print("syscalls: skipped: strace cannot trace here")
        return
    begun = time.monotonic()
    injected, landed = collections.Counter(), collections.Counter()
    outcomes = collections.Counter()
    acknowledged = exported = 0
    wrong = []
    with Place("syscalls", args.seed) as place:
        script = Script(place)
        points = [
            point
            for target, start in [("agent", "again"), ("agent", "first"), ("ledger", "again")]
            for point in script.dry(target, start)
        ]
        jobs = [
            (point, fault)
            for point in points
            for fault in ("KILL", "EIO", "ENOSPC")
            # Without a group a thread's Nth write is mostly to a socket or an eventfd.
            if fault == "KILL" or (point.group, point.call) != ("all", "write")
        ]
        jobs = [job for job in jobs if args.only in f"{job[0]}: {job[1]}"]
        print(f"  seed {args.seed}: {len(points)} calls, {len(jobs)} faults to put into them")
        if args.sample:
            jobs = sample(jobs, args.sample, random.Random(args.seed))
        for done, (point, fault) in enumerate(jobs, 1):
            kind = f"{point.target} {fault} {point.call}"
            injected[kind] += 1
            try:
                how, ended = script.run(point, fault)
            except Fault as error:
                if not args.keep_going:
                    raise Fault(f"{point}: {fault}: {error}") from error
                wrong.append(f"{point}: {fault}: {error}")
                print(f"  WRONG {wrong[-1]}", flush=True)
                place.roads[0].halt()
                continue
            landed[kind] += how == "landed"
            outcomes[how if how != "landed" else f"{fault}: {tell(ended)}"] += 1
            acknowledged += len(script.tally.acknowledged)
            exported += script.exported
            if done % 50 == 0:
                print(f"  {done} of {len(jobs)} in {time.monotonic() - begun:.0f} s", flush=True)
        for kind in sorted(injected):
            print(f"  {kind}: {injected[kind]} injected, {landed[kind]} landed")
        print(f"  then: {dict(outcomes.most_common())}")
        print(
            f"syscalls: {injected.total()} faults injected, {landed.total()} landed;"
            f" {acknowledged} records acknowledged, {exported} exported; {time.monotonic() - begun:.0f} s"
        )
        if wrong:
            raise Fault(f"{len(wrong)} were not stood")
        for fault in ("KILL", "EIO", "ENOSPC"):
            for target in ("agent", "ledger"):
                mine = [kind for kind in injected if kind.startswith(f"{target} {fault}")]
                # Some calls are made once a run, by whichever thread: of many of a kind one lands.
                missed = [kind for kind in mine if not landed[kind] and injected[kind] >= 8]
                if mine and not any(landed[kind] for kind in mine) or missed:
                    raise Fault(f"no {fault} landed in the {target}: {missed or mine}")


def tell(ended):
    if ended is None:
        return "it went on"
    if ended == -signal.SIGKILL:
        return "it died"
    return "it said that it had stopped" if ended == "stopped" else f"it ended with {ended}"


if __name__ == "__main__":
    try:
        main()
    except Fault as fault:
        sys.exit(f"syscalls: {fault}")
