"""Log files (04-log.md): checkpoints, segments, tiles, receipts, artefacts."""
import os
import re

from . import cbor, statements
from .keys import ed25519_key
from .merkle import verify_inclusion
from .notation import MAX_SAFE, H, array, b64, integer, is_name, items, one, raw
from .policy import note_key_id

MAX_NOTE = 64 << 10
MAX_SIGNATURES = 100
_SIGNATURE = re.compile("\u2014 ([^+\\s]+) ([A-Za-z0-9+/=]+)")


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


def read_given(path):
    """The bytes of a file that somebody named."""
    data = read_file(path)
    if data is None:
        raise Unreadable("%s is not there" % path)
    return data


class NoteError(ValueError):
    pass


class Note:
    """A signed note (C2SP signed-note): text and signature lines [(name, key id, signature)]."""

    def __init__(self, data):
        try:
            s = data.decode("utf-8")
        except UnicodeDecodeError:
            raise NoteError("not UTF-8") from None
        if len(data) > MAX_NOTE or any(c < " " and c != "\n" for c in s):
            raise NoteError("too large, or control characters")
        text, blank, block = s.rpartition("\n\n")
        rows = block.split("\n")
        if not blank or rows.pop() or len(rows) > MAX_SIGNATURES:
            raise NoteError("no signature block, or too many lines")
        self.text, self.signatures = text + "\n", []
        for m in map(_SIGNATURE.fullmatch, rows or [""]):
            sig = b64(m[2]) if m else None
            if sig is None or len(sig) < 5:
                raise NoteError("signature line")
            self.signatures.append((m[1], sig[:4], sig[4:]))

    def signed_by(self, name, public):
        """Whether the first signature under this name and key id is good."""
        mine = name, note_key_id(name, public)
        first = next((sig for *whose, sig in self.signatures if tuple(whose) == mine), b"")
        return ed25519_key(public).verify(first, self.text.encode())


class Checkpoint:
    """A note whose text is a checkpoint (4.3), or NoteError."""

    def __init__(self, data):
        self.note = Note(data)
        rows = self.note.text.split("\n")
        if len(rows) != 4 or rows[3] or not rows[0]:
            raise NoteError("not three lines")
        if not re.fullmatch("0|[1-9][0-9]{0,18}", rows[1]) or int(rows[1]) >= 1 << 63:
            raise NoteError("size")
        self.origin, self.size, self.root = rows[0], int(rows[1]), b64(rows[2])
        if self.root is None or len(self.root) != 32:
            raise NoteError("root")


def origin(ledger, trail):
    return "%s/%s" % (ledger, trail.hex())


def good_checkpoint(data, policy, trail):
    """A Checkpoint of this trail of the policy's ledger with a good signature, else None."""
    try:
        cp = Checkpoint(data)
    except NoteError:
        return None
    name = origin(policy.name, trail)
    return cp if cp.origin == name and cp.note.signed_by(name, policy.public) else None


MAGIC = b"sealtrail/segment/v1\n"
HEADER, BODY, ENTRY, INDEX = 1, 2, 3, 4
_BOUND = {HEADER: 1 << 10, BODY: statements.MAX_STORED, ENTRY: statements.MAX_ENTRY, INDEX: 1 << 32}
_header = items(one, raw(16), integer(), integer(), is_name)


class SegmentError(ValueError):
    pass


def _framed(data):
    """(kind, payload) of each item of a segment that is there in full."""
    pos = len(MAGIC)
    if data[:pos] != MAGIC:
        raise SegmentError("magic")
    while len(data) - pos >= 9 and (n := int.from_bytes(data[pos:pos + 4], "big")):
        kind = data[pos + 4]
        if n > _BOUND.get(kind, 0):
            raise SegmentError("kind or bound of the item at %d" % pos)
        pos += 9 + n
        if pos > len(data):
            break
        yield kind, data[pos - n:pos]


