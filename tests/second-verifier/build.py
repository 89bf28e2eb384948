"""Builds tiny ledgers for the tests. Every step takes overrides, so that a test can break one thing."""
import base64
import os
import zlib
from pathlib import Path

import zstandard
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from second_verifier import body, cbor, keys, lines, merkle, policy, statements
from second_verifier.notation import H

T0 = 1_760_000_000 * 10**9
SECOND = 10**9


def spki(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def sign(key, message):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return keys.ED25519, key.sign(message)
    p256 = key.curve.name == "secp256r1"
    alg, n, h = (keys.ES256, 32, hashes.SHA256()) if p256 else (keys.ES384, 48, hashes.SHA384())
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(h)))
    order = keys._ORDER[alg]
    s = min(s, order - s)
    return alg, r.to_bytes(n, "big") + s.to_bytes(n, "big")


def algorithm(key):
    return sign(key, b"")[0]


def envelope(key, kind, claims, raw_payload=None, **o):
    payload = raw_payload if raw_payload is not None else cbor.encode(claims)
    protected = cbor.encode({1: o.get("alg", algorithm(key)), 4: o.get("key_id", H(spki(key))),
                             16: "application/vnd.sealtrail.%s+cbor" % kind})
    to_sign = cbor.encode(["Signature1", protected, b"sealtrail/statement/v1", payload])
    sig = o.get("signature") or sign(key, to_sign)[1]
    return cbor.encode(cbor.Tag18([protected, {}, payload, sig])), H(to_sign)


def binding(claims):
    c = cbor.encode({k: v for k, v in claims.items() if k != 34})
    import hashlib
    return hashlib.sha512(b"sealtrail/evidence/v1" + hashlib.sha512(c).digest()).digest()


def plain_body(context, records, seed):
    rest = b"".join(x + b"\n" for x in context + records)
    header = lines.canonical({"length": len(rest), "requests": [], "seed": seed.hex(), "v": 1}).encode()
    return header + b"\n" + rest, [header] + context + records


def inclusion(tree, index, size):
    """The inclusion proof of a leaf in the first size leaves."""
    def subtree(start, count):
        if count & (count - 1) == 0:
            level = count.bit_length() - 1
            return tree.levels[level][start >> level]
        k = 1 << ((count - 1).bit_length() - 1)
        return merkle.node(subtree(start, k), subtree(start + k, count - k))

    proof, start, count = [], 0, size
    while count > 1:
        k = 1 << ((count - 1).bit_length() - 1)
        if index - start < k:
            proof.append(subtree(start + k, count - k))
            count = k
        else:
            proof.append(subtree(start, k))
            start, count = start + k, count - k
    return proof[::-1]


class Epoch:
    def __init__(self, key, claims, identity):
        self.key, self.claims, self.id = key, claims, identity
        self.sequence, self.prev, self.totals = 0, identity, [0] * 6
        self.last = None


