"""Verification (06-verification.md)."""
import json
import os

from . import __version__, body, evidence, lines, log, statements
from .keys import H
from .merkle import Tree
from .policy import WARNINGS, Policy, PolicyError, Reference, is_hex, parse_vkey

SKEW = 300 * 10**9

REASONS = (
    "checkpoint-missing checkpoint-malformed checkpoint-origin checkpoint-unsigned segment-malformed wrong-genesis "
    "entry-malformed unknown-claim statement-malformed wrong-trail unknown-epoch foreign-key bad-signature "
    "wrong-stream unknown-stream evidence-missing evidence-malformed untrusted-root evidence-refused binding-mismatch "
    "challenge-mismatch unexpected-code unknown-challenge challenge-reused predecessor-unknown predecessor-mismatch "
    "predecessor-conflict stale-predecessor fork duplicate-entry after-close chain-broken body-missing "
    "stored-hash-mismatch body-malformed count-mismatch record-root-mismatch line-form totals-mismatch seen-unknown "
    "seen-backwards control-malformed published-inconsistent published-mismatch sequence-gap root-mismatch "
    "tile-mismatch trail-truncated receipt-malformed receipt-invalid receipt-unknown-trail older-checkpoint "
    "receipt-inconsistent").split() + WARNINGS


class Unchecked(Exception):
    pass


class Epoch:
    def __init__(self, st, trail, index, received):
        self.id, self.claims, self.trail, self.index = st.identity, st.claims, trail, index
        self.key = statements.public_key(st.claims[32])
        self.next, self.holes, self.seen = 0, [], {}  # seen: sequence -> statement
        self.close = None
        self.seen_sizes = []  # (sequence, size of the control checkpoint)
        self.last_received = received
        self.superseded = self.silent = self.proven = False
        self.kind = self.evidence = None
        self.batches = self.records = 0

    def in_hole(self, s):
        return any(a <= s <= b for a, b in self.holes)

    def fill(self, s):
        out = []
        for a, b in self.holes:
            if a <= s <= b:
                out += [[a, s - 1]] if a < s else []
                out += [[s + 1, b]] if s < b else []
            else:
                out.append([a, b])
        self.holes = out

    def owner(self):
        return self.claims[4], self.claims[5]


class Trail:
    def __init__(self, tid, name=None):
        self.id, self.name, self.control = tid, name, name is None
        self.checkpoint = None
        self.entries, self.tree, self.available = [], Tree([]), 0
        self.epochs = {}      # identity -> Epoch, in order
        self.newest = {}      # (stream, instance) -> newest Epoch
        self.named = set()    # epochs named as predecessors
        self.pending = []     # [epoch, sequence, identity, entry, class so far, silenced]
        self.published = []   # (size, root) from the control trail
        self.records = 0

    def root(self, size):
        """The root at this size, None where the entries do not reach it."""
        return self.tree.root(size) if size <= self.available else None


