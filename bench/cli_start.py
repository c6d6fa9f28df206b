"""How long the command line takes to start, as ratios to what nobody can avoid.

    python bench/cli_start.py [RUNS]

Each ratio's two sides are measured in turn, in one run, and compared by their medians.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = int(sys.argv[1]) if len(sys.argv) > 1 else 11
TREBUCHET = (sys.executable, "-m", "trebuchet")
CLICK = (sys.executable, "-c", "import click")
PLAIN_LIST = (
    sys.executable,
    "-c",
    """
import modal
app = modal.App.lookup("trebuchet", create_if_missing=True)
print(len(list(modal.Sandbox.list(app_id=app.app_id))))
""",
)
SLEEPER = '{"name": "bench", "resources": {"cloud": "local"}, "run": "sleep 600"}'


def seconds(argv: tuple[str, ...]) -> float:
    began = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def compare(title: str, ours: tuple[str, ...], theirs: tuple[str, ...], limit: float) -> None:
    seconds(ours), seconds(theirs)  # Neither side pays for a cold disk.
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(RUNS)]
    mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    times = f"{mine * 1000:.0f} ms / {other * 1000:.0f} ms"
    print(f"{title:<44} {mine / other:5.2f} times (wanted: at most {limit:g})   {times}")


def output(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def main() -> None:
    # The keeper may still write what it has left to write.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["TREBUCHET_HOME"] = folder
        compare("--version / import click", (*TREBUCHET, "--version"), CLICK, 3)
        compare("--help / import click", (*TREBUCHET, "--help"), CLICK, 5)
        compare("status, nothing yet / import click", (*TREBUCHET, "status"), CLICK, 5)
        job = Path(folder) / "bench.yaml"
        job.write_text(SLEEPER)
        try:
            key = output(*TREBUCHET, "up", str(job), "-d", "-q").strip()
            compare("status --cached, one runs / import click", (*TREBUCHET, "status", "--cached"), CLICK, 5)
            for line in output(*TREBUCHET, "local", "env").splitlines():
                name, _, value = line.removeprefix("export ").partition("=")
                os.environ[name] = value.strip("'")
            compare("status, one runs / import modal and one list", (*TREBUCHET, "status"), PLAIN_LIST, 1.3)
            output(*TREBUCHET, "cancel", key)
            compare("status, all ended / import click", (*TREBUCHET, "status"), CLICK, 5)
        finally:
            subprocess.run([*TREBUCHET, "local", "stop"], check=False, capture_output=True)


if __name__ == "__main__":
    main()
