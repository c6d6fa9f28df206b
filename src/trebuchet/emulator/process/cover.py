"""The layer that lies over the host's system folders, so that a sandbox sees of them what any user may see.

For root it hides: a file that others may not read is there, and empty; a folder that others may not enter is there,
and empty. For an ordinary user it opens: the host's folders belong to nobody inside a user namespace, so that not
even the sandbox's root could write to them, while a folder that also stands in this layer belongs to the layer's owner.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPAQUE = "user.overlay.opaque"
_SUDOERS = "root ALL=(ALL:ALL) ALL\n"
_NO_SWITCH_OF_USER = 'APT::Sandbox::User "root";\n'
_WRITABLE_FILES = (
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/triggers/Lock",
    "var/lib/apt/lists/lock",
    "var/lib/apt/extended_states",
    "var/cache/apt/archives/lock",
    "var/log/dpkg.log",
    "var/log/alternatives.log",
)
_HIDDEN_TREES = {"etc": 99, "var": 99, "opt": 2, "usr": 2}
"""How deep to look for what others may not see."""
_OPENED_TREES = {"etc": 99, "var": 4, "opt": 2, "usr": 2, "usr/local": 4}
"""How deep an ordinary user's sandbox may write."""
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
    parts = [str(os.geteuid()), str(own_users)]
    for folder in _KEY_FOLDERS:
        if Path(folder).exists():
            parts.append(str(Path(folder).stat().st_mtime_ns))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def make_cover(target: Path, *, state: Path) -> None:
    """Fill a new folder with the layer. Takes some 100 ms.

    Args:
        target: An empty folder.
        state: The engine's state directory: its place on the host is passed over.
    """
    if os.geteuid() == 0:
        _hide(target, state)
    else:
        _open(target, state)


def _hide(target: Path, state: Path) -> None:
    for tree, depth in _HIDDEN_TREES.items():
        for entry in _walk(Path("/", tree), depth, state):
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode) and mode & 0o005 != 0o005:
                _blank_folder(target, entry)
            elif stat.S_ISREG(mode) and not mode & 0o004:
                _blank_file(target, entry)
    shadow = target / "etc/shadow"
    if shadow.exists():
        shadow.write_text(_no_passwords())
    sudoers = target / "etc/sudoers"
    if sudoers.exists():
        sudoers.write_text(_SUDOERS)


def _open(target: Path, state: Path) -> None:
    for tree, depth in _OPENED_TREES.items():
        for entry in _walk(Path("/", tree), depth, state):
            if entry.is_dir(follow_symlinks=False) and os.access(entry.path, os.R_OK | os.X_OK):
                _like(target, Path(entry.path))
    for name in _WRITABLE_FILES:
        if Path("/", name).exists() and (target / name).parent.is_dir():
            (target / name).touch()
    settings = target / "etc/apt/apt.conf.d"
    if settings.is_dir():
        (settings / "99-one-user").write_text(_NO_SWITCH_OF_USER)


def _walk(top: Path, depth: int, state: Path) -> Iterator[os.DirEntry[str]]:
    """All entries below, `depth` levels deep; nothing below what others may not enter."""
    try:
        entries = list(os.scandir(top))
    except OSError:
        return
    for entry in entries:
        if entry.path == str(state):
            continue
        yield entry
        inside = entry.is_dir(follow_symlinks=False) and depth > 1
        if inside and (os.geteuid() != 0 or entry.stat(follow_symlinks=False).st_mode & 0o005 == 0o005):
            yield from _walk(Path(entry.path), depth - 1, state)


def _like(target: Path, original: Path) -> Path:
    """The folder in the layer that stands for one of the host's, with its mode, and its owner where possible."""
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


def _blank_folder(target: Path, entry: os.DirEntry[str]) -> None:
    os.setxattr(_like(target, Path(entry.path)), _OPAQUE, b"y")


def _blank_file(target: Path, entry: os.DirEntry[str]) -> None:
    facts = entry.stat(follow_symlinks=False)
    blank = _like(target, Path(entry.path).parent) / entry.name
    blank.touch()
    os.chown(blank, facts.st_uid, facts.st_gid)
    blank.chmod(stat.S_IMODE(facts.st_mode))


def _no_passwords() -> str:
    names = [line.split(":", 1)[0] for line in Path("/etc/passwd").read_text(errors="replace").splitlines()]
    return "".join(f"{name}:*:19000:0:99999:7:::\n" for name in names if name)
