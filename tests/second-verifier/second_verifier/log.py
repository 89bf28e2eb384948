"""Log files (04-log.md): checkpoints, segments, tiles, receipts, artefacts."""
import base64
import os
import re

from . import cbor, statements
from .keys import ED25519, H, PublicKey
from .merkle import verify_inclusion
from .policy import note_key_id

MAX_NOTE = 64 << 10
_SPKI = bytes.fromhex("302a300506032b6570032100")
_SIGNATURE = re.compile("\u2014 ([^ +\\s]+) ([A-Za-z0-9+/=]+)")


class Unreadable(Exception):
    pass


def read_file(path):
    """The bytes, None where there is no such file, Unreadable where there is one that cannot be read."""
    try:
        with open(path, "rb") as f:
            return f.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as e:
        raise Unreadable("%s: %s" % (path, e.strerror)) from None


def strict_b64(text):
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return raw if base64.b64encode(raw).decode() == text else None


class NoteError(ValueError):
    pass


class Note:
    """A signed note (C2SP signed-note): text and signature lines [(name, key id, signature)]."""

    def __init__(self, raw):
        try:
            s = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise NoteError("not UTF-8") from None
        if len(raw) > MAX_NOTE or any(c < " " and c != "\n" or c == "\x7f" for c in s):
            raise NoteError("too large, or control characters")
        at = s.rfind("\n\n")
        if at < 0 or not s.endswith("\n"):
            raise NoteError("no signature block")
        self.text, block = s[:at + 1], s[at + 2:]
        self.signatures = []
        for line in block[:-1].split("\n"):
            m = _SIGNATURE.fullmatch(line)
            sig = strict_b64(m[2]) if m else None
            if sig is None or len(sig) < 5:
                raise NoteError("signature line")
            self.signatures.append((m[1], sig[:4], sig[4:]))

    def signed_by(self, name, public):
        """Whether all signatures under this name and key, and at least one, are good."""
        kid = note_key_id(name, public)
        mine = [sig for n, k, sig in self.signatures if n == name and k == kid]
        try:
            key = PublicKey(_SPKI + public)
        except ValueError:
            return False
        return bool(mine) and all(key.verify(sig, self.text.encode()) for sig in mine)


class Checkpoint:
    """A note whose text is a checkpoint (4.3), or NoteError."""

    def __init__(self, raw):
        self.note = Note(raw)
        rows = self.note.text.split("\n")
        if len(rows) != 4 or rows[3] or not rows[0]:
            raise NoteError("not three lines")
        if not re.fullmatch("0|[1-9][0-9]{0,18}", rows[1]) or int(rows[1]) >= 1 << 63:
            raise NoteError("size")
        self.origin, self.size, self.root = rows[0], int(rows[1]), strict_b64(rows[2])
        if self.root is None or len(self.root) != 32:
            raise NoteError("root")


def origin(ledger, trail):
    return "%s/%s" % (ledger, trail.hex())


def good_checkpoint(raw, ledger, trail, public):
    """A Checkpoint of this trail with a good signature, else None."""
    try:
        cp = Checkpoint(raw)
    except NoteError:
        return None
    name = origin(ledger, trail)
    return cp if cp.origin == name and cp.note.signed_by(name, public) else None


MAGIC = b"sealtrail/segment/v1\n"
HEADER, BODY, ENTRY, INDEX = 1, 2, 3, 4
_BOUND = {HEADER: 1 << 10, BODY: statements.MAX_STORED, ENTRY: statements.MAX_ENTRY, INDEX: 1 << 62}


def _segment(data, trail, number, first, out):
    """Appends (body or None, entry) to out; returns (finished, what is malformed or None)."""
    if data[:len(MAGIC)] != MAGIC:
        return False, "magic"
    pos, body, header = len(MAGIC), None, False
    while len(data) - pos >= 9:
        n, kind = int.from_bytes(data[pos:pos + 4], "big"), data[pos + 4]
        if n == 0:
            break
        if kind not in _BOUND or n > _BOUND[kind]:
            return False, "kind or bound of the item at %d" % pos
        if pos + 9 + n > len(data):
            break
        payload = data[pos + 9:pos + 9 + n]
        if (kind == HEADER) == header:
            return False, "order of items at %d" % pos
        if kind == HEADER:
            header = True
            try:
                v = cbor.decode(payload)
            except cbor.CborError:
                return False, "header"
            if type(v) is not list or len(v) != 5 or any(type(v[i]) is not int for i in (0, 2, 3)) \
                    or v[:4] != [1, trail, number, first] or not statements.is_name(v[4]):
                return False, "header"
        elif kind == ENTRY:
            out.append((body, payload))
            body = None
        elif body is not None:
            return False, "body without entry before %d" % pos
        elif kind == BODY:
            body = payload
        else:
            return True, None
        pos += 9 + n
    return False, None if header else "no header"


