"""Verification (06-verification.md)."""
import json
import os

from . import __version__, evidence, log, statements
from .body import Body, key_id
from .keys import public_key
from .merkle import Tree
from .notation import H, is_hex, is_name
from .policy import WARNINGS, Policy, PolicyError, is_version_1

SKEW = 300 * 10**9

REASONS = (
    "checkpoint-missing checkpoint-malformed checkpoint-origin checkpoint-unsigned segment-malformed wrong-genesis "
    "entry-malformed unknown-claim statement-malformed wrong-trail foreign-key bad-signature wrong-stream "
    "unknown-stream unknown-epoch evidence-missing evidence-malformed untrusted-root evidence-refused binding-mismatch "
    "challenge-mismatch unexpected-code unknown-challenge challenge-reused predecessor-unknown predecessor-mismatch "
    "predecessor-conflict stale-predecessor fork duplicate-entry after-close chain-broken body-missing "
    "stored-hash-mismatch body-malformed count-mismatch record-root-mismatch line-form totals-mismatch sequence-gap seen-unknown "
    "seen-backwards control-malformed published-inconsistent published-mismatch root-mismatch "
    "tile-mismatch trail-truncated receipt-malformed receipt-invalid receipt-unknown-trail older-checkpoint "
    "receipt-inconsistent").split() + WARNINGS


class Epoch:
    def __init__(self, st, trail, index, received):
        self.id, self.claims, self.trail, self.index = st.identity, st.claims, trail, index
        self.owner = st.claims[4], st.claims[5]
        self.key = public_key(st.claims[32])
        self.next, self.seen = 0, {}  # sequence -> statement, of the batches that take part
        self.close = None             # sequence of the first close seen
        self.awaited = None           # (sequence, identity) that a successor named
        self.named = False            # an open came as far as 6.6's rule 4 with this epoch
        self.seen_size = 0            # largest good `seen` of a batch that was not late
        self.last_received = received
        self.late_news = set()        # warnings given once per epoch
        self.proven, self.kind, self.evidence, self.measurements = False, None, None, {}
        self.batches = self.records = 0
        self.silence = 3 * st.claims[38] * 10**6

    def holes(self):
        due = 0
        for s in sorted(self.seen) + [max(self.next, self.awaited[0] + 1 if self.awaited else 0)]:
            if s > due:
                yield due, s - 1
            due = s + 1


class Trail:
    def __init__(self, tid, name=None):
        self.id, self.name, self.control = tid, name, name is None
        self.checkpoint = self.note = None
        self.tree, self.reached = Tree([]), -1  # entries that the walk reached, -1 where it was not walked
        self.epochs = {}                        # identity -> Epoch, in order
        self.newest = {}                        # (stream, instance) -> newest Epoch
        self.published = {}                     # size -> root, from the control trail
        self.records = 0


