#!/usr/bin/env bash
# Changes the code that decides a verdict, one small change after the other, and sees whether a test notices.
#
#   tests/mutants.sh [K/N [ARGUMENT…]]     one of N shards (from 0; 0/1 is all), further arguments for cargo-mutants
#
# Takes hours on two cores. What was judged before is not judged again, so a run that was interrupted goes on; delete
# the output directory to begin anew.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)
cargo_mutants_version=27.1.0
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target} CARGO_TERM_COLOR=never
tools=$CARGO_TARGET_DIR/tools
work=$CARGO_TARGET_DIR/mutants
copy=$work/tree
shard=${1:-0/1}
shift || true

if [ ! -x "$tools/bin/cargo-mutants" ]; then
    CARGO_TARGET_DIR=$tools/build cargo install --quiet --locked --root "$tools" "cargo-mutants@$cargo_mutants_version"
    rm -rf "$tools/build"
fi
if [ -z "${SEALTRAIL_SHARED:-}" ] && [ -d "$root/../shared" ]; then
    SEALTRAIL_SHARED=$(cd "$root/../shared" && pwd)
fi
export SEALTRAIL_SHARED

# Always the same place, so that what was built for it is found again.
remove_copy() {
    git -C "$root" worktree remove --force "$copy" 2>/dev/null || rm -rf "$copy"
    git -C "$root" worktree prune
}
mkdir -p "$work"
remove_copy
trap remove_copy EXIT
git -C "$root" worktree add -q --detach "$copy" HEAD
git -C "$root" diff --binary HEAD | git -C "$copy" apply --allow-empty

# Status 2: some were missed; 3: some took too long, which is noticed too.
status=0
PATH=$tools/bin:$PATH cargo mutants --dir "$copy" --in-place --output "$work/${shard/\//-of-}" --iterate \
    --shard "$shard" --sharding round-robin --baseline skip --timeout 180 --no-shuffle --colors never "$@" \
    -- --lib --tests -- --skip gaps:: --skip no_damage || status=$?
[ "$status" -eq 2 ] || [ "$status" -eq 3 ] || [ "$status" -eq 0 ] || exit "$status"

found=$work/${shard/\//-of-}/mutants.out
count() { cat "$@" 2>/dev/null | wc -l; }
caught=$(count "$found"/caught.txt "$found"/timeout.txt "$found"/previously_caught.txt)
missed=$(count "$found"/missed.txt)
echo "mutants of shard $shard: $caught noticed, $missed not"
cat "$found"/missed.txt 2>/dev/null || true
