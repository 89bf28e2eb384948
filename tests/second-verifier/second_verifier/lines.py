"""Lines: canonical JSON and the forms of 01-lines.md and 02-body.md 2.1."""
import base64
import binascii
import json
import math
import re

MAX_LINE = 1 << 20
MAX_SAFE = (1 << 53) - 1
MAX_DEPTH = 64
MAX_STUBS = 128

HEX64 = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"(?:[0-9a-f]{2}){1,64}")
_INT = re.compile(r"-?[1-9][0-9]{0,18}")
_TIME = re.compile(r"[1-9][0-9]{0,19}")
_SPECIAL = ("-0", "NaN", "Infinity", "-Infinity")
_quote = json.encoder.encode_basestring  # escapes exactly what RFC 8785 escapes, in the same way


class LineError(ValueError):
    pass


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
    if v is None:
        return "null"
    if v is True:
        return "true"
    if v is False:
        return "false"
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
    if not math.isfinite(x) or x == math.floor(x):
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
    except LineError:
        raise
    except (ValueError, RecursionError) as e:
        raise LineError("not JSON: %s" % e) from None
    if not same:
        raise LineError("not canonical")
    return v


def b64(text):
    """Strict base64 (README, Notation)."""
    if type(text) is not str:
        raise LineError("base64 is not a string")
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        raise LineError("base64") from None
    if base64.b64encode(raw).decode() != text:
        raise LineError("base64 not strict")
    return raw


def _wrapper_u(text):
    raw = b64(text)
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw
    raise LineError("$u of UTF-8")


def _kv_pairs(pairs):
    """Checks a $kv; returns its depth."""
    if type(pairs) is not list:
        raise LineError("$kv")
    seen, bare, deepest = set(), True, 0
    for pair in pairs:
        if type(pair) is not list or len(pair) != 2:
            raise LineError("$kv pair")
        key, value = pair
        if type(key) is str:
            k = key
        elif type(key) is dict and len(key) == 1 and "$u" in key:
            k = _wrapper_u(key["$u"])
            bare = False
        else:
            raise LineError("$kv key")
        if k in seen:
            bare = False
        seen.add(k)
        deepest = max(deepest, value_depth(value))
    if bare:
        raise LineError("$kv of distinct strings")
    return 1 + deepest


def _wrapper(name, v):
    if name == "$i":
        if type(v) is not str or not _INT.fullmatch(v):
            raise LineError("$i")
        n = int(v)
        if abs(n) <= MAX_SAFE or not -(1 << 63) <= n < 1 << 63:
            raise LineError("$i range")
    elif name == "$d":
        if type(v) is not str:
            raise LineError("$d")
        if v not in _SPECIAL:
            try:
                x = float(v)
            except ValueError:
                raise LineError("$d") from None
            if not math.isfinite(x) or x != math.floor(x) or es_number(x) != v:
                raise LineError("$d")
    elif name == "$b":
        b64(v)
    elif name == "$u":
        _wrapper_u(v)
    elif name == "$kv":
        return _kv_pairs(v)
    elif name == "$e":
        if type(v) is not list or len(v) != 3:
            raise LineError("$e")
        if type(v[0]) is not str or not HEX64.fullmatch(v[0]) or len(b64(v[1])) != 12 or len(b64(v[2])) < 16:
            raise LineError("$e")
    else:
        raise LineError("unknown wrapper")
    return 1


def value_depth(v):
    """Checks a value (1.1) and returns its depth."""
    t = type(v)
    if v is None or t is str or t is bool or t is float:
        return 1
    if t is int:
        if abs(v) > MAX_SAFE:
            raise LineError("integer beyond 2^53-1")
        return 1
    if t is list:
        d = 1 + max(map(value_depth, v), default=0)
    else:
        for k in v:
            if k[:1] == "$" and k[:2] != "$$":
                if len(v) != 1:
                    raise LineError("wrapper with company")
                d = _wrapper(k, v[k])
                break
        else:
            d = 1 + max(map(value_depth, v.values()), default=0)
    if d > MAX_DEPTH + 1:  # one more only as a list of attributes, see attributes()
        raise LineError("too deep")
    return d


def value(v):
    if value_depth(v) > MAX_DEPTH:
        raise LineError("too deep")


def attributes(v):
    """A key-value list, not empty; the bound on depth is on each attribute's value."""
    if type(v) is not dict or not v:
        raise LineError("attributes")
    for k in v:
        if k[:1] == "$" and k[:2] != "$$" and k != "$kv":
            raise LineError("attributes are a wrapper")
    value_depth(v)


