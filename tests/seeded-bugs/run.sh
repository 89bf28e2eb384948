#!/usr/bin/env bash
# Puts one bug after the other into a copy of the tree and sees that the named test goes red.
#
#   tests/seeded-bugs/run.sh --check          every patch is well described and applies to this tree
#   tests/seeded-bugs/run.sh [PATCH…]         every patch (or these) is caught by its test
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
root=$(git -C "$here" rev-parse --show-toplevel)
fields=(row test shows breaks)

# The value of one "# name: value" line at the head of a patch.
field() {
    sed -n "/^diff /q; s/^# $2: //p" "$1" | head -n 1
}

patches() {
    if [ $# -gt 0 ]; then realpath "$@"; else find "$here" -name '*.patch' | sort; fi
}

check() {
    local passed=0 failed=0 patch name
    while read -r patch; do
        for name in "${fields[@]}"; do
            if [ -z "$(field "$patch" "$name")" ]; then
                echo "$(basename "$patch"): no \`# $name:\` line"
                failed=$((failed + 1))
                continue 2
            fi
        done
        if ! name=$(exists "$(field "$patch" test)"); then
            echo "$(basename "$patch"): its test names \`$name\`, which does not exist"
            failed=$((failed + 1))
        elif git -C "$root" apply --check "$patch"; then
            passed=$((passed + 1))
        else
            echo "$(basename "$patch"): does not apply"
            failed=$((failed + 1))
        fi
    done < <(patches "$@")
    echo "suite: seeded bugs that still apply, $((passed + failed)) patches"
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}

# Whether the modules and functions that a cargo test command filters by exist.
exists() {
    local part
    for part in $(sed -nE 's/.* ([a-z0-9_:]+)$/\1/p' <<<"$1" | sed 's/::/ /g'); do
        grep -rqE "(fn|mod) $part\b" "$root/crates" --include='*.rs' || { echo "$part"; return 1; }
    done
}

# Runs a test command in the copy; what it prints goes to the log.
run_test() {
    (cd "$copy" && bash -c "$1") >"$log" 2>&1
}

# The same command, built but not run; commands other than cargo's have nothing to build.
build_test() {
    case $1 in
        "cargo test"*) run_test "cargo test --no-run ${1#cargo test}" ;;
    esac
}

# Says why a patch was not caught, or nothing where it was.
judge() {
    local patch=$1 test=$2 shows=$3
    git -C "$copy" apply "$patch" >"$log" 2>&1 || { echo "does not apply"; return; }
    if ! build_test "$test"; then
        echo "does not compile"
    elif run_test "$test"; then
        echo "the test stays green"
    elif ! grep -qF -- "$shows" "$log"; then
        echo "the test is red without saying \`$shows\`"
    fi
    git -C "$copy" apply -R "$patch" >/dev/null 2>&1 || git -C "$copy" checkout -q -- .
}

remove_copy() {
    git -C "$root" worktree remove --force "$copy" 2>/dev/null || rm -rf "$copy"
    git -C "$root" worktree prune
}

run() {
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target} CARGO_TERM_COLOR=never
    # Always the same place, so that what was built for it is found again.
    copy=$CARGO_TARGET_DIR/seeded-bugs/tree
    log=$CARGO_TARGET_DIR/seeded-bugs/log
    mkdir -p "$CARGO_TARGET_DIR/seeded-bugs"
    remove_copy
    trap remove_copy EXIT
    git -C "$root" worktree add -q --detach "$copy" HEAD
    # What is not committed yet belongs to the tree too.
    git -C "$root" diff --binary HEAD | git -C "$copy" apply --allow-empty
    if [ -z "${SEALTRAIL_SHARED:-}" ] && [ -d "$root/../shared" ]; then
        SEALTRAIL_SHARED=$(cd "$root/../shared" && pwd)
        export SEALTRAIL_SHARED
    fi

    local list passed=0 failed=0 patch test shows why
    declare -A green
    list=$(patches "$@")
    while read -r patch; do
        test=$(field "$patch" test)
        shows=$(field "$patch" shows)
        if [ -z "${green[$test]:-}" ]; then
            run_test "$test" && green[$test]=yes || green[$test]=no
        fi
        if [ "${green[$test]}" = no ]; then
            why="the test is red without the bug"
        else
            why=$(judge "$patch" "$test" "$shows")
        fi
        printf '%-4s  %-44s  %s\n' "$(field "$patch" row)" "$(basename "$patch" .patch)" "${why:-caught}"
        if [ -z "$why" ]; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            tail -n 30 "$log" | sed 's/^/      | /'
        fi
    done <<<"$list"
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}

case ${1:-} in
    --check) shift && check "$@" ;;
    --help | -h) sed -n '2,6s/^# \{0,1\}//p' "$0" ;;
    *) run "$@" ;;
esac
