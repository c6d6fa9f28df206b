"""Environment variables from a command line and from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from trebuchet.errors import JobFileError, UsageError
from trebuchet.files import read_env_file, variable


def test_a_value_may_hold_anything() -> None:
    assert variable("A=b=c d", {}) == ("A", "b=c d")
    assert variable("A=", {"A": "mine"}) == ("A", "")


def test_a_name_alone_takes_the_callers_value() -> None:
    assert variable("A", {"A": "mine"}) == ("A", "mine")
    with pytest.raises(UsageError, match="A was given without a value"):
        variable("A", {})


@pytest.mark.parametrize("given", ["1A=canary", "=canary", "A B=canary", ""])
def test_a_name_that_is_none_is_refused_without_showing_what_was_given(given: str) -> None:
    with pytest.raises(UsageError) as caught:
        variable(given, {})
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_a_file_of_variables(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "# comment\n\nA=1\nexport B = two words # and a comment\nC='$x # y'\nD=\"a\\nb\\q\"\nE=\nF=a#b\n",
        "utf-8",
    )
    assert read_env_file(file) == {
        "A": "1", "B": "two words", "C": "$x # y", "D": "a\nb\\q", "E": "", "F": "a#b",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('A="bar" # comment', "bar"),
        ("A='baz' # it's c", "baz"),
        ('A="say \\"hi\\" # no" # yes', 'say "hi" # no'),
        ("A= # nothing", ""),
        ("A=\t# nothing", ""),
        ("A=#fff", "#fff"),
        ("A = two  words\t", "two  words"),
        ("A='it''s'", "it''s"),
        ('A="C:\\dir\\"', "C:\\dir\\"),
        ('A="x"y', '"x"y'),
        ("A='x'#y", "'x'#y"),
        ("A=one\u2028two\x0cthree\x85", "one\u2028two\x0cthree\x85"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_quotes_and_comments_are_no_part_of_a_value(tmp_path: Path, line: str, value: str, end: str) -> None:
    file = tmp_path / ".env"
    file.write_bytes(f"{line}{end}".encode())
    assert read_env_file(file) == {"A": value}


def test_lines_that_are_no_variable_are_told_without_their_text(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\ncanary\n2=canary\n")
    with pytest.raises(JobFileError) as caught:
        read_env_file(file)
    assert [problem.line for problem in caught.value.problems] == [2, 3]
    assert "canary" not in str(caught.value)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"A=\xff\n")
    with pytest.raises(JobFileError, match="not UTF-8"):
        read_env_file(file)
