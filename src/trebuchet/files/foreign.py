"""YAML files that are no job files, told by their keys before each key is called unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.errors import shown
from trebuchet.files.fields import OUMI, SKYPILOT

if TYPE_CHECKING:
    from trebuchet.files.problems import Problems
    from trebuchet.files.tree import Entry

_SCRIPTS = frozenset({"run", "setup"})
_KINDS = {
    "SkyPilot's own configuration": {
        "allowed_clouds", "api_server", "aws", "azure", "gcp", "jobs", "kubernetes", "nvidia_gpus", "serve",
    },
    "the description of a data set (YOLO)": {"train", "val", "nc"},
}  # fmt: skip
_SHOWN = 5


def refuse_foreign(document: Entry, problems: Problems) -> None:
    """Go on only with what may be a job: a script, or keys that are mostly a job's.

    Raises:
        JobFileError: It is neither; said once.
    """
    keys = document.mapping.keys()
    unknown = [key for key in keys if key not in OUMI.fields and key not in SKYPILOT.fields]
    if keys & _SCRIPTS or 2 * len(unknown) <= len(keys):
        return
    kind = next((name for name, some in _KINDS.items() if some & set(unknown)), None)
    like = f"looks like {kind}, not like a job file" if kind else "is no job file"
    named = ", ".join(shown(key) for key in unknown[:_SHOWN]) + (" …" if len(unknown) > _SHOWN else "")
    hint = "a job file is YAML with a `run:` script in it"
    problems.at(document, f"This {like}: it has no script, and keys that no job has ({named}).", hint)
    raise problems.error()
