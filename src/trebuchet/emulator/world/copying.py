"""`COPY` and `ADD` of files that were sent with an image: what of them goes where."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from trebuchet.emulator.world.errors import InvalidError, NotServedError
from trebuchet.emulator.world.recipe import below
from trebuchet.emulator.world.variables import fill_in, split

if TYPE_CHECKING:
    from trebuchet.emulator.world.dockerfile import Command
    from trebuchet.emulator.world.recipe import Manner

CONTEXT = "/run/context"
"""Where the files are seen by the process that copies them; no layer has what is in `/run`."""
_STAGED = "/run/staged"
_ROOT = re.compile(r"(root|0)?(:(root|0))?")
_MODE = re.compile(r"[0-7]{3,4}")
_REMOTE = re.compile(r"[a-z]+://|git@")
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
_SCRIPT = """
umask 022
target=$1 mode=$2; shift 2
for source; do
  if [ -n "$mode" ]; then
    rm -rf "$STAGED" && mkdir "$STAGED" && cp -Rp "$source" "$STAGED/" || exit
    source=$STAGED/${source##*/}
    chmod -R "$mode" "$source" || exit
  fi
  if [ -d "$source" ]; then
    mkdir -p "$target" && cp -Rp "$source/." "$target/" || exit
  elif [ -d "$target" ] || [ "$target" != "${target%/}" ]; then
    mkdir -p "$target" && cp -p "$source" "$target/" || exit
  else
    mkdir -p "${target%/*}/" && cp -p "$source" "$target" || exit
  fi
done
rm -rf "$STAGED"
""".replace("$STAGED", _STAGED)
"""Done inside the image, so that its own folders and links are what paths lead through."""


@dataclass(frozen=True, kw_only=True)
class Copying:
    """What is to be copied.

    Attributes:
        sources: Patterns of paths in the context, none of which leads out of it.
        target: An absolute path, with a slash at its end for a folder.
        mode: The permissions of what is copied; empty to keep them.
    """

    sources: tuple[str, ...]
    target: str
    mode: str = ""

    def program(self, context: Path) -> tuple[str, ...]:
        """The words of a process that copies, in a sandbox that sees the files of `context`.

        Raises:
            InvalidError: A source is not among the files that were sent.
        """
        found = [place for pattern in self.sources for place in _found(context, pattern)]
        if len(found) > 1 and not self.target.endswith("/"):
            raise InvalidError(
                f"Several files are copied to a folder: {self.target!r} must end with a slash."
            )
        return ("/bin/sh", "-c", _SCRIPT, "sh", self.target, self.mode, *found)


def read_copying(command: Command, manner: Manner) -> Copying:
    """What a `COPY` or an `ADD` asks for.

    Raises:
        InvalidError: A path leads out of the files that were sent, or nowhere.
        NotServedError: It is of a kind that is not served here.
    """
    if "<<" in command.rest:
        raise NotServedError(f"The local engine does not serve {command.verb} of a document: use RUN.")
    *sources, target = _words(command, manner) or ["", ""]
    if not sources or not all(sources) or not target:
        raise InvalidError(f"`{command}` needs a source and a target.")
    if ".." in PurePosixPath(target).parts or "\0" in target:
        raise InvalidError(f"`{command}`: {target!r} must lead nowhere upwards.")
    place = below(manner, target) or target
    return Copying(
        sources=tuple(_checked(command, source) for source in sources),
        target=posixpath.normpath(place).rstrip("/") + ("/" if _means_folder(target) else ""),
        mode=_mode(command),
    )


def _words(command: Command, manner: Manner) -> list[str]:
    if command.rest.startswith("["):
        try:
            words = cast("list[Any]", json.loads(command.rest))
        except ValueError as error:
            raise InvalidError(f"{command.verb} is not followed by a list of words.") from error
        return [fill_in(str(word), manner.known) for word in words]
    return split(command.rest, manner.known)


def _means_folder(target: str) -> bool:
    return target.endswith("/") or PurePosixPath(target).name in {"", "."}


def _checked(command: Command, source: str) -> str:
    if _REMOTE.match(source):
        raise NotServedError(
            f"The local engine does not serve {command.verb} of {source!r}: use RUN to fetch it."
        )
    if command.verb == "ADD" and source.endswith(_ARCHIVES):
        raise NotServedError(
            f"The local engine does not serve ADD of an archive, {source!r}: use COPY and RUN."
        )
    path = posixpath.normpath(source.lstrip("/") or ".")
    if ".." in PurePosixPath(path).parts or "\0" in path:
        raise InvalidError(f"`{command}`: {source!r} leads out of the files that were sent.")
    return path


def _mode(command: Command) -> str:
    mode = ""
    for flag in command.flags:
        name, _, value = flag.partition("=")
        if name == "--chmod" and _MODE.fullmatch(value):
            mode = value
        elif not ((name == "--chown" and _ROOT.fullmatch(value)) or name == "--link"):
            raise NotServedError(f"The local engine does not serve {command.verb} with {flag}.")
    return mode


def _found(context: Path, pattern: str) -> list[str]:
    """The files and folders that a pattern means, as the process sees them.

    A mount has no links, so that whatever is found below it is in it.
    """
    matching = [context] if pattern == "." else sorted(context.glob(pattern))
    if not matching:
        raise InvalidError(f"There is no {pattern!r} among the files that were sent with the image.")
    return [str(Path(CONTEXT, place.relative_to(context))) for place in matching]
