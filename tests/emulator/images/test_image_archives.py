"""Archives that mean no good, unpacked as root and as an ordinary user."""

from __future__ import annotations

import asyncio
import gzip
import os
import stat
import tarfile
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from support.layers import PLAIN, Archive, Layer, digest_of, layer
from support.ordinary_user import folder_of_nobody, python_of_nobody, run_as_nobody
from trebuchet.emulator.images.errors import ImageError, UnusableImageError
from trebuchet.emulator.images.pull import pull
from trebuchet.emulator.images.worker import stack_layers, unpack_layer

if TYPE_CHECKING:
    from pathlib import Path

    from support.registries import Registry


def unpack(one: Layer, folder: Path) -> Path:
    """Unpack a layer as a pull does; returns its tree."""
    folder.mkdir(exist_ok=True)
    archive = folder / "archive"
    archive.write_bytes(one.blob)
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
    try:
        target = folder / "layer"
        asyncio.run(unpack_layer(archive, one.diff_id, target, lock=lock, on_progress=lambda _: None))
        return target / "tree"
    finally:
        os.close(lock)


def refused(one: Layer, folder: Path) -> ImageError:
    """What is said of a layer; it leaves nothing behind."""
    with pytest.raises(UnusableImageError) as caught:
        unpack(one, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["archive", "lock"]
    return caught.value


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that nothing may reach."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_text("untouched")
    return folder


@pytest.fixture(autouse=True)
def _outside_is_untouched(outside: Path) -> Any:
    before = outside.stat()
    yield
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_text() == "untouched"
    assert outside.stat().st_mode == before.st_mode
    assert (outside / "file").stat().st_nlink == 1


@pytest.mark.parametrize("name", ["../outside/new", "a/../../outside/new", "/../outside/new", "a/.."])
def test_names_that_climb_are_refused(tmp_path: Path, name: str) -> None:
    assert "climbs" in refused(layer(Archive().add(name, b"x")), tmp_path / "work").message


def test_absolute_names_lie_within(tmp_path: Path, outside: Path) -> None:
    tree = unpack(layer(Archive().add(f"{outside}/new", b"x")), tmp_path / "work")
    assert (tree / str(outside)[1:] / "new").read_bytes() == b"x"


@pytest.mark.parametrize("target", ["{outside}", "../../../../../../../../{outside}", "here/../../{outside}"])
def test_links_lead_nowhere_but_within(tmp_path: Path, outside: Path, target: str) -> None:
    target = target.format(outside=outside)
    archive = Archive().folder("here").symlink("out", target).add("out/new", b"x").folder("out", mode=0o777)
    archive.symlink("here/up", "../../../..").add(f"here/up{outside}/more", b"y")
    tree = unpack(layer(archive), tmp_path / "work")
    assert (tree / str(outside)[1:] / "new").read_bytes() == b"x"
    assert (tree / str(outside)[1:] / "more").read_bytes() == b"y"


def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(tmp_path: Path, outside: Path) -> None:
    archive = Archive().symlink("file", f"{outside}/file").add("file", b"mine")
    archive.symlink("more", f"{outside}/file").hardlink("again", "more").add("again", b"mine too")
    tree = unpack(layer(archive), tmp_path / "work")
    assert (tree / "file").read_bytes() == b"mine"
    assert (tree / "again").read_bytes() == b"mine too"
    assert (tree / "more").is_symlink()


def test_a_folder_that_becomes_a_link_gives_its_mode_to_nothing(tmp_path: Path, outside: Path) -> None:
    archive = Archive().folder("d", mode=0o777).folder("d/e", mode=0o777)
    archive.add("d", b"").symlink("d", str(outside.parent)).folder("x")
    tree = unpack(layer(archive), tmp_path / "work")
    assert (tree / "d").is_symlink()


@pytest.mark.parametrize(
    "target", ["{outside}/file", "../../outside/file", "missing", "folder", "out/file", ""]
)
def test_hard_links_to_what_the_layer_has_not_are_refused(tmp_path: Path, outside: Path, target: str) -> None:
    archive = Archive().folder("folder").symlink("out", str(outside))
    archive.hardlink("mine", target.format(outside=outside))
    refused(layer(archive), tmp_path / "work")


def test_links_that_go_round_are_refused(tmp_path: Path) -> None:
    refused(layer(Archive().symlink("a", "b").symlink("b", "a").add("a/x", b"")), tmp_path / "work")


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "a/.wh..."])
def test_a_whiteout_of_no_name_is_refused(tmp_path: Path, name: str) -> None:
    refused(layer(Archive().folder("a").add(name, b"")), tmp_path / "work")


def test_a_whiteout_behind_a_link_takes_nothing_away(tmp_path: Path, outside: Path) -> None:
    for name, archive in {
        "below": Archive()
        .symlink("out", str(outside))
        .folder("real")
        .add("real/kept", b"")
        .symlink("in", "real"),
        "above": Archive().add("out/.wh.file", b"").add("in/.wh.kept", b"").add("out/.wh..wh..opq", b""),
    }.items():
        unpack(layer(archive), tmp_path / name)
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    layers = [tmp_path / "below/layer", tmp_path / "above/layer"]
    asyncio.run(stack_layers(layers, tmp_path / "root", lock=lock))
    os.close(lock)
    assert (tmp_path / "root/tree/real/kept").exists()


