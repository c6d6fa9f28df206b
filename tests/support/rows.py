"""Rows to fill a ledger with."""

from __future__ import annotations

import itertools
from typing import Any

from trebuchet.ledger import Attempt, Job
from trebuchet.sandbox import SandboxSpec

_numbers = itertools.count(1)
SPEC = SandboxSpec(argv=("true",), env={"TOKEN": "canary-value"})


def make_job(key: str, **fields: Any) -> Job:
    """A job that was just intended, but for these fields."""
    attempt = {name: fields.pop(name) for name in ("gpu", "claim", "sandbox_id") if name in fields}
    values: dict[str, Any] = {
        "name": "job",
        "cluster": None,
        "cloud": "local",
        "app": "trebuchet",
        "profile": None,
        "environment": None,
        "control_plane": "here",
        "workspace": "local",
        "served_from": "local",
        "needs_values": False,
        "launch_until": 1e12,
        "submit_time": float(next(_numbers)),
        **fields,
    }
    current = Attempt(
        key=key,
        number=1,
        candidate=0,
        launch_tag=f"{key}.1",
        name=f"job-{key}-1",
        **{"gpu": None, **attempt},
    )
    return Job(key=key, current=current, **values)
