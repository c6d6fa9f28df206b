"""Whose view a token gives is remembered in a file that may hold anything, and that may not be written."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import pytest

from trebuchet.engines.base import Identity
from trebuchet.engines.modal import identity

if TYPE_CHECKING:
    from pathlib import Path

    from trebuchet.engines.modal.connection import Connection


class Credentials:
    environment = "main"
    server_url = "https://here"

    def __init__(self, token_id: str) -> None:
        self.token_id = token_id


class Asked:
    """A connection whose workspace is called like its token."""

    def __init__(self, token_id: str = "one") -> None:
        self.credentials = Credentials(token_id)
        self.client = token_id


@pytest.fixture(autouse=True)
def _workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_workspace", lambda client: client)


def identify(memory: Path, token_id: str = "one") -> Identity:
    return identity.identify(cast("Connection", Asked(token_id)), memory)


@pytest.mark.parametrize("written", ["5", "[]", "null", '"x"', "[[1, 2]]", "{", "\xff", ""])
def test_a_file_that_holds_no_identities_is_taken_for_an_empty_one(tmp_path: Path, written: str) -> None:
    memory = tmp_path / "identities.json"
    memory.write_text(written, "latin-1")
    assert identify(memory).workspace == "one"
    assert len(json.loads(memory.read_text())) == 1


@pytest.mark.parametrize("facts", [5, [], ["a", "b"], ["a", "b", 3], None])
def test_an_identity_that_is_none_is_asked_for_again(tmp_path: Path, facts: object) -> None:
    memory = tmp_path / "identities.json"
    identify(memory)
    [key] = json.loads(memory.read_text())
    memory.write_text(json.dumps({key: facts}))
    assert identify(memory) == Identity("https://here", "one", "main")


def test_what_several_learn_at_once_is_all_remembered(tmp_path: Path) -> None:
    memory = tmp_path / "identities.json"
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: identify(memory, str(number)), range(64)))
    assert len(json.loads(memory.read_text())) == 64


def test_where_nothing_can_be_written_no_draft_is_left_and_the_answer_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    memory = tmp_path / "identities.json"
    monkeypatch.setattr(json, "dump", full)
    assert identify(memory).workspace == "one"
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []
