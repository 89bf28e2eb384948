"""Notation (README): hash, hex, base64, names; and forms, which tell whether a decoded value is as the text asks."""
import base64
import hashlib
import re

MAX_SAFE = (1 << 53) - 1
NS = (1 << 63) - 1

_name = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_ledger_name = re.compile(r"(?!sealtrail/)[a-z0-9][a-z0-9._/:-]{0,127}")


def H(data):
    return hashlib.sha256(data).digest()


def b64(text):
    """The bytes of strict base64, else None."""
    try:
        raw = base64.b64decode(text, validate=True) if type(text) is str else None
    except ValueError:
        return None
    return raw if raw is not None and base64.b64encode(raw).decode() == text else None


def is_hex(v, digits):
    return type(v) is str and len(v) == digits and not set(v) - set("0123456789abcdef")


def is_name(v):
    return type(v) is str and _name.fullmatch(v) is not None


def is_ledger_name(v):
    return type(v) is str and _ledger_name.fullmatch(v) is not None


def integer(high=(1 << 64) - 1, low=0):
    return lambda v: type(v) is int and low <= v <= high


def raw(n=None):
    return lambda v: type(v) is bytes and (n is None or len(v) == n)


def nullable(form):
    return lambda v: v is None or form(v)


def array(form, low=0, high=1 << 64):
    return lambda v: type(v) is list and low <= len(v) <= high and all(map(form, v))


def items(*forms):
    return lambda v: type(v) is list and len(v) == len(forms) and all(f(x) for f, x in zip(forms, v))


one = integer(1, 1)
