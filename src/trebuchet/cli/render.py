"""Tables for people, JSON for programs, ids for pipes."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import click

from trebuchet.cli.console import printable, show
from trebuchet.cli.fitting import columns_of, cut, fitting_columns, padded, width
from trebuchet.status import JobState, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trebuchet.status import JobStatus

Form = Literal["table", "json", "quiet"]
Function = TypeVar("Function", bound="Callable[..., Any]")

_COLOURS = {
    JobState.PENDING: "yellow",
    JobState.RUNNING: "blue",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "magenta",
}
_NOTHING = "-"


def json_option(function: Function) -> Function:
    """Add `--json`; the function gets `form`."""
    return click.option("--json", "form", flag_value="json", help="Print JSON.")(function)


def form_options(function: Function) -> Function:
    """Add `--json` and `-q`; the function gets `form`, None for a table."""
    quiet = click.option("-q", "--quiet", "form", flag_value="quiet", help="Print ids only.")
    return json_option(quiet(function))


def print_json(value: Any) -> None:
    """Print a value as JSON, for a person to read too."""
    show(json.dumps(value, indent=2, ensure_ascii=False))


def status_record(status: JobStatus) -> dict[str, Any]:
    """A job's status with the field names of `JobStatus`, as JSON can hold it; the metadata as an object."""
    return {
        "name": status.name,
        "id": status.id,
        "cluster": status.cluster,
        "status": status.status,
        "state": status.state.value,
        "done": status.done,
        "metadata": metadata_of(status),
        "key": status.key,
        "reason": status.reason,
        "exit_code": status.exit_code,
        "phase": status.phase,
        "attempt": status.attempt,
        "cost_per_hour": status.cost_per_hour,
        "submit_time": _iso(status.submit_time),
        "start_at": _iso(status.start_at),
        "end_at": _iso(status.end_at),
    }


def print_statuses(statuses: Sequence[JobStatus], form: Form | None, *, now: float) -> None:
    """Print jobs in the form asked for; a table says nothing where there are none."""
    if form == "json":
        print_json([status_record(status) for status in statuses])
    elif form == "quiet":
        for status in statuses:
            show(status.id)
    elif statuses:
        show(status_table(statuses, now=now, room=columns_of(sys.stdout)))


def status_table(statuses: Sequence[JobStatus], *, now: float, room: int | None) -> str:
    """Jobs as a table for people, made to fit so many columns of a terminal; None where there is none."""
    return table(_STATUS_COLUMNS, [_status_row(status, now) for status in statuses], room=room)


def live_table(
    statuses: Sequence[JobStatus], *, now: float, more: Sequence[Sequence[str]], room: int | None = None
) -> str:
    """Jobs with what each takes and said last; less of the rest than `print_statuses`, to fit a terminal."""
    rows = [(*_live_row(status, now), *cells) for status, cells in zip(statuses, more, strict=True)]
    columns = ("JOB", "NAME", "STATE", "EXIT", "FOR", "WHY", "CPU", "MEMORY", "GPU", "SAID LAST")
    return table(columns, rows, room=room)


def _live_row(status: JobStatus, now: float) -> tuple[str, ...]:
    spent = took(status, now)
    if spent == _NOTHING and status.submit_time is not None and not status.done:
        spent = duration(now - status.submit_time)  # That long it has waited.
    return (
        status.key or status.id,
        printable(status.name),
        coloured_state(status.state),
        _NOTHING if status.exit_code is None else str(status.exit_code),
        spent,
        explanation(status),
    )


_STATUS_COLUMNS = ("JOB", "NAME", "CLUSTER", "CLOUD", "STATE", "EXIT", "SUBMITTED", "TOOK", "WHY")


def _status_row(status: JobStatus, now: float) -> tuple[str, ...]:
    facts = metadata_of(status)
    cluster = status.cluster if status.cluster != status.id else _NOTHING
    return (
        status.key or status.id,
        printable(status.name),
        printable(cluster),
        str(facts.get("cloud", _NOTHING)),
        coloured_state(status.state),
        _NOTHING if status.exit_code is None else str(status.exit_code),
        ago(status.submit_time, now),
        took(status, now),
        explanation(status),
    )


def metadata_of(status: JobStatus) -> dict[str, Any]:
    """The facts in a status's metadata; none where it holds no JSON object."""
    try:
        facts = json.loads(status.metadata)
    except ValueError:
        return {}
    return cast("dict[str, Any]", facts) if isinstance(facts, dict) else {}


def coloured_state(state: JobState) -> str:
    return click.style(state.value, fg=_COLOURS[state])


def explanation(status: JobStatus) -> str:
    """What a person wants to know beyond the state, in a few words; empty where that says it all."""
    facts = metadata_of(status)
    if status.state is JobState.PENDING and facts.get("waiting_for"):
        return f"waits for {printable(str(facts['waiting_for']))}"
    if status.state is JobState.FAILED and status.reason is not None and status.reason is not Reason.EXIT:
        return status.reason.replace("_", " ")
    return "" if not facts.get("stale_why") else "not looked up"


def took(status: JobStatus, now: float) -> str:
    """How long it has run, or ran; a dash where it never started.

    A job that ended before anybody saw it run counts from its launch.
    """
    began = status.start_at or (status.submit_time if status.exit_code is not None else None)
    return _NOTHING if began is None else duration((status.end_at or now) - began)


def ago(moment: float | None, now: float) -> str:
    if moment is None:
        return _NOTHING
    return f"{duration(now - moment)} ago"


def duration(seconds: float) -> str:
    """A length of time, in its two largest units."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f}s"
    whole = round(seconds)
    for size, large, unit, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{large} {whole % size // unit:02}{small}"
    return f"{whole}s"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, room: int | None = None) -> str:
    """Columns side by side. One that says nothing in any row is left out.

    Args:
        columns: Their heads.
        rows: Their cells.
        room: How wide it may be, for a terminal; None for as wide as it is.
    """
    kept = [index for index in range(len(columns)) if any(row[index] not in {"", _NOTHING} for row in rows)]
    lines = [[line[index] for index in kept] for line in (columns, *rows)]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    if room is not None:
        fitted = fitting_columns(lines[0], widths, room)
        lines = [[cut(line[index], columns) for index, columns in fitted] for line in lines]
        widths = [columns for _, columns in fitted]
    return "\n".join("  ".join(map(padded, line, widths)).rstrip() for line in lines)


def _iso(moment: float | None) -> str | None:
    """In ISO 8601; None where there is none, or none that has a date."""
    try:
        return None if moment is None else datetime.fromtimestamp(moment, tz=UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return None


def summary(status: JobStatus, *, now: float) -> str:
    """How a job ended, in a line: state, why, exit code, duration."""
    parts = [coloured_state(status.state), f"{printable(status.name)} ({status.key})"]
    facts = [why] if (why := explanation(status)) else []
    facts.append("no exit code" if status.exit_code is None else f"exit code {status.exit_code}")
    if (spent := took(status, now)) != _NOTHING:
        facts.append(spent)
    if (cost := _cost(status, now)) is not None:
        facts.append(f"${cost:.2f}")
    return f"{' '.join(parts)}: {', '.join(facts)}"


def _cost(status: JobStatus, now: float) -> float | None:
    """US dollars: what the control plane says, else by the price, where one is known."""
    told = metadata_of(status).get("cost")
    if told is not None:
        return float(told)
    if status.cost_per_hour is None or status.start_at is None:
        return None
    return status.cost_per_hour * ((status.end_at or now) - status.start_at) / 3_600
