#!/usr/bin/env bash
# Breaks agents and ledgers that run as processes of their own, and counts every record: run.sh PYTHON [--soak]
#
# kill       SIGKILL at random moments under load: 20, in the soak 1,000
# syscalls   SIGKILL, EIO and ENOSPC at calls that change a directory: 24 of them, in the soak each; needs strace
# disk       a disk of 64 MiB that fills up; needs to mount
# away       no ledger for 50,000 records, in the soak for 1,000,000, and an agent that is killed meanwhile
#
# A failing case names its seed and keeps its directory. Seeds are new in each run; FAULTS_SEED=… repeats one.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${1:-python3}
seed=${FAULTS_SEED:-$((RANDOM << 15 | RANDOM))}
. tests/otel/road.sh

cargo build --quiet --locked --bin sealtrail
faults="$python tests/faults"
case ${2:-} in
    --soak)
        run_cases "$faults/kill.py --kills 1000 --seed $seed" \
            "$faults/syscalls.py --seed $seed --keep-going" \
            "$faults/disk.py" \
            "$faults/away.py --records 1000000 --seed $seed"
        ;;
    *)
        run_cases "$faults/kill.py --seed $seed" \
            "$faults/syscalls.py --seed $seed --sample 24" \
            "$faults/disk.py" \
            "$faults/away.py --seed $seed"
        ;;
esac
