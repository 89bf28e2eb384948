#!/usr/bin/env bash
# Runs every fuzz target for a while, each from the golden files and the vectors, and says how many inputs it tried and how
# many edges of the program they reached. A crash is a finding, and so are a second spent on one input, and 64 MiB asked for
# at once.
#
#   fuzz/run.sh SECONDS [TARGET…]
#
# Installs a nightly toolchain by rustup, and cargo-fuzz below fuzz/tools, where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET…]}
shift
cargo_fuzz_version=0.13.2
tools=${FUZZ_TOOLS:-fuzz/tools}
corpora=${FUZZ_CORPUS:-fuzz/corpus}
built=${FUZZ_TARGET_DIR:-fuzz/target}

if ! cargo +nightly --version >/dev/null 2>&1; then
    rustup toolchain install nightly --profile minimal
fi
export PATH=$PWD/$tools/bin:$tools/bin:$PATH
if ! cargo fuzz --version >/dev/null 2>&1; then
    CARGO_TARGET_DIR=$tools/build cargo install --quiet --locked --root "$tools" "cargo-fuzz@$cargo_fuzz_version"
    rm -rf "$tools/build"
fi

cargo run --quiet --locked -p sealtrail-testkit --bin golden -- testdata/vectors --corpora "$corpora/seeds"

# One byte before each request chooses its form: bit 0 JSON, bit 1 without redaction; for the ports of a real agent 0, 1, 2
# for protobuf, JSON and gRPC.
otlp=${SEALTRAIL_SHARED:-../shared}/vectors/otlp/examples
if [ -d "$otlp" ]; then
    mkdir -p "$corpora"/seeds/{otlp,intake}
    for file in "$otlp"/*.binpb "$otlp"/*.json; do
        case $file in *.json) form=1 ;; *) form=0 ;; esac
        name=$(basename "$file")
        for target in otlp intake; do
            { printf "\\x0$form"; cat "$file"; } >"$corpora/seeds/$target/$name"
        done
        { printf "\\x0$((form + 2))"; cat "$file"; } >"$corpora/seeds/otlp/plain-$name"
        if [ "$form" = 0 ]; then
            length=$(printf '%08x' "$(stat -c %s "$file")" | sed 's/../\\x&/g')
            { printf '\x02\x00'; printf "$length"; cat "$file"; } >"$corpora/seeds/intake/grpc-$name"
        fi
    done
fi

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <(sed -n 's/^name = "\([a-z_]*\)"$/\1/p' fuzz/Cargo.toml)
fi

failed=0
for target in "${targets[@]}"; do
    mkdir -p "$corpora/$target" "$corpora/seeds/$target"
    log=$(mktemp)
    if cargo +nightly fuzz run --fuzz-dir fuzz --target-dir "$built" "$target" "$corpora/$target" "$corpora/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=70000 -rss_limit_mb=2048 -malloc_limit_mb=64 -timeout=1 -print_final_stats=1 >"$log" 2>&1
    then
        inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
        echo "fuzz $target: $inputs inputs, $edges edges, nothing found"
    else
        failed=$((failed + 1))
        echo "fuzz $target: FAILED"
        tail -n 40 "$log"
    fi
    rm -f "$log"
done
[ "$failed" -eq 0 ]
