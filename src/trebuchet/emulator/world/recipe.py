"""What each command of a Dockerfile means for processes, or that it means nothing here."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from trebuchet.emulator.process.defaults import DEFAULT_VARIABLES, HOME
from trebuchet.emulator.world.errors import InvalidError, NotServedError
from trebuchet.emulator.world.variables import assignments, fill_in, split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trebuchet.emulator.world.dockerfile import Command

_SHELL = ("/bin/sh", "-c")
_WITHOUT_EFFECT = frozenset({"LABEL", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "MAINTAINER", "VOLUME", "USER"})
"""What changes no process of a sandbox, which runs as root here as it does on Modal."""

CHANGES_FILES = frozenset({"RUN", "COPY", "ADD"})
_SPEEDS_UP = ("--mount=type=cache", "--network=default")
"""What a command does not depend on: a cache is there or not."""


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How processes run on an image.

    Attributes:
        variables: Their environment.
        workdir: Where they start; None for `/root`.
        entrypoint: Words before any command.
        command: The words where no command is given.
        shell: What runs the text of a `RUN`.
        arguments: What `ARG` has set so far: commands see it, and sandboxes do not.
    """

    variables: dict[str, str] = field(default_factory=dict[str, str])
    workdir: str | None = None
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    shell: tuple[str, ...] = _SHELL
    arguments: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def known(self) -> dict[str, str]:
        """The variables that a command is told with: those that every sandbox has, and the image's own."""
        return {**DEFAULT_VARIABLES, **self.arguments, **self.variables}

    def settled(self) -> Manner:
        """The same, once the image is made."""
        return replace(self, arguments={})


def apply(command: Command, manner: Manner, build_args: Mapping[str, str]) -> Manner | None:
    """How processes run after a command that changes no files; None for one that does.

    Raises:
        InvalidError: It is not said as such a command is.
        NotServedError: The command cannot be understood.
    """
    if command.verb in _WITHOUT_EFFECT:
        return manner
    if command.verb in CHANGES_FILES:
        return None
    match command.verb:
        case "ENV":
            changes: dict[str, Any] = {"variables": manner.variables | _environment(command, manner)}
        case "ARG":
            changes = {"arguments": manner.arguments | _arguments(command, manner, build_args)}
        case "WORKDIR":
            changes = {"workdir": below(manner, " ".join(split(command.rest, manner.known)))}
        case "ENTRYPOINT":
            changes = {"entrypoint": _words(command, manner), "command": ()}
        case "CMD":
            changes = {"command": _words(command, manner)}
        case "SHELL":
            changes = {"shell": _words(command, manner) or _SHELL}
        case _:
            raise NotServedError(f"The local engine does not build images with {command.verb}.")
    return replace(manner, **changes)


def program_of(command: Command, manner: Manner) -> tuple[str, ...]:
    """The words of the process that a `RUN` is.

    Raises:
        NotServedError: It is to run in a way that is not served here.
    """
    for flag in command.flags:
        if not flag.startswith(_SPEEDS_UP):
            raise NotServedError(f"The local engine does not serve RUN with {flag}.")
    return _listed(command.rest) or (*manner.shell, command.rest)


def below(manner: Manner, place: str) -> str | None:
    """Where a path leads that is told from the working directory."""
    if not place or place.startswith("/"):
        return place or manner.workdir
    return f"{(manner.workdir or HOME).rstrip('/')}/{place}"


def _environment(command: Command, manner: Manner) -> dict[str, str]:
    name, _, value = command.rest.partition(" ")
    if "=" not in name:
        return {name: fill_in(value.strip(), manner.known)}
    return {name: value or "" for name, value in assignments(command.rest, manner.known).items()}


def _arguments(command: Command, manner: Manner, build_args: Mapping[str, str]) -> dict[str, str]:
    given = {
        name: build_args.get(name, value) for name, value in assignments(command.rest, manner.known).items()
    }
    return {name: value for name, value in given.items() if value is not None}


def _words(command: Command, manner: Manner) -> tuple[str, ...]:
    if not command.rest.startswith("["):
        return (*manner.shell, command.rest) if command.rest else ()
    words = _listed(command.rest)
    if words is None:
        raise InvalidError(f"{command.verb} is not followed by a list of words.")
    return words


def _listed(text: str) -> tuple[str, ...] | None:
    """The words of a list; None for what is none."""
    if not text.startswith("["):
        return None
    try:
        words: object = json.loads(text)
    except ValueError:
        return None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in cast("list[Any]", words)):
        return None
    return tuple(cast("list[str]", words))
