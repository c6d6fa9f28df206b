"""SkyPilot's `job_recovery`, as the restart policy it comes to."""

from __future__ import annotations

from typing import Any, cast

PREEMPTIONS_SURVIVED = 10
"""At home a job that was preempted, or ended with a code that is listed, is started again without end."""


def take_restarts(extras: dict[str, Any], renamed: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """Take the recovery out of the extras of `resources`; the fields of `JobConfig` that it comes to."""
    for name in ("job_recovery", "spot_recovery"):
        if name in extras:
            return _restarts(extras.pop(name), f"resources.{name}", renamed)
    return {}


def _restarts(
    recovery: str | dict[str, Any], key: str, renamed: dict[str, tuple[str, ...]]
) -> dict[str, Any]:
    """The fields of the restart policy; which keys they stand for is written into `renamed`."""
    settings: dict[str, Any] = {"strategy": recovery} if isinstance(recovery, str) else recovery
    renamed[key] = renamed[f"{key}.strategy"] = ("restart_on", "max_restarts")
    renamed.update({f"{key}.{name}": (f"restart_on.{name}",) for name in settings.keys() - {"strategy"}})
    renamed[f"{key}.max_restarts_on_errors"] = ("max_restarts_on_errors",)
    preempted = [] if (settings.get("strategy") or "").lower() == "none" else ["preempted"]
    errors = settings.get("max_restarts_on_errors") or 0
    codes = settings.get("recover_on_exit_codes")
    listed = cast("list[int]", codes if isinstance(codes, list) else [] if codes is None else [codes])
    on: list[int | str] = [*preempted, *listed, *(["failure"] if errors else [])]
    if not on:
        return {}
    policy: dict[str, Any] = {"max_restarts": PREEMPTIONS_SURVIVED, "restart_on": on}
    return {**policy, "max_restarts_on_errors": errors} if errors else policy
