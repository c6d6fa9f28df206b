"""Bringing the program that the SDK runs inside a sandbox to work on its files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from trebuchet.emulator.disk import make_private_folder, write_whole
from trebuchet.emulator.process.inside import file_tool

if TYPE_CHECKING:
    from pathlib import Path

FILE_TOOL = "/__modal/.bin/modal-sandbox-fs-tools"
"""Where the SDK looks for it."""
_NO_PYTHON = json.dumps(
    {
        "error_kind": "NotSupported",
        "message": "The local engine works on files with the python3 of the image, and there is none",
        "detail": "",
    }
)
_FIRST_LINES = f"""#!/bin/sh
''':'
command -v python3 >/dev/null && exec python3 -IS "$0" "$@"
echo '{_NO_PYTHON}' >&2
exit 1
''' \\
""".encode()
"""A script for a shell; for Python the beginning of the program's first string."""


def place_file_tool(state: Path) -> Path:
    """Write the program where it can be bound into sandboxes; its path."""
    place = make_private_folder(state / "process") / "file-tool"
    with open(file_tool.__file__, "rb") as source:  # noqa: PTH123 - a path as the interpreter has it
        write_whole(place, _FIRST_LINES + source.read(), mode=0o755)
    place.chmod(0o755)
    return place
