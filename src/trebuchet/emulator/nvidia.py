"""The GPUs that NVIDIA's driver knows: through its library where that can be had, else as its tool says."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CONTROL_NODE = Path("/dev/nvidiactl")
_TOOL_S = 20
_KNOWN_NAMES = re.compile(
    r"\b(GB300|GB200|B300|B200|H200|H100|GH200|A100|L40S|L40|L4|A10G|A10|A6000|T4|V100|RTX\s?PRO\s?\d+|RTX\s?\d+\w*)\b"
)
_RTX = re.compile(r"RTX[ -](\d)")


@dataclass(frozen=True, kw_only=True)
class Device:
    """A GPU.

    Attributes:
        name: Its type as job files and Modal write it: `H100`, `A100-80GB`, `RTX4090`.
        minor: The number of its device node; not always its place among the others.
    """

    name: str
    minor: int


def devices() -> list[Device]:
    """All GPUs, in the driver's order (by bus); none where there is no driver."""
    found = from_library() if _CONTROL_NODE.exists() else None
    return from_tool() if found is None else found


def from_library() -> list[Device] | None:
    """What NVML says; None where it cannot be asked."""
    import pynvml  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] - where there is a driver

    library: Any = pynvml
    try:
        library.nvmlInit()
    except library.NVMLError:
        return None
    try:
        return [_device(library, index) for index in range(library.nvmlDeviceGetCount())]
    except library.NVMLError:
        return None
    finally:
        with suppress(library.NVMLError):
            library.nvmlShutdown()


def _device(library: Any, index: int) -> Device:
    handle = library.nvmlDeviceGetHandleByIndex(index)
    name: str | bytes = library.nvmlDeviceGetName(handle)
    minor = index
    with suppress(library.NVMLError):  # the driver does not tell it everywhere: not under Windows, say
        minor = library.nvmlDeviceGetMinorNumber(handle)
    return Device(name=short_name(name.decode() if isinstance(name, bytes) else name), minor=minor)


def from_tool() -> list[Device]:
    """What `nvidia-smi` lists, in its order; none where there is no such tool or it fails."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        listed = subprocess.run(
            [tool, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=_TOOL_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    names = [line for line in listed.stdout.splitlines() if line.strip()]
    return [Device(name=short_name(name), minor=index) for index, name in enumerate(names)]


def short_name(marketing_name: str) -> str:
    """A GPU's type, out of what the driver calls it."""
    name = marketing_name.upper().replace("NVIDIA", "")
    match = _KNOWN_NAMES.search(name)
    if match is not None and match[1] == "A100" and "80GB" in name:
        return "A100-80GB"  # Modal's A100 alone is the one with 40 GB.
    if match is not None:
        return _RTX.sub(r"RTX\1", match[1]).replace(" ", "-")
    return re.sub(r"[^A-Z0-9]+", "-", marketing_name.upper()).strip("-")
