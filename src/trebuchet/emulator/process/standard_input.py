"""Writing to a process's standard input, which is a named pipe in its folder."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from trebuchet.emulator.process.errors import NotRunningError
from trebuchet.emulator.process.supervise import framing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from _typeshed import HasFileno


def open_input(folder: Path) -> int | None:
    """A descriptor to write to; None while nobody reads at the other end.

    Raises:
        NotRunningError: The input has been closed.
    """
    try:
        return os.open(folder / framing.STDIN, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotRunningError("The process's standard input was closed.") from None
    except OSError:
        return None


async def write_all(descriptor: int, data: bytes, on_written: Callable[[int], None]) -> None:
    """Write everything, waiting while the pipe is full.

    Args:
        descriptor: The pipe's, which does not block.
        data: What to write.
        on_written: Called with the number of bytes each time that the pipe took some: whoever is
            cancelled while he waits knows so what has arrived.

    Raises:
        NotRunningError: The other end was closed.
    """
    rest = memoryview(data)
    while rest:
        try:
            count = os.write(descriptor, rest)
        except BlockingIOError:
            await writable(descriptor)
        except BrokenPipeError:
            raise NotRunningError("The process no longer reads its standard input.") from None
        else:
            rest = rest[count:]
            on_written(count)


async def writable(descriptor: int | HasFileno) -> None:
    """Wait until something can be written."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(descriptor, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)
