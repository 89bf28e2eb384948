import base64
import json
import os
import struct
from pathlib import Path

import cbor2
import jsonschema
import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

import build
from second_verifier import __main__ as cli
from second_verifier import body, cbor, evidence, keys, lines, log, merkle, policy, verify
from second_verifier.notation import H

HERE = Path(__file__).resolve().parent
SHARED = os.environ.get("SEALTRAIL_SHARED")
shared = pytest.mark.skipif(not SHARED, reason="SEALTRAIL_SHARED is not set")
SCHEMA = json.loads((HERE.parents[1] / "docs/spec/verdict.schema.json").read_text())


def vectors(*parts):
    return Path(SHARED, "vectors", *parts)


def b64(s):
    return base64.b64decode(s)


# CBOR

@shared
def test_cbor_fail():
    for case in json.loads(vectors("cbor/fail.json").read_text()):
        with pytest.raises(cbor.CborError):
            cbor.decode(bytes.fromhex(case["hex"]))


def plain(v):
    if type(v) is list:
        return all(map(plain, v))
    if type(v) is dict:
        return all(plain(k) and plain(x) for k, x in v.items())
    return v is None or type(v) in (bool, bytes, str) or type(v) is int and -2**64 <= v < 2**64


@shared
def test_cbor_appendix_a():
    """Accepted are exactly those that are deterministic and of the types we have."""
    good = 0
    for case in json.loads(vectors("cbor/appendix_a.json").read_text()):
        raw = bytes.fromhex(case["hex"])
        try:
            other = cbor2.loads(raw)
            expect = plain(other) and cbor2.dumps(other, canonical=True) == raw
        except Exception:
            expect = False
        try:
            v = cbor.decode(raw)
        except cbor.CborError:
            assert not expect, case
            continue
        assert expect and cbor.encode(other) == raw, case
        good += 1
        if type(v) is int:
            assert v == case["decoded"]
    assert good == 37


@pytest.mark.parametrize("raw", [
    "1800", "190017", "1a0000ffff", "1b00000000ffffffff", "5801ff", "9fff", "bfff", "5f4100ff", "a201000000",
    "a2010001" + "00", "a2020001" + "00", "f7", "f90000", "fb0000000000000000", "c000", "d8186100", "d9d9f700", "e0", "0000", "",
    "61ff", "818181818181818100", "a1", "9b7fffffffffffffff", "bb7fffffffffffffff", "5b7fffffffffffffff"])
def test_cbor_refused(raw):
    with pytest.raises(cbor.CborError):
        cbor.decode(bytes.fromhex(raw))


def test_cbor_against_cbor2():
    for v in [0, 23, 24, 255, 256, 2**32, 2**64 - 1, -1, -2**64, b"x" * 300, "ä" * 30, [], [[[[[[[]]]]]]], {1: 2, -1: [None]},
              {"b": True, 10: b"", 11: "", 100: 0}]:
        raw = cbor2.dumps(v, canonical=True)
        assert cbor.encode(v) == raw
        cbor.decode(raw)


def test_cbor_true_is_not_one():
    m = cbor.decode(bytes.fromhex("a20100f500"))
    assert m.keyed(int) is None and len(m) == 2


# JCS

@shared
def test_es_numbers():
    for row in vectors("jcs/es6numbers-first10000.txt").read_text().splitlines():
        bits, text = row.split(",")
        assert lines.es_number(struct.unpack(">d", bytes.fromhex(bits.rjust(16, "0")))[0]) == text


@shared
def test_jcs_pairs():
    for f in vectors("jcs/input").iterdir():
        v = json.loads(f.read_text(), parse_int=float)
        assert lines.canonical(v).encode() == vectors("jcs/output", f.name).read_bytes().rstrip(b"\n")


@shared
def test_json_suite():
    for f in vectors("json-test-suite/test_parsing").iterdir():
        raw = f.read_bytes()
        try:
            v = lines.parse(raw)
        except lines.LineError:
            continue
        assert not f.name.startswith("n_")
        assert lines.canonical(v).encode() == raw


@shared
def test_jcs_of_good_cases():
    for row in vectors("json-test-suite/jcs-of-y-cases.jsonl").read_text().splitlines():
        case = json.loads(row)
        if "jcs_utf8_hex" not in case:
            with pytest.raises(lines.LineError):
                lines.parse(vectors("json-test-suite/test_parsing", case["file"]).read_bytes())
            continue
        raw = bytes.fromhex(case["jcs_utf8_hex"])
        try:
            assert lines.canonical(lines.parse(raw)).encode() == raw
        except lines.LineError as e:
            assert "integral" in str(e)  # bare numbers such as 1e+21 are not ours


def depth(n, inner="0"):
    return "[" * n + inner + "]" * n


@pytest.mark.parametrize("good", [
    '0', '-17', '9007199254740991', 'null', '"\\u001f\\n\x7f\u2028"', '{"$i":"9007199254740992"}',
    '{"$i":"-9223372036854775808"}', '{"$d":"-0"}', '{"$d":"NaN"}', '{"$d":"1e+21"}', '{"$d":"3"}', '0.5', '1e-7',
    '1.5e-7', '5e-324', '{"$u":"/w=="}', '{"$b":""}', '{"$kv":[["a",1],["a",2]]}', '{"$kv":[[{"$u":"/w=="},null]]}',
    '{"$$":1,"$$x":2,"a":3}', '[]', '{}', depth(63), depth(64, ""),
    '{"$e":["%s","%s","%s"]}' % ("0" * 64, "A" * 16, base64.b64encode(bytes(16)).decode())])
def test_value_good(good):
    assert lines.value(lines.parse(good.encode()))


@pytest.mark.parametrize("bad", [
    '-0', '1.0', '1e2', '1e+21', '01', '9007199254740992', '0.50', '1E-7', '1e400', 'NaN', 'Infinity', ' 1', '1 ', '[1, 2]', '{"b":1,"a":2}',
    '{"a":1,"a":1}', '"\\u0041"', '"\\/"', '"\\u001F"', '"\\ud800"', '{"$i":"9007199254740991"}', '{"$i":"9223372036854775808"}',
    '{"$i":"+9007199254740992"}', '{"$i":9007199254740992}', '{"$d":"0.5"}', '{"$d":"1.0"}', '{"$d":"1e21"}', '{"$d":"inf"}',
    '{"$u":"YQ=="}', '{"$u":""}', '{"$b":"YQ"}', '{"$b":"YR=="}', '{"$b":"Y Q="}', '{"$b":"-_8="}', '{"$kv":[]}', '{"$kv":[["a",1],["b",2]]}',
    '{"$kv":[["a"]]}', '{"$x":1}', '{"$":1}', '{"$b":"","a":1}', '{"$b":"","$i":"1"}', depth(64), depth(65, ""), depth(5000), '"\ufffe', '\ufeff1', ''])
def test_value_bad(bad):
    try:
        assert not lines.value(lines.parse(bad.encode()))
    except lines.LineError:
        pass


def test_key_order_is_utf16():
    lines.parse('{"\U0001f600":1,"\ufb33":2}'.encode())
    with pytest.raises(lines.LineError):
        lines.parse('{"\ufb33":2,"\U0001f600":1}'.encode())


