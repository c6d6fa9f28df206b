"""What tells the system that sandboxes run on from what it was before; layers hold for one of them alone."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from trebuchet.emulator.process.python_layer import python_key

_SYSTEM = Path("/etc/os-release")
_PACKAGES = (Path("/var/lib/dpkg/status"), Path("/var/lib/rpm"), Path("/lib/apk/db/installed"))
"""What package managers write whenever something is installed, upgraded or removed."""


def system_key() -> str:
    """Changes when the host's packages do, or the sandboxes' Python."""
    parts = [_python(), _SYSTEM.read_text(errors="replace") if _SYSTEM.exists() else ""]
    for place in _PACKAGES:
        if place.exists():
            found = place.stat()
            parts.append(f"{place} {found.st_mtime_ns} {found.st_size}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@lru_cache(maxsize=1)
def _python() -> str:
    return python_key()
