"""A command inside a sandbox, with streams of the caller's."""

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


def attach(
    sandbox: modal.Sandbox,
    argv: Sequence[str],
    *,
    stdin: BinaryIO | None = None,
    stdout: BinaryIO | None = None,
) -> int:
    """Run the command to its end; its exit code.

    Args:
        sandbox: Where.
        argv: The command.
        stdin: What it reads; None for this process's own input.
        stdout: Takes its output; None for this process's own.
    """
    process = sandbox.exec(*argv, text=False)
    pumps = [
        threading.Thread(target=_pump, args=(process.stdout, stdout or sys.stdout.buffer), daemon=True),
        threading.Thread(target=_pump, args=(process.stderr, sys.stderr.buffer), daemon=True),
    ]
    source = _descriptor(stdin or sys.stdin)
    feeder = threading.Thread(target=feed, args=(process.stdin, source), daemon=True)
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


def feed(sink: Any, source: int | None) -> None:
    """Pass input on until it ends, or until nobody takes it any more; None has ended already."""
    with contextlib.suppress(SdkError, OSError):
        while source is not None and (chunk := os.read(source, _CHUNK)):
            sink.write(chunk)
            sink.drain()
        sink.write_eof()
        sink.drain()


def _descriptor(source: Any) -> int | None:
    try:
        return source.fileno()
    except (AttributeError, ValueError, OSError):
        return None  # started without an input, or with one that is no file
