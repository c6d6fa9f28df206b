"""A command inside a sandbox on a terminal of its own, shown on this process's terminal."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import sys
import termios
import threading
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trebuchet.engines.modal.attach import feed
from trebuchet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from types import FrameType

    import modal

_NOTE = "/tmp/.trebuchet-shell-"  # noqa: S108 - inside the sandbox, under a name drawn for it


def attach_terminal(sandbox: modal.Sandbox, argv: Sequence[str]) -> int:
    """Run the command to its end; its exit code. Keys, Ctrl-C among them, and changes of size reach it.

    Raises:
        UsageError: This process has no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "A shell needs a terminal.", hint="For a command without one: trebuchet exec JOB -- …"
        )
    note = _NOTE + secrets.token_hex(6)
    # The SDK tells the size only once. The process's number is left in a file, to tell it of new sizes.
    start = f"echo $$ >{note}; {_set_size()}; exec {shlex.join(argv)}"
    process = sandbox.exec("sh", "-c", start, pty=True, text=False)
    with _raw_terminal(), _told_of_sizes(sandbox, note):
        feeder = threading.Thread(target=feed, args=(process.stdin, sys.stdin.fileno()), daemon=True)
        feeder.start()
        shown: Any = process.stdout
        for chunk in shown:
            _write_all(chunk)
        return process.wait()


def _write_all(data: bytes) -> None:
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]


def _set_size() -> str:
    size = os.get_terminal_size(sys.stdout.fileno())
    return f"stty rows {size.lines} cols {size.columns} 2>/dev/null"


@contextmanager
def _raw_terminal() -> Generator[None]:
    """Every key goes to the other side, and is shown by it alone."""
    before = termios.tcgetattr(sys.stdin.fileno())
    tty.setraw(sys.stdin.fileno(), termios.TCSADRAIN)  # what was typed ahead is kept
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)


@contextmanager
def _told_of_sizes(sandbox: modal.Sandbox, note: str) -> Generator[None]:
    changed, over = threading.Event(), threading.Event()

    def tell() -> None:
        while changed.wait() and not over.is_set():
            changed.clear()
            sandbox.exec("sh", "-c", f"{_set_size()} </proc/$(cat {note})/fd/0").wait()

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()

    def note_change(_number: int, _frame: FrameType | None) -> None:
        changed.set()

    before = signal.signal(signal.SIGWINCH, note_change)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
        over.set()
        changed.set()
