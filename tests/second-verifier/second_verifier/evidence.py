"""Evidence (05-evidence.md): appraises an open's artefact; the reason class, or None."""
import functools

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from . import cbor
from .keys import ES256, ES384, H, PublicKey

MAX_ARTEFACT = 1 << 20
TEN_MINUTES = 600 * 10**9
_ED = bytes.fromhex("302a300506032b6570032100")
KINDS = ("software", "nitro-sim", "ledger")


class Malformed(ValueError):
    pass


class Fail(Exception):
    pass


def _need(ok, what):
    if not ok:
        raise Malformed(what)


def _bytes(v, n=None):
    return type(v) is bytes and (n is None or len(v) == n)


def _sign1(raw, tagged):
    """(protected bytes, header, payload, signature)"""
    v = cbor.decode(raw)
    if type(v) is cbor.Tag18:
        v = v.value
    else:
        _need(not tagged, "no tag 18")
    _need(type(v) is list and len(v) == 4, "COSE_Sign1")
    protected, unprotected, payload, signature = v
    _need(_bytes(protected) and _bytes(payload) and _bytes(signature), "COSE_Sign1")
    _need(type(unprotected) is cbor.Map and not unprotected.pairs, "unprotected header")
    header = cbor.decode(protected)
    header = header.keyed(int) if type(header) is cbor.Map else None
    _need(header is not None, "protected header")
    return protected, header, payload, signature


class Software:
    simulated = True

    def __init__(self, raw, endorsements):
        protected, header, payload, self.signature = _sign1(raw, True)
        _need(header == {1: ES256, 16: "application/vnd.sealtrail.software-evidence+cbor"}, "protected header")
        _need(len(self.signature) == 64, "signature length")
        v = cbor.decode(payload)
        v = v.keyed(int) if type(v) is cbor.Map else None
        _need(v is not None and set(v) == {1, 2, 3, 4, 5}, "payload")
        _need(type(v[1]) is int and v[1] == 1 and _bytes(v[2], 64) and _bytes(v[3], 32) and type(v[4]) is int
              and v[4] >= 0 and _bytes(v[5], 64), "payload")
        _need(len(endorsements) == 1 and len(endorsements[0]) == 91, "endorsements")
        try:
            self.key = PublicKey(endorsements[0])
        except ValueError:
            raise Malformed("endorsement") from None
        self.root, self.binding, self.measurement, self.ms, self.challenge = H(endorsements[0]), v[2], v[3], v[4], v[5]
        self.to_sign = cbor.encode(["Signature1", protected, b"sealtrail/software-evidence/v1", payload])

    def measurements(self):
        return {"program": self.measurement.hex()}

    def authentic(self, opened, received, refs, checkpoint_key):
        if abs(self.ms * 10**6 - received) > TEN_MINUTES:
            raise Fail("evidence-refused", "issued at")
        if not self.key.verify(self.signature, self.to_sign):
            raise Fail("evidence-refused", "signature")

    def bound(self, opened):
        return self.binding == opened.binding

    def challenged(self, opened):
        return self.challenge == opened.claims[40]

    def matches(self, ref):
        return self.measurement in ref.measurements


class NitroSim:
    simulated = True
    KEYS = {"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle", "public_key", "user_data", "nonce"}

    def __init__(self, raw, endorsements):
        _need(not endorsements, "endorsements")
        protected, header, payload, self.signature = _sign1(raw, False)
        _need(header == {1: ES384} and len(self.signature) == 96, "protected header or signature length")
        v = cbor.decode_loose_map(payload)
        _need(set(v) <= self.KEYS and self.KEYS - set(v) <= {"public_key", "user_data", "nonce"}, "keys")
        _need(type(v["module_id"]) is str and v["module_id"] and type(v["digest"]) is str
              and v["digest"] == "SHA384", "module_id or digest")
        _need(type(v["timestamp"]) is int and v["timestamp"] >= 0, "timestamp")
        self.ms = v["timestamp"]
        self.pcrs = v["pcrs"].keyed(int) if type(v["pcrs"]) is cbor.Map else None
        _need(self.pcrs and len(self.pcrs) <= 32 and all(0 <= k <= 31 and _bytes(x, 48) for k, x in self.pcrs.items()),
              "pcrs")
        bundle = v["cabundle"]
        _need(_bytes(v["certificate"]) and type(bundle) is list and 1 <= len(bundle) <= 8 and all(map(_bytes, bundle)),
              "certificates")
        self.chain = tuple(bundle) + (v["certificate"],)
        for k in ("public_key", "user_data", "nonce"):
            _need(v.get(k) is None or _bytes(v[k]), k)
        self.public_key, self.user_data, self.nonce = v.get("public_key"), v.get("user_data"), v.get("nonce")
        self.root = H(bundle[0])
        self.to_sign = cbor.encode(["Signature1", protected, b"", payload])

    def measurements(self):
        return {"pcr%d" % k: v.hex() for k, v in sorted(self.pcrs.items()) if any(v)}

    def authentic(self, opened, received, refs, checkpoint_key):
        key, windows = certificate_path(self.chain)
        if key is None:
            raise Fail("evidence-refused", windows)
        if not all(a <= self.ms <= b for a, b in windows):
            raise Fail("evidence-refused", "a certificate is not valid at that time")
        if not key.verify(self.signature, self.to_sign, low_s=False):
            raise Fail("evidence-refused", "signature")
        if abs(self.ms * 10**6 - received) > TEN_MINUTES:
            raise Fail("evidence-refused", "timestamp")
        if not any(any(self.pcrs.get(i, b"\1")) for i in (0, 1, 2)) and not any(r.debug for r in refs):
            raise Fail("evidence-refused", "debug mode")

    def bound(self, opened):
        return self.user_data == opened.binding and self.public_key == opened.claims[32]

    def challenged(self, opened):
        return self.nonce is not None and self.nonce == opened.claims[40]

    def matches(self, ref):
        return all(self.pcrs.get(k) == v and (ref.debug or any(v)) for k, v in ref.pcrs.items())


