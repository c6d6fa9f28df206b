"""What this machine has that a sandbox may ask for."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.emulator import nvidia
from trebuchet.emulator.cores import THREADS_A_CORE
from trebuchet.emulator.disk import make_private_folder
from trebuchet.emulator.errors import EmulatorError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

DECLARED = re.compile(r"(?:(\d+)x)?([A-Za-z][A-Za-z0-9-]*\d[A-Za-z0-9-]*)")
"""Every name of a GPU has a letter first and a digit somewhere."""
_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CONDA = Path("/etc/profile.d/conda.sh")
_WRITABLE_BY_OTHERS = 0o022
_PACKAGE_LISTS = Path("/var/lib/apt/lists")
NUMBER = re.compile(r"\d+(\.\d+)?")


def gpus() -> dict[str, int]:
    """GPU names, in Modal's spelling, and how many of each there are.

    `TREBUCHET_LOCAL_GPUS` (`8xH100`, `8xH100,1xA100`, or empty for none) declares them instead; sandboxes
    then get no real device.

    Raises:
        EmulatorError: The declaration cannot be read.
    """
    declared = os.environ.get("TREBUCHET_LOCAL_GPUS")
    if declared is not None:
        return declared_gpus(declared)
    return dict(Counter(device.name for device in nvidia.devices()))


def declared_gpus(declared: str) -> dict[str, int]:
    """GPU names and how many of each, from a declaration like `8xH100,1xA100`.

    Raises:
        EmulatorError: It cannot be read.
    """
    found: Counter[str] = Counter()
    for part in filter(None, (part.strip() for part in declared.split(","))):
        match = DECLARED.fullmatch(part)
        if match is None:
            raise EmulatorError(
                f"TREBUCHET_LOCAL_GPUS cannot be read: {part!r}.", "Write it like 8xH100 or 8xH100,1xA100."
            )
        found[match[2].upper()] += int(match[1] or 1)
    return dict(found)


def real_room() -> dict[str, float]:
    """Physical processor cores, and memory in MiB."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    return {"cpus": (os.cpu_count() or 1) / THREADS_A_CORE, "memory_mib": memory}


def declared_rates() -> dict[str, Decimal]:
    """The prices that `TREBUCHET_LOCAL_RATES` pretends: a JSON object of US dollars an hour, by name.

    Raises:
        EmulatorError: It is none.
    """
    declared = os.environ.get("TREBUCHET_LOCAL_RATES")
    if not declared:
        return {}
    from decimal import Decimal  # noqa: PLC0415 - rarely needed

    try:
        return {str(name): Decimal(str(rate)) for name, rate in json.loads(declared).items()}
    except (ValueError, ArithmeticError, AttributeError):
        raise EmulatorError(
            "TREBUCHET_LOCAL_RATES cannot be read.",
            'Write a JSON object like {"gpu_hour_cost_h100": "4", "cpu_hour_cost_sandbox": "0.1"}.',
        ) from None


def declared_room() -> dict[str, float]:
    """What of these `TREBUCHET_LOCAL_CPUS` and `TREBUCHET_LOCAL_MEMORY_MIB` say instead.

    Raises:
        EmulatorError: One of them is no number above 0.
    """
    names = {"cpus": "TREBUCHET_LOCAL_CPUS", "memory_mib": "TREBUCHET_LOCAL_MEMORY_MIB"}
    return {key: _number(name, os.environ[name]) for key, name in names.items() if os.environ.get(name)}


def programs(names: Iterable[str]) -> frozenset[str]:
    """Which of these commands sandboxes find among the host's; `conda` also where only a login shell does."""
    found = {name for name in names if shutil.which(name, path=_SEARCH_PATH)}
    return frozenset(found | ({"conda"} if _CONDA.exists() else set()))


def has_package_lists() -> bool:
    """Whether `apt-get install` knows of packages without an update."""
    return any(_PACKAGE_LISTS.glob("*_Packages*"))


def builds_layers() -> bool:
    """Whether what is added to Modal's own base image is really added to the host's files for a sandbox.

    `TREBUCHET_LOCAL_LAYERS=recorded` takes these as they are, which is fast and needs no network.

    Raises:
        EmulatorError: It says something else.
    """
    said = os.environ.get("TREBUCHET_LOCAL_LAYERS") or "built"
    if said not in {"built", "recorded"}:
        raise EmulatorError(
            f"TREBUCHET_LOCAL_LAYERS={said} means nothing.",
            "`built` adds what an image asks for, `recorded` takes this machine as it is.",
        )
    return said == "built"


def shared_base() -> Path | None:
    """The folder, of several engines perhaps, of what all sandboxes stand on, as `TREBUCHET_LOCAL_BASE` says.

    None where it says nothing: each engine then makes its own, which takes the first sandbox some seconds.

    Raises:
        EmulatorError: It cannot be made, or somebody else could put something into it.
    """
    said = os.environ.get("TREBUCHET_LOCAL_BASE")
    if not said:
        return None
    folder = Path(said).absolute()
    try:
        if not folder.is_dir():  # One that is there may serve others too: its mode is not ours to change.
            make_private_folder(folder)
        known = folder.stat()
    except OSError as error:
        raise EmulatorError(f"TREBUCHET_LOCAL_BASE={said} cannot be used: {error.strerror}.") from error
    own, closed = known.st_uid == os.geteuid(), not known.st_mode & _WRITABLE_BY_OTHERS
    if not (own and closed):
        why = "is open to others" if own else "belongs to somebody else"
        raise EmulatorError(
            f"TREBUCHET_LOCAL_BASE={said} {why}, who could change what sandboxes run.",
            "Name a folder of your own, or none.",
        )
    return folder


def disk_limits(state: Path) -> dict[str, int]:
    """Bytes that one sandbox may have written, and that are to stay free where the state lies.

    `TREBUCHET_LOCAL_DISK_GIB` and `TREBUCHET_LOCAL_KEEP_FREE_GIB` say them. Without the second it is 1 GiB,
    or a twentieth of a disk on which that is less.

    Raises:
        EmulatorError: One of them is no number above 0.
    """
    room = os.statvfs(state)
    found = {"keep_free_bytes": min(1 << 30, room.f_blocks * room.f_frsize // 20)}
    names = {"disk_bytes": "TREBUCHET_LOCAL_DISK_GIB", "keep_free_bytes": "TREBUCHET_LOCAL_KEEP_FREE_GIB"}
    said = {key: _number(name, os.environ[name]) for key, name in names.items() if os.environ.get(name)}
    return found | {key: int(gib * 2**30) for key, gib in said.items()}


def _number(name: str, text: str) -> float:
    if not NUMBER.fullmatch(text) or float(text) <= 0:
        raise EmulatorError(f"{name} cannot be read: {text!r}.", "Write a number above 0.")
    return float(text)
