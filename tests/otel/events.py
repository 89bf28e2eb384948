"""Audit events to send: real ones where the shared data is there, else ones written for the purpose.

`events.py COUNT` prints them, each a line of JSON: the source and the event.
"""

import io
import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("SEALTRAIL_SHARED", ROOT.parent / "shared"))

REAL = [
    ("cloudtrail", "data/cloudtrail-sans504/events.jsonl.zst"),
    ("windows", "data/windows-security-audit/events.jsonl.zst"),
]


def real(count):
    """Up to `count` real events as (source, object), the sources taking turns; empty where the data is missing."""
    import zstandard

    files = []
    for source, path in REAL:
        if not (SHARED / path).exists():
            return
        raw = zstandard.ZstdDecompressor().stream_reader(open(SHARED / path, "rb"))
        files.append((source, io.TextIOWrapper(raw, encoding="utf-8")))
    sent = 0
    while files and sent < count:
        for source, lines in list(files):
            line = next(lines, None)
            if line is None:
                files.remove((source, lines))
            elif sent < count:
                sent += 1
                yield source, json.loads(line)


def written(count):
    """Events of an imagined payment service, written here."""
    people = ["alice", "bob", "carol", "dave"]
    actions = [("account.read", "success"), ("payment.create", "success"), ("payment.approve", "denied")]
    for n in range(count):
        action, outcome = actions[n % 3]
        yield (
            "payments",
            {
                "action": action,
                "outcome": outcome,
                "user": {"name": people[n % 4], "email": f"{people[n % 4]}@example.org"},
                "account": 9_007_199_254_740_993 + n,
                "amount": (n % 1000) / 4,
                "session": None,
                "tags": ["audit", n % 2 == 0],
            },
        )


def events(count):
    """`count` events, real ones first choice."""
    found = 0
    for event in real(count):
        found += 1
        yield event
    yield from written(count - found)


def main():
    for source, event in events(int(sys.argv[1])):
        print(json.dumps([source, event]))


if __name__ == "__main__":
    main()