CONTEXTS = ["header", "resource", "scope"]


@pytest.mark.parametrize("good", [
    '{"resource":1,"scope":2}', '{"attributes":{"$$ref":null,"big":{"$i":"-9218868437227405312"},"ratio":0.5,"total":{"$d":"3"}},"resource":1,"scope":2}',
    '{"observedTimeUnixNano":"1760000000000000002","stub":{"hash":null,"length":20971521,"reason":"too-large"}}',
    '{"attributes":{"event.outcome":"success","user.id":"alice"},"body":"login","eventName":"auth.login","observedTimeUnixNano":'
    '"1760000000000000001","resource":1,"scope":2,"severityNumber":9,"severityText":"INFO","timeUnixNano":"1760000000000000000"}',
    '{"body":null,"resource":1,"scope":2,"spanId":"00","traceId":"%s"}' % ("0" * 128), '{"attributes":{"a":%s},"resource":1,"scope":2}' % depth(63)])
def test_record_good(good):
    lines.record_line(good.encode(), CONTEXTS)


@pytest.mark.parametrize("bad", [
    '{"resource":1}', '{"resource":2,"scope":1}', '{"resource":1,"scope":3}', '{"resource":0,"scope":2}', '{"flags":0,"resource":1,"scope":2}',
    '{"resource":true,"scope":2}', '{"attributes":{},"resource":1,"scope":2}', '{"attributes":{"$b":""},"resource":1,"scope":2}',
    '{"eventName":"","resource":1,"scope":2}', '{"resource":1,"scope":2,"severityNumber":0}', '{"resource":1,"scope":2,"spanId":"0"}',
    '{"resource":1,"scope":2,"timeUnixNano":"0"}', '{"resource":1,"scope":2,"timeUnixNano":"18446744073709551616"}', '{"resource":1,"scope":2,"x":1}',
    '{"resource":1,"scope":2,"spanId":"AB"}', '{"observedTimeUnixNano":"1","resource":1,"stub":{"hash":null,"length":1,"reason":"too-large"}}',
    '{"stub":{"hash":null,"length":1,"reason":"too-large"}}', '{"observedTimeUnixNano":"1","stub":{"hash":null,"length":1,"reason":"x"}}',
    '{"body":1,"observedTimeUnixNano":"1","stub":{"hash":null,"length":1,"reason":"too-large"}}', '{"attributes":{"a":%s},"resource":1,"scope":2}' % depth(64), '[]', '1'])
def test_record_bad(bad):
    with pytest.raises(lines.LineError):
        lines.record_line(bad.encode(), CONTEXTS)


@pytest.mark.parametrize("bad", ['{"resource":{},"scope":{}}', '{}', '{"resource":1}', '{"scope":{"name":""}}', '{"scope":{"entityRefs":[{}]}}',
                                 '{"resource":{"entityRefs":[]}}', '{"resource":{"name":"x"}}', '{"resource":{"droppedAttributesCount":0}}'])
def test_context_bad(bad):
    with pytest.raises(lines.LineError):
        lines.context_line(bad.encode())
    assert lines.context_line(b'{"resource":{"entityRefs":[{},{"idKeys":["a",""],"type":"t"}],"schemaUrl":"x"}}') == "resource"
    assert lines.context_line(b'{"scope":{"name":"n","redacted":1}}') == "scope"


# Merkle

@shared
def test_inclusion_vectors():
    n = 0
    for f in vectors("merkle/inclusion").rglob("*.json"):
        c = json.loads(f.read_text())
        ok = merkle.verify_inclusion(c["leafIdx"], c["treeSize"], b64(c["leafHash"]), [b64(p) for p in c["proof"] or []], b64(c["root"] or ""))
        assert ok != c["wantErr"], f
        n += 1
    assert n


@shared
def test_ct_tiles():
    d = json.loads(vectors("tlog/ct-navigli2025h2/derived-proofs.json").read_text())
    raw = b"".join(vectors("tlog/ct-navigli2025h2/tile/0", n).read_bytes() for n in ("000", "003"))
    leaves = [raw[i:i + 32] for i in range(0, len(raw), 32)]
    tree = merkle.Tree(leaves)
    for r in d["roots"]:
        assert tree.root(r["size"]) == b64(r["root"])
    n = 0
    for key, cases in d.items():
        if not isinstance(cases, list):
            continue
        for c in cases:
            if "proof" in c and key.startswith("incl"):
                i, size = c.get("index", c.get("leafIdx")), c.get("size", c.get("treeSize"))
                proof = [b64(p) for p in c["proof"]]
                assert merkle.verify_inclusion(i, size, leaves[i], proof, tree.root(size)) and build.inclusion(tree, i, size) == proof
                n += 1
    assert n


@shared
def test_tessera_checkpoints(tmp_path):
    d = vectors("tlog/tessera-posix-log")
    name, _, key = d.joinpath("vkey.txt").read_text().strip().split("+", 2)
    public = b64(key)[1:]
    for f in d.glob("checkpoint*"):
        cp = log.Checkpoint(f.read_bytes())
        assert cp.note.signed_by(name, public) and not cp.note.signed_by(name + "x", public)
        tile = d / "tile/0/000.p" / str(cp.size)
        raw = tile.read_bytes() if tile.exists() else b""
        assert merkle.root_of([raw[i:i + 32] for i in range(0, len(raw), 32)]) == cp.root


@shared
def test_notes():
    for c in json.loads(vectors("tlog/signed-note-cases.json").read_text()):
        names = []
        try:
            note = log.Note(b64(c["note_b64"]))
            for v in c["vkeys"]:
                name, kid, key = v.split("+", 2)
                if b64(key)[0] == 1 and any((n, k.hex()) == (name, kid) for n, k, _ in note.signatures):
                    names.append(name) if note.signed_by(name, b64(key)[1:]) else names.append(None)
            ok = bool(names) and None not in names
        except log.NoteError:
            ok = False
        if c["expect"] in ("ok", "error", "fail", "reject") and all(b64(v.split("+", 2)[2])[0] == 1 for v in c["vkeys"]):
            assert ok == (c["expect"] == "ok"), c["name"]


def test_tile_number():
    assert log.tile_number(1234067) == "x001/x234/067" and log.tile_number(5) == "005"


# Bodies and keys

def test_padme():
    assert [body.padme(n) for n in (2, 9, 10, 100, 1000, 1 << 20, (1 << 20) + 1)] == [2, 10, 10, 104, 1024, 1 << 20, (1 << 20) + (1 << 15)]
    assert body.padme((8 << 20) - 1) == 8 << 20 and body.padme((8 << 20) + 1) == (8 << 20) + 1
    for n in range(2, 3000):
        p = body.padme(n)
        assert n <= p <= n * 1.12 + 1 and body.padme(p) == p


def test_salts_are_aes_of_the_counter():
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    seed = bytes(range(32))
    aes = Cipher(algorithms.AES(seed), modes.ECB()).encryptor()
    assert body.salts(seed, 300)[299] == aes.update((299).to_bytes(16, "big"))
    assert body.salts(seed, 1)[0].hex() == aes.update(bytes(16)).hex()


