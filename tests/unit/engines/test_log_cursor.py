"""A log read by ranges of time gives each entry once, however the ranges are cut."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trebuchet.engines.modal.cursor import CLOCK_SKEW, KEPT_BY_SERVICE, Cursor, Window

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=1)


def at(milliseconds: int) -> datetime:
    return START + timedelta(milliseconds=milliseconds)


@given(
    gaps=st.lists(st.integers(0, 3), max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=8),
    back=st.integers(0, 5),
)
def test_overlapping_answers_add_up_to_the_uncut_log(gaps: list[int], cuts: list[int], back: int) -> None:
    log: list[tuple[datetime, int]] = []
    clock = 0
    for number, gap in enumerate(gaps):
        clock += gap
        log.append((at(clock), number))

    cursor = Cursor()
    given_out: list[tuple[datetime, int]] = []
    for end in [*sorted(min(cut, len(log)) for cut in cuts), len(log)]:
        # The log as it stood then, asked for from a little before the last entry that was given.
        since = (cursor.last or START) - timedelta(milliseconds=back)
        cursor.begin()
        given_out += [entry for entry in log[:end] if entry[0] >= since and cursor.accepts(entry[0])]

    assert given_out == log


def test_a_window_grows_while_little_comes() -> None:
    window = Window(START)
    widths = []
    for _ in range(5):
        widths.append(window.width)
        window.passed(NOW, None, 0)

    assert widths == sorted(set(widths))
    assert window.start > START


def test_a_window_stays_when_much_comes() -> None:
    window = Window(START)
    before = window.width
    window.passed(NOW, at(10), 100 << 20)

    assert window.width == before


def test_a_window_that_was_cut_short_goes_on_from_the_last_entry() -> None:
    window = Window(START)
    before = window.width
    window.cut(at(10))

    assert window.start == at(10)
    assert window.width < before


def test_a_window_cannot_shrink_for_ever() -> None:
    window = Window(START)
    for _ in range(100):
        if not window.shrink():
            break
    else:
        raise AssertionError("it shrank for ever")

    assert window.width > timedelta(0)


def test_a_window_never_starts_where_an_entry_may_still_appear() -> None:
    window = Window(NOW - timedelta(seconds=5))
    for _ in range(10):
        window.passed(NOW, None, 0)
    window.begin()

    assert window.start == NOW - timedelta(seconds=5)
    assert window.until(NOW) == NOW + CLOCK_SKEW


@pytest.mark.parametrize("age", [timedelta(0), timedelta(minutes=1), timedelta(hours=5), KEPT_BY_SERVICE])
@pytest.mark.parametrize("width", [timedelta(seconds=2), KEPT_BY_SERVICE])
def test_the_present_is_reached_in_a_few_windows(age: timedelta, width: timedelta) -> None:
    now = NOW
    window = Window(now - age, width)
    for _ in range(16):
        now += timedelta(milliseconds=50)
        if window.until(now) >= now:
            break
        window.passed(now, None, 0)
    else:
        raise AssertionError("it never got there")


def test_a_window_stays_narrow_while_nothing_comes_for_months() -> None:
    window = Window(NOW)
    now = NOW
    for _ in range(100):
        now += timedelta(days=1)
        window.begin()
        while window.until(now) < now:
            window.passed(now, None, 0)
        window.passed(now, None, 0)
    window.begin()

    assert now - window.start < timedelta(minutes=5)
