"""What image builds print: shown while they run, whoever runs them, and kept where they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.errors import ImageBuildError
from trebuchet.settings import make_missing_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trebuchet.settings import Settings


class BuildLog:
    """The output of one job's image build.

    Args:
        settings: For the folder where it is kept.
        key: The job's.
        also: Is given each piece too.
    """

    def __init__(self, settings: Settings, key: str, *, also: Callable[[str], None] | None = None) -> None:
        self._path = log_path(settings, key)
        self._also = also
        self._begun = False

    def write(self, text: str) -> None:
        if not self._begun:
            make_missing_folder(self._path.parent)
            self._begun = True
        with self._path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(text)
        if self._also is not None:
            self._also(text)

    def succeeded(self) -> None:
        """Nothing has to be kept."""
        if self._begun:
            self._path.unlink(missing_ok=True)

    def failed(self, error: ImageBuildError) -> ImageBuildError:
        """The same error, with a hint that says where all of the output is."""
        if error.build_log and not self._begun:
            self.write(error.build_log)
        if not self._begun:
            return error
        return ImageBuildError(
            str(error), build_log=error.build_log, hint=f"What the build printed is in {self._path}."
        )


def log_path(settings: Settings, key: str) -> Path:
    """Where the output of a job's image build is while it is built, and after it has failed."""
    return settings.home / "builds" / f"{key}.log"


class Tail:
    """Reads what another process writes to a build log.

    Args:
        path: Of the log; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def news(self) -> str:
        """What was written since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except FileNotFoundError:
            return ""
        # A character that is only half written waits for its other half.
        text = new.decode("utf-8", errors="ignore") if new else ""
        self._read += len(text.encode()) if text else 0
        return text