def test_frames():
    data = b"x\n" * 1000
    frame = zstandard.ZstdCompressor().compress(data)
    assert body.decompress(frame) == data
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(data)
    skippable = b"\x50\x2a\x4d\x18\x01\0\0\0x"
    big = zstandard.ZstdCompressor().compress(bytes((8 << 20) + 1))
    for bad in (frame + b"\0", frame[:-1], frame + frame, unsized, skippable + frame, frame + skippable, skippable, b"", big, data,
                zstandard.ZstdCompressor().compress(b"")):
        with pytest.raises(ValueError):
            body.decompress(bad)


def test_public_keys():
    for make in (lambda: ec.generate_private_key(ec.SECP256R1()), lambda: ec.generate_private_key(ec.SECP384R1()),
                 ed25519.Ed25519PrivateKey.generate):
        for _ in range(5):
            k = make()
            pub = keys.PublicKey(build.spki(k))
            alg, sig = build.sign(k, b"m")
            assert pub.alg == alg and pub.verify(sig, b"m") and not pub.verify(sig, b"n") and not pub.verify(sig[1:], b"m")
            if alg != keys.ED25519:
                n, order = len(sig) // 2, keys._ORDER[alg]
                high = sig[:n] + (order - int.from_bytes(sig[n:], "big")).to_bytes(n, "big")
                assert not pub.verify(high, b"m") and pub.verify(high, b"m", low_s=False)
        spki = build.spki(k)
        for raw in (spki[:-1] + bytes([spki[-1] ^ 1]), spki + b"\0", b""):
            if pub.alg != keys.ED25519 or len(raw) != 44:
                with pytest.raises(ValueError):
                    keys.PublicKey(raw)


@shared
def test_wycheproof():
    for name, alg in (("ecdsa_secp256r1_sha256_p1363_test", keys.ES256), ("ed25519_test", keys.ED25519)):
        for g in json.loads(vectors("wycheproof", name + ".json").read_text())["testGroups"]:
            der = g.get("publicKeyDer") or g.get("keyDer")
            pub = keys.PublicKey(bytes.fromhex(der))
            for t in g["tests"]:
                ok = pub.verify(bytes.fromhex(t["sig"]), bytes.fromhex(t["msg"]), low_s=False)
                assert ok == (t["result"] == "valid"), (name, t["tcId"], t["comment"])


@shared
def test_nitro_documents():
    """Genuine documents pass everything but what the open gives."""
    for f in sorted(vectors("attestation/nitro").glob("*.cose")):
        ev = evidence.NitroSim(f.read_bytes(), [])
        ref = policy.Reference({"kind": "nitro-sim", "root": ev.root.hex(), "debug": True,
                                "pcrs": {str(i): ev.pcrs[i].hex() for i in (0, 1, 2)}})
        debug = not any(any(ev.pcrs[i]) for i in (0, 1, 2))
        assert debug == ("debug" in f.name)
        late = (ev.ms + evidence.TEN_MINUTES) * 10**6
        assert ev.refused(None, late, [ref], None) is None and ev.refused(None, late + 10**6, [ref], None) == "timestamp"
        assert ev.matches(ref) and ref.applies("nitro-sim", ev.root, "x")
        ref.debug = False
        assert ev.matches(ref) != debug
        assert ev.refused(None, late, [ref], None) == ("debug mode" if debug else None)
        ev.signature = ev.signature[:-1] + bytes([ev.signature[-1] ^ 1])
        assert ev.refused(None, late, [ref], None) == "signature"


# Ledgers

TRAIL = bytes.fromhex("11" * 16)
RECORDS = [{"body": "login", "eventName": "auth.login"}, {"attributes": {"n": 1, "x": 0.5}}, {"redacted": 1, "body": "[redacted]"},
           {"observedTimeUnixNano": "5", "stub": {"hash": None, "length": 3, "reason": "too-large"}}]


def ledger(batches=3, close=True):
    led = build.Ledger()
    led.add_trail(TRAIL, "payments")
    led.epoch = led.open(TRAIL, "payments", "web-1")
    for _ in range(batches):
        led.batch(led.epoch, RECORDS)
    if close:
        led.batch(led.epoch, change={21: [0, None]})
    return led


def finish(led, publish=True):
    if publish:
        led.control_batch(publish=[t for t in led.trails if t != led.control and led.trails[t]])
    led.control_batch([("sealtrail.ledger.stopped", {})], change={21: [0, None]})


def run(led, tmp_path, receipts=(), body_keys=None, toml=None, edit=None):
    n = len(os.listdir(tmp_path))
    d = tmp_path / ("ledger%d" % n)
    led.write(d)
    if edit:
        edit(d)
    p = tmp_path / ("policy%d" % n)
    p.write_text(toml if toml is not None else led.policy())
    files = []
    for i, r in enumerate(receipts):
        files.append(tmp_path / ("receipt%d.%d" % (n, i)))
        files[-1].write_bytes(r)
    if body_keys:
        k = tmp_path / ("keys%d" % n)
        k.write_text("".join(x.hex() + "\n" for x in body_keys))
        body_keys = k
    v = verify.verify(str(d), str(p), files, body_keys)
    v.pop("detail", None)
    jsonschema.validate(v, SCHEMA)
    assert v["reason"] != "internal-error"
    return v


def classes(v):
    s = cli.summary(v)
    return s["classes"], [w for w in s["warnings"] if w != "unwitnessed"]


def test_good_ledger(tmp_path):
    led = ledger()
    finish(led)
    v = run(led, tmp_path, [led.receipt(TRAIL, 2), led.receipt(TRAIL, 0, 3)])
    assert (v["outcome"], v["reason"], classes(v)) == ("verified", None, ([], []))
    assert [r["result"] for r in v["receipts"]] == ["included", "included"]
    assert v["covered"]["records"] == 16 and v["covered"]["proven_records"] == 16
    assert [e["state"] for e in v["epochs"]] == ["closed", "closed"] and all(e["proven"] for e in v["epochs"])


def test_every_key_kind_and_encryption(tmp_path):
    led = ledger()
    secret = os.urandom(32)
    for i, k in enumerate((ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate())):
        e = led.open(TRAIL, "payments", "k%d" % i, key=k)
        led.batch(e, RECORDS, body_key=secret)
        led.batch(e, change={21: [1, None]})
    finish(led)
    v = run(led, tmp_path, body_keys=[secret, bytes(32)])
    assert v["outcome"] == "verified" and not v["not_covered"]
    v = run(led, tmp_path)
    assert v["outcome"] == "verified" and v["not_covered"] == [{"what": "encrypted-batches", "count": 2}]


def test_without_policy(tmp_path):
    led = ledger()
    finish(led)
    led.write(tmp_path / "l")
    v = verify.verify(str(tmp_path / "l"))
    assert (v["outcome"], v["reason"]) == ("not-appraised", None) and not v["epochs"][0]["proven"]


def test_tiles_and_many_entries(tmp_path):
    led = ledger(close=False)
    for _ in range(300):
        led.batch(led.epoch)
    led.batch(led.epoch, change={21: [0, None]})
    finish(led)
    assert run(led, tmp_path)["outcome"] == "verified"
    for tile in ("0/000", "entries/000"):
        def flip(d):
            p = d / "trails" / TRAIL.hex() / "tile" / tile
            raw = bytearray(p.read_bytes())
            raw[100] ^= 1
            p.write_bytes(raw)
        assert classes(run(led, tmp_path, edit=flip)) == (["tile-mismatch"], ["silence"])  # of the control trail


