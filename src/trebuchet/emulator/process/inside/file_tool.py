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
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHUNK = 1 << 20
LOOK_S = 0.1
KINDS = {
    FileNotFoundError: "NotFound",
    IsADirectoryError: "IsDirectory",
    NotADirectoryError: "NotDirectory",
    PermissionError: "PermissionDenied",
    FileExistsError: "PathAlreadyExists",
}
TYPES = {stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}


def read_file(path: str) -> None:
    with open(path, "rb") as file:
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
        "mode": stat.S_IMODE(facts.st_mode),
        "permissions": stat.filemode(facts.st_mode)[1:],
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
    before = look(path, recursive)
    while end is None or time.monotonic() < end:
        if select.select([sys.stdin], [], [], LOOK_S)[0] and not os.read(0, CHUNK):
            return
        now = look(path, recursive)
        for kind, changed in compare(before, now):
            if filter is None or kind in filter:
                print(json.dumps({"event_type": kind, "paths": [changed]}), flush=True)
        before = now


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
        if kind == "PathAlreadyExists" and (name == "WriteFile" or fields.get("parents")):
            kind = "NotDirectory"  # one of the folders above is a file
        fail(kind, error.strerror or str(error))


if __name__ == "__main__":
    main()