class Verifier:
    def __init__(self, directory, policy, keys=None):
        self.dir, self.policy, self.keys = directory, policy, keys or {}
        self.findings = []
        self.artefacts = log.Artefacts(directory)
        self.notes = {}
        self.challenges = set()
        self.trails = {}
        self.streams = set()
        self.published = []
        self.largest_received = -1
        self.receipts = []
        self.covered = dict.fromkeys(("trails", "epochs", "batches", "records", "line_bytes", "proven_records"), 0)
        self.not_covered = dict.fromkeys(("entries-after-checkpoint", "encrypted-batches", "not-proven-batches"), 0)

    def find(self, cls, detail, trail=None, entry=None, epoch=None, sequence=None, last=None):
        error = cls not in WARNINGS or cls in self.policy.refuse
        f = {"class": cls, "severity": "error" if error else "warning"}
        for name, v in (("trail", trail and trail.id.hex()), ("entry", entry), ("epoch", epoch and epoch.id.hex()),
                        ("sequence", sequence), ("last_sequence", last)):
            if v is not None:
                f[name] = v
        f["detail"] = detail
        self.findings.append(f)

    # 6.2

    def run(self, receipts=()):
        trails = os.path.join(self.dir, "trails")
        control_id = self.policy.control
        if not os.path.isdir(os.path.join(trails, control_id.hex())):
            raise log.Unreadable("the control trail's directory is not there")
        self.checkpoints = {}
        for name in sorted(os.listdir(trails)):  # data trails before the control trail
            if is_hex(name, 32) and name != control_id.hex():
                try:
                    self.checkpoints[name] = log.read_file(os.path.join(trails, name, "checkpoint"))
                except log.Unreadable:
                    pass  # read again when the trail's turn comes
        self.control = self.trails[control_id] = Trail(control_id)
        self.walk(self.control)
        for tid in sorted(t for t in self.trails if t != control_id):
            self.walk(self.trails[tid])
        for path in receipts:
            self.receipt(path)
        for trail in self.trails.values():
            for epoch in trail.epochs.values():
                self.end_of_epoch(trail, epoch)
        self.find("unwitnessed", "no witnesses: order only, no proof of time")

    # 6.3

    def walk(self, trail):
        directory = os.path.join(self.dir, "trails", trail.id.hex())
        raw = self.checkpoints.get(trail.id.hex())
        if raw is None:
            raw = log.read_file(os.path.join(directory, "checkpoint"))
        if raw is None:
            return self.find("checkpoint-missing", "no checkpoint", trail)
        try:
            cp = log.Checkpoint(raw)
        except log.NoteError as e:
            return self.find("checkpoint-malformed", str(e), trail)
        name = log.origin(self.policy.name, trail.id)
        if cp.origin != name:
            return self.find("checkpoint-origin", "origin %s" % cp.origin, trail)
        if not cp.note.signed_by(name, self.policy.public):
            self.find("checkpoint-unsigned", "no good signature", trail)
        trail.checkpoint = cp
        self.covered["trails"] += 1
        items, bad = log.read_segments(directory, trail.id)
        trail.entries = [e for _, e in items]
        trail.available = min(len(items), cp.size)
        trail.tree = Tree([H(b"\0" + e) for e in trail.entries[:trail.available]])
        if len(items) > cp.size:
            self.not_covered["entries-after-checkpoint"] += len(items) - cp.size
        for i in range(trail.available):
            stored, raw = items[i]
            if not self.entry(trail, i, stored, raw):
                bad = "entry %d: a body item before an entry that has no body" % i
                trail.available = i
                break
        self.end_of_trail(trail)
        if bad:
            self.find("segment-malformed", bad, trail)
        elif len(items) < cp.size:
            self.find("trail-truncated", "%d entries, the checkpoint has %d" % (len(items), cp.size), trail)
        else:
            if trail.tree.root(cp.size) != cp.root:
                self.find("root-mismatch", "root of %d entries" % cp.size, trail)
            for tile in log.bad_tiles(directory, trail.tree, trail.entries, cp.size):
                self.find("tile-mismatch", tile, trail)
        if trail.published and cp.size < max(s for s, _ in trail.published):
            self.find("trail-truncated", "the checkpoint is below a published size", trail)
        for size, root in trail.published:
            if size <= trail.available and trail.tree.root(size) != root:
                self.find("published-mismatch", "published root at size %d" % size, trail)

    # 6.4

    def entry(self, trail, i, stored, raw):
        """Judges one entry; False when a body item stands where none may."""
        try:
            st_raw, part = statements.parse_entry(raw)
            st = statements.parse(st_raw, trail.control)
        except statements.Refused as e:
            self.find(e.cls, e.detail, trail, i)
            return True
        c, batch = st.claims, st.kind == "batch"
        if stored is not None and (not batch or c[13] == 0):
            return False
        refuse = None
        epoch = trail.epochs.get(c[6]) if batch else None
        if c[2] != self.policy.name or c[3] != trail.id:
            refuse = "wrong-trail", "origin or trail"
        elif batch and epoch is None:
            refuse = "unknown-epoch", "epoch " + c[6].hex()
        elif not batch and st.identity in trail.epochs:
            refuse = "duplicate-entry", "open"
        else:
            key = epoch.key if batch else statements.public_key(c[32])
            if st.key_id != key.id or st.alg != key.alg:
                refuse = "foreign-key", "key id or algorithm"
            elif not key.verify(st.signature, st.to_sign):
                refuse = "bad-signature", "signature"
            elif batch and (c[4], c[5]) != epoch.owner():
                refuse = "wrong-stream", "not the open's stream and instance"
            elif not batch and trail.control and (c[4], c[5]) != ("control", "ledger"):
                refuse = "wrong-stream", "not control and ledger"
            elif not batch and not trail.control and (c[4], trail.id) not in self.streams:
                refuse = "unknown-stream", "stream " + c[4]
        if refuse:
            self.find(refuse[0], refuse[1], trail, i, epoch, c[7] if batch else None)
            return True
        if trail.control and i == 0:
            if self.policy.genesis is None:
                self.policy.genesis = st.identity
            elif st.identity != self.policy.genesis:
                self.find("wrong-genesis", "entry 0 is " + st.identity.hex(), trail, i)
        received = part[1]
        self.largest_received = max(self.largest_received, received)
        if batch:
            self.batch(trail, i, st, epoch, received, stored)
        else:
            self.open(trail, i, st, received)
        return True

    # 6.6

    def control_note(self, digest):
        """(size, root) of the control checkpoint note that is this artefact, or None."""
        if digest not in self.notes:
            raw = self.artefacts.get(digest)
            cp = raw and log.good_checkpoint(raw, self.policy.name, self.policy.control, self.policy.public)
            self.notes[digest] = (cp.size, cp.root) if cp else None
        return self.notes[digest]

    def open(self, trail, i, st, received):
        c = st.claims
        epoch = Epoch(st, trail, i, received)
        cls, detail, epoch.kind, epoch.evidence = evidence.appraise(
            st, self.artefacts.get(c[34]), received, self.policy, trail.control)
        challenge = c[40]
        if cls is None and challenge is not None:
            if self.control_note(challenge[:32]) is None:
                cls, detail = "unknown-challenge", "its first half is no control checkpoint"
            elif challenge in self.challenges:
                cls, detail = "challenge-reused", "challenge"
        self.challenges.add(challenge)
        epoch.proven = cls is None and self.policy.appraises
        if cls:
            self.find(cls, detail, trail, i, epoch)
        self.predecessor(trail, i, epoch, cls is not None)
        if abs(c[42] - received) > SKEW:
            self.find("clock-skew", "opened at against received at", trail, i, epoch)
        trail.epochs[epoch.id] = epoch
        trail.newest[epoch.owner()] = epoch
        self.covered["epochs"] += 1

    def predecessor(self, trail, i, epoch, silenced):
        """Claim 41. silenced: the open has an evidence finding, and at most one comes from 6.6."""
        named = epoch.claims[41]
        cls = None
        if named is None:
            if epoch.owner() in trail.newest:
                cls = "predecessor-none"
        else:
            eid, s, identity, _ = named
            old = trail.epochs.get(eid)
            late_class = "predecessor-conflict" if eid in trail.named else None
            trail.named.add(eid)
            if old is None:
                cls = "predecessor-unknown"
            elif old.owner() != epoch.owner():
                cls = "predecessor-mismatch"
            elif s is None:
                if identity != eid:
                    cls = "predecessor-mismatch"
                else:
                    cls = late_class or ("stale-predecessor" if old.seen else None)
            else:
                if late_class is None and any(x > s for x in old.seen):
                    late_class = "stale-predecessor"
                if s not in old.seen:
                    trail.pending.append([old, s, identity, i, late_class, silenced, epoch])
                elif old.seen[s].identity != identity:
                    cls = "predecessor-mismatch"
                else:
                    cls = late_class
        if cls and not silenced:
            self.find(cls, "claim 41", trail, i, epoch)

    def judge_pending(self, trail, p, cls):
        trail.pending.remove(p)
        if cls and not p[5]:
            self.find(cls, "claim 41", trail, p[3], p[6])

    def end_of_trail(self, trail):
        for p in list(trail.pending):
            old, s = p[0], p[1]
            if any(x > s for x in old.seen):
                self.judge_pending(trail, p, "predecessor-mismatch")
            else:
                self.judge_pending(trail, p, p[4])
                if old.next <= s:
                    old.holes.append([old.next, s])
                    old.next = s + 1

    # 6.5

    def batch(self, trail, i, st, epoch, received, stored):
        c = st.claims
        s = c[7]
        at = dict(trail=trail, entry=i, epoch=epoch, sequence=s)
        late = s < epoch.next and epoch.in_hole(s)
        repeated = s < epoch.next and not late
        cls = None
        if repeated:
            cls = "duplicate-entry" if s in epoch.seen and epoch.seen[s].identity == st.identity else "fork"
        else:
            before, after = epoch.seen.get(s - 1), epoch.seen.get(s + 1)
            if (epoch.close is not None and s > epoch.close) or \
                    (c[21] is not None and any(x > s for x in epoch.seen)):
                cls = "after-close"
            elif (s == 0 and c[8] != epoch.id) or (before and c[8] != before.identity) or \
                    (after and after.claims[8] != st.identity):
                cls = "chain-broken"
        if cls:
            self.find(cls, "sequence %d" % s, **at)
        if late:
            self.find("late", "fills a hole", **at)
        if not repeated:
            if late:
                epoch.fill(s)
            elif s > epoch.next:
                epoch.holes.append([epoch.next, s - 1])
            epoch.next = max(epoch.next, s + 1)
            epoch.seen[s] = st
            if c[21] is not None and epoch.close is None:
                epoch.close = s
            if trail.newest[epoch.owner()] is not epoch and not epoch.superseded:
                epoch.superseded = True
                self.find("superseded", "a newer epoch of this instance stands before it", **at)
            for p in [p for p in trail.pending if p[0] is epoch and p[1] == s]:
                self.judge_pending(trail, p, "predecessor-mismatch" if p[2] != st.identity else p[4])
        b = body.check(c, stored, self.keys, trail.control)
        if b.finding:
            self.find(*b.finding, **at)
        elif b.encrypted and not b.covered:
            self.not_covered["encrypted-batches"] += 1
        self.covered["batches"] += 1
        if not epoch.proven:
            self.not_covered["not-proven-batches"] += 1
        if b.covered:
            trail.records += c[11]
            self.covered["records"] += c[11]
            self.covered["line_bytes"] += b.line_bytes
            if epoch.proven:
                self.covered["proven_records"] += c[11]
        if not repeated:
            epoch.batches += 1
            epoch.records += c[11]
            self.numbers(epoch, st, b, late, received, at)
            self.seen_note(epoch, st, at)
            if trail.control:
                self.fold(c, b, at)

    # 6.7

    def numbers(self, epoch, st, b, late, received, at):
        c = st.claims
        s, totals, mono, wall = c[7], c[19], c[18], c[17][1]
        before = epoch.seen.get(s - 1)
        base = before.claims[19] if before else [0] * 6 if s == 0 else None
        if base and not late:
            bad = totals[0] != totals[1] + totals[2] + totals[3] or totals[4] > totals[1] or totals[5] > totals[1] \
                or any(x < y for x, y in zip(totals, base)) or totals[1] != base[1] + c[11]
            if b.covered:
                bad = bad or totals[4] != base[4] + b.stubs or totals[5] != base[5] + b.redacted
            if bad:
                self.find("totals-mismatch", "totals %s after %s" % (totals, base), **at)
        if base and totals[2] > base[2]:
            self.find("records-dropped", "%d records" % (totals[2] - base[2]), **at)
        skew = wall > received + SKEW
        if base and not late:
            wall0, mono0 = (before.claims[17][1], before.claims[18]) if before else (epoch.claims[42], 0)
            skew = skew or mono < mono0 or abs((wall - wall0) - (mono - mono0)) > SKEW
        if skew:
            self.find("clock-skew", "wall clock, monotonic clock or received at", **at)
        if received - epoch.last_received > 3 * epoch.claims[38] * 10**6 and not epoch.silent:
            epoch.silent = True
            self.find("silence", "more than three heartbeat intervals", **at)
        epoch.last_received = received

    def seen_note(self, epoch, st, at):
        if st.claims[16] is None:
            return
        s, note = st.claims[7], self.control_note(st.claims[16])
        size, root = note or (0, None)
        cp = self.control.checkpoint
        here = self.control.root(size)
        if note is None or size > cp.size or (here is not None and here != root):
            self.find("seen-unknown", "claim 16", **at)
            return
        if any(x < s and y > size for x, y in epoch.seen_sizes):
            self.find("seen-backwards", "claim 16", **at)
        epoch.seen_sizes.append((s, size))

    # 6.8

    def fold(self, c, b, at):
        for record in b.control if b.covered else ():
            try:
                self.control_record(record["eventName"], record.get("attributes", {}))
            except ValueError as e:
                self.find("control-malformed", str(e), **at)
        for tid, size, root in c.get(22, ()):
            trail = self.trails.get(tid)
            if trail is None or trail.control:
                self.find("published-inconsistent", "trail %s was not created" % tid.hex(), **at)
                continue
            if trail.published and size < max(s for s, _ in trail.published):
                self.find("published-inconsistent", "trail %s shrank" % tid.hex(), **at)
            trail.published.append((size, root))

    def control_record(self, name, a):
        if name == "sealtrail.ledger.created":
            if not statements.is_ledger_name(a.get("ledger.name")):
                raise ValueError("ledger.name")
            parse_vkey(a.get("ledger.vkey"))
        elif name == "sealtrail.trail.created":
            tid = a.get("trail.id")
            if not is_hex(tid, 32) or not statements.is_name(a.get("trail.name")) \
                    or not statements.is_name(a.get("retention.class")):
                raise ValueError("attributes of trail.created")
            tid = bytes.fromhex(tid)
            if tid in self.trails:
                raise ValueError("trail %s is created twice" % tid.hex())
            self.trails[tid] = Trail(tid, a["trail.name"])
        elif name == "sealtrail.stream.added":
            tid = a.get("trail.id")
            if not is_hex(tid, 32) or not statements.is_name(a.get("stream.name")) or type(a.get("accept")) is not list:
                raise ValueError("attributes of stream.added")
            for v in a["accept"]:
                Reference(v)
            tid = bytes.fromhex(tid)
            if tid not in self.trails or self.trails[tid].control:
                raise ValueError("stream of an unknown trail")
            self.streams.add((a["stream.name"], tid))

    # 6.9

    def receipt(self, path):
        raw = log.read_file(path)
        if raw is None:
            raise log.Unreadable("%s is not there" % path)
        result = self.judge_receipt(raw)
        self.receipts.append({"file": str(path), "result": result})
        if result != "included":
            self.find(result, str(path))

    def judge_receipt(self, raw):
        p = self.policy
        try:
            r = log.Receipt(raw, p.control)
        except log.ReceiptError:
            return "receipt-malformed"
        try:
            cp = r.checkpoint(p.name, p.control, p.public)
        except log.ReceiptError:
            return "receipt-invalid"
        trail = self.trails.get(r.trail)
        if trail is None:
            return "receipt-unknown-trail"
        if trail.checkpoint is None or trail.checkpoint.size < cp.size or trail.root(cp.size) is None:
            return "older-checkpoint"
        return "included" if trail.root(cp.size) == cp.root else "receipt-inconsistent"

    # 6.10

    def end_of_epoch(self, trail, epoch):
        for a, b in sorted(epoch.holes):
            self.find("sequence-gap", "sequences %d to %d" % (a, b), trail, None, epoch, a, b)
        epoch.state = "closed"
        if epoch.close is None:
            limit = 3 * epoch.claims[38] * 10**6
            dirty = trail.newest[epoch.owner()] is not epoch or self.largest_received - epoch.last_received > limit
            epoch.state = "dirty" if dirty else "open"
            if dirty:
                self.find("dirty-end", "the epoch has no close", trail, None, epoch)

    # 6.11

    def epoch_json(self, epoch):
        simulated = bool(epoch.evidence and epoch.evidence.simulated)
        cheats = ["app", "sdk", "guest-root"]
        cheats += ["development-root"] if simulated else []
        cheats += ["ledger"] if epoch.trail.control else []
        cheats += ["host-tail"] if epoch.close is None else []
        return {"id": epoch.id.hex(), "trail": epoch.trail.id.hex(), "stream": epoch.claims[4],
                "instance": epoch.claims[5], "evidence": epoch.kind, "simulated": simulated,
                "measurements": epoch.evidence.measurements() if epoch.evidence else {}, "proven": epoch.proven,
                "batches": epoch.batches, "records": epoch.records, "state": epoch.state,
                "could_have_cheated": cheats + ["ledger-with-host"]}

    def verdict(self, policy_hash):
        errors = {f["class"] for f in self.findings if f["severity"] == "error"}
        counts = {}
        for f in self.findings:
            counts[f["class"]] = counts.get(f["class"], 0) + 1
        if errors:
            outcome, reason = "rejected", min(errors, key=REASONS.index)
        else:
            outcome, reason = "verified" if self.policy.appraises else "not-appraised", None
        trails = [{"id": t.id.hex(), "name": t.name, "size": t.checkpoint.size if t.checkpoint else None,
                   "root": t.checkpoint.root.hex() if t.checkpoint else None, "records": t.records}
                  for t in self.trails.values()]
        epochs = [e for t in self.trails.values() for e in t.epochs.values()]
        return dict(blank(outcome, reason, policy_hash), ledger=self.policy.name, trails=trails, covered=self.covered,
                    not_covered=[{"what": k, "count": n} for k, n in self.not_covered.items() if n],
                    findings=self.findings[:1000], finding_counts=counts,
                    epochs=[self.epoch_json(e) for e in epochs[:10000]], receipts=self.receipts)


