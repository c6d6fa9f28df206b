"""A command in a sandbox that runs beside this thread, and a pipe to it or from it."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from trebuchet.errors import ControlPlaneError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trebuchet.engines.base import Engine

_GRACE_S = 10.0
"""How long to wait for the end of what is given up."""


@dataclass(frozen=True)
class Within:
    """Where commands run.

    Attributes:
        engine: The control plane.
        sandbox_id: Which sandbox.
        job_name: Of the job that it is of.
    """

    engine: Engine
    sandbox_id: str
    job_name: str

    def run(
        self, argv: Sequence[str], *, stdin: BinaryIO | None = None, stdout: BinaryIO | None = None
    ) -> int:
        """Run a command to its end, with nothing for its input where none is given; its exit code."""
        if stdin is not None:
            return self.engine.exec(self.sandbox_id, argv, stdin=stdin, stdout=stdout)
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - no path of anybody's
            return self.engine.exec(self.sandbox_id, argv, stdin=nothing, stdout=stdout)


class Pipe:
    """Both ends of a pipe, as files."""

    def __enter__(self) -> tuple[BinaryIO, BinaryIO]:
        reads, writes = os.pipe()
        self._files = os.fdopen(reads, "rb"), os.fdopen(writes, "wb", buffering=0)
        return self._files

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()


class Beside:
    """A command that runs beside this thread.

    Args:
        command: Runs it; its exit code.
        then: Called when it is over, however it ended.

    Attributes:
        is_over: Whether it has ended.
    """

    def __init__(self, command: Callable[[], int], then: Callable[[], object]) -> None:
        self._code: int | None = None
        self._error: BaseException | None = None

        def run() -> None:
            try:
                self._code = command()
            except BaseException as error:  # noqa: BLE001 - raised again where its end is waited for
                self._error = error
            finally:
                self.is_over = True
                then()

        self.is_over = False
        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def give_up(self) -> None:
        """Wait a while for the end of a command whose other side has gone."""
        self._thread.join(_GRACE_S)

    def check(self, failure: str) -> None:
        """Wait for its end.

        Raises:
            ControlPlaneError: It failed.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        if self._code != 0:
            raise ControlPlaneError(failure)
