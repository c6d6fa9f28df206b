"""How long the engine of a test's fixture takes until it answers, next to importing the SDK.

    python bench/fixture_start.py

Prints: the first start in a process of its own, imports included, before the SDK was imported and after that,
each as a ratio to importing the SDK, and a later start in the same process. What sandboxes share is made
before.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 15
PROGRAM = """
import sys, time, pytest
from pathlib import Path
folder, layers, before = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
took = []
def took_since(begun):
    took.append(time.perf_counter() - begun)
begun = time.perf_counter()
if before == "sdk":
    import modal
took_since(begun)
for number in range(2):
    begun = time.perf_counter()
    from trebuchet.emulator.embedded import EmbeddedEngine
    engine = EmbeddedEngine(folder / str(number), layers=layers)
    engine.start()
    took_since(begun)
    engine.stop()
print(*took)
"""


def starts(folder: Path, before: str) -> list[float]:
    """Seconds for importing the SDK (if that comes before), the first start and the next one."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        argv = [sys.executable, "-c", PROGRAM, own, str(folder / "layers"), before]
        return [float(word) for word in subprocess.check_output(argv, text=True).split()]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        starts(folder, "nothing")  # makes the layers
        alone = [starts(folder, "nothing") for _ in range(ROUNDS)]
        after = [starts(folder, "sdk") for _ in range(ROUNDS)]
    sdk = statistics.median(seconds[0] for seconds in after)
    first_alone = statistics.median(seconds[1] for seconds in alone)
    first_after = statistics.median(seconds[1] for seconds in after)
    later = statistics.median(seconds[2] for seconds in after)
    print(f"importing the SDK: {sdk * 1000:.0f} ms")
    print(f"first start, alone: {first_alone * 1000:.0f} ms, {first_alone / sdk:.2f} of the SDK's import")
    print(f"first start, after the SDK: {first_after * 1000:.0f} ms, {first_after / sdk:.2f} of it")
    print(f"a later start: {later * 1000:.0f} ms")


if __name__ == "__main__":
    main()
