"""What the SDK runs inside a sandbox to read, write, list and watch its files.

Its one argument is a JSON object: the name of a command with its fields. Contents go through the standard
streams; a failure is told as a JSON object on standard error, with exit code 1.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import select
import shutil
import stat
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHUNK = 1 << 20
LARGEST_READ = 5 << 30
"""Modal reads no larger file either. Its limit is told nowhere; one of 6 GiB is known to be refused."""
LOOK_S = 0.1
LONGEST_WAIT_S = 60.0
KINDS = {
    FileNotFoundError: "NotFound",
    IsADirectoryError: "IsDirectory",
    NotADirectoryError: "NotDirectory",
    PermissionError: "PermissionDenied",
    FileExistsError: "PathAlreadyExists",
}
NOTICE = struct.Struct("iIII")
"""What the kernel writes of a change: which watch, what, what belongs together, and a name's length."""
MODIFIED, MOVED_FROM, MOVED_TO, CREATED, DELETED = 0x2 | 0x4, 0x40, 0x80, 0x100, 0x200
GONE, MOVED_ITSELF, FOLDER = 0x400, 0x800, 0x40000000
WATCHED = MODIFIED | MOVED_FROM | MOVED_TO | CREATED | DELETED | GONE | MOVED_ITSELF
NOTICED = (
    (CREATED, "Create"),
    (MODIFIED, "Modify"),
    (MOVED_FROM, "RenameFrom"),
    (MOVED_TO, "RenameTo"),
    (DELETED, "Remove"),
)
TYPES = {stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}


def read_file(path: str) -> None:
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > LARGEST_READ:
            fail("FileTooLarge", "The file exceeds the limit of 5 GiB")
        shutil.copyfileobj(file, sys.stdout.buffer, CHUNK)
    sys.stdout.buffer.flush()


def write_file(path: str) -> None:
    """Replace a file's content as it arrives, its folders made if missing."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, CHUNK)


def list_files(path: str) -> None:
    print(json.dumps([describe(os.path.join(path, name)) for name in sorted(os.listdir(path))]))


def tell_facts(path: str) -> None:
    print(json.dumps(describe(path)))


def describe(path: str) -> dict[str, object]:
    """What the SDK shows of a file; of a link, the link's own."""
    facts = os.lstat(path)
    is_link = stat.S_ISLNK(facts.st_mode)
    return {
        "name": os.path.basename(path.rstrip("/")) or "/",
        "path": path,
        "type": TYPES.get(stat.S_IFMT(facts.st_mode), "file"),
        "size": facts.st_size,
        "mode": facts.st_mode,
        "permissions": f"{stat.S_IMODE(facts.st_mode):04o}",
        "owner": name_of_user(facts.st_uid),
        "group": name_of_group(facts.st_gid),
        "modified_time": facts.st_mtime,
        "symlink_target": os.readlink(path) if is_link else None,
    }


def name_of_user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def name_of_group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def make_directory(path: str, parents: bool = True) -> None:
    if parents:
        os.makedirs(path, exist_ok=True)
    else:
        os.mkdir(path)


def remove(path: str, recursive: bool = False) -> None:
    if os.path.islink(path) or not os.path.isdir(path):
        os.remove(path)
    elif recursive:
        shutil.rmtree(path)
    elif os.listdir(path):
        fail("DirectoryNotEmpty", "The directory is not empty")
    else:
        os.rmdir(path)


def watch(
    path: str,
    recursive: bool = False,
    filter: list[str] | None = None,  # noqa: A002 - a field of the command
    timeout_secs: float | None = None,
) -> None:
    """Tell what changes, a line each, until the time is up or standard input ends."""
    os.stat(path)
    end = None if timeout_secs is None else time.monotonic() + timeout_secs
    watcher: Notices | Samples
    try:
        watcher = Notices(path, recursive)
    except (ImportError, AttributeError, OSError):  # a Python without ctypes, or the kernel's limit
        watcher = Samples(path, recursive)
    while end is None or time.monotonic() < end:
        left = LONGEST_WAIT_S if end is None else max(0.0, end - time.monotonic())
        ready = select.select([0, *watcher.descriptors], [], [], min(left, watcher.patience_s))[0]
        if 0 in ready and not os.read(0, CHUNK):
            return
        for kind, paths in watcher.changes():
            if filter is None or kind in filter:
                print(json.dumps({"event_type": kind, "paths": paths}), flush=True)


