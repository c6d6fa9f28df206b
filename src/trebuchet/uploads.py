"""What of a local folder would travel to a sandbox: counted before anything is sent."""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import re
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.belongings import Belongings, was_pulled
from trebuchet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pathspec import GitIgnoreSpec
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    from trebuchet.sandbox import Upload

IGNORE_FILES = (".gitignore", ".skyignore", ".trebuchetignore")
"""Read in this order in every folder; a later pattern beats an earlier one, `!pattern` brings back."""

ALWAYS_IGNORED = (".git", ".venv", "__pycache__", "node_modules")
"""Left out of a work dir unless an ignore file brings them back (`!node_modules`)."""

DEEPEST = 500
"""Folders within each other. The SDK walks them by calls within calls, which end at twice as many."""

_SMALL_FILE = 1 << 20

_LEADS_NOWHERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file that would be sent.

    Attributes:
        path: Relative to the scanned folder, with `/`; the bare name where a single file was scanned.
        size: Bytes.
        mtime_ns: Nanoseconds since the epoch.
        mode: Permission bits; the sandbox gets the same.
    """

    path: str
    size: int
    mtime_ns: int
    mode: int


@dataclass(frozen=True, slots=True)
class Sent:
    """How far a launch has got with its local files.

    Attributes:
        files: Those that are there by now, sent or found there.
        bytes: What was sent of those that were not there.
        of: All there is; None where this is all.
    """

    files: int
    bytes: int
    of: Sent | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something no ignore rule names, and that is not sent all the same.

    Attributes:
        path: Relative to the scanned folder.
        why: A clause for people.
    """

    path: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The files of one upload.

    Attributes:
        source: The local file or folder.
        files: By relative path.
        folders: Permission bits of folders in which nothing is sent, by relative path; the top is "".
        links: Where symbolic links point that stay within the folder, by relative path.
        left_out: What does not arrive as it is here, ignored files aside.
    """

    source: Path
    files: Mapping[str, LocalFile]
    folders: Mapping[str, int] = field(default_factory=dict[str, int])
    links: Mapping[str, str] = field(default_factory=dict[str, str])
    left_out: tuple[LeftOut, ...] = field(default=())

    @property
    def count(self) -> int:
        return len(self.files)

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files.values())

    def largest(self, number: int = 5) -> list[LocalFile]:
        """The biggest files, biggest first."""
        return sorted(self.files.values(), key=lambda file: (-file.size, file.path))[:number]

    def fingerprint(self) -> str:
        """Equal for two scans if no file changed in between: by size, mode and time (or by content)."""
        digest = hashlib.blake2b(digest_size=16)
        stamp_of = _time_of if self.source.is_dir() else self._stamp
        for file in sorted(self.files.values(), key=lambda file: file.path):
            stamp = stamp_of(file)
            digest.update(f"{len(file.path)}:{file.path}:{file.size}:{file.mode}:{stamp}\0".encode())
        for path, what in sorted((*self.folders.items(), *self.links.items())):
            digest.update(f"{len(path)}:{path}:{what}\0".encode())
        return digest.hexdigest()

    def _stamp(self, file: LocalFile) -> str:
        # A single small file is often a script just written anew with the same content.
        if file.size > _SMALL_FILE:
            return _time_of(file)
        return hashlib.blake2b(self.source.read_bytes(), digest_size=16).hexdigest()


def _time_of(file: LocalFile) -> str:
    return str(file.mtime_ns)


def scan(upload: Upload, *, state: Path | None = None) -> Manifest:
    """List what an upload would send.

    Args:
        upload: What it is.
        state: Where Trebuchet's own state is kept, which is never sent; None for nowhere.

    Raises:
        UsageError: As `require_source`; or something in it cannot be read, or it is the state itself.
    """
    source, status = upload.source, require_source(upload)
    if stat.S_ISREG(status.st_mode):
        return Manifest(source=source, files={source.name: _local_file(source.name, status)})
    walk = _Walk(source, _default_rules() if upload.role == "workdir" else (), Belongings(source, state))
    if upload.role == "workdir":
        walk.folders.pop("", None)  # it is there whatever is sent
    return Manifest(
        source=source,
        files=walk.files,
        folders=walk.folders,
        links=walk.links,
        left_out=tuple(walk.left_out),
    )


def require_source(upload: Upload) -> os.stat_result:
    """Look whether there is something to send, without listing it.

    Raises:
        UsageError: The source is missing or cannot be read, or it is neither file nor folder, or a work dir
            and no folder.
    """
    source = upload.source
    try:
        status = source.stat()
        if stat.S_ISREG(status.st_mode):
            _require_readable(source)
    except FileNotFoundError:
        raise UsageError(f"{source} does not exist.", hint=_missing_hint(upload)) from None
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{source} is neither a file nor a folder.")
    if upload.role == "workdir" and not stat.S_ISDIR(status.st_mode):
        raise UsageError(
            f"{source} is a file, and the work dir is a folder.",
            hint="name the folder; its contents are sent",
        )
    return status


def _missing_hint(upload: Upload) -> str:
    if upload.role == "workdir":
        return "the work dir is given relative to where the command runs; check its spelling"
    return f"it was to become {upload.target} in the sandbox; create it, or take the mount out"


def _local_file(path: str, status: os.stat_result) -> LocalFile:
    return LocalFile(path, status.st_size, status.st_mtime_ns, stat.S_IMODE(status.st_mode))


def _require_readable(path: Path) -> None:
    if not os.access(path, os.R_OK):
        path.stat()  # What is gone by now is no question of permissions.
        raise UsageError(f"{path} cannot be read.", hint="check its permissions, or ignore it")


@dataclass(frozen=True, slots=True)
class _Rules:
    """Patterns, and the folder (relative, "" for the top) whose contents they speak about."""

    folder: str
    patterns: GitIgnoreSpec

    def verdict(self, path: str) -> bool | None:
        inner = path.removeprefix(self.folder + "/") if self.folder else path
        return self.patterns.check_file(inner).include


def _default_rules() -> tuple[_Rules, ...]:
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - only a work dir needs it

    return (_Rules("", GitIgnoreSpec.from_lines(ALWAYS_IGNORED)),)


class _Walk:
    """One pass over a folder. With rules it obeys ignore files; without, it takes everything."""

    def __init__(self, top: Path, rules: tuple[_Rules, ...], ours: Belongings) -> None:
        if ours.is_top:
            hint = "Set TREBUCHET_HOME to a folder of its own."
            raise UsageError(f"{top} is where Trebuchet keeps its state and its tokens: not sent.", hint=hint)
        self.files: dict[str, LocalFile] = {}
        self.folders: dict[str, int] = {}
        self.links: dict[str, str] = {}
        self.left_out: list[LeftOut] = []
        self._top = top
        self._ours = ours
        self._visited: dict[str, int] = {}
        self._waiting = [("", rules)]
        while self._waiting:
            self._visit(*self._waiting.pop())
        self._follow_links_to_what_stays()
        inhabited = {posixpath.dirname(path) for path in (*self.files, *self.links, *self._visited) if path}
        self.folders = {path: mode for path, mode in self._visited.items() if path not in inhabited}

    def _visit(self, relative: str, rules: tuple[_Rules, ...]) -> None:
        folder = self._top / relative
        if relative.count("/") >= DEEPEST:
            hint = "Ignore them, or send them as an archive."
            raise UsageError(f"{self._top} holds folders more than {DEEPEST} deep.", hint=hint)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            self._visited[relative] = stat.S_IMODE(folder.stat().st_mode)
        except OSError as error:
            if not relative or not isinstance(error, FileNotFoundError):
                raise UsageError(f"{folder} cannot be read: {error.strerror}.") from error
            self.left_out.append(LeftOut(relative, _GONE))
            return
        if rules:
            rules = (*rules, *_own_rules(folder, relative))
        for entry in entries:
            path = f"{relative}/{entry.name}" if relative else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            ignored = _ignored(path + "/" if is_folder else path, rules)
            if ignored:
                continue
            by_default = bool(rules) and ignored is None and is_folder
            if why := self._ours.why_not(path, entry.name) or _odd(entry.name, by_default=by_default):
                self.left_out.append(LeftOut(path, why))
            elif is_folder:
                self._waiting.append((path, rules))
            else:
                self._take(entry, path)

    def _take(self, entry: os.DirEntry[str], path: str) -> None:
        local = Path(entry.path)
        try:
            if entry.is_symlink() and self._ours.holds(local):
                self.left_out.append(LeftOut(path, "a link to Trebuchet's own state"))
                return
            if entry.is_symlink() and (target := _within(path, str(local.readlink()))) is not None:
                self.links[path] = target
                return
            status = entry.stat()
            if why := _unfit(entry, status):
                self.left_out.append(LeftOut(path, why))
                return
            _require_readable(local)
        except OSError as error:
            self.left_out.append(LeftOut(path, _why_not(entry, error)))
            return
        self.files[path] = _local_file(path, status)

    def _follow_links_to_what_stays(self) -> None:
        """Send the content of files that are named by links alone, since what they name is ignored."""
        for path, target in list(self.links.items()):
            named = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            local = self._top / path
            if named not in self.files and named not in self.links and (status := _file_status(local)):
                del self.links[path]
                self.files[path] = _local_file(path, status)


def _odd(name: str, *, by_default: bool) -> str | None:
    """Why something of this name is left out; `by_default` where no ignore file wants the folder."""
    if not _is_text(name):
        return "its name is not UTF-8"
    return _PULLED if by_default and was_pulled(name) else None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _within(path: str, target: str) -> str | None:
    """Where a link points, if that is told from its own place and lies within the tree; else None."""
    named = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    inside = not target.startswith("/") and named != ".." and not named.startswith("../")
    return target if inside and _is_text(target) else None


def _own_rules(folder: Path, relative: str) -> Iterator[_Rules]:
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - only a work dir needs it

    for name in IGNORE_FILES:
        if _file_status(folder / name):
            yield _Rules(relative, GitIgnoreSpec(_patterns(folder / name)))


def _patterns(file: Path) -> Iterator[GitIgnoreSpecPattern]:
    """The patterns of an ignore file. As in git, one that is none matches nothing."""
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern  # noqa: PLC0415 - as above

    text = file.read_text("utf-8-sig", errors="replace")  # A mark at its start is no part of a name.
    for line in re.split(r"\r?\n", text):
        if line.rstrip() == "!/":
            continue  # To the library it is every folder.
        with suppress(ValueError, re.error):
            yield GitIgnoreSpecPattern(line)


def _ignored(path: str, rules: tuple[_Rules, ...]) -> bool | None:
    """What the last rule that speaks about a path says; None where none does."""
    for rule in reversed(rules):
        verdict = rule.verdict(path)
        if verdict is not None:
            return verdict
    return None


_GONE = "it was gone when it was looked at"
_PULLED = "outputs that were pulled (`!outputs-*/` in .trebuchetignore sends them)"


def _unfit(entry: os.DirEntry[str], status: os.stat_result) -> str | None:
    """Why this entry cannot be sent, or None where it can."""
    if stat.S_ISREG(status.st_mode):
        return None
    if entry.is_symlink() and stat.S_ISDIR(status.st_mode):
        return "a link to a folder elsewhere is not followed"
    return "neither a file nor a folder"


def _why_not(entry: os.DirEntry[str], error: OSError) -> str:
    """Why this entry is left out, which could not be looked at.

    Raises:
        UsageError: There is a reason to look into.
    """
    if entry.is_symlink():
        nowhere = error.errno in _LEADS_NOWHERE
        return "a link that leads nowhere" if nowhere else f"a link that cannot be followed: {error.strerror}"
    if isinstance(error, FileNotFoundError):
        return _GONE
    raise UsageError(f"{entry.path} cannot be read: {error.strerror}.") from error


def _file_status(path: Path) -> os.stat_result | None:
    """What is known of a file that can be read; None where there is none.

    Raises:
        UsageError: It is there, and may not be read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None
        _require_readable(path)
    except OSError:
        return None
    return status
