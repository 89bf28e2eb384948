"""The golden files of testdata/vectors, judged by this verifier."""

import hashlib
import json
import pathlib
from types import SimpleNamespace

import pytest
from second_verifier import body, cbor, evidence, lines, log, merkle, policy, statements, verify
from second_verifier.keys import PublicKey, allowed
from second_verifier.notation import H, b64

ROOT = pathlib.Path(__file__).resolve().parents[2] / "testdata" / "vectors"


def unhex(text):
    return None if text is None else bytes.fromhex(text)


class Refused(Exception):
    """The class of a refusal."""


def refuse_as(cls, errors, check, *args):
    try:
        return check(*args)
    except errors:
        raise Refused(cls) from None


def need(ok, cls):
    if not ok:
        raise Refused(cls)


def cbor_item(i):
    refuse_as("malformed", cbor.CborError, cbor.decode, unhex(i["item"]))
    return {}


def header_line(i):
    raw = unhex(i["line"])
    # The length is that of the body around it, which this case leaves out: any that a body can have will do.
    try:
        length = json.loads(raw)["length"]
        need(type(length) is int and 0 <= length < 1 << 53, "line-form")
    except (ValueError, KeyError, TypeError):
        length = 0
    refuse_as("line-form", lines.LineError, lines.header_line, raw, length)
    v = json.loads(raw)
    return {"length": v["length"], "requests": v["requests"], "seed": v["seed"]}


def context_line(i):
    return {"kind": refuse_as("line-form", lines.LineError, lines.context_line, unhex(i["line"]))}


def record_line(i):
    contexts = ["header"] + i["contexts"]
    v = refuse_as("line-form", lines.LineError, lines.record_line, unhex(i["line"]), contexts)
    return {"redacted": "redacted" in v, "stub": "stub" in v}


def leaves(i):
    seed, rows = unhex(i["seed"]), [unhex(line) for line in i["lines"]]
    salts = body.salts(seed, len(rows))
    hashes = [H(b"\0" + salt + row) for salt, row in zip(salts, rows)]
    return {"leaves": [h.hex() for h in hashes], "record_root": body.record_root(seed, rows).hex(),
            "salts": [s.hex() for s in salts]}


def disclosure(i):
    leaf = H(b"\0" + unhex(i["salt"]) + unhex(i["line"]))
    proof = [unhex(h) for h in i["proof"]]
    ok = merkle.verify_inclusion(i["index"], i["leaves"], leaf, proof, unhex(i["record_root"]))
    need(ok, "proof-refused")
    return {"leaf": leaf.hex()}


def stored_body(i):
    claims = cbor.decode(unhex(i["claims"])).keyed(int)
    key, stored = unhex(i["key"]), unhex(i["stored"])
    out = body.Body(claims, stored, {body.key_id(key): key} if key else {})
    need(out.finding is None, out.finding and out.finding[0])
    # The key that a reader has is not that of the batch: not covered, which for a file of this kind is a refusal.
    need(out.read or claims[15] is None, "body-malformed")
    return {}


def statement(i):
    try:
        st = statements.Statement(unhex(i["statement"]))
    except statements.Refused as e:
        raise Refused(e.cls) from None
    key = PublicKey(unhex(i["key"]))
    need(st.key_id == key.id and st.alg == key.alg, "foreign-key")
    need(key.verify(st.signature, st.to_sign), "bad-signature")
    return {"identity": st.identity.hex(), "key_id": st.key_id.hex(), "kind": st.kind}


def key_binding(i):
    claims = cbor.decode(unhex(i["payload"])).keyed(int)
    return {"binding": statements.Statement.binding(SimpleNamespace(claims=claims)).hex()}


def entry(i):
    raw = unhex(i["entry"])
    try:
        st, part = statements.parse_entry(raw)
    except statements.Refused as e:
        raise Refused(e.cls) from None
    return {"log_leaf": H(b"\0" + raw).hex(), "statement": st.hex(), "ledger_part": {
        "received_at_ns": str(part[1]), "control_size": part[2], "collateral": part[3] and part[3].hex()}}


def verifier_key(i):
    name, _, rest = i["vkey"].rpartition("+")
    name = name.rpartition("+")[0]
    key = b64(rest)
    need(key is not None and len(key) == 33 and key[0] == 1 and name and " " not in name, "malformed")
    need(policy.vkey(name, key[1:]) == i["vkey"] and allowed(key[1:]), "malformed")
    return {"key": key[1:].hex(), "name": name}


def checkpoint(i):
    raw = unhex(i["note"])
    cp = refuse_as("checkpoint-malformed", log.NoteError, log.Checkpoint, raw)
    origin = log.origin(i["ledger"], unhex(i["trail"]))
    need(cp.origin == origin, "checkpoint-origin")
    need(cp.note.signed_by(origin, unhex(i["checkpoint_key"])), "checkpoint-unsigned")
    return {"artefact_hash": H(raw).hex(), "root": cp.root.hex(), "size": cp.size}


