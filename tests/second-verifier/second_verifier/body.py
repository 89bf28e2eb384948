"""Bodies (02-body.md): stored form, salts, record root, lines."""
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import cbor, lines
from .merkle import root_of
from .notation import H
from .statements import EMPTY

MAX_PLAIN = MAX_WINDOW = 8 << 20
MAX_STUBS = 128


def padme(n):
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
    try:
        plain = AESGCM(key).decrypt(claims[15][2], stored, cbor.encode([claims[2], claims[3], claims[6], claims[7]]))
    except InvalidTag:
        raise ValueError("does not decrypt") from None
    n = 4 + int.from_bytes(plain[:4], "big")
    if len(plain) < n or len(plain) != padme(n) or any(plain[n:]):
        raise ValueError("padding")
    return plain[4:n]


def decompress(frame):
    """The plain body in exactly one frame within bounds (2.3), or ValueError."""
    try:
        p = zstandard.get_frame_parameters(frame)
        if frame[:4] != b"\x28\xb5\x2f\xfd" or frame[4] & 3:
            raise ValueError("not a zstd frame, or a dictionary id field")
        if not 0 < p.content_size <= MAX_PLAIN or p.window_size > MAX_WINDOW:
            raise ValueError("content size or window")
        plain = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompress(
            frame, max_output_size=p.content_size, allow_extra_data=False)
    except zstandard.ZstdError as e:
        raise ValueError(str(e)) from None
    if len(plain) != p.content_size:
        raise ValueError("content size")
    return plain


class Body:
    """What 6.7, 1 to 7, gives for a batch and the body item before it (or None).

    finding: (class, detail) or None. read: there was no finding, and the lines were read or there are none.
    """

    def __init__(self, claims, stored, keys):
        self.stubs = self.redacted = self.line_bytes = 0
        self.named = []  # records with an eventName
        self.finding = self.check(claims, stored, keys)
        self.read = self.finding is None and (claims[15] is None or claims[15][1] in keys)

    def check(self, claims, stored, keys):
        if stored is None and claims[13]:
            return "body-missing", "no body item"
        if stored is not None and not claims[13]:
            return "segment-malformed", "a body item before a batch without body"
        if stored is not None and (len(stored) != claims[13] or H(stored) != claims[12]):
            return "stored-hash-mismatch", "length or hash of the body item"
        absent = {claims[k] == 0 for k in (11, 13, 14)}
        if len(absent) == 2 or stored is None and [claims[k] for k in (9, 10, 12, 15)] != [EMPTY, 0, EMPTY, None]:
            return "stored-hash-mismatch", "claims 9 to 15"
        if stored is None:
            return None
        try:
            if claims[15] is not None:
                key = keys.get(claims[15][1])
                if key is None:
                    return None
                stored = decrypt(claims, stored, key)
            plain = decompress(stored)
        except ValueError as e:
            return "body-malformed", str(e)
        if not plain.endswith(b"\n"):
            return "body-malformed", "no newline at the end"
        return self.check_lines(claims, plain[:-1].split(b"\n"))

    def check_lines(self, claims, rows):
        if len(rows) != 1 + claims[10] + claims[11]:
            return "count-mismatch", "%d lines" % len(rows)
        i = 0
        try:
            seed = lines.header_line(rows[0], sum(map(len, rows[1:])) + len(rows) - 1)
            if record_root(seed, rows) != claims[9]:
                return "record-root-mismatch", "record root"
            contexts = ["header"]
            for i, row in enumerate(rows[1:], 1):
                self.line_bytes += len(row)
                if i <= claims[10]:
                    contexts.append(lines.context_line(row))
                    continue
                v = lines.record_line(row, contexts)
                self.stubs += "stub" in v
                self.redacted += "redacted" in v
                if "eventName" in v:
                    self.named.append(v)
            if self.stubs > MAX_STUBS:
                raise lines.LineError("%d stubs" % self.stubs)
        except lines.LineError as e:
            return "line-form", "line %d: %s" % (i, e)
        return None
