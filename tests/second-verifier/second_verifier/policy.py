"""Trust policies (6.1), reference values (5.5) and verifier keys (4.3)."""
import base64
import re
import tomllib

from .keys import allowed
from .notation import H, array, b64, is_hex, is_ledger_name

WARNINGS = ["late", "superseded", "predecessor-none", "records-dropped", "clock-skew", "silence", "dirty-end",
            "entries-after-checkpoint", "unwitnessed"]


class PolicyError(ValueError):
    pass


def need(ok, what):
    if not ok:
        raise PolicyError(what)


def is_version_1(v):
    return type(v) is dict and type(v.get("version")) is int and v["version"] == 1


def note_key_id(name, public):
    return H(name.encode() + b"\n\x01" + public)[:4]


def vkey(name, public):
    return "%s+%s+%s" % (name, note_key_id(name, public).hex(), base64.b64encode(b"\1" + public).decode())


class Reference:
    """One reference value, or PolicyError."""

    FORMS = {
        "software": {"kind": bool, "root": lambda v: is_hex(v, 64), "measurements": array(lambda m: is_hex(m, 64))},
        "nitro-sim": {"kind": bool, "root": lambda v: is_hex(v, 64), "pcrs": lambda v: type(v) is dict and all(
            re.fullmatch("[0-9]|[12][0-9]|3[01]", k) and is_hex(x, 96) for k, x in v.items()) and {"0", "1", "2"} <= set(v)},
    }
    OPTIONAL = {"streams": array(lambda s: type(s) is str), "debug": lambda v: type(v) is bool}

    def __init__(self, v):
        self.kind = v.get("kind") if type(v) is dict else None
        need(self.kind in ("software", "nitro-sim"), "kind of a reference value")
        must = self.FORMS[self.kind]
        may = {k: f for k, f in self.OPTIONAL.items() if k == "streams" or self.kind == "nitro-sim"}
        need(set(must) <= set(v) <= set(must) | set(may), "keys of a reference value")
        need(all({**must, **may}[k](x) for k, x in v.items()), "a value in a reference value")
        self.root = bytes.fromhex(v["root"])
        self.measurements = set(map(bytes.fromhex, v.get("measurements", ())))
        self.pcrs = {int(k): bytes.fromhex(x) for k, x in v.get("pcrs", {}).items()}
        self.debug = v.get("debug", False)
        self.streams = [re.compile(".*".join(map(re.escape, s.split("*")))) for s in v.get("streams", ["*"])]

    def applies(self, kind, root, stream):
        return (self.kind, self.root) == (kind, root) and any(p.fullmatch(stream) for p in self.streams)


class Policy:
    """What a trust policy says, or what ledger.json says in its place; or PolicyError."""

    def __init__(self, name, control, key):
        need(is_ledger_name(name) and is_hex(control, 32), "ledger name or control id")
        self.name, self.control, self.vkey = name, bytes.fromhex(control), key
        raw = b64(key.split("+", 2)[-1]) if type(key) is str else None
        need(raw is not None and len(raw) == 33 and raw[0] == 1, "vkey")
        self.public = raw[1:]
        need(allowed(self.public), "the vkey's key")
        need(key == vkey("%s/%s" % (name, control), self.public), "the vkey is not of this name and control trail")
        self.genesis, self.refuse, self.accept, self.appraises = None, [], [], False

    @classmethod
    def from_toml(cls, raw):
        try:
            v = tomllib.loads(raw.decode("utf-8"))
        except (ValueError, RecursionError) as e:
            raise PolicyError("TOML: %s" % e) from None
        need(is_version_1(v) and set(v) <= {"version", "ledger", "refuse", "accept"}, "version or unknown key")
        led, refuse, accept = v.get("ledger"), v.get("refuse", {}), v.get("accept", [])
        need(type(led) is dict and set(led) == {"name", "control", "key", "genesis"}, "[ledger]")
        out = cls(led["name"], led["control"], led["key"])
        need(is_hex(led["genesis"], 64), "genesis")
        need(type(refuse) is dict and set(refuse) <= {"classes"}, "[refuse]")
        out.genesis, out.refuse, out.appraises = bytes.fromhex(led["genesis"]), refuse.get("classes", []), True
        need(array(lambda c: c in WARNINGS)(out.refuse), "refuse.classes")
        need(type(accept) is list, "accept")
        out.accept = [Reference(a) for a in accept]
        return out
