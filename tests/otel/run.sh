#!/usr/bin/env bash
# Sends real events through the OpenTelemetry SDKs of Python, over HTTP and over gRPC, and of Rust, to an agent and a
# ledger in processes of their own, then compares what is exported with what was sent, field by field:
# run.sh PYTHON [COUNT]. All but the first send a tenth.
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
target=${CARGO_TARGET_DIR:-target}
sealtrail=$target/debug/sealtrail
. tests/otel/road.sh

python_over() {
    local endpoint
    start_road "$work/$1"
    endpoint=$1
    "$python" tests/otel/send.py "${!endpoint}" "$2" --protocol "$1"
    finish_road "$work/$1" "$2"
}

# The Rust SDK has no null; it is left out of what is sent.
rust_over_http() {
    start_road "$work/rust"
    "$python" tests/otel/events.py "$1" | "$target/debug/rust-client" "$http" -
    finish_road "$work/rust" "$1" --without-nulls
}

cargo build --quiet --locked --bin sealtrail
cargo build --quiet --locked --manifest-path examples/rust-client/Cargo.toml
run_cases "python_over http $count" "python_over grpc $((count / 10))" "rust_over_http $((count / 10))"