def text(v, empty=True):
    if type(v) is str:
        if not v and not empty:
            raise LineError("empty text")
    elif type(v) is dict and len(v) == 1 and "$u" in v:
        _wrapper_u(v["$u"])
    else:
        raise LineError("not text")


def filled_text(v):
    text(v, empty=False)


def integer(low, high):
    def check(v):
        if type(v) is not int or not low <= v <= high:
            raise LineError("integer out of range")
    return check


def _severity(v):
    integer(-(1 << 31), (1 << 31) - 1)(v)
    if v == 0:
        raise LineError("severity 0")


def _time(v):
    if type(v) is not str or not _TIME.fullmatch(v) or int(v) >= 1 << 64:
        raise LineError("time")


def _hex_id(v):
    if type(v) is not str or not _ID.fullmatch(v):
        raise LineError("id")


def _text_array(v):
    if type(v) is not list or not v:
        raise LineError("not an array, or empty")
    for x in v:
        text(x)


def _entity_refs(v):
    if type(v) is not list or not v:
        raise LineError("entityRefs")
    for ref in v:
        _members(ref, {"descriptionKeys": _text_array, "idKeys": _text_array, "schemaUrl": filled_text,
                       "type": filled_text})


def _members(v, forms, required=()):
    if type(v) is not dict:
        raise LineError("not an object")
    for k, x in v.items():
        form = forms.get(k)
        if form is None:
            raise LineError("unknown member")
        form(x)
    for k in required:
        if k not in v:
            raise LineError("missing member")


_u32 = integer(1, (1 << 32) - 1)
_count = integer(1, MAX_SAFE)
_index = integer(0, MAX_SAFE)
_common = {"attributes": attributes, "droppedAttributesCount": _u32, "redacted": _count, "schemaUrl": filled_text}
_resource = dict(_common, entityRefs=_entity_refs)
_scope = dict(_common, name=filled_text, version=filled_text)
_record = {
    "attributes": attributes, "body": value, "droppedAttributesCount": _u32, "eventName": filled_text, "flags": _u32,
    "observedTimeUnixNano": _time, "redacted": _count, "resource": _index, "scope": _index,
    "severityNumber": _severity, "severityText": filled_text, "spanId": _hex_id, "traceId": _hex_id,
    "timeUnixNano": _time,
}


def _stub_object(v):
    _members(v, {"hash": _stub_hash, "length": _index, "reason": _stub_reason}, ("hash", "length", "reason"))


def _stub_hash(v):
    if v is not None and (type(v) is not str or not HEX64.fullmatch(v)):
        raise LineError("stub hash")


def _stub_reason(v):
    if v not in ("malformed", "too-large", "too-deep", "unsupported"):
        raise LineError("stub reason")


_stub = {"observedTimeUnixNano": _time, "resource": _index, "scope": _index, "stub": _stub_object}


def context_line(line):
    """Checks a context line; returns "resource" or "scope"."""
    v = parse(line)
    if type(v) is dict and len(v) == 1:
        if "resource" in v:
            _members(v["resource"], _resource)
            return "resource"
        if "scope" in v:
            _members(v["scope"], _scope)
            return "scope"
    raise LineError("neither resource nor scope")


def record_line(line, contexts):
    """Checks a record or stub line against the body's context kinds ([0] is the header); returns the object."""
    v = parse(line)
    if type(v) is not dict:
        raise LineError("not an object")
    if "stub" in v:
        _members(v, _stub, ("observedTimeUnixNano", "stub"))
        if ("resource" in v) != ("scope" in v):
            raise LineError("resource without scope")
    else:
        _members(v, _record, ("resource", "scope"))
    for kind in ("resource", "scope"):
        if kind in v and (v[kind] >= len(contexts) or contexts[v[kind]] != kind):
            raise LineError("no such context line")
    return v


def header_line(line, rest):
    """Checks the header line; rest is the number of bytes after its newline. Returns the seed."""
    v = parse(line)
    if type(v) is not dict or set(v) != {"length", "requests", "seed", "v"}:
        raise LineError("header members")
    if type(v["v"]) is not int or v["v"] != 1:
        raise LineError("header version")
    if type(v["length"]) is not int or v["length"] != rest:
        raise LineError("header length")
    if type(v["seed"]) is not str or not HEX64.fullmatch(v["seed"]):
        raise LineError("header seed")
    req = v["requests"]
    if type(req) is not list or len(req) > 8192:
        raise LineError("header requests")
    if any(type(r) is not str or not HEX64.fullmatch(r) for r in req):
        raise LineError("header request digest")
    return bytes.fromhex(v["seed"])
