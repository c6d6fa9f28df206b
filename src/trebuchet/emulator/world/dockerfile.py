"""The lines of a Dockerfile, taken apart into commands: continued lines, comments, flags, documents."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trebuchet.emulator.world.errors import InvalidError, NotServedError
from trebuchet.emulator.world.variables import assignments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_HAS_FLAGS = frozenset({"FROM", "RUN", "COPY", "ADD"})
_TAKES_DOCUMENTS = frozenset({"RUN", "COPY", "ADD"})
_FLAG = re.compile(r"--[a-z][^\s]*\s*")
_CONTINUED = re.compile(r"\\[ \t]*$")
_OTHER_ESCAPE = re.compile(r"#\s*escape\s*=\s*[^\\\s]", re.IGNORECASE)
_DOCUMENT = re.compile(
    r"""(?:^|(?<=\s))\d*<<(?P<tabs>-?)(?P<quote>['"]?)(?P<name>\w+)(?P=quote)(?=[\s;|&>)]|$)"""
)
_VERBS = frozenset(
    (
        *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"),
        *("MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
    )
)


@dataclass(frozen=True)
class Command:
    """One command: `RUN`, its flags, and what comes after them."""

    verb: str
    rest: str
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join(filter(None, (self.verb, *self.flags, self.rest)))


@dataclass(frozen=True)
class Stage:
    """A Dockerfile of one stage.

    Attributes:
        base: What stands after `FROM`; empty for nothing.
        commands: What is done on it.
    """

    base: str
    commands: tuple[Command, ...]


def read_stage(texts: Iterable[str], build_args: Mapping[str, str]) -> Stage:
    """The one stage that the lines of a Dockerfile describe.

    Raises:
        InvalidError: It is no Dockerfile.
        NotServedError: It has more than one stage, or is said in a way that is not understood here.
    """
    commands = list(_commands(texts))
    known: dict[str, str] = {}
    while commands and commands[0].verb == "ARG":
        for name, value in assignments(commands.pop(0).rest, known).items():
            known[name] = build_args.get(name, value or "")
    if not commands or commands[0].verb != "FROM":
        raise NotServedError("The local engine builds an image whose first command is FROM.")
    first, *others = commands
    if any(command.verb == "FROM" for command in others):
        raise NotServedError("The local engine builds images of one stage: this one has another FROM.")
    if first.flags:
        raise NotServedError(f"The local engine does not serve `{first}`: FROM with {first.flags[0]}.")
    words = list(assignments(f"base={first.rest}", known).values())
    return Stage(words[0] or "" if words else "", tuple(_inheriting(command, known) for command in others))


def _inheriting(command: Command, known: Mapping[str, str]) -> Command:
    """An `ARG` without a value has the one that it got before `FROM`."""
    name = command.rest.strip()
    if command.verb != "ARG" or name not in known:
        return command
    return replace(command, rest=f"{name}={shlex.quote(known[name])}")


def _commands(texts: Iterable[str]) -> Iterator[Command]:
    lines = _Lines(texts)
    last: Command | None = None
    for line in lines:
        if _OTHER_ESCAPE.match(line.strip()):
            raise NotServedError("The local engine does not serve `# escape=` in a Dockerfile.")
        if _says_nothing(line):
            continue
        begins = lines.begins
        text = _continued(line, lines)
        verb = text.split(maxsplit=1)[0]
        if last is not None and not begins and verb not in _VERBS:
            # A text of several lines that the SDK passes as one command is taken for one.
            last = replace(last, rest=f"{last.rest}\n{_with_documents(text, lines, alone=None)}")
            continue
        if last is not None:
            yield last
        last = _command(verb.upper(), text.strip()[len(verb) :].strip(), lines)
    if last is not None:
        yield last


def _command(verb: str, text: str, lines: Iterator[str]) -> Command:
    rest, flags = _without_flags(text) if verb in _HAS_FLAGS else (text, ())
    if verb in _TAKES_DOCUMENTS and not rest.startswith("["):
        rest = _with_documents(rest, lines, alone=_DOCUMENT.fullmatch(rest))
    return Command(verb, rest, flags)


class _Lines:
    """The lines of all texts."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._lines = ((number == 0, line) for text in texts for number, line in enumerate(text.split("\n")))
        self.begins = True
        """Whether the last one is the first of its text."""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        self.begins, line = next(self._lines)
        return line


def _says_nothing(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _continued(line: str, lines: Iterator[str]) -> str:
    while _CONTINUED.search(line):
        following = next((line for line in lines if not _says_nothing(line)), "")
        line = _CONTINUED.sub("", line) + following
    return line


def _without_flags(rest: str) -> tuple[str, tuple[str, ...]]:
    flags: list[str] = []
    while found := _FLAG.match(rest):
        flags.append(found.group().strip())
        rest = rest[found.end() :]
    return rest, tuple(flags)


def _with_documents(text: str, lines: Iterator[str], *, alone: re.Match[str] | None) -> str:
    """A command with the documents (`<<EOF`) that follow it, as a shell reads them.

    Where a document is all that there is, its text is the command.
    """
    if alone is not None:
        body = _document(alone, lines)
        script = "\n".join(line.lstrip("\t") if alone["tabs"] else line for line in body)
        if script.startswith("#!"):
            raise NotServedError("The local engine runs a document by the image's shell, and not by `#!`.")
        return script
    whole = [text]
    for found in _DOCUMENT.finditer(text):
        whole += [*_document(found, lines), found["name"]]
    return "\n".join(whole)


def _document(found: re.Match[str], lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if (line.lstrip("\t") if found["tabs"] else line) == found["name"]:
            return
        yield line
    raise InvalidError(f"The document <<{found['name']} of a Dockerfile has no end.")