def read_segments(directory, trail):
    """([(body or None, entry)], None or what is malformed)."""
    out, number = [], 0
    path = os.path.join(directory, "segments", "%010d.seg")
    data = read_file(path % 0)
    while data is not None:
        finished, bad = _segment(data, trail, number, len(out), out)
        if bad:
            return out, "segment %d: %s" % (number, bad)
        number += 1
        data = read_file(path % number)
        if data is not None and not finished:
            return out, "segment %d is unfinished and not the last" % (number - 1)
    return out, None


def tile_number(n):
    groups = ["%03d" % (n % 1000)]
    while n >= 1000:
        n //= 1000
        groups.insert(0, "x%03d" % (n % 1000))
    return "/".join(groups)


def bad_tiles(directory, tree, entries, size):
    """Names of the full tiles and bundles that exist and differ."""
    for n in range(size // 256):
        name = "tile/entries/" + tile_number(n)
        data = read_file(os.path.join(directory, name))
        if data is not None and data != b"".join(
                len(e).to_bytes(2, "big") + e for e in entries[256 * n:256 * (n + 1)]):
            yield name
    level = 0
    while size >> (8 * (level + 1)):
        hashes = tree.levels[8 * level]
        for n in range(size >> (8 * (level + 1))):
            name = "tile/%d/%s" % (level, tile_number(n))
            data = read_file(os.path.join(directory, name))
            if data is not None and data != b"".join(hashes[256 * n:256 * (n + 1)]):
                yield name
        level += 1


class Artefacts:
    def __init__(self, directory):
        self.directory, self.cache = directory, {}

    def get(self, digest):
        """The bytes kept under this hash, None where there are none that have it."""
        if digest not in self.cache:
            name = digest.hex()
            data = read_file(os.path.join(self.directory, "artefacts", name[:2], name))
            self.cache[digest] = data if data is not None and H(data) == digest else None
        return self.cache[digest]


class ReceiptError(ValueError):
    pass


def _hashes(v):
    return type(v) is list and all(type(h) is bytes and len(h) == 32 for h in v)


class Receipt:
    """A receipt file (4.5), or ReceiptError."""

    def __init__(self, raw, control):
        try:
            v = cbor.decode(raw)
            if type(v) is not list or len(v) != 3 or type(v[0]) is not int or v[0] != 1 \
                    or type(v[1]) is not bytes or type(v[2]) is not bytes:
                raise ReceiptError("not a receipt file")
            r = cbor.decode(v[2])
        except cbor.CborError as e:
            raise ReceiptError("CBOR: %s" % e) from None
        if type(r) is not list or len(r) != 3 or type(r[0]) is not int or r[0] != 1 \
                or statements.ledger_part(r[1]) is None or type(r[2]) is not list or not 1 <= len(r[2]) <= 2:
            raise ReceiptError("not a receipt")
        try:
            self.statement = statements.parse(v[1], control)
        except statements.Refused as e:
            raise ReceiptError(e.detail) from None
        index = statements.uint((1 << 63) - 1)
        first = r[2][0]
        if type(first) is not list or len(first) != 3 or not index(first[0]) or not _hashes(first[1]) \
                or type(first[2]) is not bytes:
            raise ReceiptError("first link")
        self.first, self.second = first, None
        if len(r[2]) == 2:
            second = r[2][1]
            if type(second) is not list or len(second) != 4 or type(second[0]) is not bytes or not index(second[1]) \
                    or not _hashes(second[2]) or type(second[3]) is not bytes:
                raise ReceiptError("second link")
            self.second = second
        self.entry = cbor.encode([1, v[1], r[1].keyed(int)])
        self.trail = self.statement.claims[3]

    def checkpoint(self, ledger, control, public):
        """The first link's checkpoint when both links hold, else ReceiptError."""
        i, proof, raw = self.first
        cp = good_checkpoint(raw, ledger, self.trail, public)
        if cp is None or not verify_inclusion(i, cp.size, H(b"\0" + self.entry), proof, cp.root):
            raise ReceiptError("first link")
        if self.second:
            entry, i, proof, raw = self.second
            ccp = good_checkpoint(raw, ledger, control, public)
            if ccp is None or not verify_inclusion(i, ccp.size, H(b"\0" + entry), proof, ccp.root):
                raise ReceiptError("second link")
            try:
                st = statements.parse(statements.parse_entry(entry)[0], control)
            except statements.Refused as e:
                raise ReceiptError("second link: " + e.detail) from None
            if st.kind != "batch" or [self.trail, cp.size, cp.root] not in st.claims.get(22, []):
                raise ReceiptError("the control entry does not publish that checkpoint")
        return cp
