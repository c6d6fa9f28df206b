"""Where a ledger may lie: on a file system whose locks hold between processes."""

from __future__ import annotations

import os
import re
from pathlib import Path

from trebuchet.errors import LedgerError

_OCTAL = re.compile(rb"\\([0-7]{3})")
_MOUNTS = Path("/proc/self/mountinfo")
_WITHOUT_LOCKS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ncpfs", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse"}
)


def check(folder: Path) -> None:
    """Refuse a folder on a network file system: two processes there would damage the ledger.

    Raises:
        LedgerError: It is on one.
    """
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return  # No Linux. SQLite's own checks are what is left.
    kind = file_system_of(folder, mounts)
    if kind in _WITHOUT_LOCKS:
        raise LedgerError(
            f"{folder} lies on a network file system ({kind}), where SQLite's locks do not hold.",
            hint="Set TREBUCHET_HOME to a folder on a local disk.",
        )


def file_system_of(folder: Path, mounts: str) -> str:
    """The type of the file system that holds a folder, from the text of `/proc/self/mountinfo`."""
    best, kind = -1, ""
    place = folder.resolve()
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        root = Path(_unescaped(fields[4]))
        # Of two mounts at one place the later one hides the earlier.
        if (place == root or root in place.parents) and len(root.parts) >= best:
            best, kind = len(root.parts), after.split(" ", 1)[0]
    return kind


def _unescaped(place: str) -> str:
    """A mount's place: in octal the kernel writes a space, a tab, a newline and a backslash alone."""
    raw = place.encode("utf-8", "surrogateescape")
    return os.fsdecode(_OCTAL.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), raw))
