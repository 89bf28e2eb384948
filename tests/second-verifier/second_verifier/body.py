"""Bodies (02-body.md): stored form, salts, record root, lines."""
import struct

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import cbor, lines
from .keys import H
from .merkle import root_of
from .statements import EMPTY

MAX_PLAIN = 8 << 20
MAX_WINDOW = 8 << 20


class Body:
    """What checking a batch's body gave: finding (class, detail) or None; covered when its lines were read."""

    def __init__(self):
        self.finding = None
        self.covered = False
        self.encrypted = False
        self.stubs = self.redacted = self.line_bytes = 0
        self.control = []


def padme(n):
    if n < 2:
        return n
    e = n.bit_length() - 1
    mask = (1 << (e - e.bit_length())) - 1
    padded = (n + mask) & ~mask
    return n if padded > MAX_PLAIN else padded


def salts(seed, count):
    stream = Cipher(algorithms.AES(seed), modes.CTR(bytes(16))).encryptor().update(bytes(16 * count))
    return [stream[i:i + 16] for i in range(0, 16 * count, 16)]


def record_root(seed, body_lines):
    return root_of([H(b"\0" + s + line) for s, line in zip(salts(seed, len(body_lines)), body_lines)])


def key_id(key):
    return H(b"sealtrail/body-key/v1" + key)


def decrypt(claims, stored, key):
    """The zstd frame in an encrypted stored body, or ValueError."""
    aad = cbor.encode([claims[2], claims[3], claims[6], claims[7]])
    try:
        plain = AESGCM(key).decrypt(claims[15][2], stored, aad)
    except (InvalidTag, ValueError):
        raise ValueError("does not decrypt") from None
    if len(plain) < 4:
        raise ValueError("padding")
    n = struct.unpack(">I", plain[:4])[0]
    if len(plain) < 4 + n or len(plain) != padme(4 + n) or any(plain[4 + n:]):
        raise ValueError("padding")
    return plain[4:4 + n]


def decompress(frame):
    """The plain body in exactly one frame within bounds (2.3), or ValueError."""
    if frame[:4] != b"\x28\xb5\x2f\xfd":
        raise ValueError("not a zstd frame")
    try:
        p = zstandard.get_frame_parameters(frame)
        if p.content_size > MAX_PLAIN or p.window_size > MAX_WINDOW or p.dict_id:
            raise ValueError("frame header out of bounds")
        if p.content_size == 0:
            raise ValueError("empty")
        d = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
        plain = d.decompress(frame, max_output_size=p.content_size, allow_extra_data=False)
    except zstandard.ZstdError as e:
        raise ValueError(str(e)) from None
    if len(plain) != p.content_size:
        raise ValueError("content size")
    return plain


def check(claims, stored, keys, control):
    """6.7, 1 to 8, for a batch and the body item before it (or None). control: collect control records."""
    out = Body()

    def finding(cls, detail):
        out.finding = (cls, detail)
        return out

    empty = claims[10] == claims[11] == claims[14] == 0 and claims[15] is None and claims[9] == claims[12] == EMPTY
    if claims[13] == 0:
        if not empty:
            return finding("stored-hash-mismatch", "claims 9 to 15 of a batch without body")
        out.covered = True
        return out
    if stored is None:
        return finding("body-missing", "no body item")
    if len(stored) != claims[13] or H(stored) != claims[12]:
        return finding("stored-hash-mismatch", "length or hash of the body item")
    if claims[11] == 0:
        return finding("stored-hash-mismatch", "a body without records")
    frame = stored
    if claims[15] is not None:
        out.encrypted = True
        key = keys.get(claims[15][1])
        if key is None:
            return out
    try:
        if claims[15] is not None:
            frame = decrypt(claims, stored, key)
        plain = decompress(frame)
    except ValueError as e:
        return finding("body-malformed", str(e))
    if not plain.endswith(b"\n"):
        return finding("body-malformed", "no newline at the end")
    rows = plain[:-1].split(b"\n")
    if len(rows) != 1 + claims[10] + claims[11]:
        return finding("count-mismatch", "%d lines" % len(rows))
    try:
        seed = lines.header_line(rows[0], len(plain) - len(rows[0]) - 1)
    except (ValueError, RecursionError) as e:
        return finding("line-form", "header line: %s" % e)
    if record_root(seed, rows) != claims[9]:
        return finding("record-root-mismatch", "record root")
    contexts = ["header"]
    i = 0
    try:
        for i in range(1, len(rows)):
            if i <= claims[10]:
                contexts.append(lines.context_line(rows[i]))
                continue
            v = lines.record_line(rows[i], contexts)
            if "stub" in v:
                out.stubs += 1
                if out.stubs > lines.MAX_STUBS:
                    raise lines.LineError("too many stubs")
            elif "redacted" in v:
                out.redacted += 1
            if control and "eventName" in v:
                out.control.append(v)
            out.line_bytes += len(rows[i])
    except (ValueError, RecursionError) as e:
        return finding("line-form", "line %d: %s" % (i, e))
    if claims[14] == 0:
        return finding("stored-hash-mismatch", "codec 0 with a body")
    out.covered = True
    return out
