"""SkyPilot's `job_recovery`, as the restart policy it comes to."""

from __future__ import annotations

from typing import Any, cast

PREEMPTIONS_SURVIVED = 10
"""At home a preempted job is started again without end; here so often, unless the file says how often."""


def take_restarts(extras: dict[str, Any], renamed: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """Take the recovery out of the extras of `resources`; the fields of `JobConfig` that it comes to."""
    for name in ("job_recovery", "spot_recovery"):
        if name in extras:
            return _restarts(extras.pop(name), f"resources.{name}", renamed)
    return {}


def _restarts(
    recovery: str | dict[str, Any], key: str, renamed: dict[str, tuple[str, ...]]
) -> dict[str, Any]:
    """The fields `max_restarts` and `restart_on`; which keys they stand for is written into `renamed`."""
    settings: dict[str, Any] = {"strategy": recovery} if isinstance(recovery, str) else recovery
    renamed[key] = renamed[f"{key}.strategy"] = ("restart_on", "max_restarts")
    renamed[f"{key}.recover_on_exit_codes"] = ("restart_on",)
    renamed[f"{key}.max_restarts_on_errors"] = ("max_restarts",)
    if str(settings.get("strategy")).lower() == "none":
        return {}
    errors = settings.get("max_restarts_on_errors") or 0
    codes = settings.get("recover_on_exit_codes")
    listed = cast("list[int]", codes if isinstance(codes, list) else [] if codes is None else [codes])
    on: list[int | str] = ["preempted", *listed, *(["failure"] if errors else [])]
    return {"max_restarts": errors or PREEMPTIONS_SURVIVED, "restart_on": on}