BATCH = {
    "statement-malformed": dict(change={20: "Not A Name"}),
    "unknown-claim": dict(change={23: 0, 20: "Not A Name"}),
    "wrong-trail": dict(change={2: "other"}),
    "unknown-epoch": dict(change={6: bytes(32)}),
    "foreign-key": dict(key_id=bytes(32)),
    "bad-signature": dict(signature=bytes(63) + b"\1"),
    "wrong-stream": dict(change={5: "web-2"}),
    "chain-broken": dict(change={8: bytes(32)}),
    "stored-hash-mismatch": dict(change={12: bytes(32)}),
    "record-root-mismatch": dict(change={9: bytes(32)}),
    "count-mismatch": dict(change={10: 3}),
    "body-malformed": dict(stored=lambda f: f + b"\0"),
    "totals-mismatch": dict(totals=[1000] * 6),
    "seen-unknown": dict(change={16: bytes(32)}),
    "line-form": dict(rows=lambda c, r: ([c[0], c[1]], [r[0], r[1], r[2], b'{"resource":1, "scope":2}'])),
}


@pytest.mark.parametrize("cls", BATCH)
def test_one_bad_batch(tmp_path, cls):
    led = ledger(close=False)
    before = (led.epoch.sequence, led.epoch.prev, led.epoch.totals)
    o = dict(BATCH[cls])
    left_out = cls in ("statement-malformed", "unknown-claim", "wrong-trail", "unknown-epoch", "foreign-key",
                       "bad-signature", "wrong-stream")
    raw, _, _, frame = led.make_batch(led.epoch, RECORDS, **o)
    if left_out:
        led.append(TRAIL, raw, frame)
        led.epoch.sequence, led.epoch.prev, led.epoch.totals = before
    else:
        led.batch(led.epoch, RECORDS, **o)
    finish(led)
    v = run(led, tmp_path)
    assert v["outcome"] == "rejected" and v["reason"] == cls
    assert set(classes(v)[0]) <= {cls, "totals-mismatch"}


def test_bad_plain_bodies(tmp_path):
    for cls, plain in (("body-malformed", lambda p: p[:-1]), ("count-mismatch", lambda p: p + b"\n"),
                       ("line-form", lambda p: p.replace(b'"v":1', b'"v":2')), ("line-form", lambda p: p.replace(b'"length":', b'"length":1'))):
        led = ledger(close=False)
        led.batch(led.epoch, RECORDS, plain=plain)
        finish(led)
        assert classes(run(led, tmp_path))[0] == [cls]


def test_padding(tmp_path):
    secret = os.urandom(32)
    led = ledger(close=False)
    led.batch(led.epoch, RECORDS, body_key=secret, pad=1)
    finish(led)
    assert classes(run(led, tmp_path, body_keys=[secret]))[0] == ["body-malformed"]
    assert classes(run(led, tmp_path))[0] == []


def test_entry_malformed(tmp_path):
    led = ledger()
    led.trails[TRAIL].append((None, b"\x80"))
    led.append(TRAIL, b"x", None)
    finish(led)
    assert classes(run(led, tmp_path)) == (["entry-malformed", "statement-malformed"], [])


EVIDENCE = {
    "unexpected-code": dict(change={3: bytes(32)}),
    "binding-mismatch": dict(change={2: bytes(64)}),
    "challenge-mismatch": dict(change={5: bytes(64)}),
    "evidence-refused": dict(change={4: 5}),
    "evidence-malformed": dict(change={6: 5}),
    "untrusted-root": dict(root=ec.generate_private_key(ec.SECP256R1())),
}


@pytest.mark.parametrize("cls", EVIDENCE)
def test_evidence(tmp_path, cls):
    led = ledger()
    e = led.open(TRAIL, "payments", "web-2", evidence=lambda c: led.software_evidence(c, **EVIDENCE[cls]))
    led.batch(e, RECORDS)
    led.batch(e, change={21: [0, None]})
    finish(led)
    v = run(led, tmp_path)
    assert (v["reason"], classes(v)) == (cls, ([cls], []))
    assert {"what": "not-proven-batches", "count": 2} in v["not_covered"]


def test_opens(tmp_path):
    for cls, instance, change in (
            ("evidence-missing", "web-2", None), ("unknown-challenge", "web-2", {40: bytes(64)}),
            ("challenge-reused", "web-2", "reuse"), ("unknown-stream", "web-2", {4: "other"}),
            ("predecessor-unknown", "web-2", {41: [bytes(32), None, bytes(32), 1]}),
            ("predecessor-mismatch", "web-2", "old"), ("predecessor-mismatch", "web-1", "identity"),
            ("stale-predecessor", "web-1", "stale"), ("sequence-gap", "web-1", "ahead"), (None, "web-1", "right"),
            ("challenge-mismatch", "web-2", {40: None}), ("statement-malformed", "web-2", {38: 1}),
            ("statement-malformed", "web-2", {32: bytes(91)})):
        led = ledger()
        e = led.epoch
        last = e.last
        change = {"reuse": {40: e.claims[40]}, "old": {41: [e.id, 3, last[1], 1]}, "right": {41: [e.id, 3, last[1], 1]},
                  "identity": {41: [e.id, 3, bytes(32), 1]}, "stale": {41: [e.id, 2, last[2][8], 1]},
                  "ahead": {41: [e.id, 9, bytes(32), 2]}}.get(change, change) if type(change) is str else change
        kind = (lambda c: b"") if cls == "evidence-missing" else None
        led.open(TRAIL, (change or {}).get(4, "payments"), instance, change=change, evidence=kind)
        if cls == "evidence-missing":
            del led.artefacts[H(b"")]
        finish(led)
        v = run(led, tmp_path)
        assert classes(v)[0] == ([cls] if cls else []), (cls, classes(v))


def test_predecessor_none_and_conflict(tmp_path):
    led = ledger()
    led.open(TRAIL, "payments", "web-1")
    finish(led)
    assert classes(run(led, tmp_path)) == ([], ["predecessor-none"])
    led = ledger()
    for _ in range(2):
        led.open(TRAIL, "payments", "web-1", change={41: [led.epoch.id, 3, led.epoch.last[1], 1]})
    finish(led)
    v = run(led, tmp_path)
    assert classes(v) == (["predecessor-conflict"], ["dirty-end"])


def test_sequence(tmp_path):
    led = ledger(close=False)
    lost = led.batch(led.epoch, RECORDS, skip=True)
    led.batch(led.epoch, RECORDS)
    finish(led)
    assert classes(run(led, tmp_path)) == (["sequence-gap"], [])

    led = ledger(close=False)
    lost = led.batch(led.epoch, RECORDS, skip=True)
    led.batch(led.epoch, RECORDS)
    led.append(TRAIL, lost[0], lost[3])
    finish(led)
    assert classes(run(led, tmp_path)) == ([], ["late"])

    led = ledger()
    led.append(TRAIL, led.epoch.last[0], None)
    finish(led)
    assert classes(run(led, tmp_path)) == (["duplicate-entry"], [])

    led = ledger(close=False)
    fork = led.make_batch(led.epoch, RECORDS)
    led.batch(led.epoch, RECORDS)
    led.append(TRAIL, fork[0], fork[3])
    finish(led)
    assert classes(run(led, tmp_path)) == (["fork"], [])

    led = ledger()
    led.batch(led.epoch)
    finish(led)
    assert classes(run(led, tmp_path)) == (["after-close"], [])


