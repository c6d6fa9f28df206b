"""The commands that the SDK describes an image with: what each means, or that it means nothing here."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from trebuchet.emulator.world.errors import NotServedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHELL = ("/bin/sh", "-c")
_WITHOUT_EFFECT = frozenset(
    {"LABEL", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "MAINTAINER", "VOLUME", "USER", "#", ""}
)
"""What changes no process of a sandbox, which runs as root here as it does on Modal."""

CHANGES_FILES = frozenset({"RUN", "COPY"})


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How processes run on an image.

    Attributes:
        variables: Their environment.
        workdir: Where they start; None for `/root`.
        entrypoint: Words before any command.
        command: The words where no command is given.
        shell: What runs the text of a `RUN`.
    """

    variables: dict[str, str] = field(default_factory=dict[str, str])
    workdir: str | None = None
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    shell: tuple[str, ...] = _SHELL


@dataclass(frozen=True)
class Command:
    """One command: `RUN`, and what comes after it."""

    verb: str
    rest: str

    def __str__(self) -> str:
        return f"{self.verb} {self.rest}"


def read_command(text: str) -> Command:
    """Take a command apart; its verb in capitals."""
    verb, _, rest = text.strip().partition(" ")
    return Command("#" if verb.startswith("#") else verb.upper(), rest.strip())


def apply(command: Command, manner: Manner) -> Manner | None:
    """How processes run after a command that changes no files; None for one that does.

    Raises:
        NotServedError: The command cannot be understood.
    """
    if command.verb in _WITHOUT_EFFECT:
        return manner
    if command.verb in CHANGES_FILES:
        return None
    match command.verb:
        case "ENV":
            given = _assignments(command.rest, manner.variables)
            changes: dict[str, Any] = {"variables": manner.variables | given}
        case "WORKDIR":
            changes = {"workdir": _below(manner.workdir, "".join(shlex.split(command.rest)[:1]))}
        case "ENTRYPOINT":
            changes = {"entrypoint": _words(command), "command": ()}
        case "CMD":
            changes = {"command": _words(command)}
        case "SHELL":
            changes = {"shell": _words(command) or _SHELL}
        case _:
            raise NotServedError(f"The local engine does not build images with {command.verb}.")
    return replace(manner, **changes)


def _words(command: Command) -> tuple[str, ...]:
    if not command.rest.startswith("["):
        return (*_SHELL, command.rest) if command.rest else ()
    try:
        words: object = json.loads(command.rest)
    except ValueError:
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in cast("list[Any]", words)):
        raise NotServedError(f"{command.verb} is not followed by a list of words.")
    return tuple(cast("list[str]", words))


def _below(here: str | None, place: str) -> str | None:
    if not place or place.startswith("/"):
        return place or here
    return f"{(here or '').rstrip('/')}/{place}"


def _assignments(text: str, known: Mapping[str, str]) -> dict[str, str]:
    name, _, value = text.partition(" ")
    if "=" not in name:
        return {name: value.strip()}
    found: dict[str, str] = {}
    for word in _split(text):
        name, _, value = word.partition("=")
        found[name] = _filled_in(value, known)
    return found


def _split(text: str) -> list[str]:
    """Words, a `$` within single quotes marked so that it stays one."""
    quoted = False
    marked: list[str] = []
    for letter in text:
        quoted ^= letter == "'"
        marked.append(_LITERAL if letter == "$" and quoted else letter)
    return shlex.split("".join(marked))


_LITERAL = "\0"


def _filled_in(value: str, known: Mapping[str, str]) -> str:
    """A value with the variables in it that are known; `$NAME` and `${NAME}` alone."""
    pieces = value.split("$")
    done = pieces[0]
    for piece in pieces[1:]:
        braced, closed, after = piece[1:].partition("}") if piece.startswith("{") else ("", "", "")
        if closed:
            done += known.get(braced, "") + after
            continue
        length = next(
            (at for at, letter in enumerate(piece) if not (letter.isalnum() or letter == "_")), len(piece)
        )
        done += known.get(piece[:length], "") + piece[length:] if length else f"${piece}"
    return done.replace(_LITERAL, "$")
