#!/usr/bin/env bash
# Runs every suite to its end, says how many cases each ran, then in the last line how many passed and failed.
#
#   tests/run.sh PYTHON
set -uo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8

python=${1:-python3}
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
if [ -z "${SEALTRAIL_SHARED:-}" ] && [ -d ../shared ]; then
    SEALTRAIL_SHARED=$(cd ../shared && pwd)
    export SEALTRAIL_SHARED
fi

# suite NAME COMMAND…
suite() {
    local name=$1 status
    shift
    printf '\n== %s\n' "$name"
    "$@" 2>&1 | tee "$logs/$name"
    status=${PIPESTATUS[0]}
    echo "$status" >"$logs/$name.status"
}

second_verifier() {
    (cd tests/second-verifier && "$python" -m pytest -q -rs -p no:cacheprovider)
}

suite rust cargo test --locked --workspace --no-fail-fast -- --show-output
suite second-verifier second_verifier
suite agreement tests/agreement/run.sh "$python"
suite otel tests/otel/run.sh "$python"
suite faults tests/faults/run.sh "$python"
suite attack tests/attack/run.sh "$python"
suite seeded-bugs tests/seeded-bugs/run.sh --check

printf '\n== cases\n'
awk -f tests/cases.awk "$logs"/rust
for name in second-verifier agreement otel faults attack seeded-bugs; do
    sed -nE "s/^suite: //p; s/^[0-9]+ (passed|failed).*/$name: &/p" "$logs/$name"
done

passed=0
failed=0
for name in rust second-verifier agreement otel faults attack seeded-bugs; do
    # Closing lines: cargo's `test result: …`, pytest's and our own `N passed, N failed`.
    read -r p f < <(awk '
        /^test result:/ || /^[0-9]+ (passed|failed)/ {
            for (n = 2; n <= NF; n++) {
                if ($n ~ /^passed/) passed += $(n - 1)
                if ($n ~ /^(failed|error)/) failed += $(n - 1)
            }
        }
        END { print passed + 0, failed + 0 }' "$logs/$name")
    # A suite that broke off without saying so has failed.
    if [ "$(cat "$logs/$name.status")" -ne 0 ] && [ "$f" -eq 0 ]; then
        echo "suite $name ended with status $(cat "$logs/$name.status")"
        f=1
    fi
    passed=$((passed + p))
    failed=$((failed + f))
done
echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
