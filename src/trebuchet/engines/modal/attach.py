"""A command inside a sandbox, with streams of the caller's."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import threading
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, BinaryIO

from modal.exception import Error as SdkError

from trebuchet.engines.modal.errors import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import modal

_CHUNK = 1 << 16

_MARK = "TREBUCHET_EXEC"
_MARKED = ("sh", "-c", 'export "$1"; shift; exec "$@"', "sh")
_END = """
signal=TERM
for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  found=$(grep -lF "$1" /proc/[0-9]*/environ 2>/dev/null)
  [ "$found" ] || exit 0
  [ "$turn" -le 15 ] || signal=KILL
  for one in $found; do one=${one#/proc/}; kill -s $signal "${one%/environ}" 2>/dev/null; done
  sleep 0.1
done
"""
_ENDED_WITHIN_S = 10.0
"""How long to wait for the end of a command that nobody is to hear of any more."""


def attach(
    sandbox: modal.Sandbox,
    argv: Sequence[str],
    *,
    stdin: BinaryIO | None = None,
    stdout: BinaryIO | None = None,
) -> int:
    """Run the command to its end; its exit code.

    Where its output cannot be passed on, or somebody interrupts this, it is ended with all that it started.

    Args:
        sandbox: Where.
        argv: The command.
        stdin: What it reads; None for this process's own input.
        stdout: Takes its output; None for this process's own.

    Raises:
        OSError: Some of its output could not be written here.
    """
    # The service has no call that ends a command. A word in its environment is how its processes are found.
    mark = f"{_MARK}={secrets.token_hex(8)}"
    with translated():
        process = sandbox.exec(*_MARKED, mark, *argv, text=False)
    done = SimpleQueue[int | BaseException]()
    parts = (
        partial(_wait, process),
        partial(_pump, process.stdout, stdout or sys.stdout.buffer, done.put),
        partial(_pump, process.stderr, sys.stderr.buffer, done.put),
    )
    source = _descriptor(stdin or sys.stdin)
    threading.Thread(target=feed, args=(process.stdin, source), daemon=True).start()
    for part in parts:
        _begin(part, done)
    try:
        return _sum_of(done, len(parts))
    except BaseException:
        _end(sandbox, mark)
        raise


def _begin(part: Callable[[], int], done: SimpleQueue[int | BaseException]) -> None:
    def do() -> None:
        try:
            done.put(part())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            done.put(error)

    threading.Thread(target=do, daemon=True).start()


def _sum_of(done: SimpleQueue[int | BaseException], count: int) -> int:
    """The sum of what so many give, or at once what the first that fails raises.

    The caller's thread waits on a queue alone, so that a signal always gets through.
    """
    total = 0
    for _ in range(count):
        outcome = done.get()
        if isinstance(outcome, BaseException):
            raise outcome
        total += outcome
    return total


def _wait(process: Any) -> int:
    with translated():
        return process.wait()


def _pump(stream: Iterable[bytes], sink: BinaryIO, fail: Callable[[BaseException], None]) -> int:
    """Pass a stream on to its end.

    It is read also where nobody takes it any more: of one left in the middle the SDK complains later.
    """
    chunks, lost = iter(stream), False
    while (chunk := _next(chunks)) is not None:
        try:
            if not lost:
                _write(sink, chunk)
        except (OSError, ValueError) as error:
            lost = True
            fail(error)
    return 0


def _write(sink: BinaryIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[sink.write(rest) :]
    sink.flush()


def _next(chunks: Any) -> bytes | None:
    with translated():  # Not what the sink says: a full disk is no fault of the connection.
        return next(chunks, None)


def _end(sandbox: modal.Sandbox, mark: str) -> None:
    """End what carries a mark; what cannot be ended soon is left alone."""

    def end() -> None:
        with contextlib.suppress(Exception):  # What led here is what is told.
            sandbox.exec("sh", "-c", _END, "sh", mark).wait()

    ending = threading.Thread(target=end, daemon=True)
    ending.start()
    ending.join(_ENDED_WITHIN_S)


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
