#!/usr/bin/env bash
# Real events through the OpenTelemetry SDK, out of `sealtrail export --jsonl` again, equal field by field, and verified.
# Usage: run.sh PYTHON [COUNT]
set -euo pipefail
cd "$(dirname "$0")/../.."
python="$1"
count="${2:-100000}"
target="${CARGO_TARGET_DIR:-target}"
cargo build --locked --quiet -p sealtrail-cli
sealtrail="$target/debug/sealtrail"
for protocol in http grpc; do
    work="$(mktemp -d)"
    dev=""
    trap 'kill $dev 2>/dev/null || true; rm -rf "$work"' EXIT
    "$sealtrail" dev --data "$work/data" --otlp-grpc 127.0.0.1:0 --otlp-http 127.0.0.1:0 --listen 127.0.0.1:0 --json \
        >"$work/dev.json" 2>"$work/dev.log" &
    dev=$!
    for _ in $(seq 300); do [ -s "$work/dev.json" ] && break; sleep 0.1; done
    endpoint="$(sed -n "s/.*\"otlp_$protocol\":\"\([^\"]*\)\".*/\1/p" "$work/dev.json")"
    sent="$count"
    [ "$protocol" = http ] || sent=$((count / 10))
    "$python" tests/otel/send.py "$endpoint" "$sent" --protocol "$protocol" || { cat "$work/dev.log"; exit 1; }
    kill -TERM "$dev"
    wait "$dev"
    policy="$work/data/trust-policy.toml"
    "$sealtrail" verify "$work/data/ledger" --policy "$policy" | head -1
    "$sealtrail" export --jsonl "$work/data/ledger" --policy "$policy" | "$python" tests/otel/compare.py "$sent"
    rm -rf "$work"
done
