"""What Modal's bases have and this machine lacks is told wherever the output of a build is shown."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

import modal
import pytest

if TYPE_CHECKING:
    from support.engine import Engine

OURS = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER = "3.13" if sys.version_info[:2] != (3, 13) else "3.12"


def shown(engine: Engine, image: modal.Image, capsys: pytest.CaptureFixture[str]) -> str:
    """What a program with output enabled prints as it makes a sandbox."""
    with modal.enable_output():
        assert engine.run("python3", "--version", image=image) == (0, f"Python {platform.python_version()}\n")
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("layers", [False, True], ids=["base", "with a layer"])
def test_another_python_is_said_not_to_be_here_each_time(
    engine: Engine, capsys: pytest.CaptureFixture[str], *, layers: bool
) -> None:
    for _ in range(2):
        image = modal.Image.debian_slim(python_version=OTHER)
        said = shown(engine, image.run_commands("true") if layers else image, capsys)
        assert f"Python {OTHER} was asked for. Sandboxes have this machine's system and Python {OURS}" in said
        assert f'modal.Image.from_registry("python:{OTHER}-slim")' in said


def test_micromamba_is_said_not_to_be_here(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(engine, modal.Image.micromamba(), capsys)
    assert "micromamba was asked for." in said
    assert 'modal.Image.from_registry("mambaorg/micromamba:' in said


def test_nothing_is_said_of_the_python_that_is_here(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "asked for" not in shown(engine, modal.Image.debian_slim(python_version=OURS), capsys)
    assert "asked for" not in shown(engine, modal.Image.debian_slim(), capsys)
