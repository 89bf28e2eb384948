# Sourced by tests that send through a whole road, agent and ledger each in a process of its own. Needs `sealtrail`, the
# binary, and `python`.

# Waits for a line in a file and prints what the pattern captures.
wait_for() {
    local file=$1 pattern=$2 found
    for _ in $(seq 150); do
        # The process that writes it may not have begun.
        found=$(sed -nE "s#.*$pattern.*#\1#p" "$file" 2>/dev/null | head -n 1) || true
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

# Starts ledger and agent below a directory; sets `serve` and `agent`, their processes, and `grpc` and `http`, where the
# agent listens. Redaction is off: it would mask the access keys in real events, as it should.
start_road() {
    local dir=$1 trail ledger
    mkdir "$dir"
    "$sealtrail" init "$dir/ledger" --name tests.example/road >"$dir/init.out"
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
name = "tests.example/road"
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
    grpc=$(wait_for "$dir/agent.out" 'grpc (http://[0-9.:]+)')
    http=$(wait_for "$dir/agent.out" 'and (http://[0-9.:]+)')
}

# Stops agent and ledger, verifies, and compares what is exported with what was sent: finish_road DIR COUNT [OPTION…]
finish_road() {
    local dir=$1
    shift
    stop "$agent"
    stop "$serve"
    "$sealtrail" verify "$dir/ledger" --policy "$dir/ledger.trust-policy.toml" >"$dir/verdict" ||
        { cat "$dir/verdict"; return 1; }
    head -n 1 "$dir/verdict"
    "$sealtrail" export --jsonl "$dir/ledger" --policy "$dir/ledger.trust-policy.toml" --stream payments |
        "$python" tests/otel/compare.py "$@"
}

# Runs each case, a function with its arguments in one word, in a shell of its own, where the first command that fails
# ends the case; then says how many passed.
run_cases() {
    local passed=0 failed=0 case status
    for case in "$@"; do
        echo "-- $case"
        set +e
        (
            trap 'jobs -p | xargs -r kill 2>/dev/null' EXIT
            set -e
            $case
        )
        status=$?
        set -e
        if [ "$status" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    done
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
