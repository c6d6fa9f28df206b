"""Who may look into the state folder: its user alone, whatever made it and however."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def open_to_others(folder: Path) -> list[str]:
    """What lies there that others could read, as far as they could get to it."""
    found: list[str] = []
    for entry in os.scandir(folder):
        mode = entry.stat(follow_symlinks=False).st_mode
        if mode & 0o077 and not entry.is_symlink():
            found.append(entry.path)
        elif entry.is_dir(follow_symlinks=False) and mode & 0o077:
            found += open_to_others(folder / entry.name)
    return found


@pytest.mark.parametrize("first", [("status",), ("local", "env"), ("up",)], ids=" ".join)
def test_the_state_folder_is_private_whichever_command_makes_it(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], own_home: Path, first: tuple[str, ...]
) -> None:
    home = own_home / "deep" / "down"
    arguments = (*first, job_file("echo printed")) if first == ("up",) else first
    assert trebuchet(*arguments, TREBUCHET_HOME=str(home)).code == 0
    assert home.stat().st_mode & 0o777 == 0o700
    assert trebuchet("local", "stop", TREBUCHET_HOME=str(home)).code == 0


def test_nothing_is_open_to_others_in_a_folder_that_is(
    trebuchet: Callable[..., Any], job_file: Callable[..., str], own_home: Path
) -> None:
    own_home.mkdir(mode=0o755)
    assert trebuchet("up", job_file("echo printed")).code == 0
    assert trebuchet("logs", "-f", trebuchet("status", "-q").out.strip()).out == "printed\n"
    assert open_to_others(own_home) == []