class Notices:
    """What the kernel tells of changes; none is missed, however short it was."""

    patience_s = LONGEST_WAIT_S

    def __init__(self, path: str, recursive: bool) -> None:
        import ctypes  # noqa: PLC0415 - not every image's Python has it

        self._libc: Any = ctypes.CDLL(None, use_errno=True)
        self._errno = ctypes.get_errno
        self._descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(self._errno(), "inotify_init1")
        self.descriptors = [self._descriptor]
        self._path = path
        self._recursive = recursive
        self._places: dict[int, str] = {}
        self._add(path)

    def _add(self, path: str) -> list[str]:
        """Watch a file or a folder, and if asked for all folders in it; what is in them."""
        number = self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), WATCHED)
        if number < 0:
            raise OSError(self._errno(), "inotify_add_watch")
        self._places[number] = path
        if not self._recursive or not os.path.isdir(path):
            return []
        found: list[str] = []
        for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
            found.append(entry.path)
            if entry.is_dir(follow_symlinks=False):
                found += self._add(entry.path)
        return found

    def changes(self) -> list[tuple[str, list[str]]]:
        try:
            data = os.read(self._descriptor, CHUNK)
        except BlockingIOError:
            return []
        changes: list[tuple[str, list[str]]] = []
        left: dict[int, int] = {}
        while data:
            number, mask, cookie, length = NOTICE.unpack_from(data)
            name = os.fsdecode(data[NOTICE.size : NOTICE.size + length].rstrip(b"\0"))
            data = data[NOTICE.size + length :]
            if number not in self._places:
                continue
            path = os.path.join(self._places[number], name) if name else self._places[number]
            if mask & MOVED_TO and cookie in left:
                old = left.pop(cookie)
                changes[old] = ("Rename", [*changes[old][1], path])
            else:
                if mask & MOVED_FROM:
                    left[cookie] = len(changes)
                changes += [(kind, [path]) for bits, kind in NOTICED if mask & bits]
            if mask & (GONE | MOVED_ITSELF) and path == self._path and not name:
                changes.append(("Remove", [path]))
            if mask & FOLDER and mask & (CREATED | MOVED_TO) and self._recursive:
                changes += [("Create", [inner]) for inner in self._follow(path)]
        return changes

    def _follow(self, path: str) -> list[str]:
        """Watch a new folder; what came into it before that."""
        try:
            return self._add(path)
        except OSError:  # it has gone again, or the kernel watches no more of them
            return []


class Samples:
    """Looks again and again: what comes and goes in between is missed."""

    patience_s = LOOK_S

    def __init__(self, path: str, recursive: bool) -> None:
        self._path = path
        self._recursive = recursive
        self._before = look(path, recursive)
        self.descriptors: list[int] = []

    def changes(self) -> list[tuple[str, list[str]]]:
        now = look(self._path, self._recursive)
        found = [(kind, [changed]) for kind, changed in compare(self._before, now)]
        self._before = now
        return found


def look(path: str, recursive: bool) -> dict[str, tuple[int, int, int]]:
    """Every file that is watched, with what tells whether it has changed."""
    found: dict[str, tuple[int, int, int]] = {}
    for folder, folders, files in (
        os.walk(path) if os.path.isdir(path) else [(os.path.dirname(path), [], [path])]
    ):
        for name in folders + files:
            entry = os.path.join(folder, name)
            try:
                facts = os.lstat(entry)
            except FileNotFoundError:
                continue
            is_folder = stat.S_ISDIR(facts.st_mode)
            found[entry] = (
                facts.st_ino,
                0 if is_folder else facts.st_mtime_ns,
                0 if is_folder else facts.st_size,
            )
        if not recursive:
            break
    return found


def compare(
    before: dict[str, tuple[int, int, int]], now: dict[str, tuple[int, int, int]]
) -> list[tuple[str, str]]:
    kinds = [("Create", path) for path in now if path not in before]
    kinds += [("Modify", path) for path in now if path in before and now[path] != before[path]]
    return kinds + [("Remove", path) for path in before if path not in now]


def fail(kind: str, message: str) -> None:
    print(json.dumps({"error_kind": kind, "message": message, "detail": ""}), file=sys.stderr)
    sys.exit(1)


COMMANDS: dict[str, Any] = {
    "ReadFile": read_file,
    "WriteFile": write_file,
    "ListFiles": list_files,
    "Stat": tell_facts,
    "MakeDirectory": make_directory,
    "Remove": remove,
    "Watch": watch,
}


def main() -> None:
    ((name, fields),) = json.loads(sys.argv[1]).items()
    if name not in COMMANDS:
        fail("NotSupported", "The local engine does not serve " + name)
    try:
        COMMANDS[name](**fields)
    except OSError as error:
        kind = next((kind for of, kind in KINDS.items() if isinstance(error, of)), "Other")
        if kind == "PathAlreadyExists" and name == "WriteFile":
            kind = "NotDirectory"  # the folder above is a file
        fail(kind, error.strerror or str(error))


if __name__ == "__main__":
    main()