def blank(outcome, reason, policy_hash=None):
    zeros = dict.fromkeys(("trails", "epochs", "batches", "records", "line_bytes", "proven_records"), 0)
    return {"version": 1, "tool": {"name": "second-verifier", "version": __version__}, "outcome": outcome,
            "reason": reason, "policy_hash": policy_hash, "ledger": None, "trails": [], "covered": zeros,
            "not_covered": [], "findings": [], "finding_counts": {}, "epochs": [], "receipts": [],
            "time": "order-only"}


def hint(directory):
    """A policy from ledger.json that appraises nothing (6.1), or Unreadable."""
    raw = log.read_file(os.path.join(directory, "ledger.json"))
    try:
        v = json.loads((raw or b"").decode("utf-8"))
        if type(v) is not dict or type(v.get("version")) is not int or v["version"] != 1:
            raise ValueError
        return Policy(v.get("ledger"), v.get("control"), v.get("vkey"))
    except (ValueError, RecursionError):
        raise log.Unreadable("ledger.json") from None


def read_keys(path):
    """Body keys: one per line, 64 hex digits."""
    raw = log.read_file(path)
    keys = [k for k in (raw or b"").decode("utf-8", "replace").split("\n") if k.strip()]
    if raw is None or not all(is_hex(k.strip(), 64) for k in keys):
        raise log.Unreadable(path)
    keys = [bytes.fromhex(k.strip()) for k in keys]
    return {body.key_id(k): k for k in keys}


def verify(directory, policy_file=None, receipts=(), body_keys=None):
    """The verdict, whatever the input is."""
    policy_hash = None
    try:
        if policy_file is None:
            policy = hint(directory)
        else:
            raw = log.read_file(policy_file)
            if raw is None:
                raise log.Unreadable(policy_file)
            policy_hash = H(raw).hex()
            policy = Policy.from_toml(raw)
        v = Verifier(directory, policy, read_keys(body_keys) if body_keys else None)
        v.run(receipts)
        return v.verdict(policy_hash)
    except PolicyError as e:
        return dict(blank("unchecked", "policy-invalid", policy_hash), detail=str(e))
    except (log.Unreadable, OSError) as e:
        return dict(blank("unchecked", "unreadable", policy_hash), detail=str(e))
    except Exception as e:  # a verdict whatever happens; a bug shows as a reason that no other verifier gives
        return dict(blank("unchecked", "internal-error", policy_hash), detail=repr(e))
