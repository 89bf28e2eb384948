"""The deterministic CBOR of the specification (README, Notation) and nothing else."""


class CborError(ValueError):
    pass


class Tag18:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


class Map:
    """Pairs as (key, value, encoded pair); keys need not be hashable."""

    __slots__ = ("pairs",)

    def __init__(self, pairs):
        self.pairs = pairs

    def keyed(self, kind):
        """The pairs as a dict, when every key is of exactly this type; else None."""
        if any(type(k) is not kind for k, _, _ in self.pairs):
            return None
        return {k: v for k, v, _ in self.pairs}


MAX_DEPTH = 8
_MIN = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}


def _head(b, i):
    if i >= len(b):
        raise CborError("cut off")
    major, info = b[i] >> 5, b[i] & 31
    i += 1
    if info < 24:
        return major, info, i
    if info > 27:
        raise CborError("indefinite or reserved length")
    size = 1 << (info - 24)
    if i + size > len(b):
        raise CborError("cut off")
    n = int.from_bytes(b[i:i + size], "big")
    if major != 7 and n < _MIN[info]:
        raise CborError("head not shortest")
    return major, n, i + size


def _item(b, i, depth):
    if depth > MAX_DEPTH:
        raise CborError("too deep")
    start = i
    major, n, i = _head(b, i)
    if major == 0:
        return n, i
    if major == 1:
        return -1 - n, i
    if major in (2, 3):
        if n > len(b) - i:
            raise CborError("cut off")
        raw = bytes(b[i:i + n])
        if major == 2:
            return raw, i + n
        try:
            return raw.decode("utf-8"), i + n
        except UnicodeDecodeError:
            raise CborError("text is not UTF-8") from None
    if major == 4:
        if n > len(b) - i:
            raise CborError("cut off")
        out = []
        for _ in range(n):
            v, i = _item(b, i, depth + 1)
            out.append(v)
        return out, i
    if major == 5:
        if n > (len(b) - i) // 2:
            raise CborError("cut off")
        pairs, last = [], None
        for _ in range(n):
            pair_start = i
            k, i = _item(b, i, depth + 1)
            enc = bytes(b[pair_start:i])
            if last is not None and enc <= last:
                raise CborError("map keys not in order")
            last = enc
            v, i = _item(b, i, depth + 1)
            pairs.append((k, v, bytes(b[pair_start:i])))
        return Map(pairs), i
    if major == 6:
        if n != 18:
            raise CborError("tag")
        v, i = _item(b, i, depth + 1)
        return Tag18(v), i
    try:
        return {0xF4: False, 0xF5: True, 0xF6: None}[b[start]], i
    except KeyError:
        raise CborError("simple value or float") from None


def decode(b):
    v, i = _item(b, 0, 1)
    if i != len(b):
        raise CborError("bytes after the item")
    return v


def decode_loose_map(b):
    """A map of definite or indefinite length with its text keys in any order (5.3); all inside it is strict."""
    if not b or b[0] >> 5 != 5:
        raise CborError("not a map")
    if b[0] == 0xBF:
        left, i = None, 1
    else:
        _, left, i = _head(b, 0)
    out = {}
    while True:
        if left is None:
            if i >= len(b):
                raise CborError("cut off")
            if b[i] == 0xFF:
                i += 1
                break
        elif left == 0:
            break
        else:
            left -= 1
        k, i = _item(b, i, 2)
        if type(k) is not str or k in out:
            raise CborError("key not text, or repeated")
        out[k], i = _item(b, i, 2)
    if i != len(b):
        raise CborError("bytes after the item")
    return out


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 1 << (8 * size):
            return bytes([major << 5 | info]) + n.to_bytes(size, "big")
    raise CborError("number too large")


def encode(v):
    if v is None:
        return b"\xf6"
    if v is True:
        return b"\xf5"
    if v is False:
        return b"\xf4"
    if isinstance(v, int):
        return head(0, v) if v >= 0 else head(1, -1 - v)
    if isinstance(v, (bytes, bytearray, memoryview)):
        return head(2, len(v)) + bytes(v)
    if isinstance(v, str):
        raw = v.encode("utf-8")
        return head(3, len(raw)) + raw
    if isinstance(v, (list, tuple)):
        return head(4, len(v)) + b"".join(map(encode, v))
    if isinstance(v, dict):
        pairs = sorted((encode(k), encode(x)) for k, x in v.items())
        return head(5, len(pairs)) + b"".join(k + x for k, x in pairs)
    if isinstance(v, Tag18):
        return b"\xd2" + encode(v.value)
    raise CborError("cannot encode %r" % type(v))
