"""python -m second_verifier DIR --policy FILE [--receipt FILE]... [--body-keys FILE] [--json]
   python -m second_verifier --batch LIST"""
import argparse
import json
import sys

from .verify import verify

EXIT = {"verified": 0, "rejected": 1, "not-appraised": 2, "unchecked": 2}


def summary(v):
    classes = {s: sorted({f["class"] for f in v["findings"] if f["severity"] == s}) for s in ("error", "warning")}
    return {"outcome": v["outcome"], "reason": v["reason"], "classes": classes["error"], "warnings": classes["warning"]}


def batch(path):
    with open(path, encoding="utf-8") as f:
        for row in filter(str.strip, f):
            case = json.loads(row)
            v = verify(case["dir"], case.get("policy"), case.get("receipts") or (), case.get("body_keys"))
            if "detail" in v:
                print("%s: %s" % (case["dir"], v["detail"]), file=sys.stderr)
            print(json.dumps(summary(v)), flush=True)
    return 0


def main(argv=None):
    p = argparse.ArgumentParser(prog="second_verifier", description="A second verifier of the Sealtrail format.")
    p.add_argument("dir", nargs="?")
    p.add_argument("--policy")
    p.add_argument("--receipt", action="append", default=[])
    p.add_argument("--body-keys")
    p.add_argument("--json", action="store_true", help="the verdict on one line")
    p.add_argument("--batch", metavar="LIST", help="JSON lines of {dir, policy, receipts, body_keys}")
    a = p.parse_args(argv)
    if a.batch:
        return batch(a.batch)
    if a.dir is None:
        p.error("DIR or --batch is needed")
    v = verify(a.dir, a.policy, a.receipt, a.body_keys)
    detail = v.pop("detail", None)
    if detail:
        print(detail, file=sys.stderr)
    print(json.dumps(v, indent=None if a.json else 2, ensure_ascii=False))
    return EXIT[v["outcome"]]


if __name__ == "__main__":
    sys.exit(main())
