"""What is to be made: the request to a control plane, as pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CLOUDS = ("local", "modal")
"""Where it can be made."""


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """An image: one from a registry, or the default base with layers.

    Attributes:
        registry_ref: `repository:tag` of an image the user named; None for the default Debian slim base.
        registry_secret: The named secret, or None, that opens a private registry.
        registry_login: The names, in `SandboxSpec.env`, of the user and password for a private registry.
        apt_packages: Debian packages to add, in order.
        pip_packages: Python packages to add with uv.
        commands: Shell commands, each a layer of its own, run after the packages.
        variables: Public environment variables that the image sets.
        python_version: `3.12` and the like, to be added to `registry_ref` or taken for the default base; None
            for the registry's own, or the SDK's choice.
    """

    registry_ref: str | None = None
    registry_secret: str | None = None
    registry_login: tuple[str, str] | None = None
    apt_packages: tuple[str, ...] = ()
    pip_packages: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    python_version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A local file or folder that arrives in the sandbox before its script starts.

    Attributes:
        source: An absolute local path. For a folder its contents go to `target`, not the folder itself.
        target: An absolute path in the sandbox.
        role: `workdir` obeys the ignore files of a work dir; `file_mount` takes all; `credential` takes all
            and is never baked into an image.
    """

    source: Path
    target: str
    role: Literal["workdir", "file_mount", "credential"]


@dataclass(frozen=True, kw_only=True)
class VolumeMount:
    """A volume of the control plane in the sandbox.

    Attributes:
        name: The volume's name; None for one that lives and dies with the sandbox.
        path: An absolute path in the sandbox.
        sub_path: The folder of the volume that is mounted; None for all of it.
        read_only: Whether the sandbox may write to it.
        many_writers: Whether many sandboxes write to it at once; it is then made for that.
    """

    name: str | None
    path: str
    sub_path: str | None = None
    read_only: bool = False
    many_writers: bool = False


@dataclass(frozen=True, kw_only=True)
class BucketMount:
    """A bucket of an object store in the sandbox.

    Attributes:
        store: Which service holds it.
        bucket: Its name.
        prefix: The part of it that is mounted, ending in `/`; empty for all of it.
        path: An absolute path in the sandbox.
        read_only: Whether the sandbox may write to it.
        secret: The named secret with the credentials; None for those in the caller's environment.
    """

    store: Literal["s3", "gcs", "r2"]
    bucket: str
    prefix: str = ""
    path: str = ""
    read_only: bool = False
    secret: str | None = None


@dataclass(frozen=True, kw_only=True)
class SandboxSpec:
    """A sandbox to be created.

    Attributes:
        argv: The command, never holding a secret; at most 65,536 characters (the SDK's limit).
        image: What it runs on.
        workdir: An absolute path in the sandbox; None for the image's own.
        env: The values of the job's `envs` and `secrets`; all treated as secret.
        secrets: Named secrets of the control plane whose variables the sandbox gets too.
        variables: Public variables that the wrapper exports (`SKYPILOT_NUM_NODES` and the like).
        gpu: In Modal's spelling (`H100:8`); None for none.
        cpu: Physical cores.
        memory_mib: MiB.
        timeout_s: Seconds until the control plane ends it; 1 to 86,400.
        regions: Modal's region names; empty for any.
        uploads: What is to be there before the script starts.
        scripts: Texts too long for `argv`, by their places; they are there before the command starts,
            readable by root alone.
        volumes: Volumes by place.
        buckets: Buckets by place.
        ports: Ports reachable from outside through an encrypted tunnel.
        tags: Labels the control plane keeps; each name and value ≤ 63 of `[A-Za-z0-9._-]`.
        name: Unique among the running sandboxes of an app, ≤ 63 of `[A-Za-z0-9._-]`; None for none.
    """

    argv: tuple[str, ...]
    image: ImageSpec = field(default_factory=ImageSpec)
    workdir: str | None = None
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    secrets: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    gpu: str | None = None
    cpu: float | None = None
    memory_mib: int | None = None
    timeout_s: int = 86_400
    regions: tuple[str, ...] = ()
    uploads: tuple[Upload, ...] = ()
    scripts: Mapping[str, str] = field(default_factory=dict[str, str])
    volumes: tuple[VolumeMount, ...] = ()
    buckets: tuple[BucketMount, ...] = ()
    ports: tuple[int, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    name: str | None = None