def inclusion(i):
    proof = [unhex(h) for h in i["proof"]]
    ok = merkle.verify_inclusion(i["index"], i["size"], unhex(i["leaf"]), proof, unhex(i["root"]))
    need(ok, "proof-refused")
    return {}


def receipt(i):
    p = SimpleNamespace(name=i["ledger"], control=unhex(i["control"]), public=unhex(i["checkpoint_key"]))
    r = refuse_as("receipt-malformed", log.ReceiptError, log.Receipt, unhex(i["file"]), p)
    found = refuse_as("receipt-invalid", log.ReceiptError, r.checkpoints)
    links = [{"root": cp.root.hex(), "size": cp.size} for _, cp in found]
    control = links[1] if len(links) > 1 else None
    return {"control": control, "index": r.links[0][0], "trail": {"checkpoint": links[0], "id": r.trail.hex()}}


def segment(i, tmp_path):
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / "0000000000.seg").write_bytes(unhex(i["file"]))
    out, bad = log.read_segments(str(tmp_path), unhex(i["trail"]), i["size"])
    need(not bad, "segment-malformed")
    need(len(out) >= i["size"], "trail-truncated")
    return {"entries": [{"body_hash": b and H(b).hex(), "log_leaf": H(b"\0" + e).hex()} for b, e in out]}


def evidence_artefact(i):
    bound = unhex(i["binding"])
    opened = SimpleNamespace(binding=lambda: bound, claims={
        4: "payments", 32: unhex(i["public_key"]), 34: H(unhex(i["artefact"])), 40: unhex(i["challenge"])})
    p = SimpleNamespace(appraises=True, accept=[policy.Reference(v) for v in i["accept"]],
                        public=unhex(i["ledger_key"]))
    received = i["received_at_ms"] * 10**6
    wrong, kind, _ = evidence.appraise(opened, unhex(i["artefact"]), received, p, i["ledger_key"] is not None)
    need(wrong is None, wrong and wrong[0])
    return {"kind": kind}


def trust_policy(i):
    p = refuse_as("policy-invalid", policy.PolicyError, policy.Policy.from_toml, unhex(i["policy"]))
    return {"control": p.control.hex(), "hash": H(unhex(i["policy"])).hex(), "ledger": p.name}


def ledger(i, tmp_path):
    for path, text in i["files"].items():
        file = tmp_path / "ledger" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(unhex(text))
    receipts = []
    for name, text in i["receipts"].items():
        (tmp_path / name).write_bytes(unhex(text))
        receipts.append(str(tmp_path / name))
    keys = policy_file = None
    if i["body_keys"]:
        keys = tmp_path / "keys"
        keys.write_text("\n".join(i["body_keys"]))
    if i["policy"] is not None:
        policy_file = tmp_path / "policy.toml"
        policy_file.write_bytes(unhex(i["policy"]))
    v = verify.verify(str(tmp_path / "ledger"), policy_file and str(policy_file), receipts, keys and str(keys))
    need(v["outcome"] in ("verified", "not-appraised"), v["reason"])
    covered = {k: v["covered"][k] for k in ("batches", "epochs", "line_bytes", "records", "trails")}
    return {"covered": covered, "outcome": v["outcome"], "warnings": v["finding_counts"],
            "receipts": {pathlib.Path(r["file"]).name: r["result"] for r in v["receipts"]}}


JUDGES = {
    "cbor": cbor_item, "header-line": header_line, "context-line": context_line, "record-line": record_line,
    "stub-line": record_line, "leaves": leaves, "disclosure": disclosure, "body": stored_body,
    "statement": statement, "binding": key_binding, "entry": entry, "verifier-key": verifier_key,
    "checkpoint": checkpoint, "inclusion": inclusion, "receipt": receipt,
    "segment": segment, "evidence": evidence_artefact, "trust-policy": trust_policy, "ledger": ledger,
}

# What this verifier does not do alone: it computes tile paths and bundles and never parses them, needs no consistency
# proofs, and judges control records within a ledger.
SKIPPED = {"tile-path", "bundle", "consistency", "control-record"}


def within(part, whole):
    """Whether every member of part is in whole."""
    if isinstance(part, dict):
        return all(k in whole and within(v, whole[k]) for k, v in part.items())
    return part == whole


CASES = [path for path in sorted(ROOT.glob("*/*/*.json")) if path.parent.name not in SKIPPED]


@pytest.mark.parametrize("path", CASES, ids=["/".join(p.with_suffix("").parts[-3:]) for p in CASES])
def test_golden(path, tmp_path):
    case = json.loads(path.read_text())
    judge = JUDGES[path.parent.name]
    try:
        found = judge(case["input"], *([tmp_path] if judge in (ledger, segment) else []))
    except Refused as e:
        assert case["expect"] == {"class": e.args[0]}, case["about"]
        return
    assert "class" not in case["expect"], "%s: accepted" % case["about"]
    assert within(found, case["expect"]), found


def test_golden_files_are_there():
    counts = {o: sum(p.parts[-3] == o for p in CASES) for o in ("accept", "reject")}
    print("suite: golden files: %(accept)d accepted, %(reject)d refused" % counts)
    assert counts["accept"] > 150 and counts["reject"] > 600
