"""Golden plans: a job file each, with the options it is planned with in its first line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trebuchet.errors import JobFileError, PlanError
from trebuchet.files import load_job
from trebuchet.plan import Machine, make_plan
from trebuchet.plan.export import plan_to_dict

HERE = Path(__file__).parent
CASES = sorted((HERE / "cases").glob("*.yaml"))
_OPTIONS = "# options: "
_WHERE = {"here": Path("/work"), "home": Path("/home/me")}


def expected_file(case: Path) -> Path:
    return HERE / "expected" / f"{case.stem}.json"


def outcome(case: Path) -> dict[str, Any]:
    """What becomes of a case: its plan, or what is wrong with it."""
    options = _options(case)
    cloud = options.pop("cloud", "modal")
    machine = Machine(**options.pop("machine")) if "machine" in options else None
    try:
        job = load_job(case, **options)
        plan = plan_to_dict(make_plan(job, cloud=cloud, machine=machine, **_WHERE))
    except (JobFileError, PlanError) as error:
        found = [str(problem).replace(str(case), case.name) for problem in error.problems]
        return {type(error).__name__: found}
    return plan


def as_text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _options(case: Path) -> dict[str, Any]:
    first = case.read_text(encoding="utf-8").split("\n", 1)[0]
    return json.loads(first.removeprefix(_OPTIONS)) if first.startswith(_OPTIONS) else {}
