#!/usr/bin/env bash
# Changes the code that decides a verdict, one small change after the other, and sees whether a test notices.
#
#   tests/mutants.sh [K/N [ARGUMENT…]]     one of N shards of the files (from 0; 0/1 is all), arguments for cargo-mutants
#
# Takes hours on two cores. What was judged before is not judged again, so a run that was interrupted goes on; delete
# the output directory to begin anew. First with the tests of the crate that was changed, without those that take seconds;
# then what these missed with all tests of format and verifier, the golden files among them.
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
arguments=("$@")

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

# By files, leaving out the others': shards of cargo-mutants' own are cut from what is left to do, which is another list each time.
others=$(git -C "$copy" ls-files -- crates/sealtrail-{core,verify}/src | xargs -d '\n' -I{} wc -c "$copy/{}" | sort -rn |
    awk -v k="${shard%/*}" -v n="${shard#*/}" -v prefix="$copy/" \
        '(NR - 1) % n != k { sub(/^ *[0-9]+ /, ""); print "--exclude=" substr($0, length(prefix) + 1) }')
mapfile -t others < <(printf %s "$others")

slow=(no_changed_byte_ every_consistency_proof_ every_inclusion_proof_ rot::a_flipped_bit_)
# A failing property need not be made small, only noticed.
export PROPTEST_MAX_SHRINK_ITERS=0

found=$work/${shard/\//-of-}/mutants.out
# Those that do not compile are among those judged before, of which none is named.
kept=$work/${shard/\//-of-}/unviable.txt
keep_unviable() {
    sort -u "$kept" "$found/unviable.txt" -o "$kept" 2>/dev/null || true
}
mkdir -p "${kept%/*}"
touch "$kept"
trap 'keep_unviable; remove_copy' EXIT

# Status 2: some were missed; 3: some took too long, which is noticed too.
judge() {
    local status=0
    PATH=$tools/bin:$PATH cargo mutants --dir "$copy" --in-place --output "$work/${shard/\//-of-}" --iterate \
        "${others[@]}" --baseline skip --timeout 60 --no-shuffle --colors never "${arguments[@]}" "$@" || status=$?
    keep_unviable
    [ "$status" -eq 2 ] || [ "$status" -eq 3 ] || [ "$status" -eq 0 ] || exit "$status"
}
judge -- --lib --tests -- --skip gaps:: --skip no_damage "${slow[@]/#/--skip=}"
judge --test-package sealtrail-core --test-package sealtrail-verify --test-package sealtrail-testkit \
    -- --lib --tests -- --skip gaps:: --skip no_damage

judged=$(sort -u "$found"/caught.txt "$found"/timeout.txt "$found"/previously_caught.txt "$found"/unviable.txt | wc -l)
unviable=$(wc -l <"$kept")
missed=$(wc -l <"$found"/missed.txt)
echo "mutants of shard $shard: $((judged - unviable)) noticed, $missed not, $unviable did not compile"
cat "$found"/missed.txt
