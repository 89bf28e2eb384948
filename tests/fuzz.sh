#!/usr/bin/env bash
# Random and mutated input into every parser, again and again with fresh seeds, for so many seconds: fuzz.sh [SECONDS]
#
# A failure prints the smallest input that shows it.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=${1:-60}
# The modules of tests that draw their input at random.
modules=(property:: hostile:: damage:: both_encodings one_body_or_many)

cargo test --quiet --locked --release --workspace --tests --no-run
log=$(mktemp)
trap 'rm -f "$log"' EXIT
begun=$SECONDS
rounds=0
while [ "$rounds" -eq 0 ] || [ $((SECONDS - begun)) -lt "$limit" ]; do
    if ! cargo test --quiet --locked --release --workspace --tests -- "${modules[@]}" >"$log" 2>&1; then
        cat "$log"
        exit 1
    fi
    rounds=$((rounds + 1))
done
awk -v rounds="$rounds" '/^test result:/ { tests += $4 }
    END { print "suite: random input, " tests " tests, " rounds " rounds"; print tests * rounds " passed, 0 failed" }' "$log"
