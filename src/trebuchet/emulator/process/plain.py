"""The folder of a process that no container holds: its files and its Python.

Uploads are copied into it, since nothing else keeps the process from changing them; volumes are symbolic
links. The Python is a virtual environment, put together in no time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from typing import TYPE_CHECKING

from trebuchet.emulator.process.python_layer import python_program, uv_programs
from trebuchet.emulator.process.supervise import framing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trebuchet.emulator.process.spec import Bind

ENVIRONMENT = "python"
_PIP = '#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n'


def place_in(folder: Path, path: str) -> Path:
    """Where an absolute path of the sandbox's lies on the host; `..` leads no further up than to its root."""
    return folder / framing.ROOT / os.path.normpath(f"/{path}").lstrip("/")


def environment_in(folder: Path) -> Path:
    """The virtual environment of the process in this folder."""
    return folder / framing.ROOT / ENVIRONMENT


def furnish(folder: Path, binds: Iterable[Bind], seeds: Path) -> None:
    """Put everything in its place before the process starts.

    Raises:
        OSError: A source is missing, or the disk is full.
    """
    root = folder / framing.ROOT
    for name in ("root", "tmp"):
        (root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    _make_environment(environment_in(folder), seeds)
    for bind in binds:
        target = place_in(folder, bind.target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not bind.read_only:
            target.symlink_to(bind.source)
        elif bind.source.is_dir():
            shutil.copytree(bind.source, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(bind.source, target)


def _make_environment(environment: Path, seeds: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    programs = environment / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "python3", f"python{version}"):
        (programs / name).symlink_to(python_program())
    for program in uv_programs():
        (programs / program.name).symlink_to(program)
    for name in ("pip", "pip3", f"pip{version}"):
        (programs / name).write_text(_PIP)
        (programs / name).chmod(0o755)
    settings = {
        "home": str(python_program().parent),
        "include-system-site-packages": "false",
        "version": sys.version.split()[0],
    }
    text = "".join(f"{name} = {value}\n" for name, value in settings.items())
    (environment / "pyvenv.cfg").write_text(text)
    packages = environment / "lib" / f"python{version}" / "site-packages"
    shutil.copytree(seeds, packages, copy_function=_link)


def _link(source: str, target: str) -> None:
    """Packages are replaced, never written in place: a link to the shared file is as good as a copy."""
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    shutil.copy2(source, target)
