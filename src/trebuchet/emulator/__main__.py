"""The engine's daemon: `python -m trebuchet.emulator --state DIR`."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path

from trebuchet.emulator.errors import EmulatorError

DEFAULT_IDLE_TIMEOUT_S = 300.0


def main() -> int:
    """Run the daemon until it is told to go or has nothing to do; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m trebuchet.emulator", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="the directory that holds all its state")
    parser.add_argument(
        "--port", type=int, default=None, help="the port on 127.0.0.1 (default: the last one, or any)"
    )
    parser.add_argument(
        "--idle-timeout", type=float, default=DEFAULT_IDLE_TIMEOUT_S, help="seconds; 0 to stay"
    )
    parser.add_argument("--ready-fd", type=int, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ready_fd is not None:
        _detach()
    from trebuchet.emulator.server import serve  # noqa: PLC0415 - heavy, and useless before the detaching

    try:
        serve(
            arguments.state.absolute(),
            port=arguments.port,
            idle_timeout_s=arguments.idle_timeout,
            on_ready=lambda _: _tell_ready(arguments.ready_fd),
        )
    except EmulatorError as error:
        print(error.message, error.hint, file=sys.stderr)  # noqa: T201 - to the daemon's log
        return 1
    return 0


def _detach() -> None:
    """Become a process of its own, in a session of its own, that nobody has to wait for."""
    if os.fork():
        os._exit(0)
    os.setsid()


def _tell_ready(ready_fd: int | None) -> None:
    if ready_fd is not None:
        with suppress(BrokenPipeError):
            os.write(ready_fd, b"ready")
        os.close(ready_fd)


if __name__ == "__main__":
    sys.exit(main())
