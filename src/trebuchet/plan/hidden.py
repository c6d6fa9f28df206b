"""Files that would arrive below a mount, which hides them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.plan.places import within

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trebuchet.plan.findings import Findings


def refuse_hidden(files: Iterable[tuple[str, str]], mounts: Iterable[str], findings: Findings) -> None:
    """Refuse what nobody would find.

    Args:
        files: Fields, and the places in the sandbox that they fill.
        mounts: Places of volumes and buckets.
        findings: Takes what is said.
    """
    places = {mount.rstrip("/") for mount in mounts}
    # There may be thousands of both: each path is held against those that are as long as a part of it.
    lengths = sorted({len(place) for place in places})
    for field, path in files:
        for place in sorted({path[:length] for length in lengths} & places):
            if within(path, place):
                findings.refused(
                    field, f"{path} would be hidden by what is mounted at {place}", "put it elsewhere"
                )
