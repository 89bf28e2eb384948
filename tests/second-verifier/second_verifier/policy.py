"""Trust policies (6.1) and reference values (5.5)."""
import base64
import re
import tomllib

from .keys import H, on_ed25519
from .statements import is_ledger_name

WARNINGS = ["late", "superseded", "predecessor-none", "records-dropped", "clock-skew", "silence", "dirty-end",
            "unwitnessed"]

_hex = {n: re.compile("[0-9a-f]{%d}" % n) for n in (8, 32, 64, 96)}


class PolicyError(ValueError):
    pass


def is_hex(v, digits):
    return type(v) is str and _hex[digits].fullmatch(v) is not None


class Reference:
    """One reference value."""

    def __init__(self, v):
        if type(v) is not dict:
            raise PolicyError("reference value")
        kind = v.get("kind")
        allowed = {"software": {"kind", "root", "measurements", "streams"},
                   "nitro-sim": {"kind", "root", "pcrs", "debug", "streams"}}
        if type(kind) is not str or kind not in allowed or not set(v) <= allowed[kind]:
            raise PolicyError("kind or keys of a reference value")
        if not is_hex(v.get("root"), 64):
            raise PolicyError("root of a reference value")
        self.kind, self.root = kind, bytes.fromhex(v["root"])
        self.debug, self.pcrs, self.measurements = False, {}, set()
        if kind == "software":
            ms = v.get("measurements")
            if type(ms) is not list or not all(is_hex(m, 64) for m in ms):
                raise PolicyError("measurements")
            self.measurements = {bytes.fromhex(m) for m in ms}
        else:
            pcrs, self.debug = v.get("pcrs"), v.get("debug", False)
            if type(self.debug) is not bool or type(pcrs) is not dict:
                raise PolicyError("debug or pcrs")
            for k, x in pcrs.items():
                if not re.fullmatch(r"[0-9]|[12][0-9]|3[01]", k) or not is_hex(x, 96):
                    raise PolicyError("pcrs")
                self.pcrs[int(k)] = bytes.fromhex(x)
            if not {0, 1, 2} <= set(self.pcrs):
                raise PolicyError("pcrs 0, 1 and 2")
        streams = v.get("streams")
        self.streams = None
        if streams is not None:
            if type(streams) is not list or not all(type(s) is str and s for s in streams):
                raise PolicyError("streams")
            self.streams = [re.compile(".*".join(map(re.escape, s.split("*"))), re.S) for s in streams]
        elif "streams" in v:
            raise PolicyError("streams")

    def applies(self, kind, stream):
        return self.kind == kind and (self.streams is None or any(p.fullmatch(stream) for p in self.streams))


def parse_vkey(text):
    """(name, public key) of a vkey (4.3), or PolicyError."""
    m = re.fullmatch(r"([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)", text) if type(text) is str else None
    if not m:
        raise PolicyError("vkey")
    try:
        raw = base64.b64decode(m[3], validate=True)
    except ValueError:
        raise PolicyError("vkey") from None
    if base64.b64encode(raw).decode() != m[3] or len(raw) != 33 or raw[0] != 1 or not on_ed25519(raw[1:]):
        raise PolicyError("vkey key")
    if note_key_id(m[1], raw[1:]).hex() != m[2]:
        raise PolicyError("vkey key id")
    return m[1], raw[1:]


def note_key_id(name, public):
    return H(name.encode() + b"\n\x01" + public)[:4]


class Policy:
    """What a trust policy says, or PolicyError."""

    def __init__(self, name, control, vkey):
        if not is_ledger_name(name) or not is_hex(control, 32):
            raise PolicyError("ledger name or control id")
        key_name, self.public = parse_vkey(vkey)
        if key_name != "%s/%s" % (name, control):
            raise PolicyError("the vkey is not of this name and control trail")
        self.name, self.control = name, bytes.fromhex(control)
        self.genesis, self.refuse, self.accept, self.appraises = None, set(), [], False

    @classmethod
    def from_toml(cls, raw):
        try:
            v = tomllib.loads(raw.decode("utf-8"))
        except (ValueError, RecursionError) as e:
            raise PolicyError("TOML: %s" % e) from None
        if not set(v) <= {"version", "ledger", "refuse", "accept"} or type(v.get("version")) is not int \
                or v["version"] != 1:
            raise PolicyError("version or unknown key")
        led, refuse, accept = v.get("ledger"), v.get("refuse", {}), v.get("accept", [])
        if type(led) is not dict or set(led) != {"name", "control", "key", "genesis"}:
            raise PolicyError("[ledger]")
        out = cls(led["name"], led["control"], led["key"])
        if not is_hex(led["genesis"], 64):
            raise PolicyError("genesis")
        out.genesis = bytes.fromhex(led["genesis"])
        if type(refuse) is not dict or not set(refuse) <= {"classes"} or type(refuse.get("classes", [])) is not list:
            raise PolicyError("[refuse]")
        for c in refuse.get("classes", []):
            if c not in WARNINGS:
                raise PolicyError("refuse.classes")
            out.refuse.add(c)
        if type(accept) is not list:
            raise PolicyError("accept")
        out.accept = [Reference(a) for a in accept]
        out.appraises = True
        return out
