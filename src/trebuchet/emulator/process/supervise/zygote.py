"""The fork server: forks a supervisor for every order that a daemon sends.

It exists because starting a Python for each sandbox would cost 20 ms and 10 MiB, and forking the daemon
itself, with its threads and its memory, would be unsound. It has one thread, knows nothing, and leaves when
its daemon does; the supervisors it forked stay.
"""

from __future__ import annotations

import array
import gc
import json
import os
import signal
import socket
import sys
import traceback

from trebuchet.emulator.process.supervise import framing
from trebuchet.emulator.process.supervise.supervisor import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DESCRIPTORS = 2
"""With each order come its lock, held, and a connected socket to whoever ordered."""


def main() -> None:
    """Serve orders from the socket whose descriptor is the first argument, until it closes."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.umask(0o022)
    gc.disable()
    gc.freeze()
    while (order := _receive(orders)) is not None:
        content, lock, line = order
        if os.fork() == 0:
            orders.close()
            _supervise(content, lock, line)
        os.close(lock)
        os.close(line)


def _supervise(order: dict[str, Any], lock: int, line: int) -> None:
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.chdir(order["folder"])
        for descriptor in (lock, line):
            os.set_inheritable(descriptor, False)
        Supervisor(order, socket.socket(fileno=line)).run()
        status = 0
    except BaseException:  # noqa: BLE001 - a fork must never return into its parent's code
        _leave_crash()
    finally:
        os._exit(status)


def _leave_crash() -> None:
    descriptor = os.open(framing.CRASH, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, traceback.format_exc().encode())


def _receive(orders: socket.socket) -> tuple[dict[str, Any], int, int] | None:
    space = socket.CMSG_SPACE(_DESCRIPTORS * array.array("i").itemsize)
    head, ancillary, _, _ = orders.recvmsg(framing.LENGTH.size, space)
    if len(head) < framing.LENGTH.size:
        return None
    descriptors = array.array("i")
    for _, _, data in ancillary:
        descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    payload = _receive_exactly(orders, framing.LENGTH.unpack(head)[0])
    if payload is None or len(descriptors) != _DESCRIPTORS:
        return None
    return json.loads(payload), descriptors[0], descriptors[1]


def _receive_exactly(orders: socket.socket, length: int) -> bytes | None:
    received = bytearray()
    while len(received) < length:
        chunk = orders.recv(min(length - len(received), 1 << 20))
        if not chunk:
            return None
        received += chunk
    return bytes(received)


if __name__ == "__main__":
    main()
