"""One job, to be asked and told, for programs that keep it in a variable."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from trebuchet.client import ModalLogStream
    from trebuchet.client.inside import Inside
    from trebuchet.client.log_reading import LogReading
    from trebuchet.client.outputs import Outputs
    from trebuchet.launcher.launcher import Launcher
    from trebuchet.ledger import Event
    from trebuchet.status import JobStatus, LogSource


class JobHandle:
    """A job that was launched, by whichever process. Made by `Launcher.attach`; remembers only the key.

    Attributes:
        key: The job's.
    """

    def __init__(self, launcher: Launcher, key: str) -> None:
        self._launcher = launcher
        self.key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobHandle) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key!r})"

    def status(self, *, cached: bool = False) -> JobStatus:
        """How it stands; with `cached` as last seen."""
        return self._launcher.find(self.key, cached=cached)

    def wait(self, timeout: float | None = None) -> JobStatus:
        """Block until it has ended, or for so many seconds; how it then stands."""
        return self._launcher.wait([self.key], timeout=timeout)[0]

    def logs(
        self,
        *,
        follow: bool = False,
        since: datetime | None = None,
        tail: int | None = None,
        source: LogSource | None = None,
        attempt: int | None = None,
        cursor: str | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> LogReading:
        """Its output as `LogEntry` after `LogEntry`, for `for` and `async for`; see `Launcher.logs`."""
        return self._launcher.logs(
            self.key,
            follow=follow,
            since=since,
            tail=tail,
            source=source,
            attempt=attempt,
            cursor=cursor,
            tell=tell,
        )

    def get_logs_stream(self) -> ModalLogStream:
        """Its output as a stream of text, until it has ended; its lines for `for` and `async for`."""
        from trebuchet.client import ModalLogStream  # noqa: PLC0415 - as the launcher's other parts

        return ModalLogStream(self.logs(follow=True))

    def events(self) -> list[Event]:
        """What happened to it, oldest first."""
        return self._launcher.events(self.key)

    def outputs(self) -> Outputs:
        """What it wrote to `/outputs`: to be listed, read, pulled, removed."""
        return self._launcher.outputs(self.key)

    def inside(self) -> Inside:
        """The running job from within: commands, a shell, files to and fro, its ports."""
        return self._launcher.inside(self.key)

    def cancel(self) -> JobStatus:
        """End it. One that has ended already stays what it was."""
        return self._launcher.cancel(self.key)
