"""Lines: canonical JSON and the forms of 01-lines.md and 02-body.md 2.1."""
import json
import math
import re

from .notation import MAX_SAFE, array, b64, integer, is_hex, items, nullable, one

MAX_LINE = 1 << 20
MAX_DEPTH = 64
MAX_REQUESTS = 8192

_ID = re.compile(r"(?:[0-9a-f]{2}){1,64}")
_INT = re.compile(r"-?[1-9][0-9]{0,18}")
_TIME = re.compile(r"[1-9][0-9]{0,19}")
_quote = json.encoder.encode_basestring  # escapes exactly what RFC 8785 escapes, in the same way


class LineError(ValueError):
    pass


# RFC 8785

def es_number(x):
    """ECMAScript Number::toString of a finite double, from the shortest digits that repr finds."""
    if x == 0:
        return "0"
    mantissa, _, exponent = repr(abs(x)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    n = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    k = len(digits)
    if k <= n <= 21:
        s = digits + "0" * (n - k)
    elif 0 < n <= 21:
        s = digits[:n] + "." + digits[n:]
    elif -6 < n <= 0:
        s = "0." + "0" * -n + digits
    else:
        s = digits[0] + ("." + digits[1:] if k > 1 else "") + "e%+d" % (n - 1)
    return "-" + s if x < 0 else s


def _utf16(k):
    return k.encode("utf-16-be", "surrogatepass")


def canonical(v):
    """RFC 8785 text of a value read by json; integers keep their digits."""
    if isinstance(v, str):
        return _quote(v)
    if v is None or isinstance(v, bool):
        return {None: "null", True: "true", False: "false"}[v]
    if isinstance(v, int):
        return str(v)
    if isinstance(v, float):
        return es_number(v)
    if isinstance(v, list):
        return "[" + ",".join(map(canonical, v)) + "]"
    keys = sorted(v) if all(map(str.isascii, v)) else sorted(v, key=_utf16)
    return "{" + ",".join([_quote(k) + ":" + canonical(v[k]) for k in keys]) + "}"


def _object(pairs):
    out = dict(pairs)
    if len(out) != len(pairs):
        raise LineError("repeated name")
    return out


def _float(text):
    x = float(text)
    if not math.isfinite(x) or x.is_integer():
        raise LineError("integral number not in digits alone")
    return x


def _constant(text):
    raise LineError("not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)


def parse(line):
    """One canonical JSON value, or LineError."""
    if len(line) > MAX_LINE:
        raise LineError("line too long")
    try:
        v = _decoder.decode(line.decode("utf-8"))
        same = canonical(v).encode("utf-8") == line
    except (ValueError, RecursionError) as e:
        raise LineError("not JSON: %s" % e) from None
    if not same:
        raise LineError("not canonical")
    return v


# Values (1.1)

def _w_i(v, room):
    return type(v) is str and _INT.fullmatch(v) is not None and abs(int(v)) > MAX_SAFE \
        and -(1 << 63) <= int(v) < 1 << 63


def _w_d(v, room):
    if type(v) is not str or v in ("-0", "NaN", "Infinity", "-Infinity"):
        return type(v) is str
    try:
        return float(v).is_integer() and es_number(float(v)) == v
    except (ValueError, OverflowError):
        return False


def _w_b(v, room=1):
    return b64(v) is not None


def _w_u(v, room=1):
    try:
        (b64(v) or b"").decode("utf-8")
        return False
    except UnicodeDecodeError:
        return True


def _u(v):
    return type(v) is dict and list(v) == ["$u"] and _w_u(v["$u"])


def _w_kv(v, room):
    if not array(items(lambda k: type(k) is str or _u(k), lambda x: value(x, room - 1)))(v):
        return False
    keys = [k for k, _ in v]
    return any(type(k) is dict for k in keys) or len(set(keys)) < len(keys)


def _w_e(v, room):
    return type(v) is list and len(v) == 3 and is_hex(v[0], 64) and len(b64(v[1]) or b"") == 12 \
        and len(b64(v[2]) or b"") >= 16


_WRAPPERS = {"$i": _w_i, "$d": _w_d, "$b": _w_b, "$u": _w_u, "$kv": _w_kv, "$e": _w_e}


def value(v, room=MAX_DEPTH):
    """Whether it is a value at most room deep."""
    if room == 0:
        return False
    if type(v) is int:
        return abs(v) <= MAX_SAFE
    if type(v) is list:
        return all(value(x, room - 1) for x in v)
    if type(v) is not dict:
        return True
    mark = next((k for k in v if k[:1] == "$" != k[1:2]), None)
    if mark is None:
        return all(value(x, room - 1) for x in v.values())
    return len(v) == 1 and mark in _WRAPPERS and _WRAPPERS[mark](v[mark], room)


def attributes(v):
    """A key-value list, not empty; the list itself has no part in the depth."""
    return type(v) is dict and len(v) > 0 and not set(v) & (set(_WRAPPERS) - {"$kv"}) and value(v, MAX_DEPTH + 1)


# Forms of lines

def any_text(v):
    return type(v) is str or _u(v)


def text(v):
    return v != "" and any_text(v)


def members(forms, required=()):
    return lambda v: type(v) is dict and all(k in v for k in required) \
        and all(k in forms and forms[k](x) for k, x in v.items())


def _time(v):
    return type(v) is str and _TIME.fullmatch(v) is not None and int(v) < 1 << 64


def _id(v):
    return type(v) is str and _ID.fullmatch(v) is not None


def _severity(v):
    return integer((1 << 31) - 1, -(1 << 31))(v) and v != 0


def _digest(v):
    return is_hex(v, 64)


_u32 = integer((1 << 32) - 1, 1)
_index = integer(MAX_SAFE)
_common = {"attributes": attributes, "droppedAttributesCount": _u32, "redacted": integer(MAX_SAFE, 1)}
_texts = array(any_text, 1)
_entity = members({"descriptionKeys": _texts, "idKeys": _texts, "schemaUrl": text, "type": text})
_context = {"resource": members({**_common, "entityRefs": array(_entity, 1), "schemaUrl": text}),
            "scope": members({**_common, "name": text, "schemaUrl": text, "version": text})}
_record = members({
    **_common, "body": value, "eventName": text, "flags": _u32, "observedTimeUnixNano": _time, "resource": _index,
    "scope": _index, "severityNumber": _severity, "severityText": text, "spanId": _id, "traceId": _id,
    "timeUnixNano": _time}, ("resource", "scope"))
_stub_object = members({"hash": nullable(_digest), "length": _index, "reason": lambda v: v in (
    "malformed", "too-large", "too-deep", "unsupported")}, ("hash", "length", "reason"))
_stub = members({"observedTimeUnixNano": _time, "resource": _index, "scope": _index, "stub": _stub_object},
                ("observedTimeUnixNano", "stub"))


def context_line(line):
    """Checks a context line; returns "resource" or "scope"."""
    v = parse(line)
    kind = next(iter(v), None) if type(v) is dict and len(v) == 1 else None
    if kind not in _context or not _context[kind](v[kind]):
        raise LineError("not a context line")
    return kind


def record_line(line, contexts):
    """Checks a record or stub line against the body's context kinds ([0] is the header); returns the object."""
    v = parse(line)
    if type(v) is not dict or not (_stub if "stub" in v else _record)(v) or ("resource" in v) != ("scope" in v):
        raise LineError("not a record or stub line")
    for kind in ("resource", "scope"):
        if kind in v and (v[kind] >= len(contexts) or contexts[v[kind]] != kind):
            raise LineError("no such context line")
    return v


def header_line(line, rest):
    """Checks the header line; rest is the number of bytes after its newline. Returns the seed."""
    v = parse(line)
    forms = {"length": integer(rest, rest), "requests": array(_digest, 0, MAX_REQUESTS), "seed": _digest, "v": one}
    if not members(forms, forms)(v):
        raise LineError("not a header line")
    return bytes.fromhex(v["seed"])
