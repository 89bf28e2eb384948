#!/usr/bin/env bash
# Sends real events through the OpenTelemetry SDK, over HTTP and over gRPC, to an agent and a ledger in processes of their
# own, then compares what is exported with what was sent, field by field: run.sh PYTHON [COUNT]. Over gRPC it is a tenth.
#
# Redaction is off here: it would mask the access keys in real events, as it should.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${1:-python3}
count=${2:-100000}
if [ -z "${SEALTRAIL_SHARED:-}" ] && [ -d ../shared ]; then
    SEALTRAIL_SHARED=$(cd ../shared && pwd)
    export SEALTRAIL_SHARED
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --quiet --locked --bin sealtrail
sealtrail=${CARGO_TARGET_DIR:-target}/debug/sealtrail

# Waits for a line in a file and prints what the pattern captures.
wait_for() {
    local file=$1 pattern=$2 found
    for _ in $(seq 150); do
        found=$(sed -nE "s#.*$pattern.*#\1#p" "$file" | head -n 1)
        if [ -n "$found" ]; then
            echo "$found"
            return
        fi
        sleep 0.1
    done
    echo "no \`$pattern\` in:" >&2
    cat "$file" >&2
    return 1
}

# Asks a process to stop and waits until it has.
stop() {
    kill -TERM "$1"
    wait "$1"
}

one() {
    local protocol=$1 count=$2 dir=$work/$1 serve agent trail ledger endpoint
    trap 'jobs -p | xargs -r kill 2>/dev/null' EXIT
    mkdir "$dir"
    "$sealtrail" init "$dir/ledger" --name "tests.example/$protocol" >"$dir/init.out"
    "$sealtrail" attest reference-value --kind software --dir "$dir/attester" >"$dir/accept.toml"
    "$sealtrail" stream add payments --ledger "$dir/ledger" --accept "$dir/accept.toml" >"$dir/stream.out"
    cat "$dir/accept.toml" >>"$dir/ledger.trust-policy.toml"
    trail=$(wait_for "$dir/stream.out" '\(([0-9a-f]{32})\)')

    "$sealtrail" serve "$dir/ledger" --listen 127.0.0.1:0 >"$dir/serve.out" 2>&1 &
    serve=$!
    ledger=$(wait_for "$dir/serve.out" 'listens on (http://[0-9.:]+)')
    cat >"$dir/agent.toml" <<TOML
stream = "payments"

[ledger]
url = "$ledger"
name = "tests.example/$protocol"
control = "$(sed -nE 's/^control = "(.*)"/\1/p' "$dir/ledger.trust-policy.toml")"
key = "$(sed -nE 's/^key = "(.*)"/\1/p' "$dir/ledger.trust-policy.toml")"
trail = "$trail"

[otlp]
grpc = "127.0.0.1:0"
http = "127.0.0.1:0"

[outbox]
dir = "$dir/agent"

[attester]
kind = "software"
dir = "$dir/attester"

[redaction]
enabled = false
TOML
    "$sealtrail" agent --config "$dir/agent.toml" >"$dir/agent.out" 2>&1 &
    agent=$!
    if [ "$protocol" = grpc ]; then
        endpoint=$(wait_for "$dir/agent.out" 'grpc (http://[0-9.:]+)')
    else
        endpoint=$(wait_for "$dir/agent.out" 'and (http://[0-9.:]+)')
    fi

    "$python" tests/otel/send.py "$endpoint" "$count" --protocol "$protocol"
    stop "$agent"
    stop "$serve"
    "$sealtrail" verify "$dir/ledger" --policy "$dir/ledger.trust-policy.toml" >"$dir/verdict" ||
        { cat "$dir/verdict"; return 1; }
    head -n 1 "$dir/verdict"
    "$sealtrail" export --jsonl "$dir/ledger" --policy "$dir/ledger.trust-policy.toml" --stream payments |
        "$python" tests/otel/compare.py "$count"
}

passed=0
failed=0
for case in "http $count" "grpc $((count / 10))"; do
    read -r protocol records <<<"$case"
    echo "-- OTLP over $protocol"
    # In a shell of its own, where the first command that fails ends the case; not as a condition, where it would not.
    set +e
    (set -e; one "$protocol" "$records")
    status=$?
    set -e
    if [ "$status" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