def test_devices_are_left_out_and_borrowed_rights_are_taken(tmp_path: Path) -> None:
    archive = Archive().add("null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3)
    archive.add("disk", kind=tarfile.BLKTYPE, devmajor=8).add("pipe", kind=tarfile.FIFOTYPE)
    archive.add("su", b"x", mode=0o6755).folder("shared", mode=0o3777)
    tree = unpack(layer(archive), tmp_path / "work")
    assert sorted(path.name for path in tree.iterdir()) == ["pipe", "shared", "su"]
    assert stat.S_IMODE((tree / "su").stat().st_mode) == 0o755
    assert stat.S_IMODE((tree / "shared").stat().st_mode) == 0o3777


def test_attributes_that_would_steer_an_overlay_are_left_out(tmp_path: Path) -> None:
    archive = Archive().folder("d", pax_headers={"SCHILY.xattr.user.overlay.redirect": "/etc"})
    archive.folder("e", pax_headers={"SCHILY.xattr.trusted.overlay.opaque": "y"})
    tree = unpack(layer(archive), tmp_path / "work")
    assert [os.listxattr(tree / name) for name in "de"] == [[], []]


def test_a_sparse_file_larger_than_the_disk_is_refused(tmp_path: Path) -> None:
    headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.size": str(1 << 60),
        "GNU.sparse.realsize": str(1 << 60),
        "GNU.sparse.map": "0,1",
        "GNU.sparse.numblocks": "1",
    }
    said = refused(layer(Archive().add("huge", b"x", pax_headers=headers)), tmp_path / "work")
    assert "no room" in said.message


def test_a_sparse_file_keeps_its_holes(tmp_path: Path) -> None:
    size = 64 << 20
    headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.size": str(size),
        "GNU.sparse.map": f"0,1,{size},0",
        "GNU.sparse.numblocks": "2",
    }
    tree = unpack(layer(Archive().add("sparse", b"x", pax_headers=headers)), tmp_path / "work")
    found = (tree / "sparse").stat()
    assert found.st_size == size
    assert found.st_blocks * 512 < 4 << 20


def test_folders_without_end_are_refused(tmp_path: Path) -> None:
    refused(layer(Archive().add("d/" * 1000 + "x", b"")), tmp_path / "work")
    archive = Archive()
    for number in range(10):  # each link shortens the way down
        archive.add(f"l{number}/" + "d/" * 200 + "x", b"") if number else archive.add("d/" * 200 + "x", b"")
        archive.symlink(f"l{number + 1}", (f"l{number}/" if number else "") + "d/" * 200)
    refused(layer(archive), tmp_path / "work")


@pytest.mark.parametrize("damage", ["half", "noise", "not-tar", "huge-header"])
def test_a_damaged_archive_is_refused(tmp_path: Path, damage: str) -> None:
    whole = layer(Archive().add("a", os.urandom(100_000)))
    plain = gzip.decompress(whole.blob)
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 8 << 30
    broken = {
        "half": Layer(whole.blob[:50_000], whole.diff_id, whole.media_type),
        "noise": Layer(whole.blob[:1000] + os.urandom(5000), whole.diff_id, whole.media_type),
        "not-tar": Layer(gzip.compress(b"hello" * 1000), digest_of(b"hello" * 1000), whole.media_type),
        "huge-header": Layer(header.tobuf() + plain, digest_of(header.tobuf() + plain), PLAIN),
    }[damage]
    refused(broken, tmp_path / "work")


def test_an_empty_layer_is_one(tmp_path: Path) -> None:
    for number, plain in enumerate((b"", b"\0" * 1024)):
        one = Layer(gzip.compress(plain), digest_of(plain), "")
        assert not list(unpack(one, tmp_path / str(number)).iterdir())


def test_owners_are_kept_for_root(registry: Registry, store: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    archive = Archive().folder("d", uid=7, gid=8).add("d/f", b"", uid=1234, gid=42).symlink("d/l", "f")
    ref = registry.push("owners", [layer(archive), layer(Archive().add("d/more", b""))])
    (top,) = asyncio.run(pull(ref, store)).layers
    assert [(path.lstat().st_uid, path.lstat().st_gid) for path in (top / "d", top / "d/f", top / "d/l")] == [
        (7, 8),
        (1234, 42),
        (0, 0),
    ]


_AS_NOBODY = """
    import asyncio, os, pathlib, sys
    from trebuchet.emulator.images.cleaning import prune
    from trebuchet.emulator.images.pull import pull
    store = pathlib.Path(sys.argv[2])
    top = asyncio.run(pull(sys.argv[1], store)).layers[0]
    assert (top / "closed/f").read_bytes() == b"1"
    assert sorted(path.name for path in (top / "d").iterdir()) == ["kept", "new"]
    assert (top / "d/kept").stat().st_uid == os.geteuid() != 0
    assert (top / "unreadable").read_bytes() == b"2"
    prune(store, keep=frozenset)
    assert not list((store / "roots").iterdir()) and not list((store / "layers").iterdir())
"""


def test_an_ordinary_user_gets_the_same_files_as_their_own(registry: Registry) -> None:
    below = Archive().folder("closed", mode=0o000, uid=0).add("closed/f", b"1", uid=1234)
    below.folder("d", mode=0o555).add("d/gone", b"").add("d/kept", b"").add("unreadable", b"2", mode=0o000)
    ref = registry.push("nobody", [layer(below), layer(Archive().add("d/.wh.gone", b"").add("d/new", b""))])
    with folder_of_nobody() as folder:
        argv = [python_of_nobody(folder), "-c", textwrap.dedent(_AS_NOBODY), ref, str(folder / "images")]
        ended = run_as_nobody(argv, folder)
    assert ended.returncode == 0, ended.stderr
