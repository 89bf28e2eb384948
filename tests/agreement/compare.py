"""Compares the verdicts of two verifiers on the same ledgers: compare.py LIST OURS THEIRS.

Agreement means: the same outcome, the same reason, the same set of error classes, the same warnings. A verifier that
refuses everything would not agree on the good ledgers; the counts of each outcome are printed so that one can see.
"""

import collections
import json
import sys


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def main():
    cases, ours, theirs = (lines(path) for path in sys.argv[1:4])
    if not len(cases) == len(ours) == len(theirs):
        sys.exit(f"{len(cases)} cases, {len(ours)} and {len(theirs)} verdicts")
    failed = 0
    outcomes = collections.Counter()
    reasons = collections.Counter()
    for case, our, their in zip(cases, ours, theirs):
        # What could not be checked has no findings to compare.
        keys = ("outcome", "reason") if our["outcome"] == "unchecked" else ("outcome", "reason", "classes", "warnings")
        pair = [{key: verdict[key] for key in keys} for verdict in (our, their)]
        expected = case["expect"]
        met = expected == "any" or expected in (our["outcome"], our["reason"])
        outcomes[(case["group"], their["outcome"])] += 1
        reasons[their["reason"]] += 1
        if pair[0] != pair[1] or not met:
            failed += 1
            print(f"{case['name']}: expected {expected}\n  ours   {pair[0]}\n  theirs {pair[1]}")
    for (group, outcome), count in sorted(outcomes.items()):
        print(f"suite: second verifier on {group} ledgers, {count} cases {outcome}")
    print(f"suite: second verifier, {len(cases)} cases, {len(reasons) - (None in reasons)} reasons")
    print(f"{len(cases) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
