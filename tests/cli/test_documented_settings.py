"""The page on settings names every environment variable that the code reads, and none that it does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trebuchet.errors import UsageError
from trebuchet.settings import Settings

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"\bTREBUCHET_[A-Z_]+[A-Z]\b")


def _names(*files: Path) -> set[str]:
    return {name for file in files for name in NAME.findall(file.read_text(encoding="utf-8"))}


def test_every_variable_that_the_code_reads_is_explained() -> None:
    sources = [path for path in (ROOT / "src").rglob("*") if path.suffix in {".py", ".sh"}]
    assert _names(ROOT / "docs" / "settings.md") == _names(*sources)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TREBUCHET_LONGEST_SANDBOX_S", "a day"),
        ("TREBUCHET_LONGEST_SANDBOX_S", "-1"),
        ("TREBUCHET_LONGEST_SANDBOX_S", "0"),
        ("TREBUCHET_LONGEST_SANDBOX_S", "0.5"),
        ("TREBUCHET_RESTART_PAUSE_S", "nan"),
        ("TREBUCHET_RESTART_PAUSE_S", "inf"),
        ("TREBUCHET_TAG_PREFIX", "two words"),
        ("TREBUCHET_TAG_PREFIX", "x" * 33),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=name):
        Settings()
