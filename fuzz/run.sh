#!/usr/bin/env bash
# Runs every fuzz target for a while, each from the golden files, and says how many inputs it tried.
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

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <(sed -n 's/^name = "\([a-z_]*\)"$/\1/p' fuzz/Cargo.toml)
fi

failed=0
for target in "${targets[@]}"; do
    mkdir -p "$corpora/$target" "$corpora/seeds/$target"
    log=$(mktemp)
    # Bodies and segments have no other bound than their own; everything else is small.
    if cargo +nightly fuzz run --fuzz-dir fuzz --target-dir "$built" "$target" "$corpora/$target" "$corpora/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=70000 -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 >"$log" 2>&1
    then
        inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        echo "fuzz $target: $inputs inputs, nothing found"
    else
        failed=$((failed + 1))
        echo "fuzz $target: FAILED"
        tail -n 40 "$log"
    fi
    rm -f "$log"
done
[ "$failed" -eq 0 ]
