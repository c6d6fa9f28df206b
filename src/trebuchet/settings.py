"""Settings: what a user may fix once, by environment variable or by argument."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from trebuchet.errors import UsageError, shown

_DAY_S = 86_400
_TAG_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,32}")


def _home() -> Path:
    if configured := os.environ.get("TREBUCHET_HOME"):
        try:
            return Path(configured).expanduser().absolute()
        except FileNotFoundError:
            raise UsageError(
                f"TREBUCHET_HOME is a relative path, {shown(configured)}, and the folder that this was "
                "started in is gone.",
                hint="Change into one that is there, or write it from the root.",
            ) from None
    from platformdirs import user_state_path  # noqa: PLC0415 - most commands are told where home is, or cache it

    return user_state_path("trebuchet")


def _from_environment(name: str, default: str) -> str:
    return os.environ.get(name) or default


def _seconds(name: str, default: float, *, least: float = 0.0) -> float:
    written = _from_environment(name, str(default))
    try:
        seconds = float(written)
    except ValueError:
        seconds = -1.0
    if not least <= seconds < float("inf"):
        at_least = f", {least:g} at least" if least else ""
        raise UsageError(
            f"{name} cannot be read: {shown(written)}.", hint=f"Write a number of seconds, like 60{at_least}."
        )
    return seconds


def _tag_prefix() -> str:
    prefix = _from_environment("TREBUCHET_TAG_PREFIX", "trebuchet-")
    if not _TAG_PREFIX.fullmatch(prefix):
        raise UsageError(
            f"TREBUCHET_TAG_PREFIX cannot be used: {shown(prefix)}.",
            hint="Tags consist of letters, digits, dots, dashes and underscores; the prefix of at most 32.",
        )
    return prefix


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where state is kept, and the names used on the control plane.

    Raises:
        UsageError: An environment variable holds what cannot be used.

    Attributes:
        home: All state; private to the user (`TREBUCHET_HOME`).
        app_name: The app that holds the sandboxes (`TREBUCHET_APP`).
        cache_volume: The Volume mounted at the HuggingFace cache (`TREBUCHET_HF_CACHE`); empty for none.
        outputs_volume: The Volume that keeps what jobs write to `/outputs` (`TREBUCHET_OUTPUTS_VOLUME`);
            empty for none.
        tag_prefix: What the names of our tags begin with (`TREBUCHET_TAG_PREFIX`).
        profile: Modal's profile, None for its active one (`MODAL_PROFILE`).
        environment: Modal's environment, None for its default (`MODAL_ENVIRONMENT`).
        longest_s: Seconds that one sandbox lives at most; a job with a longer `timeout` goes on in another
            (`TREBUCHET_LONGEST_SANDBOX_S`, 1 at least, at most the service's 24 hours).
        restart_pause_s: Seconds before a job's first restart; before each later one twice as many, at most
            five minutes (`TREBUCHET_RESTART_PAUSE_S`).
        keeper: Whether a background process begins the next attempts of jobs. Without one that is done by the
            next command (`TREBUCHET_KEEPER=0`). One that waits for a GPU has it all the same.
        archive: Whether that process also archives the logs of jobs that nobody follows
            (`TREBUCHET_ARCHIVE=0`).
    """

    home: Path = field(default_factory=_home)
    app_name: str = field(default_factory=lambda: _from_environment("TREBUCHET_APP", "trebuchet"))
    cache_volume: str = field(
        default_factory=lambda: os.environ.get("TREBUCHET_HF_CACHE", "trebuchet-hf-cache"),
    )
    outputs_volume: str = field(
        default_factory=lambda: os.environ.get("TREBUCHET_OUTPUTS_VOLUME", "trebuchet-outputs"),
    )
    tag_prefix: str = field(default_factory=_tag_prefix)
    profile: str | None = field(default_factory=lambda: os.environ.get("MODAL_PROFILE"))
    environment: str | None = field(default_factory=lambda: os.environ.get("MODAL_ENVIRONMENT"))
    longest_s: int = field(
        default_factory=lambda: min(_DAY_S, int(_seconds("TREBUCHET_LONGEST_SANDBOX_S", _DAY_S, least=1)))
    )
    restart_pause_s: float = field(default_factory=lambda: _seconds("TREBUCHET_RESTART_PAUSE_S", 5))
    keeper: bool = field(default_factory=lambda: os.environ.get("TREBUCHET_KEEPER") != "0")
    archive: bool = field(default_factory=lambda: os.environ.get("TREBUCHET_ARCHIVE") != "0")


def make_missing_folder(folder: Path) -> None:
    """Make a folder, and what is missing above it, for the user alone; one that is there stays as it is.

    `mkdir` by itself would make the last one alone so.
    """
    if not folder.is_dir():
        make_missing_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
