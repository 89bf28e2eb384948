#!/usr/bin/env bash
# Whether everything that docs/threat-model.md names exists: files, tests, ledgers, seeded bugs.
set -euo pipefail
cd "$(dirname "$0")/.."
doc=docs/threat-model.md
missing=0
cases=$(sed -nE 's/^ +\("([a-z0-9-]+)", .*/\1/p' crates/sealtrail-testkit/src/cases/bad.rs)
tests=$(grep -rhoE 'fn [a-z0-9_]+' crates --include='*.rs')

while read -r name; do
    case $name in
        */*.rs) [ -e "crates/sealtrail-$name" ] ;;
        *_*) grep -qx "fn $name" <<<"$tests" ;;
        *-*) grep -qx "$name" <<<"$cases" || grep -q "\"$name\"" crates/sealtrail-verify/src/*.rs || [[ $name == sealtrail-* ]] ;;
        *) true ;;
    esac || { echo "$doc names \`$name\`, which does not exist"; missing=1; }
done < <(grep -oE '`[a-z0-9_./-]+`' "$doc" | tr -d '`' | sort -u)

while read -r number; do
    compgen -G "tests/seeded-bugs/$number-*.patch" >/dev/null ||
        { echo "$doc names seeded bug $number, which does not exist"; missing=1; }
done < <(grep -oE '\b0[0-9]{3}\b' "$doc" | sort -u)
for patch in tests/seeded-bugs/*.patch; do
    number=$(basename "$patch" | cut -c 1-4)
    grep -q "\b$number\b" "$doc" || { echo "$doc does not name seeded bug $(basename "$patch")"; missing=1; }
done
[ "$missing" -eq 0 ]
