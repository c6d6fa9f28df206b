"""What the local engine wants run: the seam between its world and its processes.

`world` makes a `ProcessSpec` and a folder; `process` runs it there and leaves its traces in that folder
alone, so that a later daemon finds everything without having been told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Bind:
    """A host path that shows inside the sandbox.

    Attributes:
        source: An absolute host path, file or folder.
        target: An absolute path inside.
        read_only: Whether the sandbox may write to it.
        root: For a folder that others may be changing: one above it that they cannot replace. No link between
            the two is followed.
    """

    source: Path
    target: str
    read_only: bool = True
    root: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """One sandbox process tree.

    Attributes:
        id: The sandbox's id; also names its cgroup and the like.
        argv: The command; empty for one that sleeps until terminated.
        env: Its whole environment beyond the engine's defaults (PATH, HOME …). May hold secrets: it reaches
            the supervisor through a pipe and never a file or an argv.
        workdir: Where it starts; made if missing. None for `/root`.
        layers: Extra read-only lower layers, lowest first, above the host's system folders.
        root_layers: Where set, these replace the host's system folders altogether (an image of its own).
        binds: Uploads, volumes.
        gpus: Host indices of the GPUs it may see.
        gpu_nodes: The numbers of their device nodes.
        memory_mib: Limit; None for none.
        cpus: Limit in physical cores; None for none.
        wants_cpus: Physical cores that it asked for: its share where there are too few; 0 for the usual.
        timeout_s: Seconds from its start until it is killed and marked `timeout`; None for never.
        pty: (rows, columns) where it wants a terminal.
        network: Whether it has the host's network, or none.
    """

    id: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    workdir: str | None = None
    layers: tuple[Path, ...] = ()
    root_layers: tuple[Path, ...] = ()
    binds: tuple[Bind, ...] = ()
    gpus: tuple[int, ...] = ()
    gpu_nodes: tuple[int, ...] = ()
    memory_mib: int | None = None
    cpus: float | None = None
    wants_cpus: float = 0.0
    timeout_s: float | None = None
    pty: tuple[int, int] | None = None
    network: bool = True


@dataclass(frozen=True, kw_only=True)
class ProcessState:
    """What the traces in the folder say.

    Attributes:
        phase: `starting`, `running`, `ended`, or `lost` (its supervisor is gone and left no result: a reboot,
            or a SIGKILL from outside).
        exit_code: Of the command; 128 + N where signal N ended it; None before its end and where it is
            unknown.
        cause: What ended it: `exit`, `timeout`, `terminated`, `out_of_memory`, `too_many_processes`,
            `disk_full`, `start_failed`; None before.
        message: For `start_failed` and the three before it, what went wrong.
        started_at: Seconds since the epoch.
        ended_at: Seconds since the epoch.
        init_pid: The host pid of the sandbox's first process, for exec into its namespaces; None if unknown.
    """

    phase: Literal["starting", "running", "ended", "lost"]
    exit_code: int | None = None
    cause: (
        Literal[
            "exit",
            "timeout",
            "terminated",
            "out_of_memory",
            "too_many_processes",
            "disk_full",
            "start_failed",
        ]
        | None
    ) = None
    message: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    init_pid: int | None = None
