"""How urgent a job is, next to others that wait for the same machine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trebuchet.errors import shown

if TYPE_CHECKING:
    from trebuchet.plan.alternatives import Alternative
    from trebuchet.plan.findings import Findings

TAG = "trebuchet-priority"
"""What the local engine reads; the control plane's protocol has no field for it."""
_MOST = 1000
_NUMBER = re.compile(r"[+-]?\d{1,4}")


def priority(wanted: Alternative, cloud: str, findings: Findings) -> dict[str, str]:
    """The tag that carries an alternative's priority; none for the usual one, or where nothing waits."""
    field, value = wanted.place("priority"), wanted.get("priority")
    findings.translated(field)
    if value is None:
        return {}
    if not _NUMBER.fullmatch(str(value).strip()) or abs(int(value)) > _MOST:
        findings.refused(
            field, f"{shown(value)} is no priority", f"write a whole number from -{_MOST} to {_MOST}"
        )
        return {}
    if cloud == "modal":
        findings.noted(field, "is not used", "Modal has no queue of yours that it could count in")
        return {}
    return {TAG: str(int(value))} if int(value) else {}
