"""A secret's value is on disk for no longer than something alive needs it."""

from __future__ import annotations

import os
import stat
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import AlreadyExistsError, NotFoundError

from support.engine import wait_until

if TYPE_CHECKING:
    from support.engine import Engine


def word() -> str:
    return uuid.uuid4().hex


def files_with(state: Path, canary: str) -> list[Path]:
    """The files below a folder that hold a word, in whatever mode and place."""
    found: list[Path] = []
    for folder, _, names in os.walk(state):
        for path in (Path(folder, name) for name in names):
            with suppress(OSError):
                if stat.S_ISREG(path.lstat().st_mode) and canary.encode() in path.read_bytes():
                    found.append(path)
    return found


@pytest.mark.parametrize("options", [{}, {"gpu": "H100"}], ids=["v2", "v1"])
def test_values_are_nowhere_on_disk_after_the_end(engine: Engine, options: dict[str, str]) -> None:
    canary = word()
    secret = modal.Secret.from_dict({"A": canary})
    script = 'test "$A" = "$B" && echo same'
    sandbox = engine.create("sh", "-c", script, secrets=[secret], env={"B": canary}, **options)
    assert sandbox.stdout.read() == "same\n"
    sandbox.wait()
    wait_until(lambda: files_with(engine.state, canary) == [])


def test_inline_values_are_on_disk_no_longer_than_until_the_start(engine: Engine) -> None:
    canary = word()
    sandbox = engine.create("sleep", "60", env={"A": canary})
    wait_until(lambda: files_with(engine.state, canary) == [])
    sandbox.exec("true", env={"B": canary}).wait()
    assert files_with(engine.state, canary) == []
    sandbox.terminate()


def test_a_secret_can_be_used_again_after_it_left_the_disk(engine: Engine) -> None:
    canary = word()
    secret = modal.Secret.from_dict({"A": canary})
    for _ in range(2):
        assert engine.run("sh", "-c", "echo ${#A}", secrets=[secret], gpu="H100") == (0, "32\n")
    wait_until(lambda: files_with(engine.state, canary) == [])


def test_a_named_secret_stays_until_it_is_deleted(engine: Engine) -> None:
    canary, name = word(), f"secret-{word()[:8]}"
    modal.Secret.objects.create(name, {"A": canary}, client=engine.client)
    with pytest.raises(AlreadyExistsError):
        modal.Secret.objects.create(name, {"A": canary}, client=engine.client)
    named = modal.Secret.from_name(name, client=engine.client)
    assert engine.run("sh", "-c", "echo ${#A}", secrets=[named]) == (0, "32\n")
    with pytest.raises(NotFoundError):
        modal.Secret.from_name(name, required_keys=["MISSING"], client=engine.client).hydrate()
    for path in files_with(engine.state, canary):
        assert path.stat().st_mode & 0o077 == 0
    modal.Secret.objects.delete(name, client=engine.client)
    assert files_with(engine.state, canary) == []
    with pytest.raises(NotFoundError):
        modal.Secret.from_name(name, client=engine.client).hydrate()


def test_no_value_is_in_any_process_listing(engine: Engine) -> None:
    canary = word()
    sandbox = engine.create("sleep", "60", env={"A": canary})
    assert not [line for line in _command_lines() if canary in line]
    sandbox.terminate()


def _command_lines() -> list[str]:
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found.append((process / "cmdline").read_text(errors="replace"))
    return found
