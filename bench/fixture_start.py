"""How long the engine of a test's fixture takes until it answers, next to importing the SDK.

    python bench/fixture_start.py

Prints: the first start in a process of its own, imports included, before the SDK was imported and after that,
and a later start in the same process; each also as a ratio to importing the SDK, and in processor time, which
other work on the machine does not lengthen. What sandboxes share is made before.
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
def begin():
    return time.perf_counter(), time.process_time()
def end(begun):
    print(time.perf_counter() - begun[0], time.process_time() - begun[1])
begun = begin()
if before == "sdk":
    import modal
end(begun)
for number in range(2):
    begun = begin()
    from trebuchet.emulator.embedded import EmbeddedEngine
    engine = EmbeddedEngine(folder / str(number), layers=layers)
    engine.start()
    end(begun)
    engine.stop()
"""

Seconds = tuple[float, float]
"""By the clock, and of the processor."""


def starts(folder: Path, before: str) -> list[Seconds]:
    """What importing the SDK took (if that comes before), the first start and the next one."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        argv = [sys.executable, "-c", PROGRAM, own, str(folder / "layers"), before]
        lines = subprocess.check_output(argv, text=True).splitlines()
    return [(float(wall), float(cpu)) for wall, cpu in (line.split() for line in lines)]


def median(found: list[list[Seconds]], number: int) -> Seconds:
    walls, cpus = zip(*(of_round[number] for of_round in found), strict=True)
    return statistics.median(walls), statistics.median(cpus)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        starts(folder, "nothing")  # makes the layers
        alone = [starts(folder, "nothing") for _ in range(ROUNDS)]
        after = [starts(folder, "sdk") for _ in range(ROUNDS)]
    sdk = median(after, 0)
    rows = {
        "importing the SDK": sdk,
        "first start, alone": median(alone, 1),
        "first start, after the SDK": median(after, 1),
        "a later start": median(after, 2),
    }
    for what, (wall, cpu) in rows.items():
        ratio = f"{wall / sdk[0]:.2f} of the SDK's import"
        print(f"{what}: {wall * 1000:.0f} ms ({cpu * 1000:.0f} ms of the processor), {ratio}")


if __name__ == "__main__":
    main()
