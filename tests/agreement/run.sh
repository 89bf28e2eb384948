#!/usr/bin/env bash
# Lets the second verifier judge the testkit's ledgers and compares its verdicts with ours: run.sh PYTHON
set -euo pipefail
cd "$(dirname "$0")/../.."
python="${1:-python3}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cargo run --quiet -p sealtrail-testkit --bin cases -- "$work/cases"
(cd tests/second-verifier && "$python" -m second_verifier --batch "$work/cases/list.jsonl") > "$work/theirs.jsonl"
"$python" tests/agreement/compare.py "$work/cases/list.jsonl" "$work/cases/ours.jsonl" "$work/theirs.jsonl"
