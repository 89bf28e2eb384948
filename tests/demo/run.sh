#!/usr/bin/env bash
# The whole story in a minute: an application logs through the OpenTelemetry SDK, an auditor verifies a copy, then somebody
# who holds the ledger's disk and its key cheats in six ways, and the auditor finds each: run.sh PYTHON [COUNT]
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${1:-python3}
count=${2:-2000}
if [ -z "${SEALTRAIL_SHARED:-}" ] && [ -d ../shared ]; then
    SEALTRAIL_SHARED=$(cd ../shared && pwd)
    export SEALTRAIL_SHARED
fi
work=$(mktemp -d)
clean_up() {
    jobs -p | xargs -r kill 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

say "building"
cargo build --quiet --locked --release --bin sealtrail --bin tamper
bin=${CARGO_TARGET_DIR:-target}/release
policy=$work/trust-policy.toml

say "1. sealtrail dev: ledger, agent and software attester"
"$bin/sealtrail" dev --data "$work" --otlp-grpc 127.0.0.1:0 --otlp-http 127.0.0.1:0 --listen 127.0.0.1:0 --json \
    >"$work/addresses" 2>"$work/dev.log" &
dev=$!
for _ in $(seq 150); do
    [ -s "$work/addresses" ] && break
    sleep 0.1
done
otlp=$(sed -nE 's/.*"otlp_http":"([^"]+)".*/\1/p' "$work/addresses")
echo "OTLP on $otlp"

say "2. an application logs $count audit events through the OpenTelemetry SDK"
"$python" tests/otel/send.py "$otlp" "$count"
kill -TERM "$dev"
wait "$dev"
receipt=$(find "$work/agent/receipts" -name '*.receipt' | head -n 1)

say "3. an auditor verifies the ledger, offline, with a trust policy and a receipt that the application kept"
"$bin/sealtrail" verify "$work/ledger" --policy "$policy" --receipt "$receipt"

say "4. one record, all the way down"
"$bin/sealtrail" export --jsonl "$work/ledger" --policy "$policy" >"$work/records.jsonl"
id=$(sed -n "$((count / 2))p" "$work/records.jsonl" | cut -d'"' -f4)
"$bin/sealtrail" show "$id" --proof --ledger "$work/ledger" --policy "$policy" | cut -c 1-160

say "5. somebody with the ledger's disk and its signing key cheats"
caught=0
missed=0
cheat() {
    local kind=$1 reason=$2 status=0
    "$bin/tamper" "$kind" "$work/ledger" "$work/$kind"
    "$bin/sealtrail" verify "$work/$kind" --policy "$policy" --receipt "$receipt" >"$work/verdict" || status=$?
    if [ "$status" -eq 1 ] && head -n 1 "$work/verdict" | grep -qE "^REJECTED: ($reason) "; then
        caught=$((caught + 1))
    else
        missed=$((missed + 1))
    fi
    printf '%-18s %s\n' "$kind" "$(head -n 1 "$work/verdict")"
}
cheat alter-record stored-hash-mismatch
cheat remove-batch sequence-gap
cheat swap-batches 'chain-broken|published-mismatch'
cheat truncate-tail older-checkpoint
cheat re-sign foreign-key
cheat replay-elsewhere wrong-trail

say "$caught of $((caught + missed)) found"
[ "$missed" -eq 0 ]
