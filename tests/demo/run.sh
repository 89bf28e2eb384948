#!/usr/bin/env bash
# The main job end to end: events in through an OpenTelemetry SDK, sealed, committed, verified; then six ways to cheat on
# copies of the ledger, and each one found. Usage: run.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/../.."
python="${1:-}"
target="${CARGO_TARGET_DIR:-target}"

bold=''; plain=''
if [ -t 1 ]; then bold=$'\e[1m'; plain=$'\e[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }

say "Building"
cargo build --locked --release --quiet -p sealtrail-cli -p sealtrail-testkit --bins
sealtrail="$target/release/sealtrail"
begun=$SECONDS

work="$(mktemp -d)"
data="$work/sealtrail-data"
dev=""
cleanup() {
    if [ -n "$dev" ]; then kill "$dev" 2>/dev/null || true; wait "$dev" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap cleanup EXIT

say "1. sealtrail dev: ledger, agent and software attester in one process"
"$sealtrail" dev --data "$data" --otlp-grpc 127.0.0.1:0 --otlp-http 127.0.0.1:0 --listen 127.0.0.1:0 --json \
    >"$work/dev.json" 2>"$work/dev.log" &
dev=$!
for _ in $(seq 100); do
    [ -s "$work/dev.json" ] && break
    kill -0 "$dev" 2>/dev/null || { cat "$work/dev.log" >&2; exit 1; }
    sleep 0.1
done
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$work/dev.json"; }
http="$(field otlp_http)"; ledger="$(field ledger)"; policy="$(field policy)"
echo "OTLP on $http, ledger on $ledger"

say "2. Audit events through the OpenTelemetry SDK"
count=20000
if [ -n "$python" ] && [ -x "$python" ]; then
    "$python" tests/otel/send.py "$http" "$count"
else
    echo "(no Python here: the Rust SDK sends instead)"
    cargo run --locked --release --quiet --manifest-path examples/rust-client/Cargo.toml -- "$http" "$count"
fi

say "3. What the agent says of them"
metrics() {
    local address="${http#http://}"
    exec 3<>"/dev/tcp/${address%:*}/${address##*:}"
    printf 'GET /metrics HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n' >&3
    cat <&3
    exec 3>&-
}
metric() { metrics | tr -d '\r' | sed -n "s/^sealtrail_agent_$1_total //p"; }
for _ in $(seq 50); do
    [ "$(metric batches_committed)" = "$(metric batches_sealed)" ] && break
    sleep 0.1
done
printf 'received   %s records in %s requests\n' "$(metric records_received)" "$(metric requests_accepted)"
printf 'sealed     %s records in %s signed batches\n' "$(metric records_sealed)" "$(metric batches_sealed)"
printf 'committed  %s batches, each with a verified receipt\n' "$(metric batches_committed)"

say "4. sealtrail verify, on the running ledger"
"$sealtrail" verify "$ledger" --policy "$policy" | head -1

say "5. Stop: everything is sealed, committed and closed"
kill -TERM "$dev"; wait "$dev"; dev=""
"$sealtrail" verify "$data/ledger" --policy "$policy"

say "6. One record, from its line up to the checkpoint"
"$sealtrail" export --jsonl "$data/ledger" --policy "$policy" >"$work/records.jsonl"
id="$(sed -n '7s/^{"id":"\([^"]*\)".*/\1/p' "$work/records.jsonl")"
"$sealtrail" show "$id" --proof --ledger "$data/ledger" --policy "$policy" | cut -c1-160

say "7. Six ways to cheat, as one who holds the ledger's disk and its signing key"
receipt="$(find "$data/agent/receipts" -type f | sort | tail -1)"
missed=0
cheat() {
    local kind="$1" what="$2"; shift 2
    "$target/release/tamper" "$kind" "$data/ledger" "$work/$kind"
    local verdict status=0
    verdict="$("$sealtrail" verify "$work/$kind" --policy "$policy" "$@")" || status=$?
    printf '\n%s%s%s\n' "$bold" "$what" "$plain"
    head -1 <<<"$verdict"
    grep -m3 -E '^(ERROR|warning  late)' <<<"$verdict" | cut -c1-200 || true
    if [ "$status" -ne 1 ]; then echo "NOT CAUGHT (exit $status)"; missed=$((missed + 1)); fi
}
cheat alter-record     "One record altered"
cheat remove-batch     "One batch removed"
cheat swap-batches     "Two batches swapped"
cheat truncate-tail    "The tail truncated, and every trace of it in the control trail" --receipt "$receipt"
cheat re-sign          "A batch signed again with another key"
cheat replay-elsewhere "The records replayed under another stream of another trail"

say "Done in $((SECONDS - begun)) s: $((6 - missed)) of 6 cheats caught and named"
[ "$missed" -eq 0 ]
