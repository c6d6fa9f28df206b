"""The layer that lies over the host's system folders, so that a sandbox sees of them what any user may see.

For root it hides: a file that others may not read is there, and empty; a folder that others may not enter is
there, and empty. For an ordinary user it opens: the host's folders belong to nobody inside a user namespace,
so that not even the sandbox's root could write to them, while a folder that also stands in this layer belongs
to the layer's owner.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.emulator.process.overlay import make_opaque

if TYPE_CHECKING:
    from collections.abc import Iterator

_LAYOUT = "5"
"""Raised whenever this file makes something else of the same host."""
_SUDOERS = "root ALL=(ALL:ALL) ALL\n"
_NO_SWITCH_OF_USER = 'APT::Sandbox::User "root";\n'
_OWNED_FILES = (
    "var/lib/dpkg/*",
    "var/lib/dpkg/triggers/*",
    "var/lib/apt/extended_states",
    "var/log/*.log",
    "var/log/apt/*",
)
"""What package managers write in place, and so has to be the sandbox's own for an ordinary user: copied."""
_OWN = ("/var/tmp", "/var/mail")  # noqa: S108 - the sandbox's begin empty
_ROOTS_TREES = {"etc": 99, "var": 99, "opt": 2, "usr": 2}
"""How deep to look for what others may not see."""
_USERS_TREES = {"etc": 99, "var": 6, "opt": 5, "usr": 5}
"""How deep an ordinary user's sandbox may write, and so is looked at."""
_TOP_PARTS = 2
_KEY_FOLDERS = (
    "/etc",
    "/opt",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/share",
    "/var",
    "/var/lib",
    "/var/cache",
)


def cover_key(*, own_users: bool) -> str:
    """Changes whenever the host's folders have changed so much that the layer is better made anew."""
    parts = [_LAYOUT, str(os.geteuid()), str(own_users), str(_home())]
    parts += [str(Path(folder).stat().st_mtime_ns) for folder in _KEY_FOLDERS if Path(folder).exists()]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def make_cover(target: Path, *, state: Path) -> None:
    """Fill a new folder with the layer. Takes some 100 ms.

    Args:
        target: An empty folder.
        state: The engine's state directory: its place on the host is passed over.
    """
    trees = _ROOTS_TREES if os.geteuid() == 0 else _USERS_TREES
    for tree, depth in trees.items():
        for entry in _walk(Path("/", tree), depth, state):
            _cover(target, entry)
    for place in (*map(Path, _OWN), *filter(None, [_home()])):
        if place.is_dir() and not place.is_symlink():
            make_opaque(_like(target, place))
    _fill(target / "etc/shadow", _no_passwords())
    _fill(target / "etc/sudoers", _SUDOERS)
    if os.geteuid() != 0:
        for pattern in _OWNED_FILES:
            for original in Path("/").glob(pattern):
                _own(target, original)
        settings = target / "etc/apt/apt.conf.d"
        if settings.is_dir():
            (settings / "99-one-user").write_text(_NO_SWITCH_OF_USER)


def _cover(target: Path, entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        if not _is_open(entry, 0o005):
            make_opaque(_like(target, Path(entry.path)))
        elif os.geteuid() != 0:
            _like(target, Path(entry.path))
    elif entry.is_file(follow_symlinks=False) and not _is_open(entry, 0o004):
        _blank(target, entry)


def _home() -> Path | None:
    """The user's home, where it lies among the system folders, as that of a service does."""
    home = Path.home().resolve()
    among = len(home.parts) > _TOP_PARTS and home.parts[1] in _ROOTS_TREES
    return home if among and home.is_dir() and home.stat().st_uid == os.geteuid() else None


def _is_open(entry: os.DirEntry[str], bits: int) -> bool:
    """Whether anybody may read it (for root), or the user may."""
    if os.geteuid() != 0:
        return os.access(entry.path, bits)
    return entry.stat(follow_symlinks=False).st_mode & bits == bits


def _walk(top: Path, depth: int, state: Path) -> Iterator[os.DirEntry[str]]:
    """All entries below, `depth` levels deep; nothing below what is not open."""
    try:
        entries = list(os.scandir(top))
    except OSError:
        return
    for entry in entries:
        if entry.path == str(state):
            continue
        yield entry
        if depth > 1 and entry.is_dir(follow_symlinks=False) and _is_open(entry, 0o005):
            yield from _walk(Path(entry.path), depth - 1, state)


def _like(target: Path, original: Path) -> Path:
    """The folder in the layer that stands for one of the host's, with its mode, and for root its owner."""
    made = target / original.relative_to("/")
    if made == target or made.exists():
        return made
    _like(target, original.parent)
    made.mkdir()
    facts = original.stat()
    if os.geteuid() == 0:
        os.chown(made, facts.st_uid, facts.st_gid)
    made.chmod(stat.S_IMODE(facts.st_mode) | stat.S_IRWXU)
    os.utime(made, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    return made


def _blank(target: Path, entry: os.DirEntry[str]) -> None:
    facts = entry.stat(follow_symlinks=False)
    blank = _like(target, Path(entry.path).parent) / entry.name
    blank.touch()
    if os.geteuid() == 0:
        os.chown(blank, facts.st_uid, facts.st_gid)
    blank.chmod(stat.S_IMODE(facts.st_mode) | stat.S_IRUSR | stat.S_IWUSR)


def _own(target: Path, original: Path) -> None:
    copy = target / original.relative_to("/")
    if copy.parent.is_dir() and not copy.exists() and original.is_file() and os.access(original, os.R_OK):
        shutil.copyfile(original, copy)


def _fill(blank: Path, text: str) -> None:
    if blank.exists():
        blank.write_text(text)


def _no_passwords() -> str:
    names = [line.split(":", 1)[0] for line in Path("/etc/passwd").read_text(errors="replace").splitlines()]
    return "".join(f"{name}:*:19000:0:99999:7:::\n" for name in names if name)
