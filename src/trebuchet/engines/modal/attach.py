"""A command inside a sandbox, with this process's standard streams."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, BinaryIO

from modal.exception import Error as SdkError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import modal

_CHUNK = 1 << 16


def attach(sandbox: modal.Sandbox, argv: Sequence[str]) -> int:
    """Run the command to its end; its exit code."""
    process = sandbox.exec(*argv, text=False)
    pumps = [
        threading.Thread(target=_pump, args=(process.stdout, sys.stdout.buffer), daemon=True),
        threading.Thread(target=_pump, args=(process.stderr, sys.stderr.buffer), daemon=True),
    ]
    feeder = threading.Thread(target=_feed, args=(process.stdin,), daemon=True)
    for thread in (*pumps, feeder):
        thread.start()
    code = process.wait()
    for pump in pumps:
        pump.join()
    return code


def _pump(stream: Iterable[bytes], sink: BinaryIO) -> None:
    for chunk in stream:
        sink.write(chunk)
        sink.flush()


def _feed(sink: Any) -> None:
    """Pass our input on until it ends, or until nobody takes it any more."""
    with contextlib.suppress(SdkError, OSError):
        while chunk := _read_input():
            sink.write(chunk)
            sink.drain()
        sink.write_eof()
        sink.drain()


def _read_input() -> bytes:
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, ValueError, OSError):
        return b""  # started without an input, or with one that is no file
    return os.read(descriptor, _CHUNK)
