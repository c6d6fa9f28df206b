"""Whose job file it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trebuchet.files.tree import Entry
    from trebuchet.job import Dialect

_OUMI_ALONE = frozenset({"working_dir", "storage_mounts", "user"})
_SKYPILOT_ALONE = frozenset(
    {
        "workdir", "service", "pool", "inputs", "config", "experimental", "event_callback", "execution",
        "managed_secrets", "api_server_access",
    }
)  # fmt: skip
_SKYPILOT_RESOURCES = frozenset(
    {
        "infra", "any_of", "ordered", "ports", "gpus", "autostop", "job_recovery", "spot_recovery",
        "network_tier", "local_disk", "ephemeral_storage", "priority", "accelerator_args", "max_hourly_cost",
        "labels", "volumes",
    }
)  # fmt: skip
_BUCKET = re.compile(r"(s3|gs|r2|cos|oci|nebius|cw|hf)://")
_SKYPILOT_HINTS = frozenset({"secrets", "num_nodes", "volumes"})
_NOT_OUMIS = frozenset({"secrets", "volumes"})
"""SkyPilot's and ours. Oumi's job has no such field, so that the name of a cloud beside one tells nothing."""
_OUR_CLOUDS = frozenset({"modal", "local"})
_TESTS_EXIT_CODE = re.compile(r"""(\[|\(\(|\btest)\s*["']?\$\{?\?""")
_ENTERS = re.compile(r"^\s*cd\s+([^\s;&|/~$-][^\s;&|]*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reading:
    """Whose job file one is.

    Attributes:
        dialect: The tool's.
        told: Whether the file tells; False where it could be either tool's.
    """

    dialect: Dialect
    told: bool = True


def dialect_of(document: Entry, *, among: int = 1) -> Reading:
    """Tell by what only one of the tools knows; a file that could be either is Oumi's.

    Args:
        document: The job.
        among: How many tasks stand in its file; Oumi's files hold one.
    """
    keys = set(document.mapping)
    resources = _inside(document, "resources")
    if keys & _OUMI_ALONE:
        return Reading("oumi")
    if (
        keys & _SKYPILOT_ALONE
        or set(resources) & _SKYPILOT_RESOURCES
        or _mounts_storage(document)
        or among > 1
    ):
        return Reading("skypilot")
    accelerators = resources.get("accelerators")
    several = accelerators is not None and (accelerators.is_mapping or accelerators.is_list)
    if "cloud" in resources:
        if _text(resources, "cloud") in _OUR_CLOUDS:
            return Reading("oumi")
        elsewhere = several or keys & _NOT_OUMIS or _by_scripts(document)
        return Reading("skypilot" if elsewhere else "oumi")
    if several or keys & _SKYPILOT_HINTS or _by_scripts(document):
        return Reading("skypilot")
    return Reading("oumi", told=False)


def _by_scripts(document: Entry) -> bool:
    """Whether the scripts are SkyPilot's: a `setup` alone, which Oumi refuses, or two for a shell each.

    Those count on going on after a failure, or on `run` starting where `setup` started.

    A quarter of SkyPilot's public job files have no field that is SkyPilot's alone; of Oumi's none is without
    one of Oumi's. In Oumi's single shell, which ends at the first failure, such scripts would fail.
    """
    setup, run = (_text(document.mapping, name) for name in ("setup", "run"))
    if not setup.strip() or not run.strip():
        return bool(setup.strip())
    enters_again = set(_ENTERS.findall(setup)) & set(_ENTERS.findall(run))
    return bool(enters_again or _TESTS_EXIT_CODE.search(setup) or _TESTS_EXIT_CODE.search(run))


def _text(fields: dict[str, Entry], name: str) -> str:
    entry = fields.get(name)
    return entry.value if entry is not None and isinstance(entry.value, str) else ""


def _inside(document: Entry, name: str) -> dict[str, Entry]:
    entry = document.mapping.get(name)
    return {} if entry is None else entry.mapping


def _mounts_storage(document: Entry) -> bool:
    """A mapping or a bucket's URL among the file mounts is storage in SkyPilot's manner."""
    return any(
        mount.is_mapping or (isinstance(mount.value, str) and _BUCKET.match(mount.value.strip()))
        for mount in _inside(document, "file_mounts").values()
    )