class Ledger:
    def __init__(self, name="localhost/test"):
        self.name = name
        self.checkpoint_key = ed25519.Ed25519PrivateKey.generate()
        self.public = self.checkpoint_key.public_key().public_bytes_raw()
        self.dev_root = ec.generate_private_key(ec.SECP256R1())
        self.measurement = os.urandom(32)
        self.control = os.urandom(16)
        self.now = T0
        self.opened = {}
        self.trails = {self.control: []}
        self.artefacts = {}
        self.control_epoch = self.open(self.control, "control", "ledger")
        self.genesis = self.control_epoch.id
        self.control_batch([("sealtrail.ledger.created",
                             {"ledger.name": name, "ledger.vkey": self.vkey(self.control)})])

    def origin(self, trail):
        return "%s/%s" % (self.name, trail.hex())

    def vkey(self, trail):
        return policy.vkey(self.origin(trail), self.public)

    def tree(self, trail):
        return merkle.Tree([H(b"\0" + e) for _, e in self.trails[trail]])

    def note(self, trail, size=None):
        size = len(self.trails[trail]) if size is None else size
        o = self.origin(trail)
        text = "%s\n%d\n%s\n" % (o, size, base64.b64encode(self.tree(trail).root(size)).decode())
        sig = policy.note_key_id(o, self.public) + self.checkpoint_key.sign(text.encode())
        return ("%s\n\u2014 %s %s\n" % (text, o, base64.b64encode(sig).decode())).encode()

    def artefact(self, raw):
        self.artefacts[H(raw)] = raw
        return H(raw)

    def append(self, trail, statement, stored, part=None):
        self.now += SECOND
        entry = cbor.encode([1, statement, part or {1: self.now, 2: len(self.trails[self.control]), 3: None}])
        self.trails[trail].append((stored, entry))

    def open(self, trail, stream, instance, key=None, change=None, evidence=None, **o):
        key = key or ec.generate_private_key(ec.SECP256R1())
        control = trail == self.control
        claims = {1: 1, 2: self.name, 3: trail, 4: stream, 5: instance, 32: spki(key), 33: None, 34: bytes(32),
                  35: "test 1", 36: bytes(32), 37: bytes(32), 38: 60_000, 39: 3_600_000,
                  40: None if control else self.artefact(self.note(self.control)) + os.urandom(32),
                  41: None, 42: self.now}
        claims.update(change or {})
        make = evidence or (self.ledger_evidence if control else self.software_evidence)
        claims[34] = self.artefact(make(claims))
        raw, identity = envelope(key, "open", claims, **o)
        self.append(trail, raw, None)
        epoch = Epoch(key, claims, identity)
        epoch.start = self.now
        return epoch

    def ledger_evidence(self, claims):
        sig = self.checkpoint_key.sign(b"sealtrail/ledger-evidence/v1" + binding(claims))
        return cbor.encode([1, "ledger", sig, []])

    def software_evidence(self, claims, change=None, root=None):
        root = root or self.dev_root
        payload = {1: 1, 2: binding(claims), 3: self.measurement, 4: self.now // 10**6, 5: claims[40] or bytes(64)}
        payload.update(change or {})
        payload = cbor.encode(payload)
        protected = cbor.encode({1: -7, 16: "application/vnd.sealtrail.software-evidence+cbor"})
        sig = sign(root, cbor.encode(["Signature1", protected, b"sealtrail/software-evidence/v1", payload]))[1]
        return cbor.encode([1, "software", cbor.encode(cbor.Tag18([protected, {}, payload, sig])), [spki(root)]])

    def make_batch(self, epoch, records=(), change=None, totals=None, rows=None, plain=None, stored=None, body_key=None,
                   pad=0, **o):
        """(envelope, identity, claims, stored) of the epoch's next batch."""
        context = [b'{"resource":{}}', b'{"scope":{}}'] if records else []
        out = [lines.canonical(dict({"resource": 1, "scope": 2}, **r)).encode() for r in records]
        t = epoch.totals
        stubs, redacted = sum("stub" in r for r in records), sum("redacted" in r for r in records)
        total = [t[0] + len(out), t[1] + len(out), t[2], t[3], t[4] + stubs, t[5] + redacted]
        c = {1: 1, 2: epoch.claims[2], 3: epoch.claims[3], 4: epoch.claims[4], 5: epoch.claims[5], 6: epoch.id,
             7: epoch.sequence, 8: epoch.prev, 9: statements.EMPTY, 10: 0, 11: 0, 12: statements.EMPTY, 13: 0, 14: 0,
             15: None, 16: None, 17: [self.now, self.now], 18: self.now - epoch.claims[42], 19: totals or total,
             20: "default", 21: None}
        if records:
            seed = os.urandom(32)
            made, all_rows = plain_body(context, out, seed)
            if rows:
                made, all_rows = plain_body(*rows(context, out), seed)
            made = plain(made) if plain else made
            frame = zstandard.ZstdCompressor().compress(made)
            if body_key:
                nonce = os.urandom(12)
                n = body.padme(4 + len(frame)) + pad
                c[15] = [3, body.key_id(body_key), nonce]
                aad = cbor.encode([c[2], c[3], c[6], c[7]])
                frame = AESGCM(body_key).encrypt(nonce, (len(frame).to_bytes(4, "big") + frame).ljust(n, b"\0"), aad)
            frame = stored(frame) if stored else frame
            c.update({9: body.record_root(seed, all_rows), 10: len(all_rows) - 1 - len(out), 11: len(out),
                      12: H(frame), 13: len(frame), 14: 1})
        else:
            frame = None
        c.update(change or {})
        raw, identity = envelope(o.pop("key", epoch.key), "batch", c, **o)
        return raw, identity, c, frame

    def batch(self, epoch, records=(), skip=False, **o):
        raw, identity, c, frame = self.make_batch(epoch, records, **o)
        epoch.sequence, epoch.prev, epoch.totals = c[7] + 1, identity, c[19]
        epoch.last = raw, identity, c, frame
        if not skip:
            self.append(c[3], raw, frame)
        return epoch.last

    def control_batch(self, records=(), publish=(), **o):
        change = dict(o.pop("change", None) or {})
        if publish:
            change[22] = [[t, len(self.trails[t]), self.tree(t).root(len(self.trails[t]))] for t in sorted(publish)]
        rows = [dict({"eventName": n}, **({"attributes": a} if a else {})) for n, a in records]
        return self.batch(self.control_epoch, rows, change=change, **o)

    def add_trail(self, tid, stream):
        self.trails[tid] = []
        self.control_batch([("sealtrail.trail.created",
                             {"trail.id": tid.hex(), "trail.name": "main", "retention.class": "default"}),
                            ("sealtrail.stream.added",
                             {"stream.name": stream, "trail.id": tid.hex(),
                              "accept": [{"kind": "software", "root": H(spki(self.dev_root)).hex(),
                                          "measurements": [self.measurement.hex()]}]})])

    def receipt(self, trail, index, control_index=None):
        v = cbor.decode(self.trails[trail][index][1])
        part = v[2].keyed(int)
        size = len(self.trails[trail])
        links = [[index, inclusion(self.tree(trail), index, size), self.note(trail)]]
        if control_index is not None:
            size = len(self.trails[self.control])
            links.append([self.trails[self.control][control_index][1], control_index,
                          inclusion(self.tree(self.control), control_index, size), self.note(self.control)])
        return cbor.encode([1, v[1], cbor.encode([1, part, links])])

    def segment(self, trail, number, first, items, finish):
        out = bytearray(b"sealtrail/segment/v1\n")

        def item(kind, payload):
            at = len(out)
            out.extend(len(payload).to_bytes(4, "big") + bytes([kind])
                       + zlib.crc32(bytes([kind]) + payload).to_bytes(4, "big") + payload)
            return at

        item(1, cbor.encode([1, trail, number, first, "default"]))
        index = b""
        for stored, entry in items:
            at = item(2, stored) if stored else 0
            index += at.to_bytes(8, "big") + item(3, entry).to_bytes(8, "big")
        if finish:
            at = item(4, index)
            out.extend(b"SEALSEG1" + at.to_bytes(8, "big"))
        else:
            out.extend(bytes(100))
        return bytes(out)

    def write(self, directory, per_segment=7):
        d = Path(directory)
        for trail, items in self.trails.items():
            t = d / "trails" / trail.hex()
            (t / "segments").mkdir(parents=True)
            (t / "checkpoint").write_bytes(self.note(trail))
            chunks = [items[i:i + per_segment] for i in range(0, len(items), per_segment)] or [[]]
            for n, chunk in enumerate(chunks):
                (t / "segments" / ("%010d.seg" % n)).write_bytes(
                    self.segment(trail, n, n * per_segment, chunk, n < len(chunks) - 1))
            leaves = [H(b"\0" + e) for _, e in items]
            for n in range(len(items) // 256):
                for kind, data in (("0", b"".join(leaves[256 * n:256 * n + 256])),
                                   ("entries", b"".join(len(e).to_bytes(2, "big") + e
                                                        for _, e in items[256 * n:256 * n + 256]))):
                    (t / "tile" / kind).mkdir(parents=True, exist_ok=True)
                    (t / "tile" / kind / ("%03d" % n)).write_bytes(data)
        for digest, raw in self.artefacts.items():
            a = d / "artefacts" / digest.hex()[:2]
            a.mkdir(parents=True, exist_ok=True)
            (a / digest.hex()).write_bytes(raw)
        (d / "ledger.json").write_text(lines.canonical(
            {"control": self.control.hex(), "ledger": self.name, "version": 1, "vkey": self.vkey(self.control)}))

    def policy(self, extra="", head="", measurement=None):
        return '''version = 1
[ledger]
name = "%s"
control = "%s"
key = "%s"
genesis = "%s"
%s
[[accept]]
kind = "software"
root = "%s"
measurements = ["%s"]
%s''' % (self.name, self.control.hex(), self.vkey(self.control), self.genesis.hex(), head,
         H(spki(self.dev_root)).hex(), (measurement or self.measurement).hex(), extra)


class Nitro:
    """A development root with the form of AWS Nitro Enclaves."""

    def __init__(self, at_ns, **o):
        from cryptography import x509
        from cryptography.x509.oid import NameOID
        import datetime
        at = datetime.datetime.fromtimestamp(at_ns // 10**9, datetime.timezone.utc)
        hour = datetime.timedelta(hours=1)
        self.key, self.chain, issuer_key = None, [], None
        names = ["root", "middle", "leaf"]
        for i, name in enumerate(names):
            key = ec.generate_private_key(o.get("curve", ec.SECP384R1()) if name == "leaf" else ec.SECP384R1())
            leaf = name == "leaf"
            start = at + hour if o.get("late") == name else at - hour
            b = (x509.CertificateBuilder().serial_number(i + 1).public_key(key.public_key())
                 .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
                 .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[max(i - 1, 0)])]))
                 .not_valid_before(start).not_valid_after(at + 2 * hour)
                 .add_extension(x509.BasicConstraints(o.get("ca", {}).get(name, not leaf), o.get("pathlen", {}).get(name)),
                                critical=True)
                 .add_extension(x509.KeyUsage(leaf, False, False, False, False, not leaf and name not in o.get("nosign", ()),
                                              not leaf, False, False), critical=True))
            cert = b.sign(issuer_key or key, o.get("hash", hashes.SHA384()) if leaf else hashes.SHA384())
            self.chain.append(cert.public_bytes(Encoding.DER))
            issuer_key = key
            self.key = key
        self.pcrs = {i: bytes([i + 1]) * 48 if i < 5 else bytes(48) for i in range(16)}
        self.root = H(self.chain[0]).hex()

    def evidence(self, claims, now, change=None, tag=False, indefinite=False, extra=b""):
        doc = {"module_id": "i-1", "digest": "SHA384", "timestamp": now // 10**6, "pcrs": self.pcrs,
               "certificate": self.chain[-1], "cabundle": self.chain[:-1], "public_key": claims[32],
               "user_data": binding(claims), "nonce": claims[40]}
        doc.update(change or {})
        pairs = b"".join(cbor.encode(k) + cbor.encode(v) for k, v in doc.items()) + extra
        payload = b"\xbf" + pairs + b"\xff" if indefinite else cbor.head(5, len(doc)) + pairs
        protected = cbor.encode({1: -35})
        sig = sign(self.key, cbor.encode(["Signature1", protected, b"", payload]))[1]
        doc = cbor.encode([protected, {}, payload, sig])
        return cbor.encode([1, "nitro-sim", (b"\xd2" if tag else b"") + doc, []])
