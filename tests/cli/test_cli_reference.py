from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import click
import pytest

from trebuchet import errors
from trebuchet.cli.app import VERBS, root
from trebuchet.cli.verb import Verb
from trebuchet.files import job_from_text

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), DOCS.parent / "README.md"]


def test_the_reference_is_what_the_command_line_says() -> None:
    made = runpy.run_path(str(DOCS / "make_cli_reference.py"))["page"]()
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == made, "run: just docs"


def verbs() -> list[tuple[str, click.Command]]:
    context = click.Context(root, info_name="trebuchet")
    found = list[tuple[str, click.Command]]()
    for name in VERBS:
        command = root.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found += [(f"{name} {each}", command.commands[each]) for each in command.list_commands(context)]
        else:
            found.append((name, command))
    return found


@pytest.mark.parametrize(("name", "command"), verbs(), ids=[name for name, _ in verbs()])
def test_every_verb_has_examples_that_parse(name: str, command: click.Command) -> None:
    assert isinstance(command, Verb)
    assert command.examples
    for line, _ in command.examples:
        first = re.split(r" [|>&]", line)[0].rstrip()
        assert_parses(first)


def console_lines() -> list[str]:
    lines = list[str]()
    for page in PAGES:
        for block in re.findall(r"^```console\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            lines += [line[2:] for line in block.splitlines() if line.startswith("$ trebuchet ")]
    return lines


@pytest.mark.parametrize("line", console_lines())
def test_every_command_in_the_docs_parses(line: str) -> None:
    words = shlex.split(re.split(r" [|>&#]", line)[0])
    assert_parses(shlex.join(words[1:]))


@pytest.fixture(autouse=True)
def _folder_of_the_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples name files and variables that their reader has."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").touch()


def assert_parses(line: str) -> None:
    """Parse as the command line would, and run nothing."""
    words = shlex.split(line)
    context = click.Context(root, info_name="trebuchet", resilient_parsing=False)
    command: click.Command = root
    while isinstance(command, click.Group):
        if words[0].startswith("-"):
            command.make_context("trebuchet", words, resilient_parsing=True)
            return
        found = command.get_command(context, words[0])
        assert found is not None, f"no such command: {line}"
        command, words = found, words[1:]
    command.make_context(command.name, words, parent=context)


def error_tree() -> dict[str, int]:
    found = dict[str, int]()
    waiting: list[type[errors.TrebuchetError]] = [errors.TrebuchetError]
    while waiting:
        kind = waiting.pop()
        if not kind.__name__.startswith("_"):
            found[kind.__name__] = kind.exit_code
        waiting += kind.__subclasses__()
    return found


def test_the_exit_codes_in_the_docs_are_those_of_the_errors() -> None:
    text = (DOCS / "exit-codes.md").read_text(encoding="utf-8")
    documented = {name: int(code) for code, name in re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.M)}
    assert documented == error_tree()


def blocks(language: str) -> list[str]:
    found = list[str]()
    for page in PAGES:
        found += re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return found


def test_the_readme_shows_the_two_commands_first() -> None:
    """CI runs them out of the README, so this is also what CI runs."""
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    first = re.search(r"^```\w*\n(.*?)^```", readme, re.M | re.S)
    assert first is not None
    assert first[1].splitlines() == [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/trebuchet up examples/digits.yaml",
        ".venv/bin/pip install '.[test]' && .venv/bin/pytest",
    ]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_job_file_in_the_docs_can_be_read(text: str) -> None:
    assert job_from_text(text, "docs").run


@pytest.mark.parametrize("text", blocks("python"))
def test_every_piece_of_python_in_the_docs_compiles_and_its_names_exist(text: str) -> None:
    compile(text, "docs", "exec")
    for line in text.splitlines():
        if line.startswith(("from trebuchet", "import trebuchet")):
            exec(line, {})
