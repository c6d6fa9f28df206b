"""What the user asked for: a job file's content, whichever dialect it was written in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Dialect = Literal["oumi", "skypilot"]

WHOLE = ""
"""The dotted name of all that a job's file says, for what is in no field of it."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a value of a job file stands.

    Attributes:
        key: Its dotted name as the file writes it, which need not be the name it has in `JobConfig`.
        line: Counted from 1; None for a value from the command line.
        column: Counted from 1; None for a value from the command line.
        leaf: Whether nothing stands below it: a scalar, an empty collection, a list with no mapping in it.
    """

    key: str
    line: int | None = None
    column: int | None = None
    leaf: bool = True


@dataclass(frozen=True, kw_only=True)
class StorageMount:
    """A bucket or volume to be mounted, as Oumi's `storage_mounts` and SkyPilot's `file_mounts` write it.

    Attributes:
        source: `s3://…`, `gs://…`, `r2://…`; None where only a `name` is given.
        name: The name of a bucket, or, alone, of a volume.
        store: `s3`, `gcs`, `r2` …; None where `source` tells.
        mode: `MOUNT`, `COPY`, `MOUNT_CACHED`; None for the default, `MOUNT`.
        persistent: Whether it outlives the job; None for the default, yes.
        secret: The control plane's named secret with a bucket's credentials; None for those in the caller's
            environment.
        config: SkyPilot's settings of the mount, of which `read_only` is heeded.
    """

    source: str | None = None
    name: str | None = None
    store: str | None = None
    mode: str | None = None
    persistent: bool | None = None
    secret: str | None = None
    config: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class JobResources:
    """What the job needs. Field names and spellings are those of Oumi's job files.

    Attributes:
        cloud: `modal` or `local`; another is what the file was written for, and needs one of these beside it.
        accelerators: `NAME`, `NAME:COUNT`, a map of name to count, or a list of such in order of preference.
        cpus: vCPUs: `4`, `"4+"`; Modal counts physical cores, half as many.
        memory: GiB: `32`, `"32+"`, `"64GB"`, or `"2x"` (GiB per vCPU).
        disk_size: GiB.
        image_id: `docker:REF`.
        priority: From -1000 to 1000; of jobs that wait for this machine, higher ones start first.
        any_of: Alternatives in order of preference, each overriding the fields above it names.
    """

    cloud: str | None = None
    region: str | None = None
    zone: str | None = None
    accelerators: str | Mapping[str, float | int | None] | Sequence[str] | None = None
    cpus: str | int | float | None = None
    memory: str | int | float | None = None
    instance_type: str | None = None
    use_spot: bool | None = None
    disk_size: str | int | None = None
    disk_tier: str | None = None
    image_id: str | None = None
    image_id_map: Mapping[str, str] | None = None
    config_overrides: Mapping[str, Any] | None = None
    ports: Sequence[int | str] | int | str | None = None
    labels: Mapping[str, str] | None = None
    priority: int | str | None = None
    any_of: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class JobConfig:
    """A job file's content.

    Attributes:
        name: What people call it; shown, tagged, and part of the sandbox's name.
        user: Free text, tagged.
        working_dir: A local folder whose contents arrive in the sandbox's work dir, or the URL of a git
            repository; None for none.
        working_dir_ref: The branch, tag or commit of that repository; None for its default branch.
        num_nodes: Only 1 can be run.
        resources: What it needs.
        envs: Environment variables; the values are treated as secret.
        secrets: Likewise; None as a value must be replaced before a launch.
        file_mounts: Place in the sandbox to local path.
        storage_mounts: Place in the sandbox to bucket or volume.
        volumes: Place in the sandbox to a volume's name, or a map with `name`, `sub_path`, `size`.
        setup: A bash script, run before `run` each time a sandbox starts.
        run: The bash script that is the job.
        timeout: Seconds that all attempts together may take; more than a sandbox can live becomes a chain of
            them. None for 24 hours an attempt.
        outputs: Paths in the sandbox to keep beside `/outputs`; False for no outputs at all.
        max_restarts: How often a job that failed for a reason in `restart_on` is started again.
        restart_on: `preempted`, `failure` (any exit code but 0), or exit codes; empty for the first two.
        max_restarts_on_errors: How many more restarts there may be after failures that only `failure` covers;
            these then do not count among `max_restarts`. None to count all together.
        image_secret: The named secret with the login of the image's registry; None for none.
        max_duration: Seconds that all attempts together may take; None for no limit.
        max_cost: US dollars that all attempts together may cost; None for no limit.
        written_for: The cloud that the file names, where the command line chose another; None otherwise.
        as_task: Whether the `run` of a service is to be run as a job.
        dialect: Whose semantics the scripts have.
        dialect_told: Whether the file or the caller says so; False where the file could be either tool's.
        source: The file it was read from, for messages; None for a job made in Python.
        extras: Fields that a dialect knows and that have no place above, each accounted for in the plan:
            those of `resources` as read, of others the name alone.
        positions: Where each value of the file stands, by its dotted name here.
    """

    name: str | None = None
    user: str | None = None
    working_dir: str | None = None
    working_dir_ref: str | None = None
    num_nodes: int = 1
    resources: JobResources = field(default_factory=JobResources)
    envs: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"], repr=False)
    secrets: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"], repr=False)
    file_mounts: Mapping[str, str] = field(default_factory=dict[str, str])
    storage_mounts: Mapping[str, StorageMount] = field(default_factory=dict[str, StorageMount])
    volumes: Mapping[str, str | Mapping[str, Any]] = field(default_factory=dict[str, Any])
    setup: str | None = None
    run: str = ""
    timeout: int | None = None
    outputs: Sequence[str] | Literal[False] = ()
    max_restarts: int = 0
    restart_on: Sequence[int | str] = ()
    max_restarts_on_errors: int | None = None
    image_secret: str | None = None
    max_duration: int | None = None
    max_cost: float | None = None
    written_for: str | None = None
    as_task: bool = False
    dialect: Dialect = "oumi"
    dialect_told: bool = field(default=True, compare=False)
    source: Path | None = field(default=None, compare=False)
    extras: Mapping[str, Any] = field(default_factory=dict[str, Any])
    positions: Mapping[str, Position] = field(default_factory=dict[str, Position], compare=False, repr=False)

    @classmethod
    def from_yaml(cls, path: str | Path, overrides: Sequence[str] = ()) -> Self:
        """Read a job file.

        Args:
            path: The file.
            overrides: Dotted ones as on the command line, `["--resources.cloud", "local"]`.

        Raises:
            JobFileError: With every fault of the file.
        """
        # `files` builds on this module; the constructor people expect here reaches up to it, late.
        from trebuchet.files import load_job  # noqa: PLC0415

        return load_job(path, overrides=overrides)  # pyright: ignore[reportReturnType] - subclasses are not made
