"""What is kept of a file besides its content: mode, owner, time."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

_UNKNOWN_OWNER = frozenset({errno.EPERM, errno.EINVAL})
"""What a user namespace says of an owner that it does not know: then the file is root's."""
_SET_ID = stat.S_ISUID | stat.S_ISGID


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What an archive, or a file, says about a file."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int


def facts_of(found: os.stat_result) -> Facts:
    """What is true of a file on disk."""
    return Facts(mode=found.st_mode, uid=found.st_uid, gid=found.st_gid, mtime_ns=found.st_mtime_ns)


def give_facts(path: str, facts: Facts, *, link: bool = False) -> None:
    """Make a file, a folder or a symbolic link be as these facts say, as far as this user can.

    Owners are kept for root alone; an ordinary user owns all, and can read all, whatever the modes say. Files
    lose the bits that lend their owner's rights: no sandbox honours them, and on the host they are a danger.
    """
    is_root = os.geteuid() == 0
    if is_root:
        _give_owner(path, facts)
    if not link:
        os.chmod(path, _permissions(path, facts.mode, is_root=is_root))
    os.utime(path, ns=(facts.mtime_ns, facts.mtime_ns), follow_symlinks=False)


def _give_owner(path: str, facts: Facts) -> None:
    try:
        os.lchown(path, facts.uid, facts.gid)
    except OSError as error:
        if error.errno not in _UNKNOWN_OWNER:
            raise


def _permissions(path: str, mode: int, *, is_root: bool) -> int:
    kept = stat.S_IMODE(mode)
    if stat.S_ISDIR(os.lstat(path).st_mode):
        return kept if is_root else kept | stat.S_IRWXU
    kept &= ~_SET_ID
    return kept if is_root else kept | stat.S_IRUSR
