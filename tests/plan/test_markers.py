"""Marker lines: taken out wherever chunks are cut, and nothing else touched."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trebuchet.plan.markers import MarkerFilter, nonce_for
from trebuchet.status import Phase

NONCE = nonce_for("a-key")
OPENING = f"[trebuchet:{NONCE}] "
MARKERS = st.sampled_from([f"{OPENING}phase=setup\n", f"{OPENING}phase=run\n", f"{OPENING}end=3 phase=run\n"])
OUTPUT = st.text(alphabet="ab[trebuch:] \n\rü") | st.sampled_from(["[", "[trebuchet:", OPENING[:-1]])


def _through(text: str, cuts: list[int]) -> tuple[str, MarkerFilter]:
    markers = MarkerFilter(NONCE)
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    shown = "".join(markers.feed(text[a:b]) for a, b in itertools.pairwise(places))
    return shown + markers.flush(), markers


@given(st.lists(st.tuples(OUTPUT, MARKERS)), OUTPUT, st.lists(st.integers(0, 10_000)))
def test_output_is_the_text_without_its_markers_however_it_is_cut(
    parts: list[tuple[str, str]], last: str, cuts: list[int]
) -> None:
    text = "".join(output + marker for output, marker in parts) + last
    shown, _ = _through(text, cuts)
    assert shown == "".join(output for output, _ in parts) + last


@given(st.lists(st.integers(0, 100)))
def test_the_last_words_of_the_wrapper_are_remembered(cuts: list[int]) -> None:
    _, markers = _through(f"{OPENING}phase=setup\nx{OPENING}end=7 phase=setup\n", cuts)
    assert markers.phase is Phase.SETUP
    assert markers.exit_code == 7
    assert markers.setup_failed


def test_when_it_began_is_read_in_any_language_and_never_trusted_to_be_there() -> None:
    for written, read in [
        ("1795490043.25", 1795490043.25),
        ("1795490043,25", 1795490043.25),
        ("", None),
        ("x", None),
    ]:
        _, markers = _through(f"{OPENING}end=0 phase=run began={written}\n", [5])
        assert markers.began_at == read


def test_markers_of_another_job_are_output() -> None:
    theirs = f"[trebuchet:{nonce_for('other')}] phase=run\n"
    shown, markers = _through(theirs, [3, 9])
    assert shown == theirs
    assert markers.phase is None


def test_an_opening_that_never_ends_is_shown_and_not_held_for_ever() -> None:
    markers = MarkerFilter(NONCE)
    assert len(markers.feed(OPENING + "x" * 1000)) > 900


def test_a_job_that_prints_nonsense_behind_the_nonce_raises_nothing() -> None:
    shown, markers = _through(f"{OPENING}phase=nowhere end=-1 = ==\n", [])
    assert shown == ""
    assert (markers.phase, markers.exit_code) == (None, None)


@given(st.lists(st.integers(0, 10_000)))
def test_a_line_longer_than_the_wrappers_is_output_however_it_is_cut(cuts: list[int]) -> None:
    forged = f"{OPENING}end={'9' * 5_000}\n"
    shown, markers = _through(forged, cuts)
    assert shown == forged
    assert markers.exit_code is None


@pytest.mark.parametrize("code", ["1000", "256", "9" * 150, "٣", "-1", "3.0", ""])
def test_an_exit_code_that_no_process_can_have_is_none(code: str) -> None:
    _, markers = _through(f"{OPENING}end={code} phase=run\n", [])
    assert markers.exit_code is None
    assert markers.phase is Phase.RUN