def test_warnings(tmp_path):
    led = ledger(close=False)
    led.now += 200 * build.SECOND
    led.batch(led.epoch)
    t = led.epoch.totals
    led.batch(led.epoch, totals=[t[0] + 2, t[1], t[2] + 2, t[3], t[4], t[5]])
    led.batch(led.epoch, change={17: [0, led.now + 400 * build.SECOND]})
    led.now += 1000 * build.SECOND
    finish(led)
    v = run(led, tmp_path)
    assert classes(v) == ([], ["clock-skew", "dirty-end", "records-dropped", "silence"])
    v = run(led, tmp_path, toml=led.policy(head='[refuse]\nclasses = ["silence", "dirty-end"]'))
    assert (v["outcome"], v["reason"]) == ("rejected", "silence")


def test_checkpoints_rolled_back(tmp_path):
    led = ledger()
    finish(led)
    names = [Path("trails") / tid.hex() / "checkpoint" for tid in (led.control, TRAIL)]
    led.write(tmp_path / "old")
    notes = [(tmp_path / "old" / name).read_bytes() for name in names]
    led.batch(led.epoch)
    finish(led)
    v = run(led, tmp_path, edit=lambda d: [(d / name).write_bytes(note) for name, note in zip(names, notes)])
    assert v["outcome"] == "verified" and classes(v) == ([], ["entries-after-checkpoint"])
    assert v["finding_counts"]["entries-after-checkpoint"] == 2


def test_receipts(tmp_path):
    led = ledger()
    finish(led)
    good = led.receipt(TRAIL, 1)
    more = ledger()
    other = more.receipt(TRAIL, 1)
    led2 = ledger()
    finish(led2)
    cut = led.receipt(TRAIL, 1)
    v = run(led, tmp_path, [good, b"", other, good[:-1]])
    assert [r["result"] for r in v["receipts"]] == ["included", "receipt-malformed", "receipt-invalid", "receipt-malformed"]
    assert v["reason"] == "receipt-malformed"
    led.trails[TRAIL].pop()
    led.trails[led.control] = led.trails[led.control][:3]
    v = run(led, tmp_path, [cut])
    assert classes(v)[0] == ["older-checkpoint"]
    led = ledger()
    finish(led, publish=False)
    r = led.receipt(TRAIL, 1)
    led.trails[TRAIL][-1:] = [led.trails[TRAIL][0]]
    assert "receipt-inconsistent" in classes(run(led, tmp_path, [r]))[0]


def test_published(tmp_path):
    led = ledger()
    finish(led)
    led.trails[TRAIL].pop()
    assert classes(run(led, tmp_path))[0] == ["trail-truncated"]
    led = ledger()
    led.control_batch(change={22: [[TRAIL, 2, bytes(32)], [bytes([0x22] * 16), 1, bytes(32)]]})
    led.control_batch(change={22: [[TRAIL, 1, led.tree(TRAIL).root(1)]]})
    finish(led)
    assert classes(run(led, tmp_path))[0] == ["published-inconsistent", "published-mismatch"]


def test_control(tmp_path):
    led = ledger()
    led.control_batch([("sealtrail.trail.created", {"trail.id": TRAIL.hex(), "trail.name": "x", "retention.class": "y"})])
    finish(led)
    assert classes(run(led, tmp_path))[0] == ["control-malformed"]
    finished = ledger()
    finish(finished)
    toml = finished.policy().replace(finished.genesis.hex(), "0" * 64)
    assert classes(run(finished, tmp_path, toml=toml))[0] == ["wrong-genesis"]


def test_files(tmp_path):
    led = ledger()
    finish(led)
    t = Path("trails") / TRAIL.hex()

    def change(path, f):
        def edit(d):
            p = d / path
            raw = f(p.read_bytes())
            p.unlink() if raw is None else p.write_bytes(raw)
        return edit

    seg = t / "segments/0000000000.seg"
    for cls, path, f in (
            ("checkpoint-missing", t / "checkpoint", lambda b: None), ("checkpoint-malformed", t / "checkpoint", lambda b: b"x"),
            ("checkpoint-malformed", t / "checkpoint", lambda b: b.replace(b"\n\n", b"\nextension\n\n")),
            ("checkpoint-origin", t / "checkpoint", lambda b: b.replace(b"localhost/test", b"localhost/tess", 1)),
            ("checkpoint-unsigned", t / "checkpoint", lambda b: b.replace(b"\n5\n", b"\n4\n")),
            ("segment-malformed", seg, lambda b: b"x" + b), ("segment-malformed", seg, lambda b: b[:21] + b[21:26][::-1] + b[26:]),
            ("trail-truncated", seg, lambda b: b[:-150]), ("trail-truncated", seg, lambda b: None)):
        v = run(led, tmp_path, edit=change(path, f))
        assert v["reason"] == cls or cls in classes(v)[0], (cls, classes(v))
    v = run(led, tmp_path, edit=lambda d: (d / seg).unlink() or (d / seg).mkdir())
    assert (v["outcome"], v["reason"]) == ("unchecked", "unreadable")


def test_every_byte_of_a_segment(tmp_path):
    """No change of a byte goes unnoticed, apart from CRCs and what follows the last item; nothing crashes."""
    led = ledger(batches=1)
    finish(led)
    led.write(tmp_path / "l")
    p = tmp_path / "p"
    p.write_text(led.policy())
    seg = tmp_path / "l" / "trails" / TRAIL.hex() / "segments/0000000000.seg"
    raw = seg.read_bytes()
    crc, pos = set(), 21
    while True:
        n = int.from_bytes(raw[pos:pos + 4], "big")
        if n == 0:
            break
        crc |= set(range(pos + 5, pos + 9))
        pos += 9 + n
    retention = raw.index(b"default")
    for i in range(0, pos, 3):
        bad = bytearray(raw)
        bad[i] ^= 0x80 if i % 2 else 0x01
        seg.write_bytes(bad)
        v = verify.verify(str(tmp_path / "l"), str(p))
        assert v["reason"] != "internal-error"
        assert (v["outcome"] == "rejected") or i in crc or retention <= i < retention + 7, i


def test_bad_policies(tmp_path):
    led = ledger()
    good = led.policy()
    for a, b in (("version = 1", "version = 2"), ("version = 1", "version = true"), ("[ledger]", "x = 1\n[ledger]"), ("localhost/test\"", "other\""), ('kind = "software"', 'kind = "ledger"'),
                 ("measurements", "measurement"), ("genesis = \"", "genesis = \"A"), ("version", "\x00"), ("[[accept]]", "[accept]"),
                 ("[[accept]]", '[refuse]\nclasses = ["nothing"]\n[[accept]]'), (led.control.hex(), "00" * 16)):
        v = run(led, tmp_path, toml=good.replace(a, b, 1))
        assert (v["outcome"], v["reason"]) == ("unchecked", "policy-invalid"), (a, b)


