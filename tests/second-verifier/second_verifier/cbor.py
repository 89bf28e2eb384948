"""The deterministic CBOR of the specification (README, Notation) and nothing else."""


class CborError(ValueError):
    pass


class Tag18:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


class Map(list):
    """Pairs (key, value); keys need not be hashable."""

    def keyed(self, kind):
        """The pairs as a dict, when every key is of exactly this type; else None."""
        return dict(self) if all(type(k) is kind for k, _ in self) else None


def fields(v, forms):
    """The dict of a map with exactly these integer keys, each value of its form; else CborError."""
    out = v.keyed(int) if type(v) is Map else None
    if out is None or set(out) != set(forms) or not all(form(out[k]) for k, form in forms.items()):
        raise CborError("not the map that is due")
    return out


MAX_DEPTH = 8


def _head(b, i):
    if i >= len(b):
        raise CborError("cut off")
    major, info = b[i] >> 5, b[i] & 31
    i += 1
    if info < 24:
        return major, info, i
    size = 1 << (info - 24)
    if info > 27 or major == 7:
        raise CborError("indefinite or reserved length, simple value or float")
    if i + size > len(b):
        raise CborError("cut off")
    n = int.from_bytes(b[i:i + size], "big")
    if n < (24 if size == 1 else 1 << (4 * size)):
        raise CborError("head not shortest")
    return major, n, i + size


def _item(b, i, depth):
    if depth > MAX_DEPTH:
        raise CborError("too deep")
    major, n, i = _head(b, i)
    if n > len(b) - i and 2 <= major <= 5:  # nothing takes less than a byte an item
        raise CborError("cut off")
    if major == 0:
        return n, i
    if major == 1:
        return -1 - n, i
    if major == 2:
        return bytes(b[i:i + n]), i + n
    if major == 3:
        try:
            return str(b[i:i + n], "utf-8"), i + n
        except UnicodeDecodeError:
            raise CborError("text is not UTF-8") from None
    if major == 4:
        out = []
        for _ in range(n):
            v, i = _item(b, i, depth + 1)
            out.append(v)
        return out, i
    if major == 5:
        pairs, last = Map(), b""
        for _ in range(n):
            start = i
            k, i = _item(b, i, depth + 1)
            if b[start:i] <= last:
                raise CborError("map keys not in order")
            last = b[start:i]
            v, i = _item(b, i, depth + 1)
            pairs.append((k, v))
        return pairs, i
    if major == 6 and n == 18:
        v, i = _item(b, i, depth + 1)
        return Tag18(v), i
    if major == 7 and 20 <= n <= 22:
        return (False, True, None)[n - 20], i
    raise CborError("tag or simple value")


def decode(b):
    v, i = _item(b, 0, 1)
    if i != len(b):
        raise CborError("bytes after the item")
    return v


def decode_loose_map(b):
    """A map of definite or indefinite length with its text keys in any order (5.3); all inside it is strict."""
    if b[:1] == b"\xbf" and b[-1:] == b"\xff":
        b, i, left = b[:-1], 1, None
    else:
        major, left, i = _head(b, 0)
        if major != 5:
            raise CborError("not a map")
    out = {}
    while i < len(b):
        k, i = _item(b, i, 2)
        if type(k) is not str or k in out:
            raise CborError("key not text, or repeated")
        out[k], i = _item(b, i, 2)
    if left not in (None, len(out)):
        raise CborError("number of pairs")
    return out


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    size = next(s for s in (1, 2, 4, 8) if n < 1 << (8 * s))
    return bytes([major << 5 | 23 + size.bit_length()]) + n.to_bytes(size, "big")


def encode(v):
    if v is None or type(v) is bool:
        return {None: b"\xf6", True: b"\xf5", False: b"\xf4"}[v]
    if type(v) is int:
        return head(0, v) if v >= 0 else head(1, -1 - v)
    if type(v) is bytes:
        return head(2, len(v)) + v
    if type(v) is str:
        return head(3, len(v.encode())) + v.encode()
    if type(v) is list:
        return head(4, len(v)) + b"".join(map(encode, v))
    if type(v) is Tag18:
        return b"\xd2" + encode(v.value)
    pairs = sorted((encode(k), encode(x)) for k, x in (v.items() if type(v) is dict else v))
    return head(5, len(pairs)) + b"".join(k + x for k, x in pairs)
