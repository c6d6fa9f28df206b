"""What a person sees on stderr while a job is launched and waits for its machine."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol

import click

from trebuchet.cli.console import is_dumb, printable, tell
from trebuchet.cli.render import duration, metadata_of
from trebuchet.cli.sizes import size

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.status import Status

    from trebuchet.status import JobStatus
    from trebuchet.uploads import Sent

_BAR = 20
_REMIND_S = 60
"""How often a log file, which shows no moving line, is told that the wait goes on."""


class Progress(Protocol):
    """Told of every step; forgets itself at its end."""

    def build_output(self, text: str) -> None:
        """An image build printed this."""
        ...

    def sending(self, sent: Sent) -> None:
        """Local files are on their way; called now and then, perhaps from another thread."""
        ...

    def waiting(self, status: JobStatus) -> None:
        """The job waits still; called about once a second."""
        ...

    def stop(self) -> None:
        """Make room for the job's own output."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def progress_for(title: str) -> Progress:
    """A moving line on a terminal, a line now and then elsewhere."""
    moving = sys.stderr.isatty() and not is_dumb()
    return MovingProgress(title) if moving else PlainProgress(title)


def what_it_waits_for(status: JobStatus) -> str:
    """What a pending job waits for, in words."""
    waited_for = metadata_of(status).get("waiting_for")
    return f"waiting for {printable(str(waited_for))}" if waited_for else "waiting for its sandbox"


def progress_of(sent: Sent, seconds: float) -> str:
    """A transfer as a bar, with its files, bytes and rate.

    The bar goes by files where there are many, for those that are there already cost no bytes.
    """
    whole = sent.of or sent
    part = max(_part(sent.files, whole.files), _part(sent.bytes, whole.bytes))
    filled = round(part * _BAR)
    rate = f", {size(int(sent.bytes / seconds))}/s" if seconds >= 1 and sent.bytes else ""
    return (
        f"sending {'━' * filled}{'─' * (_BAR - filled)} {sent.files:,} of {whole.files:,} files there, "
        f"{size(sent.bytes)} of {size(whole.bytes)} sent{rate}"
    )


def _part(done: int, whole: int) -> float:
    return min(done / whole, 1.0) if whole else 0.0


class PlainProgress:
    """Lines on stderr: each thing waited for once, and a reminder now and then."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began = self._last_told = time.monotonic()
        self._said: str = ""

    def build_output(self, text: str) -> None:
        _pass_on(text)

    def sending(self, sent: Sent) -> None:
        now = time.monotonic()
        if now - self._last_told >= _REMIND_S:
            self._last_told = now
            tell(f"{self._title}: {progress_of(sent, now - self._began)}")

    def waiting(self, status: JobStatus) -> None:
        now, words = time.monotonic(), what_it_waits_for(status)
        if now - self._began < 1 or (words == self._said and now - self._last_told < _REMIND_S):
            return
        self._said, self._last_told = words, now
        tell(f"{self._title}: {words} ({duration(now - self._began)})")

    def stop(self) -> None:
        """Nothing moves, so nothing is to be taken away."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class MovingProgress:
    """One line at the bottom of a terminal that says what is waited for and for how long."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began = time.monotonic()
        self._sending_since: float | None = None
        self._line: Status | None = None

    def build_output(self, text: str) -> None:
        self.stop()
        _pass_on(text)

    def sending(self, sent: Sent) -> None:
        now = time.monotonic()
        self._sending_since = self._sending_since or now
        self._show(progress_of(sent, now - self._sending_since))

    def waiting(self, status: JobStatus) -> None:
        self._show(what_it_waits_for(status))

    def _show(self, words: str) -> None:
        waited = time.monotonic() - self._began
        if waited < 1:  # What is over at once needs no moving line, and rich takes a while to load.
            return
        words = f"{self._title}: {words} ({duration(waited)})"
        if self._line is None:
            self._line = _moving_line(words)
            self._line.start()
        self._line.update(_escaped(words))

    def stop(self) -> None:
        if self._line is not None:
            self._line.stop()
            self._line = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _moving_line(words: str) -> Status:
    from rich.console import Console  # noqa: PLC0415 - heavy, and only here
    from rich.status import Status  # noqa: PLC0415 - heavy, and only here

    return Status(_escaped(words), console=Console(stderr=True))


def _escaped(words: str) -> str:
    return words.replace("[", r"\[")


def _pass_on(text: str) -> None:
    click.echo(text, nl=False, err=True)
