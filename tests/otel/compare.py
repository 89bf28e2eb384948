"""Compares exported records with the events that were sent, field by field:
compare.py COUNT [--without-nulls] < export.jsonl. Some SDKs have no null: members that are null were not sent then.

Nothing here is shared with the mapping under test: the expectation is built from the events, the exported lines are read
by the wrappers of docs/spec/01-lines.md. Integers and doubles are told apart, 64-bit integers compared exactly.
"""

import base64
import json
import sys

from events import events

BEGINNING_NS = 1_767_225_600_000_000_000
SEVERITIES = [("INFO", 9), ("WARN", 13), ("ERROR", 17)]


def value(line):
    """A value of a line as Python has it."""
    if isinstance(line, list):
        return [value(item) for item in line]
    if not isinstance(line, dict):
        return line
    if len(line) == 1:
        (name, inner), = line.items()
        if name == "$i":
            return int(inner)
        if name == "$d":
            return float(inner.replace("Infinity", "inf"))
        if name == "$b":
            return base64.b64decode(inner)
        if name == "$kv":
            return [(key, value(item)) for key, item in inner]
    return {key[1:] if key.startswith("$$") else key: value(item) for key, item in line.items()}


def same(found, expected):
    """Equal in type and value, all the way down."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and found.keys() == expected.keys() and all(
            same(found[key], expected[key]) for key in expected
        )
    if isinstance(expected, (list, tuple)):
        return isinstance(found, list) and len(found) == len(expected) and all(map(same, found, expected))
    return type(found) is type(expected) and found == expected


def without_nulls(event):
    """The event without members and elements that are null, at any depth."""
    if isinstance(event, dict):
        return {key: without_nulls(item) for key, item in event.items() if item is not None}
    if isinstance(event, list):
        return [without_nulls(item) for item in event if item is not None]
    return event


def expected(number, source, event):
    text, severity = SEVERITIES[number % 3]
    return {
        "attributes": {"audit.number": number, "audit.source": source, "audit.ratio": number / 8},
        "body": event,
        "eventName": f"{source}.event",
        "observedTimeUnixNano": str(BEGINNING_NS + number + 7),
        "severityNumber": severity,
        "severityText": text,
        "timeUnixNano": str(BEGINNING_NS + number),
    }


def main():
    count = int(sys.argv[1])
    nulls = "--without-nulls" not in sys.argv
    found = {}
    twice = 0
    for line in sys.stdin:
        item = json.loads(line)
        record = {key: value(member) for key, member in item["record"].items()}
        service = item["resource"]["attributes"]["service.name"]
        assert (service, item["scope"]["name"]) == ("payments", "sealtrail.tests"), item
        del record["resource"], record["scope"]
        number = record["attributes"]["audit.number"]
        twice += number in found
        found[number] = record
    wrong = big = 0
    for number, (source, event) in enumerate(events(count)):
        if not nulls:
            event = without_nulls(event)
        wanted = expected(number, source, event)
        if not same(found.pop(number, None), wanted):
            wrong += 1
            if wrong <= 3:
                print(f"record {number} differs; expected {json.dumps(wanted)[:2000]}")
        big += any(isinstance(item, int) and abs(item) >= 2**53 for item in event.values())
    print(f"suite: records equal field by field, {count - wrong} of {count} cases, {big} with integers beyond 2^53")
    if wrong or twice or found:
        sys.exit(f"{wrong} differ, {twice} came twice, {len(found)} were never sent")


if __name__ == "__main__":
    main()
