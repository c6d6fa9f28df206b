"""The fork server: forks a supervisor for every order that a daemon sends.

It exists because starting a Python for each sandbox would cost 20 ms and 10 MiB, and forking the daemon
itself, with its threads and its memory, would be unsound. It has one thread, knows nothing, and leaves when
its daemon does; the supervisors it forked stay.
"""

from __future__ import annotations

import array
import collections
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback

from trebuchet.emulator.process.supervise import framing
from trebuchet.emulator.process.supervise.restraint import leave_keys_behind
from trebuchet.emulator.process.supervise.supervisor import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DESCRIPTORS = 2
"""With each order come its lock, held, and a connected socket to whoever ordered."""

_STARTING_AT_ONCE = max(4, 2 * (os.cpu_count() or 1))
_WAITING_AT_ONCE = 1_000
"""So many orders lie here at most, with two descriptors each; further ones wait in the socket."""


def main() -> None:
    """Serve orders from the socket whose descriptor is the first argument, until it closes."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.umask(0o022)
    leave_keys_behind()
    gc.disable()
    gc.freeze()
    Yard(socket.socket(fileno=int(sys.argv[1]))).serve()


class Yard:
    """Orders on their way: those that wait for their turn, and those whose sandboxes are just starting.

    A start is all work for the processor: a hundred at once would be no sooner done, and would keep the
    daemon from answering those who ask for more.
    """

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._open = True
        self._waiting: collections.deque[tuple[dict[str, Any], int, int]] = collections.deque()
        self._starting: set[int] = set()
        self._poll = select.poll()

    def serve(self) -> None:
        """Until no more orders can come and none waits."""
        self._poll.register(self._orders, select.POLLIN)
        while self._open or self._waiting:
            if self._open:
                full = len(self._waiting) >= _WAITING_AT_ONCE
                self._poll.modify(self._orders, 0 if full else select.POLLIN)
            for descriptor, _ in self._poll.poll():
                if descriptor == self._orders.fileno():
                    self._take_order()
                else:
                    self._started(descriptor)
            while self._waiting and len(self._starting) < _STARTING_AT_ONCE:
                self._start(*self._waiting.popleft())

    def _take_order(self) -> None:
        order = _receive(self._orders)
        if order is None:
            self._open = False
            self._poll.unregister(self._orders)
            return
        self._waiting.append(order)

    def _start(self, order: dict[str, Any], lock: int, line: int) -> None:
        started, starting = os.pipe()
        if os.fork() == 0:
            self._orders.close()
            _supervise(order, lock, line, starting)
        for descriptor in (lock, line, starting):
            os.close(descriptor)
        self._starting.add(started)
        self._poll.register(started, select.POLLIN)

    def _started(self, descriptor: int) -> None:
        """Its supervisor has closed the other end, or is gone."""
        self._poll.unregister(descriptor)
        self._starting.discard(descriptor)
        os.close(descriptor)


def _supervise(order: dict[str, Any], lock: int, line: int, starting: int) -> None:
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.chdir(order["folder"])
        for descriptor in (lock, line):
            os.set_inheritable(descriptor, False)
        Supervisor(order, socket.socket(fileno=line), starting).run()
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
