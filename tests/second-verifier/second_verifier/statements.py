"""Statements (03-statements.md) and entries (04-log.md 4.1)."""
import functools
import hashlib
import re

from . import cbor
from .keys import ED25519, ES256, ES384, H, SIGNATURE_LENGTH, PublicKey

MAX_STATEMENT = 65280
MAX_ENTRY = 65535
MAX_STORED = (8 << 20) + (64 << 10)
MAX_SAFE = (1 << 53) - 1
NS = (1 << 63) - 1
EMPTY = H(b"")

_name = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_ledger_name = re.compile(r"[a-z0-9][a-z0-9._/:-]{0,127}")
TYPES = {"application/vnd.sealtrail.open+cbor": "open", "application/vnd.sealtrail.batch+cbor": "batch"}


def is_name(v):
    return type(v) is str and _name.fullmatch(v) is not None


def is_ledger_name(v):
    return type(v) is str and _ledger_name.fullmatch(v) is not None and not v.startswith("sealtrail/")


public_key = functools.lru_cache(maxsize=4096)(PublicKey)


class Refused(Exception):
    def __init__(self, cls, detail):
        super().__init__(detail)
        self.cls, self.detail = cls, detail


def uint(high, low=0):
    return lambda v: type(v) is int and low <= v <= high


def size(n):
    return lambda v: type(v) is bytes and len(v) == n


def nullable(form):
    return lambda v: v is None or form(v)


def items(*forms):
    return lambda v: type(v) is list and len(v) == len(forms) and all(f(x) for f, x in zip(forms, v))


def _published(v):
    if type(v) is not list or not 1 <= len(v) <= 512:
        return False
    entry = items(size(16), uint(MAX_SAFE, 1), size(32))
    return all(map(entry, v)) and all(a[0] < b[0] for a, b in zip(v, v[1:]))


def _public_key(v):
    if type(v) is not bytes:
        return False
    try:
        public_key(v)
    except ValueError:
        return False
    return True


_both = {1: uint(1, 1), 2: is_ledger_name, 3: size(16), 4: is_name, 5: is_name}
FORMS = {
    "batch": {
        **_both,
        6: size(32), 7: uint(MAX_SAFE), 8: size(32), 9: size(32), 10: uint(4095), 11: uint(65535), 12: size(32),
        13: uint(MAX_STORED), 14: uint(1), 15: nullable(items(uint(3, 3), size(32), size(12))), 16: nullable(size(32)),
        17: items(uint(NS), uint(NS)), 18: uint(NS), 19: items(*[uint(MAX_SAFE)] * 6), 20: is_name,
        21: nullable(items(uint(2), nullable(size(32)))), 22: _published},
    "open": {
        **_both,
        32: _public_key, 33: nullable(size(32)), 34: size(32),
        35: lambda v: type(v) is str and 1 <= len(v.encode()) <= 128, 36: size(32), 37: size(32),
        38: uint(86_400_000, 100), 39: uint(86_400_000, 1000), 40: nullable(size(64)),
        41: nullable(items(size(32), nullable(uint(MAX_SAFE)), size(32), uint(2, 1))), 42: uint(NS)},
}


class Statement:
    __slots__ = ("kind", "alg", "key_id", "claims", "signature", "to_sign", "identity", "binding")


def _malformed(detail):
    return Refused("statement-malformed", detail)


def parse(raw, control):
    """A Statement from its envelope, or Refused.

    control: whether it stands in the control trail; or that trail's id, to go by the claims (receipts).
    """
    if len(raw) > MAX_STATEMENT:
        raise _malformed("too large")
    st = Statement()
    try:
        top = cbor.decode(raw)
        if type(top) is not cbor.Tag18 or type(top.value) is not list or len(top.value) != 4:
            raise _malformed("envelope")
        protected, unprotected, payload, st.signature = top.value
        if not (type(protected) is bytes and type(payload) is bytes and type(st.signature) is bytes):
            raise _malformed("envelope")
        if type(unprotected) is not cbor.Map or unprotected.pairs:
            raise _malformed("unprotected header")
        header = cbor.decode(protected)
        header = header.keyed(int) if type(header) is cbor.Map else None
        if header is None or set(header) != {1, 4, 16}:
            raise _malformed("protected header")
        st.alg, st.key_id = header[1], header[4]
        if type(st.alg) is not int or st.alg not in (ES256, ES384, ED25519):
            raise _malformed("algorithm")
        if type(st.key_id) is not bytes or len(st.key_id) != 32:
            raise _malformed("key id")
        if type(header[16]) is not str or header[16] not in TYPES:
            raise _malformed("typ")
        st.kind = TYPES[header[16]]
        if len(st.signature) != SIGNATURE_LENGTH[st.alg]:
            raise _malformed("signature length")
        claims = cbor.decode(payload)
    except cbor.CborError as e:
        raise _malformed("CBOR: %s" % e) from None
    if type(claims) is not cbor.Map:
        raise _malformed("claims")
    forms = FORMS[st.kind]
    keys = [k for k, _, _ in claims.pairs]
    values = {k: v for k, v, _ in claims.pairs if type(k) is int}
    in_control = control if type(control) is bool else values.get(3) == control
    for k in keys:
        if type(k) is int and 0 <= k < 256 and (k not in forms or (k == 22 and not in_control)):
            raise Refused("unknown-claim", "claim %d" % k)
    if any(type(k) is not int or k < 0 for k in keys):
        raise _malformed("claim key")
    for k, form in forms.items():
        if k not in values:
            if k != 22:
                raise _malformed("claim %d is missing" % k)
        elif not form(values[k]):
            raise _malformed("claim %d" % k)
    if st.kind == "open" and values[40] is None and not in_control:
        raise _malformed("challenge is null")
    st.claims = values
    st.to_sign = cbor.encode(["Signature1", protected, b"sealtrail/statement/v1", payload])
    st.identity = H(st.to_sign)
    if st.kind == "open":
        rest = b"".join(pair for k, _, pair in claims.pairs if k != 34)
        c = cbor.head(5, len(claims.pairs) - 1) + rest
        st.binding = hashlib.sha512(b"sealtrail/evidence/v1" + hashlib.sha512(c).digest()).digest()
    return st


def ledger_part(v):
    """{1, 2, 3} of 4.1 as a dict, or None."""
    part = v.keyed(int) if type(v) is cbor.Map else None
    if part is None or set(part) != {1, 2, 3}:
        return None
    ok = uint(NS)(part[1]) and uint(MAX_SAFE)(part[2]) and nullable(size(32))(part[3])
    return part if ok else None


def parse_entry(raw):
    """(statement bytes, ledger part), or Refused."""
    try:
        v = cbor.decode(raw)
    except cbor.CborError as e:
        raise Refused("entry-malformed", "CBOR: %s" % e) from None
    if len(raw) > MAX_ENTRY or type(v) is not list or len(v) != 3 or type(v[0]) is not int or v[0] != 1:
        raise Refused("entry-malformed", "not an entry")
    part = ledger_part(v[2])
    if type(v[1]) is not bytes or part is None:
        raise Refused("entry-malformed", "statement or ledger part")
    return v[1], part