class Verifier:
    def __init__(self, directory, policy, keys):
        self.dir, self.policy, self.keys = os.path.join(directory, "trails"), policy, keys
        self.artefacts = log.Artefacts(directory)
        self.findings, self.receipts = [], []
        self.notes, self.challenges, self.streams = {}, set(), set()
        self.control = Trail(policy.control)
        self.trails = {policy.control: self.control}
        self.largest_received = -1
        self.covered = dict.fromkeys(("trails", "epochs", "batches", "records", "line_bytes", "proven_records"), 0)
        self.not_covered = dict.fromkeys(("entries-after-checkpoint", "encrypted-batches", "not-proven-batches"), 0)

    def find(self, cls, detail, trail=None, entry=None, epoch=None, sequence=None, last=None):
        f = {"class": cls, "severity": "warning" if cls in WARNINGS and cls not in self.policy.refuse else "error",
             "trail": trail and trail.id.hex(), "entry": entry, "epoch": epoch and epoch.id.hex(),
             "sequence": sequence, "last_sequence": last, "detail": detail}
        self.findings.append({k: v for k, v in f.items() if v is not None})

    # 6.2

    def run(self, receipts):
        self.walk(self.control)
        for tid in sorted(set(self.trails) - {self.control.id}):
            self.walk(self.trails[tid])
        for path in receipts:
            result = self.receipt(log.read_given(path))
            self.receipts.append({"file": str(path), "result": result})
            if result != "included":
                self.find(result, str(path))
        for trail in self.trails.values():
            for epoch in trail.epochs.values():
                self.end_of_epoch(trail, epoch)
        self.find("unwitnessed", "no witnesses: order only, no proof of time")

    # 6.3

    def note_of(self, trail):
        return log.read_file(os.path.join(self.dir, trail.id.hex(), "checkpoint"))

    def walk(self, trail):
        directory, name = os.path.join(self.dir, trail.id.hex()), log.origin(self.policy.name, trail.id)
        note = self.note_of(trail)
        trail.note = note
        moving = not trail.control and self.note_of(self.control) != self.control.note
        if note is None:
            if trail.control or trail.published:
                self.find("checkpoint-missing", "no checkpoint", trail)
            return
        try:
            cp = log.Checkpoint(note)
        except log.NoteError as e:
            return self.find("checkpoint-malformed", str(e), trail)
        if cp.origin != name:
            return self.find("checkpoint-origin", "origin %s" % cp.origin, trail)
        if not cp.note.signed_by(name, self.policy.public):
            self.find("checkpoint-unsigned", "no good signature", trail)
        trail.checkpoint = cp
        self.covered["trails"] += 1
        items, bad = log.read_segments(directory, trail.id, cp.size)
        beyond = max(0, len(items) - cp.size)
        items = items[:cp.size]
        trail.reached, trail.tree = len(items), Tree([H(b"\0" + e) for _, e in items])
        judged = min(len(items), max(trail.published, default=0)) if moving else len(items)
        beyond += len(items) - judged
        self.not_covered["entries-after-checkpoint"] += beyond
        if beyond:
            self.find("entries-after-checkpoint", "%d entries" % beyond, trail)
        for i, (stored, entry) in enumerate(items[:judged]):
            self.entry(trail, i, stored, entry)
        if trail.control and 0 not in (e.index for e in trail.epochs.values()):
            self.find("wrong-genesis", "entry 0 is not an open that passes", trail)
        if bad:
            self.find("segment-malformed", bad, trail)
        elif trail.reached == cp.size:
            if trail.tree.root(cp.size) != cp.root:
                self.find("root-mismatch", "root of %d entries" % cp.size, trail)
            for tile in log.bad_tiles(directory, trail.tree, [e for _, e in items], cp.size):
                self.find("tile-mismatch", tile, trail)
        published = max(trail.published, default=0)
        if trail.reached < cp.size and not bad or cp.size < published:
            self.find("trail-truncated", "%d entries, the checkpoint has %d, published were %d" % (
                trail.reached, cp.size, published), trail)
        for size, root in trail.published.items():
            if size <= trail.reached and trail.tree.root(size) != root:
                self.find("published-mismatch", "published root at size %d" % size, trail)

    # 6.4

    def entry(self, trail, i, stored, entry):
        epoch = st = None
        try:
            envelope, part = statements.parse_entry(entry)
            st = statements.Statement(envelope).placed(trail.control)
            epoch = trail.epochs.get(st.claims.get(6))
            self.judge(trail, st, epoch)
        except statements.Refused as e:
            return self.find(e.cls, e.detail, trail, i, epoch, st and st.claims.get(7))
        received = part[1]
        self.largest_received = max(self.largest_received, received)
        if st.kind == "batch":
            return self.batch(trail, st, epoch, received, stored, dict(
                trail=trail, entry=i, epoch=epoch, sequence=st.claims[7]))
        if stored is not None:
            self.find("segment-malformed", "a body item before an open", trail, i)
        if trail.control and i == 0:
            self.policy.genesis = self.policy.genesis or st.identity
            if st.identity != self.policy.genesis:
                self.find("wrong-genesis", "entry 0 is " + st.identity.hex(), trail, i)
        self.open(trail, i, st, received)

    def judge(self, trail, st, epoch):
        """6.4, steps 4 to 9."""
        c, batch = st.claims, st.kind == "batch"

        def refuse(cls, when):
            if when:
                raise statements.Refused(cls, "claims 2 to 6 or the envelope")

        refuse("wrong-trail", (c[2], c[3]) != (self.policy.name, trail.id))
        refuse("unknown-epoch", batch and epoch is None)
        refuse("duplicate-entry", not batch and st.identity in trail.epochs)
        key = epoch.key if batch else public_key(c[32])
        refuse("foreign-key", (st.key_id, st.alg) != (key.id, key.alg))
        refuse("bad-signature", not key.verify(st.signature, st.to_sign))
        owner = epoch.owner if batch else ("control", "ledger") if trail.control else (c[4], c[5])
        refuse("wrong-stream", (c[4], c[5]) != owner)
        refuse("unknown-stream", not batch and not trail.control and (c[4], trail.id) not in self.streams)

    # 6.5

    def batch(self, trail, st, epoch, received, stored, at):
        c, s = st.claims, st.claims[7]
        body = Body(c, stored, self.keys)
        if body.finding:
            self.find(*body.finding, **at)
        self.covered["batches"] += 1
        self.not_covered["encrypted-batches"] += body.finding is None and not body.read
        self.not_covered["not-proven-batches"] += not epoch.proven
        if body.read:
            trail.records += c[11]
            self.covered["records"] += c[11]
            self.covered["line_bytes"] += body.line_bytes
            self.covered["proven_records"] += c[11] * epoch.proven
        if s in epoch.seen:
            same = epoch.seen[s].identity == st.identity
            return self.find("duplicate-entry" if same else "fork", "sequence %d" % s, **at)
        late = s < epoch.next
        before, after = epoch.seen.get(s - 1), epoch.seen.get(s + 1)
        if late:
            self.find("late", "fills a hole", **at)
        if epoch.close is not None and s > epoch.close or c[21] is not None and late:
            self.find("after-close", "close and sequence", **at)
        elif s == 0 and c[8] != epoch.id or before and c[8] != before.identity \
                or after and after.claims[8] != st.identity:
            self.find("chain-broken", "claim 8", **at)
        if trail.newest[epoch.owner] is not epoch:
            self.once("superseded", "a newer epoch of this instance stands before it", at)
        if epoch.awaited and epoch.awaited[0] == s:
            if epoch.awaited[1] != st.identity:
                self.find("predecessor-mismatch", "a successor named another batch", **at)
            epoch.awaited = None
        epoch.seen[s], epoch.next = st, max(epoch.next, s + 1)
        if c[21] is not None and epoch.close is None:
            epoch.close = s
        epoch.batches += 1
        epoch.records += c[11]
        self.totals(c, body, before, late, at)
        self.clocks(c, epoch, before, late, received, at)
        self.seen_note(c, epoch, late, at)
        if trail.control:
            self.fold(c, body, at)

    def once(self, cls, detail, at):
        if cls not in at["epoch"].late_news:
            at["epoch"].late_news.add(cls)
            self.find(cls, detail, **at)

    # 6.6

    def control_note(self, digest):
        """The control checkpoint with a good signature that is this artefact, or None."""
        if digest not in self.notes:
            note = self.artefacts.get(digest)
            self.notes[digest] = note and log.good_checkpoint(note, self.policy, self.policy.control)
        return self.notes[digest]

    def open(self, trail, i, st, received):
        c, epoch = st.claims, Epoch(st, trail, i, received)
        at = dict(trail=trail, entry=i, epoch=epoch)
        bad, epoch.kind, epoch.evidence = evidence.appraise(
            st, self.artefacts.get(c[34]), received, self.policy, trail.control)
        if bad is None and self.policy.appraises:
            epoch.measurements = epoch.evidence.measurements()
        if bad is None and c[40] is not None:
            if not self.control_note(c[40][:32]):
                bad = "unknown-challenge", "its first half is no control checkpoint"
            elif c[40] in self.challenges:
                bad = "challenge-reused", "challenge"
            self.challenges |= set() if bad else {c[40]}
        if bad:
            self.find(*bad, **at)
        epoch.proven = bad is None and self.policy.appraises
        cls = self.predecessor(trail, epoch)
        if cls:
            self.find(cls, "claim 41", **at)
        if abs(c[42] - received) > SKEW:
            self.find("clock-skew", "opened at against received at", **at)
        trail.epochs[epoch.id] = trail.newest[epoch.owner] = epoch
        self.covered["epochs"] += 1

    def predecessor(self, trail, epoch):
        """The rules for claim 41, in their order; the class or None."""
        if epoch.claims[41] is None:
            return "predecessor-none" if epoch.owner in trail.newest else None
        eid, s, identity, _ = epoch.claims[41]
        old = trail.epochs.get(eid)
        if old is None:
            return "predecessor-unknown"
        if old.owner != epoch.owner or s is None and identity != eid:
            return "predecessor-mismatch"
        if old.named:
            return "predecessor-conflict"
        old.named = True
        if old.next > (0 if s is None else s + 1):
            return "stale-predecessor"
        if s is None:
            return None
        if s not in old.seen:
            old.awaited = s, identity
        elif old.seen[s].identity != identity:
            return "predecessor-mismatch"
        return None

    # 6.7

    def totals(self, c, body, before, late, at):
        now, bad = c[19], c[19][0] != sum(c[19][1:4]) or max(c[19][4:]) > c[19][1]
        old = before.claims[19] if before else [0] * 6 if c[7] == 0 else None
        if old and not late:
            bad = bad or any(x < y for x, y in zip(now, old)) or now[1] != old[1] + c[11] \
                or body.read and now[4:] != [old[4] + body.stubs, old[5] + body.redacted]
            if now[2] > old[2]:
                self.find("records-dropped", "%d records" % (now[2] - old[2]), **at)
        if bad:
            self.find("totals-mismatch", "totals %s after %s" % (now, old), **at)

    def clocks(self, c, epoch, before, late, received, at):
        mono, wall = c[18], c[17][1]
        skew = wall > received + SKEW
        if not late and (before or c[7] == 0):
            wall0, mono0 = (before.claims[17][1], before.claims[18]) if before else (epoch.claims[42], 0)
            skew = skew or mono < mono0 or abs((wall - wall0) - (mono - mono0)) > SKEW
        if skew:
            self.find("clock-skew", "wall clock, monotonic clock or received at", **at)
        if received - epoch.last_received > epoch.silence:
            self.once("silence", "more than three heartbeat intervals", at)
        epoch.last_received = max(epoch.last_received, received)

    def seen_note(self, c, epoch, late, at):
        if c[16] is None:
            return
        note, control = self.control_note(c[16]), self.control
        if not note or note.size > control.checkpoint.size \
                or note.size <= control.reached and control.tree.root(note.size) != note.root:
            self.find("seen-unknown", "claim 16", **at)
        elif not late:
            if note.size < epoch.seen_size:
                self.find("seen-backwards", "claim 16", **at)
            epoch.seen_size = max(epoch.seen_size, note.size)

    # 6.8

    def fold(self, c, body, at):
        for record in body.named if body.read else ():
            try:
                self.control_record(record["eventName"], record.get("attributes", {}))
            except ValueError as e:
                self.find("control-malformed", str(e), **at)
        for tid, size, root in c.get(22, ()):
            published = self.trails[tid].published if tid in self.trails and tid != self.control.id else None
            if published is None or size < max(published, default=0) or published.get(size, root) != root:
                self.find("published-inconsistent", "trail %s at size %d" % (tid.hex(), size), **at)
            else:
                published[size] = root

    def control_record(self, name, a):
        def need(ok, what):
            if not ok:
                raise ValueError("%s: %s" % (name, what))

        if name == "sealtrail.ledger.created":
            need(a.get("ledger.name") == self.policy.name and a.get("ledger.vkey") == self.policy.vkey, "name or vkey")
        if name not in ("sealtrail.trail.created", "sealtrail.stream.added"):
            return
        need(is_hex(a.get("trail.id"), 32), "trail.id")
        tid = bytes.fromhex(a["trail.id"])
        if name == "sealtrail.trail.created":
            need(is_name(a.get("trail.name")) and is_name(a.get("retention.class")), "a name")
            need(tid not in self.trails, "the trail exists")
            self.trails[tid] = Trail(tid, a["trail.name"])
        else:
            need(is_name(a.get("stream.name")) and type(a.get("accept")) is list, "stream.name or accept")
            need(tid in self.trails and tid != self.control.id, "unknown trail")
            self.streams.add((a["stream.name"], tid))

    # 6.9

    def receipt(self, data):
        try:
            receipt = log.Receipt(data, self.policy)
        except log.ReceiptError:
            return "receipt-malformed"
        try:
            links = [(self.trails.get(tid), cp) for tid, cp in receipt.checkpoints()]
        except log.ReceiptError:
            return "receipt-invalid"
        if links[0][0] is None:
            return "receipt-unknown-trail"
        for trail, cp in links:
            if trail.reached < cp.size:
                return "older-checkpoint"
            if trail.tree.root(cp.size) != cp.root:
                return "receipt-inconsistent"
        return "included"

    # 6.10

    def end_of_epoch(self, trail, epoch):
        for a, b in epoch.holes():
            self.find("sequence-gap", "sequences %d to %d" % (a, b), trail, None, epoch, a, b)
        epoch.state = "open" if epoch.close is None else "closed"
        if epoch.close is None and (trail.newest[epoch.owner] is not epoch
                                    or self.largest_received - epoch.last_received > epoch.silence):
            epoch.state = "dirty"
            self.find("dirty-end", "the epoch has no close", trail, None, epoch)

    # 6.11

    def epoch_json(self, epoch):
        simulated = bool(epoch.evidence and epoch.evidence.simulated)
        cheats = (["ledger"] if epoch.trail.control else ["app", "sdk", "guest-root"]) \
            + ["development-root"] * simulated + ["host-tail"] * (epoch.close is None) + ["ledger-with-host"]
        return {"id": epoch.id.hex(), "trail": epoch.trail.id.hex(), "stream": epoch.claims[4],
                "instance": epoch.claims[5], "evidence": epoch.kind, "simulated": simulated,
                "measurements": epoch.measurements, "proven": epoch.proven,
                "batches": epoch.batches, "records": epoch.records, "state": epoch.state,
                "could_have_cheated": cheats}

    def verdict(self, policy_hash):
        errors = {f["class"] for f in self.findings if f["severity"] == "error"}
        counts = {}
        for f in self.findings:
            counts[f["class"]] = counts.get(f["class"], 0) + 1
        outcome = "rejected" if errors else "verified" if self.policy.appraises else "not-appraised"
        order = [self.control] + [self.trails[t] for t in sorted(set(self.trails) - {self.control.id})]
        trails = [{"id": t.id.hex(), "name": t.name, "size": t.checkpoint and t.checkpoint.size,
                   "root": t.checkpoint and t.checkpoint.root.hex(), "records": t.records}
                  for t in order]
        epochs = [e for t in order for e in t.epochs.values()]
        return dict(blank(outcome, min(errors, key=REASONS.index, default=None), policy_hash), ledger=self.policy.name,
                    trails=trails, covered=self.covered, findings=self.findings[:1000], finding_counts=counts,
                    not_covered=[{"what": k, "count": n} for k, n in self.not_covered.items() if n],
                    epochs=[self.epoch_json(e) for e in epochs[:10000]], receipts=self.receipts)


