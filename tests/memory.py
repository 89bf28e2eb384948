"""Resident memory under a steady load, each process by itself: memory.py SEALTRAIL SECONDS [RATE]

Starts ledger and agent, sends RATE records a second, reads their resident sets every second, then verifies. The limits are
those of docs/performance.md and hold for all that is resident, from the first second on. The slope is that of a line through
SECONDS of samples, over their whole time, as a part of the mean of all that is resident; before them the same load runs for
five minutes, in which the allocator's heaps take their shape (what is allocated in them stands still after seconds). It is
taken of the anonymous pages, which are what a process asked for. The others are pages of the program's file, which the system
drops and maps again as it likes: they are printed.
"""

import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

LIMITS_MIB = {"agent": 32, "ledger": 128, "verify": 64}
SLOPE_MAX = 0.01
WARM_UP_SECONDS = 300


def resident_mib(process, field="VmRSS"):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.M)[1]) / 1024


def wait_for(file, pattern):
    for _ in range(150):
        found = re.search(pattern, file.read_text()) if file.exists() else None
        if found:
            return found[1]
        time.sleep(0.1)
    sys.exit(f"no {pattern!r} in {file.read_text()}")


def start(sealtrail, directory):
    """Ledger and agent, with the address of the agent's OTLP/HTTP."""

    def run(name, *arguments):
        output = directory / name
        subprocess.run([sealtrail, *arguments], stdout=output.open("w"), check=True)
        return output

    def begin(name, *arguments):
        output = directory / name
        return subprocess.Popen([sealtrail, *arguments], stdout=output.open("w"), stderr=subprocess.STDOUT), output

    ledger = directory / "ledger"
    run("init", "init", ledger, "--name", "tests.example/memory")
    accept = run("accept.toml", "attest", "reference-value", "--kind", "software", "--dir", directory / "attester")
    added = run("stream", "stream", "add", "load", "--ledger", ledger, "--accept", accept)
    policy = directory / "ledger.trust-policy.toml"
    policy.write_text(policy.read_text() + accept.read_text())
    serving, output = begin("serve", "serve", ledger, "--listen", "127.0.0.1:0")
    url = wait_for(output, r"listens on (http://[0-9.:]+)")
    of_policy = {key: re.search(rf'^{key} = "(.*)"', policy.read_text(), re.M)[1] for key in ("control", "key")}
    config = directory / "agent.toml"
    config.write_text(
        f"""stream = "load"
acknowledge = "committed"
[ledger]
url = "{url}"
name = "tests.example/memory"
control = "{of_policy['control']}"
key = "{of_policy['key']}"
trail = "{re.search(r'[(]([0-9a-f]{32})[)]', added.read_text())[1]}"
[otlp]
grpc = "127.0.0.1:0"
http = "127.0.0.1:0"
[outbox]
dir = "{directory}/agent"
[attester]
kind = "software"
dir = "{directory}/attester"
"""
    )
    agent, output = begin("agent.out", "agent", "--config", config)
    return serving, agent, wait_for(output, r"and http://([0-9.:]+)"), policy


def rise(samples):
    """Rise of the fitted line over its length."""
    n, mean = len(samples), sum(samples) / len(samples)
    middle = (n - 1) / 2
    spread = sum((x - middle) ** 2 for x in range(n))
    return sum((x - middle) * (y - mean) for x, y in enumerate(samples)) / spread * n


def by_tenths(samples):
    """Means of each tenth, in which a step can be told from a slope."""
    parts = [samples[n * len(samples) // 10 : (n + 1) * len(samples) // 10] for n in range(10)]
    return " ".join(f"{sum(part) / len(part):.1f}" for part in parts if part)


def main():
    sealtrail, seconds = sys.argv[1], int(sys.argv[2])
    rate = int(sys.argv[3]) if len(sys.argv) > 3 else 100_000
    wrong = 0
    # Beside the program: on a real disk, and nothing that git sees.
    with tempfile.TemporaryDirectory(dir=pathlib.Path(sealtrail).resolve().parent) as name:
        directory = pathlib.Path(name).resolve()
        ledger, agent, address, policy = start(sealtrail, directory)
        fields = ("VmRSS", "RssAnon", "RssFile")
        samples, before = {"agent": [], "ledger": []}, {"agent": [], "ledger": []}
        try:
            load = subprocess.Popen(
                [sealtrail, "bench", "--endpoint", address, "--rate", str(rate)]
                + ["--records", str(rate * (WARM_UP_SECONDS + seconds))]
            )
            began = time.monotonic()
            while load.poll() is None:
                for name, process in (("agent", agent), ("ledger", ledger)):
                    sample = [resident_mib(process, field) for field in fields]
                    (samples if time.monotonic() - began > WARM_UP_SECONDS else before)[name].append(sample)
                time.sleep(1)
        finally:
            for process in (agent, ledger):
                process.send_signal(signal.SIGTERM)
                process.wait()
        for name, values in samples.items():
            all_pages, anonymous, of_files = zip(*values)
            mean, most = sum(all_pages) / len(values), max(sample[0] for sample in before[name] + values)
            slope = rise(anonymous) / mean
            good = most <= LIMITS_MIB[name] and slope <= SLOPE_MAX
            wrong += not good
            print(
                f"{name}: {most:.1f} MiB at most of {LIMITS_MIB[name]}, slope {slope:+.2%} of {mean:.1f} MiB, "
                f"pages of the program {min(of_files):.1f} to {max(of_files):.1f} MiB" + ("" if good else "  TOO MUCH")
            )
            print(f"  anonymous, by tenths of the warm-up: {by_tenths([sample[1] for sample in before[name]])} MiB")
            print(f"  anonymous, by tenths of the time judged: {by_tenths(anonymous)} MiB")
        verify = subprocess.Popen(
            [sealtrail, "verify", directory / "ledger", "--policy", policy], stdout=subprocess.PIPE
        )
        most = 0
        while verify.poll() is None:
            try:
                most = max(most, resident_mib(verify, "VmHWM"))
            except (TypeError, FileNotFoundError, ProcessLookupError):
                pass
            time.sleep(0.02)
        print(verify.stdout.read().decode().splitlines()[0])
        good = verify.returncode == 0 and most <= LIMITS_MIB["verify"]
        wrong += not good
        print(f"verify: {most:.1f} MiB at most of {LIMITS_MIB['verify']}" + ("" if good else "  TOO MUCH"))
    print(f"{3 - wrong} passed, {wrong} failed")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