class Ledger:
    simulated = False

    def __init__(self, raw, endorsements):
        _need(not endorsements and len(raw) == 64, "ledger evidence")
        self.signature = raw

    def measurements(self):
        return {}

    def authentic(self, opened, received, refs, checkpoint_key):
        key = PublicKey(_ED + checkpoint_key)
        if not key.verify(self.signature, b"sealtrail/ledger-evidence/v1" + opened.binding):
            raise Fail("evidence-refused", "signature")

    def bound(self, opened):
        return True

    def challenged(self, opened):
        return opened.claims[40] is None


@functools.lru_cache(maxsize=256)
def certificate_path(chain):
    """(the leaf's key, validity windows in ms) of a good path of DER certificates, root first; else (None, why)."""
    try:
        certs = [x509.load_der_x509_certificate(c) for c in chain]
        windows, key = [], None
        for i, c in enumerate(certs):
            leaf, issuer = i == len(certs) - 1, certs[max(i - 1, 0)]
            if c.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA384 or c.version != x509.Version.v3:
                return None, "signature algorithm or version"
            pub = c.public_key()
            if not isinstance(pub, ec.EllipticCurvePublicKey) or pub.curve.name != "secp384r1":
                return None, "key is not P-384"
            if c.issuer.public_bytes() != issuer.subject.public_bytes():
                return None, "issuer"
            issuer.public_key().verify(c.signature, c.tbs_certificate_bytes, ec.ECDSA(hashes.SHA384()))
            ext = {e.oid: e for e in c.extensions}
            for oid, e in ext.items():
                if e.critical and oid not in (ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE):
                    return None, "unknown critical extension"
            basic, usage = ext.get(ExtensionOID.BASIC_CONSTRAINTS), ext.get(ExtensionOID.KEY_USAGE)
            if usage is None:
                return None, "no keyUsage"
            if leaf:
                if (basic and basic.value.ca) or not usage.value.digital_signature:
                    return None, "leaf"
                key = PublicKey(pub.public_bytes(serialization.Encoding.DER,
                                                 serialization.PublicFormat.SubjectPublicKeyInfo))
            elif basic is None or not basic.value.ca or not usage.value.key_cert_sign:
                return None, "CA certificate"
            elif basic.value.path_length is not None and basic.value.path_length < len(certs) - 2 - i:
                return None, "pathLen"
            windows.append((int(c.not_valid_before_utc.timestamp()) * 1000,
                            int(c.not_valid_after_utc.timestamp()) * 1000))
        return key, windows
    except (ValueError, TypeError, InvalidSignature, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as e:
        return None, "certificate: %r" % e


def decode(raw):
    """(kind, evidence object) of an artefact, or Malformed / CborError."""
    _need(len(raw) <= MAX_ARTEFACT, "too large")
    v = cbor.decode(raw)
    _need(type(v) is list and len(v) == 4 and type(v[0]) is int and v[0] == 1, "not an evidence artefact")
    _, kind, evidence, endorsements = v
    _need(type(kind) is str and _bytes(evidence) and type(endorsements) is list and len(endorsements) <= 16
          and all(map(_bytes, endorsements)), "not an evidence artefact")
    _need(kind in KINDS, "unknown kind")
    return kind, {"software": Software, "nitro-sim": NitroSim, "ledger": Ledger}[kind](evidence, endorsements)


def appraise(opened, artefact, received, policy, in_control):
    """5.1 for an open. Returns (class or None, detail, kind or None, evidence or None)."""
    if artefact is None:
        return "evidence-missing", "no artefact under claim 34", None, None
    try:
        kind, ev = decode(artefact)
    except (Malformed, cbor.CborError) as e:
        return "evidence-malformed", str(e), None, None
    stream = opened.claims[4]
    try:
        if (kind == "ledger") != in_control:
            raise Fail("untrusted-root", "kind %s is not accepted here" % kind)
        refs = []
        if policy.appraises:
            if kind != "ledger":
                refs = [r for r in policy.accept if r.applies(kind, stream) and r.root == ev.root]
                if not refs:
                    raise Fail("untrusted-root", "no reference value for this kind, stream and root")
            ev.authentic(opened, received, refs, policy.public)
        if not ev.bound(opened):
            raise Fail("binding-mismatch", "binding or key")
        if not ev.challenged(opened):
            raise Fail("challenge-mismatch", "challenge")
        if policy.appraises and kind != "ledger" and not any(ev.matches(r) for r in refs):
            raise Fail("unexpected-code", "measurements")
    except Fail as f:
        return f.args[0], f.args[1], kind, ev
    return None, None, kind, ev
