"""Statements (03-statements.md) and entries (04-log.md 4.1)."""
import hashlib

from . import cbor
from .keys import SIGNATURE_LENGTH, public_key
from .notation import MAX_SAFE, NS, H, array, integer, is_ledger_name, is_name, items, nullable, one, raw

MAX_STATEMENT = 65280
MAX_ENTRY = 65535
MAX_STORED = (8 << 20) + (64 << 10)
MAX_CLAIMS = 64
EMPTY = H(b"")
TYPES = {"application/vnd.sealtrail.open+cbor": "open", "application/vnd.sealtrail.batch+cbor": "batch"}


class Refused(Exception):
    def __init__(self, cls, detail):
        super().__init__(detail)
        self.cls, self.detail = cls, detail


def _published(v):
    return array(items(raw(16), integer(MAX_SAFE, 1), raw(32)), 1, 512)(v) and all(
        a[0] < b[0] for a, b in zip(v, v[1:]))


def _public_key(v):
    try:
        return type(v) is bytes and public_key(v) is not None
    except ValueError:
        return False


_both = {1: one, 2: is_ledger_name, 3: raw(16), 4: is_name, 5: is_name}
FORMS = {
    "batch": {
        **_both,
        6: raw(32), 7: integer(MAX_SAFE), 8: raw(32), 9: raw(32), 10: integer(4095), 11: integer(65535), 12: raw(32),
        13: integer(MAX_STORED), 14: integer(1), 15: nullable(items(integer(3, 3), raw(32), raw(12))),
        16: nullable(raw(32)), 17: items(integer(NS), integer(NS)), 18: integer(NS),
        19: items(*[integer(MAX_SAFE)] * 6), 20: is_name, 21: nullable(items(integer(2), nullable(raw(32)))),
        22: _published},
    "open": {
        **_both,
        32: _public_key, 33: nullable(raw(32)), 34: raw(32),
        35: lambda v: type(v) is str and 1 <= len(v.encode()) <= 128, 36: raw(32), 37: raw(32),
        38: integer(86_400_000, 100), 39: integer(86_400_000, 1000), 40: nullable(raw(64)),
        41: nullable(items(raw(32), nullable(integer(MAX_SAFE)), raw(32), integer(2, 1))), 42: integer(NS)},
}
_header = {1: lambda v: type(v) is int and v in SIGNATURE_LENGTH, 4: raw(32),
           16: lambda v: type(v) is str and v in TYPES}
_part = {1: integer(NS), 2: integer(MAX_SAFE), 3: nullable(raw(32))}


def sign1(envelope, tagged=True):
    """(protected bytes, protected header, payload, signature) of a COSE_Sign1, or CborError."""
    v = cbor.decode(envelope)
    if tagged or type(v) is cbor.Tag18:
        v = getattr(v, "value", None)
    if not items(raw(), lambda u: u == [] and type(u) is cbor.Map, raw(), raw())(v):
        raise cbor.CborError("not a COSE_Sign1")
    return v[0], cbor.decode(v[0]), v[2], v[3]


def sig_structure(protected, context, payload):
    return cbor.encode(["Signature1", protected, context, payload])


class Statement:
    """A statement from its envelope, 6.4 steps 2 and 3 but for the place of claim 22; or Refused."""

    def __init__(self, envelope):
        try:
            protected, header, payload, self.signature = sign1(envelope)
            header = cbor.fields(header, _header)
            claims = cbor.decode(payload)
        except cbor.CborError as e:
            raise Refused("statement-malformed", str(e)) from None
        self.alg, self.key_id, self.kind = header[1], header[4], TYPES[header[16]]
        self.claims = claims.keyed(int) if type(claims) is cbor.Map else None
        if len(self.signature) != SIGNATURE_LENGTH[self.alg] or self.claims is None \
                or len(self.claims) > MAX_CLAIMS or any(k < 0 for k in self.claims):
            raise Refused("statement-malformed", "signature length or map of claims")
        forms = FORMS[self.kind]
        for k in self.claims:
            if k < 256 and k not in forms:
                raise Refused("unknown-claim", "claim %d" % k)
        for k, form in forms.items():
            if not (form(self.claims[k]) if k in self.claims else k == 22):
                raise Refused("statement-malformed", "claim %d" % k)
        self.to_sign = sig_structure(protected, b"sealtrail/statement/v1", payload)
        self.identity = H(self.to_sign)

    def placed(self, in_control):
        """Itself, or Refused where claim 22 must not stand."""
        if 22 in self.claims and not in_control:
            raise Refused("unknown-claim", "claim 22 outside the control trail")
        return self

    def binding(self):
        """3.4, of an open."""
        c = cbor.encode({k: v for k, v in self.claims.items() if k != 34})
        return hashlib.sha512(b"sealtrail/evidence/v1" + hashlib.sha512(c).digest()).digest()


def ledger_part(v):
    return cbor.fields(v, _part)


def parse_entry(entry):
    """(statement bytes, ledger part), or Refused."""
    try:
        v = cbor.decode(entry)
        if len(entry) > MAX_ENTRY or not items(one, raw(), bool)(v) or len(v[1]) > MAX_STATEMENT:
            raise cbor.CborError("not an entry")
        return v[1], ledger_part(v[2])
    except cbor.CborError as e:
        raise Refused("entry-malformed", str(e)) from None
