"""Whose a listening port is: sandboxes share the machine's network, and its ports, with everything on it."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path

from trebuchet.emulator.process.supervise.descendants import all_pids, parent_of

_LISTENING = "0A"
_INODE = 9


def _as_the_kernel_writes(address: bytes) -> str:
    words = (address[start : start + 4] for start in range(0, len(address), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)


_LOOPBACK = socket.inet_aton("127.0.0.1")
_REACHED = {
    Path("/proc/net/tcp"): {_as_the_kernel_writes(address) for address in (_LOOPBACK, bytes(4))},
    Path("/proc/net/tcp6"): {
        _as_the_kernel_writes(address) for address in (bytes(10) + b"\xff\xff" + _LOOPBACK, bytes(16))
    },
}
"""The addresses to listen at that a connection to this machine's loopback reaches."""


class Holder(Enum):
    """Who listens on a port."""

    NOBODY = auto()
    ITSELF = auto()
    ANOTHER = auto()


def holder_of(port: int, init_pid: int | None) -> Holder:
    """Who answers a connection to a port on loopback: a sandbox itself, or another process of this machine.

    Where the kernel does not tell (macOS) whoever listens is taken for the sandbox. This takes a look at each
    process of the machine if there is a listener: call it in a thread.

    Args:
        port: The port.
        init_pid: The sandbox's first process; None before it has one.
    """
    sockets = _listening_at(port)
    if sockets is None:
        return Holder.ITSELF
    if not sockets:
        return Holder.NOBODY
    return Holder.ITSELF if init_pid is not None and _is_held(sockets, init_pid) else Holder.ANOTHER


def _listening_at(port: int) -> set[str] | None:
    """The sockets that listen there, as `/proc` calls them; None where it cannot be known."""
    found: set[str] | None = None
    for table, addresses in _REACHED.items():
        with suppress(OSError):
            lines = table.read_text().splitlines()[1:]
            found = set() if found is None else found
            for fields in map(str.split, lines):
                address, _, number = fields[1].partition(":")
                if fields[3] == _LISTENING and int(number, 16) == port and address in addresses:
                    found.add(f"socket:[{fields[_INODE]}]")
    return found


def _is_held(sockets: set[str], init_pid: int) -> bool:
    """Whether a process of a sandbox has one of these sockets open."""
    tree = _Tree(init_pid)
    return any(_holds(pid, sockets) and tree.has(pid) for pid in reversed(all_pids()))


def _holds(pid: int, sockets: set[str]) -> bool:
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if str(Path(entry).readlink()) in sockets:
                    return True
    return False


class _Tree:
    """The processes of one sandbox, commands that entered it later and orphans of theirs included.

    In a container all of them are in one namespace of process numbers. Without one they come from the
    supervisor, to which the orphans of the tree return.
    """

    def __init__(self, init_pid: int) -> None:
        self._roots = {init_pid}
        self._namespace = _namespace(init_pid)
        if self._namespace == _namespace(os.getpid()):
            self._namespace = ""
            with suppress(OSError):
                self._roots.add(parent_of(init_pid))

    def has(self, pid: int) -> bool:
        with suppress(OSError):
            while pid > 1:  # a container within the container is found by what it comes from
                if pid in self._roots or (self._namespace and _namespace(pid) == self._namespace):
                    return True
                pid = parent_of(pid)
        return False


def _namespace(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""
