"""What a job packs is unpacked in its own place, whatever it packed: the job may be anybody's program."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trebuchet.client.fetching import _unpack
from trebuchet.errors import ControlPlaneError, TrebuchetError, UsageError

FILE, FOLDER, LINK, SAME, PIPE = (
    tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE
)  # fmt: skip
KINDS = (FILE, FOLDER, LINK, SAME, PIPE, tarfile.CHRTYPE, tarfile.CONTTYPE, b"Z")


@dataclass(frozen=True)
class Member:
    kind: bytes
    name: str
    link: str = ""


def archive(*members: Member) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as made:
        for member in members:
            entry = tarfile.TarInfo(member.name)
            entry.type, entry.linkname, entry.mode, entry.mtime = member.kind, member.link, 0o777, 1
            entry.size = 4 if member.kind in {FILE, tarfile.CONTTYPE, b"Z"} else 0
            made.addfile(entry, io.BytesIO(b"EVIL"))
    packed.seek(0)
    return packed


def unpack(here: Path, *members: Member) -> list[str]:
    told: list[str] = []
    _unpack(archive(*members), "out", here / "out", told.append)
    return told


def what_is_private(here: Path) -> dict[str, object]:
    """All that is not below `out`: kinds, modes, times, contents."""
    found: dict[str, object] = {path.name: None for path in here.iterdir() if path.name != "out"}
    for path in (here / "private", *(here / "private").rglob("*")):
        facts = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(facts.st_mode) else path.is_symlink()
        found[str(path)] = (facts.st_mode, facts.st_mtime_ns, facts.st_nlink, content)
    return found


def furnish(here: Path) -> None:
    """Files of the user beside the goal, and in it what leads to them."""
    (here / "private").mkdir()
    (here / "private/keys").write_text("mine")
    (here / "out").mkdir()
    (here / "out/to-folder").symlink_to("../private")
    (here / "out/to-file").symlink_to("../private/keys")
    os.link(here / "private/keys", here / "out/same-file")


parts = st.sampled_from(
    ["out", "a", "b", "to-folder", "to-file", "same-file", "keys", "private", "..", ".", ""]
)
names = st.lists(parts, min_size=1, max_size=4).map("/".join)
ours = names.map(lambda rest: f"out/{rest}")
links = st.one_of(
    names, ours, st.sampled_from(["../private", "../private/keys", "private", ".", "..", "/tmp", "a", "\0"])
)
members = st.lists(
    st.builds(Member, st.sampled_from(KINDS), st.one_of(ours, names, st.just("out")), links), max_size=6
)


@given(members=members, furnished=st.booleans())
@example(members=[Member(LINK, "out", "private"), Member(FILE, "out/keys")], furnished=False)
@example(members=[Member(FOLDER, "out"), Member(LINK, "out/a", "../private"),
                  Member(SAME, "out/b", "out/a/keys")], furnished=True)  # fmt: skip
@example(members=[Member(FILE, "out/to-file")], furnished=True)
@example(members=[Member(FILE, "out/same-file")], furnished=True)
@example(members=[Member(FOLDER, "out/to-folder")], furnished=True)
@example(members=[Member(FILE, "out/to-folder/keys")], furnished=True)
@example(members=[Member(FILE, "out/a\0b")], furnished=True)
def test_nothing_outside_of_the_goal_changes_whatever_a_job_packs(
    members: list[Member], furnished: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        furnish(here)
        if not furnished:
            for path in (here / "out").iterdir():
                path.unlink()
            (here / "out").rmdir()
        before = what_is_private(here)
        with suppress(TrebuchetError, OSError):
            unpack(here, *members)
        after = what_is_private(here)
        if (here / "private/keys").stat().st_nlink == 1:  # Its second name may go: what it names may not.
            after = {name: _but_for_the_count(facts) for name, facts in after.items()}
            before = {name: _but_for_the_count(facts) for name, facts in before.items()}
        assert after == before


def _but_for_the_count(facts: object) -> object:
    return (*facts[:2], facts[3]) if isinstance(facts, tuple) else facts


def test_a_goal_that_comes_as_a_link_is_refused_and_written_through_by_nothing(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/authorized_keys").write_text("mine")
    with pytest.raises(ControlPlaneError, match="holds a link, 'out'"):
        unpack(tmp_path, Member(LINK, "out", ".ssh"), Member(FILE, "out/authorized_keys"))
    assert (tmp_path / ".ssh/authorized_keys").read_text() == "mine"
    assert not os.path.lexists(tmp_path / "out")


def test_another_name_of_a_file_leads_through_no_link(tmp_path: Path) -> None:
    furnish(tmp_path)
    with pytest.raises(UsageError, match="is a link"):
        unpack(tmp_path, Member(SAME, "out/b", "out/to-folder/keys"))
    with pytest.raises(ControlPlaneError, match="no file in it"):
        unpack(tmp_path, Member(SAME, "out/b", "out/to-file"))
    assert not (tmp_path / "out/b").exists()


def test_what_is_in_the_way_of_a_file_is_replaced_where_it_is_a_file_or_a_link(tmp_path: Path) -> None:
    furnish(tmp_path)
    (tmp_path / "out/f").write_text("old")
    for name in ("f", "to-file", "same-file"):
        assert unpack(tmp_path, Member(FILE, f"out/{name}")) == []
        assert not (tmp_path / "out" / name).is_symlink()
        assert (tmp_path / "out" / name).read_text() == "EVIL"
    assert (tmp_path / "private/keys").read_text() == "mine"
    os.mkfifo(tmp_path / "out/pipe")
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        unpack(tmp_path, Member(FILE, "out/pipe"))


def test_what_cannot_be_copied_is_told_and_the_rest_comes(tmp_path: Path) -> None:
    told = unpack(
        tmp_path,
        Member(FOLDER, "out"),
        Member(PIPE, "out/pipe"),
        Member(FILE, "out/a"),
        Member(SAME, "out/b", "out/a"),
    )
    assert len(told) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b"]
    assert (tmp_path / "out/b").read_text() == "EVIL"