def test_cli(tmp_path, capsys):
    led = ledger()
    finish(led)
    led.write(tmp_path / "l")
    (tmp_path / "p").write_text(led.policy())
    (tmp_path / "r").write_bytes(led.receipt(TRAIL, 1))
    args = [str(tmp_path / "l"), "--policy", str(tmp_path / "p"), "--receipt", str(tmp_path / "r"), "--json"]
    assert cli.main(args) == 0 and json.loads(capsys.readouterr().out)["outcome"] == "verified"
    assert cli.main([str(tmp_path), "--policy", str(tmp_path / "p")]) == 1 and cli.main([str(tmp_path)]) == 2
    capsys.readouterr()
    rows = [{"dir": str(tmp_path / "l"), "policy": str(tmp_path / "p"), "receipts": []}, {"dir": "/nowhere", "policy": "/nowhere"}]
    (tmp_path / "list").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert cli.main(["--batch", str(tmp_path / "list")]) == 0
    out = [json.loads(x) for x in capsys.readouterr().out.splitlines()]
    assert out == [{"outcome": "verified", "reason": None, "classes": [], "warnings": ["unwitnessed"]},
                   {"outcome": "unchecked", "reason": "unreadable", "classes": [], "warnings": []}]


NITRO = [
    (None, {}, {}, ""), (None, {}, dict(tag=True, indefinite=True), ""), (None, dict(pathlen={"root": 1, "middle": 0}), {}, ""),
    ("evidence-refused", dict(pathlen={"root": 0}), {}, ""), ("evidence-refused", dict(late="middle"), {}, ""),
    ("evidence-refused", dict(late="leaf"), {}, ""), ("evidence-refused", dict(ca={"middle": False}), {}, ""),
    ("evidence-refused", dict(ca={"leaf": True}), {}, ""), ("evidence-refused", dict(nosign=["middle"]), {}, ""),
    ("evidence-refused", {"hash": build.hashes.SHA256()}, {}, ""), ("evidence-refused", {}, dict(change={"timestamp": build.T0 // 10**6 + 700_000}), ""),
    ("evidence-refused", {}, dict(change={"pcrs": {i: bytes(48) for i in range(16)}}), ""),
    ("unexpected-code", {}, dict(change={"pcrs": {i: bytes(48) for i in range(16)}}), "debug = true"),
    ("unexpected-code", {}, dict(change={"pcrs": {0: b"\1" * 48, 1: b"\2" * 48}}), ""),
    ("binding-mismatch", {}, dict(change={"user_data": bytes(64)}), ""), ("binding-mismatch", {}, dict(change={"public_key": None}), ""),
    ("challenge-mismatch", {}, dict(change={"nonce": bytes(64)}), ""), ("evidence-malformed", {}, dict(change={"nitrotpm_pcrs": {}}), ""),
    ("evidence-malformed", {}, dict(change={"digest": "SHA256"}), ""), ("evidence-malformed", {}, dict(change={"pcrs": {32: bytes(48)}}), ""),
    ("evidence-malformed", {}, dict(change={"cabundle": []}), ""), ("evidence-malformed", {}, dict(extra=b"\x00"), ""),
    ("untrusted-root", {}, {}, 'streams = ["pay", "x*"]'), (None, {}, {}, 'streams = ["p*ts"]'),
]


@pytest.mark.parametrize("i", range(len(NITRO)))
def test_nitro_sim(tmp_path, i):
    cls, chain, doc, extra = NITRO[i]
    led = ledger()
    n = build.Nitro(led.now, **chain)
    e = led.open(TRAIL, "payments", "web-2", evidence=lambda c: n.evidence(c, led.now, **doc))
    led.batch(e, change={21: [0, None]})
    finish(led)
    ref = '[[accept]]\nkind = "nitro-sim"\nroot = "%s"\npcrs = { %s }\n%s\n' % (
        n.root, ", ".join('"%d" = "%s"' % (k, n.pcrs[k].hex()) for k in (0, 1, 2)), extra)
    assert classes(run(led, tmp_path, toml=led.policy(extra=ref))) == ([cls] if cls else [], [])


# What the specification settles beyond the plain cases

def test_ed25519_keys():
    good = ed25519.Ed25519PrivateKey.generate()
    assert keys.ed25519_key(good.public_key().public_bytes_raw()).verify(good.sign(b"m"), b"m")
    one = (1).to_bytes(32, "little")  # the neutral point: S = 0, R = it, fulfils the equation for everything
    order8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
    small = [0, 1, 2**255 - 20, int.from_bytes(bytes.fromhex(order8), "little")]
    small.append(2**255 - 19 - small[-1])
    for y in small + list(range(2**255 - 19, 2**255)):
        for sign in (0, 1 << 255):
            with pytest.raises(ValueError):
                keys.ed25519_key((y + sign).to_bytes(32, "little"))
            assert not keys.ed25519_key(good.public_key().public_bytes_raw()).verify(
                (y + sign).to_bytes(32, "little") + bytes(32), b"m")
    for no_point in (b"\2" + bytes(31), (2**255 - 21).to_bytes(32, "little")):
        assert not keys.ed25519_key(no_point).verify(one + bytes(32), b"m")


def test_received_at_is_rounded_down_to_ms():
    assert evidence._near(7, (600_007 * 10**6) + 999_999) and not evidence._near(7, 600_008 * 10**6)
    assert evidence._near(600_007, 7 * 10**6) and not evidence._near(600_008, 7 * 10**6 + 999_999)


def test_a_ledger_that_is_written_to(tmp_path, monkeypatch):
    led = ledger(close=False)
    led.control_batch(publish=[TRAIL])
    first = led.note(led.control)
    led.add_trail(b"\5" * 16, "billing")
    led.batch(led.epoch, RECORDS, change={16: led.artefact(led.note(led.control))})
    read_file, readings = log.read_file, []

    def moving(path):
        if path.endswith(os.path.join(led.control.hex(), "checkpoint")):
            readings.append(path)
            return first if len(readings) == 1 else read_file(path)
        return read_file(path)

    monkeypatch.setattr(log, "read_file", moving)
    v = run(led, tmp_path)
    assert (v["outcome"], classes(v)[0]) == ("verified", []) and len(readings) == 2
    # One entry of each trail.
    assert v["not_covered"] == [{"what": "entries-after-checkpoint", "count": 2}]
    # At rest the same trail says what its control trail does not know.
    monkeypatch.setattr(log, "read_file", lambda path: first if path.endswith(
        os.path.join(led.control.hex(), "checkpoint")) else read_file(path))
    assert classes(run(led, tmp_path))[0] == ["seen-unknown"]


def test_notes_further():
    led = build.Ledger()
    o = led.origin(led.control)
    note = led.note(led.control)
    text, line = note.split(b"\n\n")
    wrong = line[:-20] + (b"A" if line[-20:-19] != b"A" else b"B") + line[-19:]
    other = "\u2014 somebody AAAAAAAA\n".encode()
    cases = [(line, True), (line + wrong, True), (wrong + line, False), (other + line, True), (b"x\n" + line, None), (b"", None),
             (other * 99 + line, True), (other * 100 + line, None)]
    for block, good in cases:
        try:
            assert log.Checkpoint(text + b"\n\n" + block).note.signed_by(o, led.public) is good
        except log.NoteError:
            assert good is None
    log.Note(b"a\x7f\n\n" + line)
    with pytest.raises(log.NoteError):
        log.Note(b"a\x1f\n\n" + line)


def test_dictionary_id_field():
    frame = zstandard.ZstdCompressor().compress(b"x\n" * 40)
    assert body.decompress(frame)
    single = frame[:4] + bytes([frame[4] | 1]) + (b"" if frame[4] & 32 else frame[5:6]) + b"\0" + frame[5 if frame[4] & 32 else 6:]
    assert zstandard.ZstdDecompressor().decompress(single) == b"x\n" * 40
    with pytest.raises(ValueError):
        body.decompress(single)


def test_stubs(tmp_path):
    for n in (128, 129):
        led = ledger(close=False)
        led.batch(led.epoch, [RECORDS[3]] * n)
        finish(led)
        assert classes(run(led, tmp_path))[0] == (["line-form"] if n > 128 else [])


def test_statement_forms(tmp_path):
    big = {256: bytes(65000)}
    for change, cls in (({22: [[TRAIL, 1, bytes(32)]]}, "unknown-claim"), ({22: [[TRAIL, 1, bytes(32)]], 20: "No"}, "statement-malformed"),
                        ({23: 0, 20: "No"}, "unknown-claim"), ({23: 0, -1: 0}, "statement-malformed"), ({"x": 0, 23: 0}, "statement-malformed"),
                        ({300 + i: i for i in range(64 - 21)}, None), ({300 + i: i for i in range(65 - 21)}, "statement-malformed"),
                        (big, "entry-malformed")):
        led = ledger(close=False)
        raw, identity, c, frame = led.make_batch(led.epoch, RECORDS, change=change)
        led.append(TRAIL, raw, frame)
        finish(led)
        assert classes(run(led, tmp_path))[0] == ([cls] if cls else []), (change, cls)


def test_body_items_without_a_place(tmp_path):
    led = ledger()
    led.trails[TRAIL][0] = (b"x", led.trails[TRAIL][0][1])
    led.trails[TRAIL][4] = (b"x", led.trails[TRAIL][4][1])
    finish(led)
    v = run(led, tmp_path)
    assert classes(v) == (["segment-malformed"], []) and v["finding_counts"]["segment-malformed"] == 2
    assert v["covered"]["batches"] == 8 and [e["state"] for e in v["epochs"]] == ["closed", "closed"]


def test_empty_and_not_empty_claims(tmp_path):
    for change in ({9: bytes(32)}, {10: 1}, {12: bytes(32)}, {14: 1}, {11: 1}, {15: [3, bytes(32), bytes(12)]}):
        led = ledger(close=False)
        led.batch(led.epoch, change=change)
        finish(led)
        assert "stored-hash-mismatch" in classes(run(led, tmp_path))[0], change
    led = ledger(close=False)
    led.batch(led.epoch, RECORDS, change={14: 0})
    finish(led)
    assert classes(run(led, tmp_path))[0] == ["stored-hash-mismatch"]


def test_segments_beyond_the_size(tmp_path):
    led = ledger()
    finish(led)
    seg = Path("trails") / TRAIL.hex() / "segments/0000000000.seg"
    for tail, cls in ((b"\0\0\0\1\7....x", None), (b"\0\0\0\1\3", None), (b"", None)):
        def edit(d):
            raw = (d / seg).read_bytes()
            (d / seg).write_bytes(raw[:-100] + tail)
        assert run(led, tmp_path, edit=edit)["outcome"] == "verified"
    def spoil(d):
        raw = (d / seg).read_bytes()
        at = raw.rindex(b"sealtrail.batch")
        start = max(i for i in range(at) if raw[i + 4] == 3 and i + 9 + int.from_bytes(raw[i:i + 4], "big") == len(raw) - 100)
        (d / seg).write_bytes(raw[:start] + b"\0\0\0\1\7....x")
    assert classes(run(led, tmp_path, edit=spoil))[0] == ["segment-malformed"]


def test_checkpoints_missing(tmp_path):
    led = ledger()
    finish(led, publish=False)
    v = run(led, tmp_path, [led.receipt(TRAIL, 1)], edit=lambda d: (d / "trails" / TRAIL.hex() / "checkpoint").unlink())
    assert classes(v)[0] == ["older-checkpoint"]
    v = run(led, tmp_path, edit=lambda d: (d / "trails" / led.control.hex() / "checkpoint").unlink())
    assert classes(v)[0] == ["checkpoint-missing"]


def test_genesis(tmp_path):
    led = ledger()
    led.trails[led.control] = []
    led.trails.pop(TRAIL)
    assert classes(run(led, tmp_path))[0] == ["wrong-genesis"]
    led = build.Ledger()
    led.trails[led.control][0] = (None, b"\x80")
    assert classes(run(led, tmp_path))[0] == ["entry-malformed", "unknown-epoch", "wrong-genesis"]


def test_tiles_too_long(tmp_path):
    led = ledger(close=False)
    for _ in range(260):
        led.batch(led.epoch)
    led.batch(led.epoch, change={21: [0, None]})
    finish(led)
    def longer(d):
        p = d / "trails" / TRAIL.hex() / "tile/0/000"
        p.write_bytes(p.read_bytes() + b"x")
    assert classes(run(led, tmp_path, edit=longer))[0] == ["tile-mismatch"]
    assert classes(run(led, tmp_path, edit=lambda d: (d / "trails" / TRAIL.hex() / "tile/0/001").write_bytes(b"x")))[0] == []


def test_evidence_and_predecessor_both(tmp_path):
    led = ledger()
    led.open(TRAIL, "payments", "web-2", change={41: [bytes(32), None, bytes(32), 1]},
             evidence=lambda c: led.software_evidence(c, change={3: bytes(32)}))
    finish(led)
    assert classes(run(led, tmp_path))[0] == ["predecessor-unknown", "unexpected-code"]


def test_challenge_counts_only_where_it_was_judged(tmp_path):
    led = ledger()
    note = led.epoch.claims[40][:32]
    for _ in range(2):  # the first is refused for its code, so the second does not reuse
        led.open(TRAIL, "payments", "web-2", change={40: note + bytes(32)},
                 evidence=lambda c: led.software_evidence(c, change={} if _ else {3: bytes(32)}))
    finish(led)
    assert classes(run(led, tmp_path))[0] == ["unexpected-code"]


def successor(led, s, identity, **o):
    return led.open(TRAIL, "payments", "web-1", change={41: [led.epoch.id, s, identity, 2]}, **o)


def test_predecessor_order(tmp_path):
    def case(*steps):
        led = ledger(close=False)
        for step in steps:
            step(led)
        finish(led)
        v = run(led, tmp_path)
        return {f["class"]: f.get("entry") for f in v["findings"] if f["severity"] == "error"}

    def batch(led):
        led.batch(led.epoch, RECORDS)

    def skip(led):
        led.lost = led.batch(led.epoch, RECORDS, skip=True)

    assert case(lambda l: (l.batch(l.epoch, skip=True), successor(l, 3, l.epoch.last[1])),
                lambda l: l.append(TRAIL, l.epoch.last[0], None)) == {}
    assert case(lambda l: successor(l, 3, bytes(32)), batch) == {"predecessor-mismatch": 5}
    assert case(lambda l: successor(l, 5, bytes(32))) == {"sequence-gap": None}
    assert case(lambda l: successor(l, 5, bytes(32)), lambda l: successor(l, 5, bytes(32))) == {
        "sequence-gap": None, "predecessor-conflict": 5}
    # stale comes before the named batch is looked at, and nothing is awaited then
    assert case(lambda l: successor(l, 1, bytes(32))) == {"stale-predecessor": 4}
    assert case(skip, batch, lambda l: successor(l, 3, bytes(32)), lambda l: l.append(TRAIL, l.lost[0], l.lost[3])) == {
        "stale-predecessor": 5}
    assert case(lambda l: successor(l, None, l.epoch.id)) == {"stale-predecessor": 4}
    assert case(lambda l: successor(l, None, bytes(32))) == {"predecessor-mismatch": 4}
    # an open that fell at rule 3 does not count for rule 4
    assert case(lambda l: successor(l, None, bytes(32)), lambda l: successor(l, 2, l.epoch.last[1])) == {"predecessor-mismatch": 4}


def test_fork_takes_no_part(tmp_path):
    led = ledger(close=False)
    led.batch(led.epoch, RECORDS)
    led.epoch.sequence -= 1
    raw, _, c, frame = led.make_batch(led.epoch, RECORDS, totals=[9999] * 6, change={16: bytes(32), 17: [0, 2**62], 9: bytes(32)})
    led.append(TRAIL, raw, frame)
    finish(led)
    v = run(led, tmp_path)
    assert classes(v) == (["fork", "record-root-mismatch"], []) and v["covered"]["batches"] == 4 + 5


def test_late_ones_apart(tmp_path):
    """A late batch is judged by its totals' sum alone, and its `seen` counts for nothing."""
    led = ledger(close=False)
    older = led.artefact(led.note(led.control, 2))
    newer = led.artefact(led.note(led.control, 3))
    t = led.epoch.totals
    lost = led.batch(led.epoch, skip=True, change={16: newer, 18: 0}, totals=[t[0] + 5, t[1], t[2] + 5, *t[3:]])
    led.batch(led.epoch, change={16: older})
    led.append(TRAIL, lost[0], lost[3])
    led.batch(led.epoch, change={16: older})
    finish(led)
    assert classes(run(led, tmp_path)) == ([], ["late"])
    led = ledger(close=False)
    older, newer = (led.artefact(led.note(led.control, n)) for n in (2, 3))
    lost = led.batch(led.epoch, skip=True, totals=[1] * 6)
    for note in (newer, older):
        led.batch(led.epoch, change={16: note}, totals=t)
    led.append(TRAIL, lost[0], lost[3])
    finish(led)
    assert classes(run(led, tmp_path)) == (["seen-backwards", "totals-mismatch"], ["late"])


def test_control_fold(tmp_path):
    def case(records, publish=()):
        led = ledger()
        led.control_batch(records(led) if records else ())
        for item in publish:
            led.control_batch(change={22: [[TRAIL, item[0], item[1] or led.tree(TRAIL).root(item[0])]]})
        finish(led, publish=False)
        return classes(run(led, tmp_path))[0]

    def created(led, **change):
        return [("sealtrail.ledger.created", {"ledger.name": led.name, "ledger.vkey": led.vkey(led.control), **change})]

    assert case(created) == []
    assert case(lambda led: created(led, **{"ledger.name": "other"})) == ["control-malformed"]
    assert case(lambda led: created(led, **{"ledger.vkey": led.vkey(TRAIL)})) == ["control-malformed"]
    stream = {"stream.name": "x", "trail.id": TRAIL.hex(), "accept": [5]}
    assert case(lambda led: [("sealtrail.stream.added", stream)]) == []
    assert case(lambda led: [("sealtrail.stream.added", {**stream, "accept": {}})]) == ["control-malformed"]
    assert case(lambda led: [("sealtrail.stream.added", {**stream, "trail.id": led.control.hex()})]) == ["control-malformed"]
    assert case(lambda led: [("sealtrail.stream.added", {"$kv": [["trail.id", TRAIL.hex()]] * 2})]) == ["control-malformed"]
    bad = bytes(32)
    assert case(None, [(3, None), (3, None), (5, None)]) == []
    assert case(None, [(3, None), (2, bad)]) == ["published-inconsistent"]  # ignored afterwards
    assert case(None, [(3, None), (3, bad)]) == ["published-inconsistent"]
    assert case(None, [(3, bad), (3, None)]) == ["published-inconsistent", "published-mismatch"]


def test_receipts_further(tmp_path):
    led = ledger()
    finish(led)
    with_control = led.receipt(TRAIL, 1, 3)
    led.trails[led.control].pop()
    assert [r["result"] for r in run(led, tmp_path, [with_control])["receipts"]] == ["older-checkpoint"]
    led.append(led.control, led.trails[led.control][0][1], None)  # another entry in its place
    assert [r["result"] for r in run(led, tmp_path, [with_control])["receipts"]] == ["receipt-inconsistent"]


def test_ledger_evidence_without_a_policy(tmp_path):
    led = ledger()
    finish(led)
    e = led.open(led.control, "control", "ledger", change={41: [led.control_epoch.id, led.control_epoch.sequence - 1, led.control_epoch.prev, 1]},
                 evidence=lambda c: cbor.encode([1, "ledger", bytes(64), []]))
    led.batch(e, change={21: [0, None]})
    led.write(tmp_path / "l")
    v = verify.verify(str(tmp_path / "l"))
    assert (v["outcome"], v["reason"]) == ("rejected", "evidence-refused")


def test_nothing_crashes(tmp_path):
    """Any file broken anywhere gives a verdict."""
    import random
    rnd = random.Random(1)
    led = ledger()
    n = build.Nitro(led.now)
    led.open(TRAIL, "payments", "web-2", evidence=lambda c: n.evidence(c, led.now), change={41: [led.epoch.id, 3, led.epoch.last[1], 1]})
    finish(led)
    d, p, r = tmp_path / "l", tmp_path / "p", tmp_path / "r"
    led.write(d)
    p.write_text(led.policy())
    r.write_bytes(led.receipt(TRAIL, 1, 3))
    files = [f for f in d.rglob("*") if f.is_file()] + [p, r]
    for k in range(1500):
        f = files[k % len(files)]
        raw = f.read_bytes()
        bad = bytearray(raw)
        for _ in range(rnd.choice((1, 1, 1, 3, 20))):
            at = rnd.randrange(len(bad))
            if rnd.random() < 0.7:
                bad[at] = rnd.choice((0, 1, 0x18, 0x40, 0x5F, 0x80, 0x9F, 0xA0, 0xBF, 0xF6, 0xFF, rnd.randrange(256)))
            elif rnd.random() < 0.5:
                del bad[at:at + rnd.randrange(1, 40)]
            else:
                bad[at:at] = bytes(rnd.randrange(256) for _ in range(rnd.randrange(1, 9)))
            if not bad:
                break
        f.write_bytes(bad)
        v = verify.verify(str(d), None if k % 5 == 4 else str(p), [str(r)])
        assert v["reason"] != "internal-error", (f, v["detail"])
        f.write_bytes(raw)
