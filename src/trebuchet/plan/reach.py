"""What makes a sandbox reachable and recognisable: ports and labels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from trebuchet.errors import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trebuchet.plan.alternatives import Alternative
    from trebuchet.plan.findings import Findings

_MOST_PORTS = 64
_HIGHEST_PORT = 65_535
_RANGE = re.compile(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?")
_TAG = re.compile(r"[A-Za-z0-9._-]{1,63}")
OUR_TAGS = "trebuchet-"
"""What the names of our tags begin with where no setting says otherwise."""


def ports(wanted: Alternative, findings: Findings) -> tuple[int, ...]:
    """The ports of one alternative, each once."""
    field, value = wanted.place("ports"), wanted.get("ports")
    findings.translated(field)
    if value is None:
        return ()
    found: dict[int, None] = {}
    for one in cast("list[Any]", value if isinstance(value, (list, tuple)) else [value]):
        numbers = _numbers(one)
        if numbers is None:
            findings.refused(field, f"{shown(one)} is no port", "write 8080, a range 8080-8090, or a list")
        elif len(numbers) > _MOST_PORTS:
            findings.refused(field, f"{one} are {len(numbers):,} ports, and {_MOST_PORTS} can be opened")
        else:
            found.update(dict.fromkeys(numbers))
    if len(found) > _MOST_PORTS:
        findings.refused(
            field, f"{len(found)} ports are wanted, and {_MOST_PORTS} can be opened", "open those you need"
        )
    return tuple(found)


def _numbers(value: Any) -> range | None:
    match = _RANGE.fullmatch(str(value).strip())
    if match is None or isinstance(value, bool):
        return None
    first, last = int(match[1]), int(match[2] or match[1])
    return range(first, last + 1) if 1 <= first <= last <= _HIGHEST_PORT else None


def tags(wanted: Alternative, prefix: str, findings: Findings) -> dict[str, str]:
    """The labels of one alternative, as tags; none may pass as our own, which begin with this prefix."""
    field = wanted.place("labels")
    findings.translated(field)
    labels: Mapping[str, Any] = wanted.get("labels") or {}
    found: dict[str, str] = {}
    for name, value in labels.items():
        if faults := list(_faults(name, value, prefix)):
            findings.refused(
                f"{field}.{name}",
                faults[0],
                "a tag has up to 63 of A-Z, a-z, 0-9, '.', '_', '-'",
            )
        else:
            findings.translated(f"{field}.{name}")
            found[name] = value
    return found


def _faults(name: str, value: Any, prefix: str) -> Iterator[str]:
    if not _TAG.fullmatch(name):
        yield "no tag can have this name"
    # Another ledger of the same app may go by the usual prefix.
    for ours in (prefix, OUR_TAGS):
        if name.startswith(ours):
            yield f"it begins with {ours}, which marks Trebuchet's own tags"
    if not isinstance(value, str) or not _TAG.fullmatch(value):
        yield "it has a value that no tag can have"
