"""How fast, and in how much memory, a log is followed and archived; next to the SDK's own way of reading it.

    python bench/logs.py [MEGABYTES]

A job prints that much (1,000 unless told); each reader is a process of its own, and memory is counted above
the interpreter with the SDK loaded and connected. Latency is from the job's write to the follower's hands.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

MEGABYTES = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000

COMMON = """
import os, sys, time
import modal
from trebuchet.launcher import Launcher
launcher = Launcher()
sandbox = launcher.client("local").get_call(sys.argv[1])
sandbox.poll()
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
before, peak, size, first, began = resident(), 0.0, 0, None, time.perf_counter()
worked = time.process_time()
"""
REPORT = """
took = time.perf_counter() - began
above = max(peak, resident()) - before
worked = time.process_time() - worked
print(
    f"{size / took / 1e6:6.1f} MB/s, {size / worked / 1e6:6.1f} MB for a second of processor, "
    f"first after {first:.2f} s, {above:6.1f} MiB above"
)
"""
OURS = """
for number, entry in enumerate(launcher.logs(sys.argv[1], follow=True)):
    first = first or time.perf_counter() - began
    size += len(entry.message)
    if number % 16 == 0:
        peak = max(peak, resident())
"""
SDKS = """
text = sandbox.stdout.read()
first = time.perf_counter() - began
size = len(text)
"""
LATENCY = """
import statistics
late = [time.time() - float(entry.message) for entry in launcher.logs(sys.argv[1], follow=True)]
middle, worst = statistics.median(late) * 1000, max(late) * 1000
print(f"{middle:.0f} ms at the median, {worst:.0f} ms at most, of {len(late)}")
"""
CLOCK = "import time\nfor _ in range(60):\n    print(time.time(), flush=True)\n    time.sleep(0.137)"


def run(code: str, key: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, key], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    from trebuchet import JobConfig, Launcher

    with tempfile.TemporaryDirectory() as folder:
        os.environ["TREBUCHET_HOME"] = folder
        launcher = Launcher()
        try:
            line = "x" * 99
            script = f"yes {line} | head -c {MEGABYTES * 1_000_000}"
            _, status = launcher.up(JobConfig(name="big", run=script))
            launcher.wait([status.key])
            print(f"follow and archive, {MEGABYTES} MB:  {run(COMMON + OURS + REPORT, status.id)}")
            print(f"the same from the archive:   {run(COMMON + OURS + REPORT, status.id)}")
            print(f"the SDK's stdout.read():     {run(COMMON + SDKS + REPORT, status.id)}")
            _, status = launcher.up(JobConfig(name="clock", run=f"python3 -c '{CLOCK}'"))
            print(f"from write to follower:      {run(COMMON + LATENCY, status.id)}")
        finally:
            launcher.close()
            subprocess.run(
                [sys.executable, "-m", "trebuchet", "local", "stop"], check=False, capture_output=True
            )


if __name__ == "__main__":
    main()