def _segment(data, trail, number, out):
    """Appends (stored body or None, entry) to out. Whether the segment is finished, or SegmentError."""
    first, header, body = len(out), False, None
    for kind, payload in _framed(data):
        if header == (kind == HEADER) or body is not None and kind != ENTRY:
            raise SegmentError("order of items")
        if kind == HEADER:
            header = True
            try:
                v = cbor.decode(payload)
            except cbor.CborError:
                v = None
            if not _header(v) or v[1:4] != [trail, number, first]:
                raise SegmentError("header")
        elif kind == BODY:
            body = payload
        elif kind == ENTRY:
            out.append((body, payload))
            body = None
        elif len(out) == first:
            raise SegmentError("an index before an entry")
        else:
            return True
    if not header:
        raise SegmentError("no header")
    return False


def read_segments(directory, trail, size):
    """([(stored body or None, entry)], None or what is malformed before entry number size is due)."""
    out, number, finished = [], 0, True
    try:
        while (data := read_file(os.path.join(directory, "segments", "%010d.seg" % number))) is not None:
            if not finished:
                raise SegmentError("the one before it is unfinished")
            finished = _segment(data, trail, number, out)
            number += 1
    except SegmentError as e:
        return out, "segment %d: %s" % (number, e) if len(out) < size else None
    return out, None


def tile_number(n):
    groups = ["%03d" % (n % 1000)]
    while n >= 1000:
        n //= 1000
        groups.insert(0, "x%03d" % (n % 1000))
    return "/".join(groups)


def bad_tiles(directory, tree, entries, size):
    """Names of the full tiles and bundles of a tree of this size that exist and differ."""
    rows = [("entries", [len(e).to_bytes(2, "big") + e for e in entries])]
    rows += [("%d" % (level // 8), tree.levels[level]) for level in range(0, len(tree.levels), 8)]
    for kind, parts in rows:
        for n in range(len(parts) // 256):
            name = "tile/%s/%s" % (kind, tile_number(n))
            data = read_file(os.path.join(directory, name))
            if data is not None and data != b"".join(parts[256 * n:256 * (n + 1)]):
                yield name


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


_hashes = array(raw(32), high=65)
_file = items(one, raw(), raw())
_receipt = items(one, lambda v: type(v) is cbor.Map, array(lambda v: type(v) is list, 1, 2))
_index, _note = integer(MAX_SAFE), (lambda v: type(v) is bytes and len(v) <= MAX_NOTE)
_links = items(_index, _hashes, _note), items(
    lambda v: type(v) is bytes and len(v) <= statements.MAX_ENTRY, _index, _hashes, _note)


class Receipt:
    """A receipt file (4.5), or ReceiptError."""

    def __init__(self, data, policy):
        self.policy = policy
        try:
            v = cbor.decode(data)
            r = cbor.decode(v[2]) if _file(v) else None
            if not _receipt(r) or len(v[1]) > statements.MAX_STATEMENT \
                    or not all(form(link) for form, link in zip(_links, r[2])):
                raise ReceiptError("not a receipt file")
            self.entry = cbor.encode([1, v[1], statements.ledger_part(r[1])])
            claims = statements.Statement(v[1]).claims
        except (cbor.CborError, statements.Refused) as e:
            raise ReceiptError(str(e)) from None
        if 22 in claims and claims[3] != policy.control:
            raise ReceiptError("claim 22")
        self.ledger, self.trail, self.links = claims[2], claims[3], r[2]

    def _link(self, trail, entry, index, proof, note):
        cp = good_checkpoint(note, self.policy, trail)
        if cp is None or not verify_inclusion(index, cp.size, H(b"\0" + entry), proof, cp.root):
            raise ReceiptError("checkpoint or inclusion proof")
        return cp

    def checkpoints(self):
        """(trail, its checkpoint) of each link when all holds together, else ReceiptError."""
        if self.ledger != self.policy.name:
            raise ReceiptError("a statement of another ledger")
        cp = self._link(self.trail, self.entry, *self.links[0])
        out = [(self.trail, cp)]
        for entry, *rest in self.links[1:]:
            out.append((self.policy.control, self._link(self.policy.control, entry, *rest)))
            try:
                c = statements.Statement(statements.parse_entry(entry)[0]).claims
            except statements.Refused as e:
                raise ReceiptError("second link: " + e.detail) from None
            if (c[2], c[3]) != (self.policy.name, self.policy.control) \
                    or [self.trail, cp.size, cp.root] not in c.get(22, []):
                raise ReceiptError("the control entry does not publish that checkpoint")
        return out
