#!/usr/bin/env bash
# Sends real events through the Python SDK to an OpenTelemetry Collector that forwards to an agent, over each protocol and
# compression the Collector speaks, then compares what the ledger exports with what was sent, field by field:
# run.sh PYTHON [COUNT]
#
# Builds the Collector by its own builder, in the target directory. Needs Go.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${1:-python3}
count=${2:-20000}
version=v0.150.0
if [ -z "${SEALTRAIL_SHARED:-}" ] && [ -d ../shared ]; then
    SEALTRAIL_SHARED=$(cd ../shared && pwd)
    export SEALTRAIL_SHARED
fi
command -v go >/dev/null || { echo "go is missing: install it as https://go.dev/doc/install says" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
target=${CARGO_TARGET_DIR:-target}
sealtrail=$target/debug/sealtrail
collector=$target/interop/collector/otelcol
. tests/otel/road.sh

build_collector() {
    local into=$target/interop
    mkdir -p "$into"
    if [ -x "$collector" ] && cmp -s tests/interop/builder.yaml "$into/builder.yaml"; then return; fi
    echo "building the OpenTelemetry Collector $version"
    GOBIN=$into/bin go install "go.opentelemetry.io/collector/cmd/builder@$version"
    cat tests/interop/builder.yaml >"$into/wanted.yaml"
    sed -i "s#^dist:#dist:\n  output_path: $into/collector#" "$into/wanted.yaml"
    "$into/bin/builder" --config "$into/wanted.yaml" >"$into/build.log" 2>&1 || { tail "$into/build.log"; return 1; }
    cp tests/interop/builder.yaml "$into/builder.yaml"
}

free_port() {
    "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# through PROTOCOL COMPRESSION COUNT
through() {
    local protocol=$1 compression=$2 count=$3 dir=$work/$1-$2 port exporter process
    start_road "$dir"
    port=$(free_port)
    if [ "$protocol" = grpc ]; then exporter=otlp; else exporter=otlphttp; fi
    cat >"$dir/collector.yaml" <<YAML
receivers:
  otlp:
    protocols:
      $protocol:
        endpoint: 127.0.0.1:$port
processors:
  batch:
    send_batch_size: 2500
    timeout: 200ms
exporters:
  $exporter:
    endpoint: ${!protocol}
    compression: $compression
    tls:
      insecure: true
    sending_queue:
      block_on_overflow: true
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    logs:
      receivers: [otlp]
      processors: [batch]
      exporters: [$exporter]
YAML
    "$collector" --config "file:$dir/collector.yaml" >"$dir/collector.out" 2>&1 &
    process=$!
    wait_for "$dir/collector.out" '(Everything is ready)' >/dev/null
    "$python" tests/otel/send.py "http://127.0.0.1:$port" "$count" --protocol "$protocol"
    stop "$process" || { cat "$dir/collector.out"; return 1; }
    finish_road "$dir" "$count"
}

cargo build --quiet --locked --bin sealtrail
build_collector
run_cases "through http zstd $count" "through http gzip $((count / 4))" "through http none $((count / 4))" \
    "through grpc gzip $count" "through grpc zstd $((count / 4))" "through grpc none $((count / 4))"
