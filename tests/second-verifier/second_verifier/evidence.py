"""Evidence (05-evidence.md): appraises an open's artefact."""
import functools

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from . import cbor
from .keys import ES256, ES384, PublicKey, ed25519_key
from .notation import H, array, integer, items, nullable, one, raw
from .statements import sig_structure, sign1

MAX_ARTEFACT = 1 << 20
TEN_MINUTES = 600 * 10**3


class Malformed(ValueError):
    pass


def need(ok, what):
    if not ok:
        raise Malformed(what)


def _near(ms, received):
    return abs(ms - received // 10**6) <= TEN_MINUTES


class Software:
    simulated = True
    HEADER = {1: ES256, 16: "application/vnd.sealtrail.software-evidence+cbor"}
    PAYLOAD = {1: one, 2: raw(64), 3: raw(32), 4: integer(), 5: raw(64)}

    def __init__(self, evidence, endorsements):
        protected, header, payload, self.signature = sign1(evidence)
        need(type(header) is cbor.Map and header.keyed(int) == self.HEADER, "protected header")
        need(len(self.signature) == 64 and [len(e) for e in endorsements] == [91], "signature or endorsements")
        v = cbor.fields(cbor.decode(payload), self.PAYLOAD)
        self.binding, self.measurement, self.ms, self.challenge = v[2], v[3], v[4], v[5]
        self.key, self.root = PublicKey(endorsements[0]), H(endorsements[0])
        self.to_sign = sig_structure(protected, b"sealtrail/software-evidence/v1", payload)

    def measurements(self):
        return {"program": self.measurement.hex()}

    def refused(self, opened, received, refs, checkpoint_key):
        if not _near(self.ms, received):
            return "issued at"
        return None if self.key.verify(self.signature, self.to_sign) else "signature"

    def bound(self, opened):
        return self.binding == opened.binding()

    def challenged(self, opened):
        return self.challenge == opened.claims[40]

    def matches(self, ref):
        return self.measurement in ref.measurements


class NitroSim:
    simulated = True
    FORMS = {
        "module_id": lambda v: type(v) is str and v != "", "digest": lambda v: v == "SHA384", "timestamp": integer(),
        "pcrs": lambda v: type(v) is cbor.Map and 1 <= len(v) <= 32 and all(
            integer(31)(k) and raw(48)(x) for k, x in v),
        "certificate": raw(), "cabundle": array(raw(), 1, 8),
        "public_key": nullable(raw()), "user_data": nullable(raw()), "nonce": nullable(raw())}

    def __init__(self, evidence, endorsements):
        need(not endorsements, "endorsements")
        protected, header, payload, self.signature = sign1(evidence, tagged=False)
        need(type(header) is cbor.Map and header.keyed(int) == {1: ES384}, "protected header")
        need(len(self.signature) == 96, "signature length")
        v = {**dict.fromkeys(("public_key", "user_data", "nonce")), **cbor.decode_loose_map(payload)}
        need(set(v) == set(self.FORMS) and all(f(v[k]) for k, f in self.FORMS.items()), "payload")
        self.ms, self.pcrs, self.root = v["timestamp"], dict(v["pcrs"]), H(v["cabundle"][0])
        self.chain = (*v["cabundle"], v["certificate"])
        self.public_key, self.user_data, self.nonce = v["public_key"], v["user_data"], v["nonce"]
        self.to_sign = sig_structure(protected, b"", payload)

    def measurements(self):
        return {"pcr%d" % k: v.hex() for k, v in sorted(self.pcrs.items()) if k <= 2 or any(v)}

    def refused(self, opened, received, refs, checkpoint_key):
        key, windows = certificate_path(self.chain)
        if key is None:
            return windows
        if not all(a <= self.ms <= b for a, b in windows):
            return "a certificate is not valid at that time"
        if not key.verify(self.signature, self.to_sign, low_s=False):
            return "signature"
        if not _near(self.ms, received):
            return "timestamp"
        debug = not any(any(self.pcrs.get(i, b"\1")) for i in (0, 1, 2))
        return "debug mode" if debug and not any(r.debug for r in refs) else None

    def bound(self, opened):
        return (self.user_data, self.public_key) == (opened.binding(), opened.claims[32])

    def challenged(self, opened):
        return self.nonce is not None and self.nonce == opened.claims[40]

    def matches(self, ref):
        return all(self.pcrs.get(k) == v and (ref.debug or any(v)) for k, v in ref.pcrs.items())


class Ledger:
    simulated = False

    def __init__(self, evidence, endorsements):
        need(not endorsements and len(evidence) == 64, "ledger evidence")
        self.signature = evidence

    def measurements(self):
        return {}

    def refused(self, opened, received, refs, checkpoint_key):
        good = ed25519_key(checkpoint_key).verify(self.signature, b"sealtrail/ledger-evidence/v1" + opened.binding())
        return None if good else "signature"

    def bound(self, opened):
        return True

    def challenged(self, opened):
        return opened.claims[40] is None


@functools.lru_cache(maxsize=256)
def certificate_path(chain):
    """(the leaf's key, validity windows in ms) of a good path of DER certificates, root first; else (None, why)."""
    try:
        certs = [x509.load_der_x509_certificate(c) for c in chain]
        windows, leaf = [], certs[-1]
        for i, (issuer, c) in enumerate(zip([certs[0]] + certs, certs)):
            need(c.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA384, "signature algorithm")
            need(c.version == x509.Version.v3 and c.public_key().curve.name == "secp384r1", "version, or not P-384")
            need(c.issuer.public_bytes() == issuer.subject.public_bytes(), "issuer")
            issuer.public_key().verify(c.signature, c.tbs_certificate_bytes, ec.ECDSA(hashes.SHA384()))
            known = ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE
            need(not any(e.critical and e.oid not in known for e in c.extensions), "unknown critical extension")
            basic, usage = ({e.oid: e.value for e in c.extensions}.get(oid) for oid in known)
            if c is leaf:
                need(not (basic and basic.ca) and usage.digital_signature, "leaf")
            else:
                need(basic.ca and usage.key_cert_sign, "CA certificate")
                need(basic.path_length is None or basic.path_length >= len(certs) - 2 - i, "pathLen")
            windows.append([int(t.timestamp()) * 1000 for t in (c.not_valid_before_utc, c.not_valid_after_utc)])
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return PublicKey(leaf.public_key().public_bytes(serialization.Encoding.DER, form)), windows
    except Exception as e:  # whatever the library cannot read, and what is absent, is refused
        return None, "certificate: %r" % e


KINDS = {"software": Software, "nitro-sim": NitroSim, "ledger": Ledger}
_artefact = items(one, lambda k: type(k) is str and k in KINDS, raw(), array(raw(), 0, 16))


def decode(artefact):
    """(kind, evidence) of an artefact, or ValueError."""
    need(len(artefact) <= MAX_ARTEFACT, "too large")
    v = cbor.decode(artefact)
    need(_artefact(v), "not an evidence artefact, or of unknown kind")
    return v[1], KINDS[v[1]](v[2], v[3])


def judge(kind, ev, opened, received, policy, in_control):
    """5.1 from step 2 on: (class, detail), or None."""
    if (kind == "ledger") != in_control:
        return "untrusted-root", "kind %s is not accepted here" % kind
    appraised = policy.appraises and kind != "ledger"
    refs = [r for r in policy.accept if appraised and r.applies(kind, ev.root, opened.claims[4])]
    if appraised and not refs:
        return "untrusted-root", "no reference value for this kind, stream and root"
    why = ev.refused(opened, received, refs, policy.public) if appraised or kind == "ledger" else None
    if why:
        return "evidence-refused", why
    if not ev.bound(opened):
        return "binding-mismatch", "binding or key"
    if not ev.challenged(opened):
        return "challenge-mismatch", "challenge"
    if appraised and not any(map(ev.matches, refs)):
        return "unexpected-code", "measurements"
    return None


def appraise(opened, artefact, received, policy, in_control):
    """5.1 for an open: ((class, detail) or None, kind or None, evidence or None)."""
    if artefact is None:
        return ("evidence-missing", "no artefact under claim 34"), None, None
    try:
        kind, ev = decode(artefact)
    except ValueError as e:
        return ("evidence-malformed", str(e)), None, None
    return judge(kind, ev, opened, received, policy, in_control), kind, ev
