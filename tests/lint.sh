#!/usr/bin/env bash
# What the compiler does not say: form, lints, and where dependencies come from and under which licences.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}

# Known to work with deny.toml; a newer one may ask for other keys.
deny_version=0.20.2
tools=${CARGO_TARGET_DIR:-target}/tools

failed=()
step() {
    printf '\n== %s\n' "$*"
    "$@" || failed+=("$*")
}

# cargo-deny costs about three minutes of processor time, once.
cargo_deny() {
    if [ "$(cargo deny --version 2>/dev/null)" != "cargo-deny $deny_version" ]; then
        export PATH=$tools/bin:$PATH
    fi
    if [ "$(cargo deny --version 2>/dev/null)" != "cargo-deny $deny_version" ]; then
        CARGO_TARGET_DIR=$tools/build cargo install --quiet --locked --root "$tools" "cargo-deny@$deny_version"
        rm -rf "$tools/build"
    fi
    cargo deny --locked "$@"
}

# Advisories come from a Git repository that not every builder can reach.
advisories() {
    if cargo_deny fetch db >/dev/null 2>&1; then
        cargo_deny check --hide-inclusion-graph advisories
    else
        echo "skipped: the advisory database https://github.com/RustSec/advisory-db cannot be reached from here"
    fi
}

# Every library has its line in docs/dependencies.md.
documented() {
    local missing=0 name
    while read -r name; do
        if ! grep -qF "\`$name\`" docs/dependencies.md; then
            echo "docs/dependencies.md has no line for \`$name\`"
            missing=1
        fi
    done < <(sed -n '/^\[workspace.dependencies\]/,/^\[workspace.lints/p' Cargo.toml |
        sed -n 's/^\([A-Za-z0-9_-]*\) = .*/\1/p' | grep -v '^sealtrail-')
    [ "$missing" -eq 0 ]
}

step cargo fmt --all --check
step cargo fmt --manifest-path examples/rust-client/Cargo.toml --check
step cargo clippy --locked --workspace --all-targets --quiet --keep-going -- -D warnings
step documented
step tests/named.sh
step cargo_deny check --hide-inclusion-graph licenses bans sources
step cargo_deny --manifest-path examples/rust-client/Cargo.toml check --hide-inclusion-graph licenses sources
step advisories
echo
if [ ${#failed[@]} -gt 0 ]; then
    printf 'lint: %s\n' "${failed[@]}"
    exit 1
fi
echo "lint: nothing found"