def blank(outcome, reason, policy_hash):
    zeros = dict.fromkeys(("trails", "epochs", "batches", "records", "line_bytes", "proven_records"), 0)
    return {"version": 1, "tool": {"name": "second-verifier", "version": __version__}, "outcome": outcome,
            "reason": reason, "policy_hash": policy_hash, "ledger": None, "trails": [], "covered": zeros,
            "not_covered": [], "findings": [], "finding_counts": {}, "epochs": [], "receipts": [],
            "time": "order-only"}


def hint(directory):
    """A policy from ledger.json that appraises nothing (6.1), or Unreadable."""
    try:
        raw = log.read_given(os.path.join(directory, "ledger.json"))
        v = json.loads(raw.decode("utf-8"))
        if len(raw) > 4096 or not is_version_1(v):
            raise ValueError
        return Policy(v.get("ledger"), v.get("control"), v.get("vkey"))
    except (ValueError, RecursionError):
        raise log.Unreadable("ledger.json") from None


def read_keys(path):
    """Body keys by key id: one per line, 64 hex digits."""
    rows = log.read_given(path).decode("utf-8", "replace").splitlines()
    if not all(is_hex(k, 64) for k in rows):
        raise log.Unreadable(path)
    return {key_id(k): k for k in map(bytes.fromhex, rows)}


def verify(directory, policy_file=None, receipts=(), body_keys=None):
    """The verdict, whatever the input is."""
    policy_hash = None
    try:
        if policy_file is None:
            policy = hint(directory)
        else:
            toml = log.read_given(policy_file)
            policy_hash = H(toml).hex()
            policy = Policy.from_toml(toml)
        v = Verifier(directory, policy, read_keys(body_keys) if body_keys else {})
        v.run(receipts)
        return v.verdict(policy_hash)
    except PolicyError as e:
        return dict(blank("unchecked", "policy-invalid", policy_hash), detail=str(e))
    except (log.Unreadable, OSError) as e:
        return dict(blank("unchecked", "unreadable", policy_hash), detail=str(e))
    except Exception as e:  # a verdict whatever happens; a bug shows as a reason that no other verifier gives
        return dict(blank("unchecked", "internal-error", policy_hash), detail=repr(e))
