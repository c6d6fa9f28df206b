"""What the kernel holds against a sandbox's processes from their start."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource

from trebuchet.emulator.process.supervise.cgroup import join

_KILLED_FIRST = b"500"
_KEYCTL = {"x86_64": 250, "aarch64": 219}
_JOIN_SESSION_KEYRING = 1


def restrain(open_files: int, group: str) -> None:
    """Limit this process, which is about to become a sandbox's, and all that it will start.

    Where the machine runs out of memory the kernel is to end these, rather than the engine or the desktop.

    Args:
        open_files: How many each process may have open.
        group: The file of a control group by which it is joined; empty for none.

    Raises:
        OSError: The group cannot be joined.
    """
    join(group)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(_KILLED_FIRST)
    with contextlib.suppress(OSError, ValueError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_least(soft, open_files), _least(hard, open_files)))


def leave_keys_behind() -> None:
    """Begin a session of the kernel's key store, for this process and all that it starts.

    The one inherited holds what the user logged in with. It is one for all sandboxes: an ordinary user may
    have 200 keys, and each sandbox would take one.
    """
    number = _KEYCTL.get(os.uname().machine)
    if number is not None and os.uname().sysname == "Linux":
        ctypes.CDLL(None).syscall(number, _JOIN_SESSION_KEYRING, None)


def _least(limit: int, most: int) -> int:
    return most if limit == resource.RLIM_INFINITY else min(limit, most)
