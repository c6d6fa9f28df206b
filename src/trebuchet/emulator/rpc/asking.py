"""From the definition of a sandbox in a request to what the world is asked for."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from modal_proto import api_pb2

from trebuchet.emulator.world.errors import InvalidError, NotServedError
from trebuchet.emulator.world.furnish import TERMINAL
from trebuchet.emulator.world.gpus import GpuAsk
from trebuchet.emulator.world.sandbox import Ask, Probe, VolumePlace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ALLOWLIST = api_pb2.NetworkAccess.NetworkAccessType.ALLOWLIST
BLOCKED = api_pb2.NetworkAccess.NetworkAccessType.BLOCKED
EVERYWHERE, EVERY_NAME = "0.0.0.0/0", "*"
PRIORITY_TAG = "trebuchet-priority"
"""Modal has no priorities: this tag carries one, from -1000 to 1000; 0 where there is none."""
HIGHEST_PRIORITY = 1000
MOST_PORTS = 65_536
MOST_ARGUMENT_BYTES = 128 * 1024
"""What Linux takes for one argument or variable; a longer one would die in `execve`."""

EXIT_SNAPSHOT = "enable_exit_snapshot"

_PRIORITY = re.compile(r"-?[0-9]{1,4}")


def unpack_ask(
    request: api_pb2.SandboxCreateRequest | api_pb2.SandboxCreateV2Request,
    sandbox_id: str,
    created_at: float,
    idempotency_key: str,
) -> Ask:
    """What a request asks for.

    Raises:
        InvalidError: It cannot be run.
        NotServedError: The engine does not do it.
    """
    definition = request.definition
    _refuse_unserved(definition)
    refuse_odd_words(definition.entrypoint_args)
    resources = definition.resources
    return Ask(
        id=sandbox_id,
        app_id=request.app_id,
        created_at=created_at,
        argv=tuple(definition.entrypoint_args),
        name=definition.name,
        image_id=definition.image_id,
        workdir=_place(definition.workdir) if definition.workdir else None,
        timeout_s=float(definition.timeout_secs) or None,
        idle_timeout_s=float(definition.idle_timeout_secs) or None,
        probe=_probe(definition),
        gpu=_gpu(resources.gpu_config),
        cpus=resources.milli_cpu_max / 1000 or None,
        memory_mib=resources.memory_mb_max or None,
        wants_cpus=resources.milli_cpu / 1000,
        wants_memory_mib=resources.memory_mb,
        priority=_priority(request.tags),
        secret_ids=tuple(_secret_ids(request)),
        has_inline_env=isinstance(request, api_pb2.SandboxCreateV2Request) and bool(inline_env(request)),
        mount_ids=tuple(definition.mount_ids),
        volumes=tuple(_volumes(definition.volume_mounts)),
        pty=_pty(definition),
        network=not _blocks_network(definition),
        ports=tuple(port.port for port in definition.open_ports.ports),
        unencrypted_ports=tuple(port.port for port in definition.open_ports.ports if port.unencrypted),
        idempotency_key=idempotency_key,
    )


def inline_env(request: api_pb2.SandboxCreateV2Request) -> dict[str, str]:
    """The variables that came with the request itself."""
    env = dict(request.ephemeral_secrets.contents)
    for source in request.secret_sources:
        env.update(source.env.contents)
    return env


def unpack_pty(info: api_pb2.PTYInfo) -> tuple[int, int]:
    """The size of a terminal."""
    return info.winsz_rows or 24, info.winsz_cols or 80


def pty_variables(info: api_pb2.PTYInfo) -> dict[str, str]:
    """What a program asks about its terminal."""
    told = {
        "TERM": info.env_term or TERMINAL,
        "COLORTERM": info.env_colorterm,
        "TERM_PROGRAM": info.env_term_program,
    }
    return {name: value for name, value in told.items() if value}


def _secret_ids(request: api_pb2.SandboxCreateRequest | api_pb2.SandboxCreateV2Request) -> list[str]:
    ids = list(request.definition.secret_ids)
    if isinstance(request, api_pb2.SandboxCreateV2Request):
        ids += [source.secret_id for source in request.secret_sources if source.secret_id]
    return list(dict.fromkeys(ids))


def _gpu(config: api_pb2.GPUConfig) -> GpuAsk:
    if not config.gpu_type and not config.count:
        return GpuAsk()
    return GpuAsk(type=config.gpu_type or "ANY", count=config.count or 1)


def _priority(tags: Iterable[api_pb2.SandboxTag]) -> int:
    said = next((tag.tag_value for tag in tags if tag.tag_name == PRIORITY_TAG), "0")
    if not _PRIORITY.fullmatch(said) or abs(int(said)) > HIGHEST_PRIORITY:
        raise InvalidError(f"The tag {PRIORITY_TAG} is a whole number from -1000 to 1000, not {said!r}.")
    return int(said)


def _volumes(mounts: Iterable[api_pb2.VolumeMount]) -> list[VolumePlace]:
    return [
        VolumePlace(
            volume_id=mount.volume_id,
            path=_mount_path(mount.mount_path),
            read_only=mount.read_only,
            sub_path=mount.sub_path,
        )
        for mount in mounts
    ]


def _blocks_network(definition: api_pb2.Sandbox) -> bool:
    blocked = definition.network_access.network_access_type == BLOCKED or definition.block_network
    return blocked or _lists_nothing(definition)


def _lists_nothing(definition: api_pb2.Sandbox) -> bool:
    """Whether it may reach nothing, told by a list with nothing on it."""
    access = definition.network_access
    return access.network_access_type == ALLOWLIST and not (access.allowed_cidrs or access.allowed_domains)


def _lists_what_may_be_reached(definition: api_pb2.Sandbox) -> bool:
    """Whether that would have to be watched.

    It need not be where it is all; nor where it is nothing, unless a port is to have a tunnel: on Modal such
    a sandbox has one, and here one without a network cannot.
    """
    access = definition.network_access
    if access.network_access_type != ALLOWLIST:
        return False
    if _lists_nothing(definition):
        return bool(definition.open_ports.ports)
    return EVERYWHERE not in access.allowed_cidrs and EVERY_NAME not in access.allowed_domains


def _pty(definition: api_pb2.Sandbox) -> tuple[int, int] | None:
    return unpack_pty(definition.pty_info) if definition.pty_info.enabled else None


def _probe(definition: api_pb2.Sandbox) -> Probe | None:
    if not definition.HasField("readiness_probe"):
        return None
    probe = definition.readiness_probe
    interval_s = probe.interval_ms / 1000
    if interval_s <= 0:
        raise InvalidError("A readiness probe is repeated after a time that is not zero.")
    if probe.WhichOneof("probe_oneof") == "tcp_port":
        if not 0 < probe.tcp_port < MOST_PORTS:
            raise InvalidError(f"There is no port {probe.tcp_port}.")
        return Probe(tcp_port=probe.tcp_port, interval_s=interval_s)
    if not probe.exec_command.argv:
        raise InvalidError("A readiness probe is a port or a command.")
    return Probe(argv=tuple(probe.exec_command.argv), interval_s=interval_s)


def _experiments(definition: api_pb2.Sandbox) -> set[str]:
    """The experimental options that are on; earlier SDKs say it in another field."""
    told = definition.experimental_options_v2
    on = {name for name, value in told.items() if value.lower() not in {"", "0", "false", "none"}}
    return on | {name for name, value in definition.experimental_options.items() if value}


UNSERVED: dict[str, Callable[[api_pb2.Sandbox], object]] = {
    "cloud bucket mounts": lambda asked: asked.cloud_bucket_mounts,
    "network file systems": lambda asked: asked.nfs_mounts,
    "proxies": lambda asked: asked.proxy_id,
    "memory snapshots": lambda asked: asked.enable_snapshot,
    "identity tokens": lambda asked: asked.include_oidc_identity_token,
    "custom domains": lambda asked: asked.custom_domain,
    "lists of who may connect": lambda asked: (
        asked.inbound_cidr_allowlist and EVERYWHERE not in asked.inbound_cidr_allowlist
    ),
    "lists of what may be reached": _lists_what_may_be_reached,
    "outbound policies": lambda asked: asked.HasField("experimental_outbound_policy"),
    "exit snapshots": lambda asked: EXIT_SNAPSHOT in _experiments(asked),
    "experimental options": lambda asked: _experiments(asked) - {EXIT_SNAPSHOT},
    "private networks": lambda asked: asked.i6pn_enabled,
    "probes of a port without a network": lambda asked: (
        _blocks_network(asked) and asked.readiness_probe.tcp_port
    ),
}
"""What a sandbox may be asked to have that the engine refuses, by name."""


def _refuse_unserved(definition: api_pb2.Sandbox) -> None:
    for what, is_asked in UNSERVED.items():
        if is_asked(definition):
            raise NotServedError(f"The local engine does not serve {what}.")


def _place(path: str) -> str:
    """A path in a sandbox.

    Raises:
        InvalidError: It is none, or leads upwards.
    """
    if "\0" in path or ".." in PurePosixPath(path).parts:
        raise InvalidError(f"{path!r} is no path in a sandbox: it must lead nowhere upwards.")
    return path


def _mount_path(path: str) -> str:
    pure = PurePosixPath(_place(path))
    if not pure.is_absolute() or len(pure.parts) < 2:
        raise InvalidError(f"{path!r} is no place for a volume: it must be absolute, and not the root.")
    return path


def refuse_odd_words(words: Iterable[str]) -> None:
    """Refuse what no process can be given.

    Raises:
        InvalidError: A word is too long, or has a NUL byte in it.
    """
    for word in words:
        if len(word.encode()) >= MOST_ARGUMENT_BYTES:
            raise InvalidError("One argument is longer than the 128 KiB that the kernel takes.")
        if "\0" in word:
            raise InvalidError("No argument can have a NUL byte in it.")
