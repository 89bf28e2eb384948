#!/usr/bin/env bash
# What a user would pick instead, on this machine and this disk, next to Sealtrail: run.sh DIR [SECONDS]
#
# Each takes records of about 300 bytes and answers when they are on disk: sealed journal files, a hash chain in
# PostgreSQL, immudb's embedded store, Tessera's POSIX log. Prints records a second and how many times as fast Sealtrail
# commits. Needs root and a Debian (installs systemd-journal-remote and postgresql), and Go; says what it had to leave out.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${2:-10}
mkdir -p "$1"
dir=$(mktemp -d "$1/peers-XXXXXX")
chmod 755 "$dir"
trap 'rm -rf "$dir"' EXIT
target=${CARGO_TARGET_DIR:-target}
figures=$dir/figures

apt_install() { command -v apt-get >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$1" >/dev/null 2>&1; }

sealtrail() {
    cargo build --quiet --locked --release --bin sealtrail
    "$target/release/sealtrail" bench --dir "$dir" --records 500000 | awk '$1 == "ingest_committed_records_per_s"'
}

# In a name space of its own, where the sealing key is laid down without touching this machine's journal.
journald() {
    local remote=/lib/systemd/systemd-journal-remote count=200000
    [ -x $remote ] || apt_install systemd-journal-remote || return 1
    python3 tests/peers/journal.py $count >"$dir/export"
    mkdir -p "$dir/journal" /var/log/journal
    unshare --mount bash -euc '
        mount --bind "$1/journal" /var/log/journal
        mkdir -p "/var/log/journal/$(cat /etc/machine-id)"
        journalctl --setup-keys --force >/dev/null 2>&1
        begun=$(date +%s.%N)
        $2 --seal=yes --split-mode=none --output="$1/a.journal" - <"$1/export" >/dev/null 2>&1
        sync -f "$1/a.journal"
        echo "$3 $begun $(date +%s.%N)" | awk "{ printf \"journald_sealed_records_per_s %.0f\n\", \$1 / (\$3 - \$2) }"
    ' - "$dir" $remote $count
}

postgres() {
    local bin data=$dir/postgres
    ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1 || apt_install postgresql || return 1
    bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
    mkdir -p "$data"
    chown postgres "$data"
    as() { runuser -u postgres -- "$@"; }
    as "$bin/initdb" -D "$data/db" -A trust >/dev/null
    as "$bin/pg_ctl" -D "$data/db" -w -l "$data/log" \
        -o "-k $data -c listen_addresses='' -c shared_buffers=256MB -c max_wal_size=4GB" start >/dev/null
    as "$bin/psql" -h "$data" -q -f - <tests/peers/chain.sql
    local records
    for records in 1 1000; do
        echo "SELECT append($records);" >"$data/append"
        as "$bin/pgbench" -h "$data" -n -c 8 -j 2 -T "$seconds" -f "$data/append" postgres 2>/dev/null |
            awk -v records=$records '/^tps/ { printf "postgres_chain_%d_a_transaction_records_per_s %.0f\n", records, $3 * records }'
    done
    as "$bin/pg_ctl" -D "$data/db" -m immediate stop >/dev/null
}

go_peer() {
    command -v go >/dev/null || return 1
    local program
    program=$(realpath -m "$target")/peers/$1
    (cd "tests/peers/$1" && go build -o "$program" .) || return 1
    "$program" "$dir/$1" "$seconds" 2>/dev/null
}

for peer in sealtrail journald postgres "go_peer immudb" "go_peer tessera"; do
    if ! $peer >>"$figures"; then echo "left out: $peer"; fi
done
awk '{ rate[NR] = $2; name[NR] = $1 }
    END { for (n = 1; n <= NR; n++) printf "%-52s %9d%s\n", name[n], rate[n], n == 1 ? "" : sprintf("  Sealtrail x %.0f", rate[1] / rate[n]) }' "$figures"
