"""Bringing the program that the SDK runs inside a sandbox to work on its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.emulator.disk import make_private_folder, write_whole
from trebuchet.emulator.process.inside import file_tool

if TYPE_CHECKING:
    from pathlib import Path

FILE_TOOL = "/__modal/.bin/modal-sandbox-fs-tools"
"""Where the SDK looks for it."""
_FIRST_LINE = b"#!/usr/bin/env -S python3 -IS\n"


def place_file_tool(state: Path) -> Path:
    """Write the program where it can be bound into sandboxes; its path."""
    place = make_private_folder(state / "process") / "file-tool"
    with open(file_tool.__file__, "rb") as source:  # noqa: PTH123 - a path as the interpreter has it
        write_whole(place, _FIRST_LINE + source.read(), mode=0o755)
    place.chmod(0o755)
    return place
