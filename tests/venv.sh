#!/usr/bin/env bash
# Makes the Python environment of the tests, or leaves it alone where it is up to date: venv.sh DIR
set -euo pipefail

venv=$1
tests=$(cd "$(dirname "$0")" && pwd)
wanted=$(cat "$tests/python-requirements.txt" "$tests/second-verifier/requirements.txt")

if [ "$(cat "$venv/requirements" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
if ! command -v python3 >/dev/null; then
    echo "python3 is missing: install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)" >&2
    exit 1
fi
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "$(python3 --version) is too old: the tests need Python 3.11 or newer" >&2
    exit 1
fi
echo "installing the Python packages of the tests into $venv"
rm -rf "$venv"
if ! python3 -m venv "$venv"; then
    echo "python3 cannot make a virtual environment (Debian: apt-get install python3-venv)" >&2
    exit 1
fi
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$tests/python-requirements.txt"
"$venv/bin/pip" --disable-pip-version-check check
printf '%s\n' "$wanted" >"$venv/requirements"
