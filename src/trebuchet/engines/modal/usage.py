"""What a sandbox takes, as its own files and tools tell it: the service has no call for that."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trebuchet.engines.base import GpuUsage, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

READ_PROCESSES = """exec 2>/dev/null
cat /proc/uptime; getconf CLK_TCK || echo 100; getconf PAGESIZE || echo 4096
cat /proc/[0-9]*/stat
true"""
READ_GPUS = """exec 2>/dev/null
nvidia-smi --query-gpu=utilization.gpu,memory.used,memory.total --format=csv,noheader,nounits
true"""

_AFTER_NAME = re.compile(rb"\) [A-Za-z] (-?\d+(?: -?\d+){20,})\s*$")
"""A program may choose its name, brackets and line ends included: what follows the last bracket counts."""

_TIMES = slice(10, 14)
_PAGES = 20
"""Where, after a process's state, its processor times stand, those of its ended children too, and its pages:
fields 14 to 17 and 24 of /proc/PID/stat, see proc(5)."""


def usage_of(said: bytes) -> Usage | None:
    """Read what `READ_PROCESSES` printed; None where it makes no sense."""
    lines = said.split(b"\n")
    try:
        at, ticks, page = float(lines[0].split()[0]), int(lines[1]), int(lines[2])
    except (IndexError, ValueError):
        return None
    processes = list(_processes(lines[3:]))
    if not processes or ticks <= 0:
        return None
    return Usage(
        at=at,
        cpu_s=sum(sum(numbers[_TIMES]) for numbers in processes) / ticks,
        memory=sum(max(numbers[_PAGES], 0) for numbers in processes) * page,
    )


def _processes(lines: list[bytes]) -> Iterator[list[int]]:
    for line in lines:
        if found := _AFTER_NAME.search(line):
            yield [int(word) for word in found.group(1).split()]


def gpu_usage_of(said: bytes) -> GpuUsage | None:
    """Read what `READ_GPUS` printed; None where there are no GPUs, or they do not tell."""
    rows = list[tuple[float, int, int]]()
    for line in said.decode(errors="replace").splitlines():
        try:
            busy, used, size = (int(word) for word in line.split(","))
        except ValueError:
            continue  # "[N/A]", which part of a shared GPU says.
        rows.append((busy / 100, used << 20, size << 20))
    if not rows:
        return None
    return GpuUsage(
        busy=sum(row[0] for row in rows) / len(rows),
        memory=sum(row[1] for row in rows),
        memory_size=sum(row[2] for row in rows),
    )
