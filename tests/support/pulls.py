"""Transfers of outputs as processes of their own, and what they left."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from support.bench import Bench

SLOWLY = {"call": "VolumeGetFile2", "action": "delay", "seconds": 0.4}


def start(bench: Bench, key: str, folder: Path, path: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trebuchet", "pull", key, path, str(folder)],
        env={**os.environ, "TREBUCHET_HOME": str(bench.home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    """What it told when it had brought all."""
    _, told = process.communicate(timeout=1800)
    assert process.returncode == 0, told
    return told


def parts(folder: Path) -> int:
    """How many stretches are written down as here."""
    return sum(file.read_bytes().count(b"\n") for file in folder.glob(".trebuchet-pull-*.parts"))


def digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
