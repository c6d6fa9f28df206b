"""One call that makes a sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import modal

from trebuchet.engines.modal.errors import translated
from trebuchet.engines.modal.mounts import mounts
from trebuchet.engines.modal.scripts import script_uploads

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from trebuchet.engines.modal.connection import Connection
    from trebuchet.sandbox import SandboxSpec
    from trebuchet.uploads import Sent


def create(
    connection: Connection,
    spec: SandboxSpec,
    on_build_output: Callable[[str], None] | None,
    on_sent: Callable[[Sent], None] | None,
) -> str:
    """Create the sandbox; name and tags travel in the same call, so that it can be found whatever comes next.

    The SDK drops a cpu or memory of the wrong type without a word, hence the conversions.
    """
    words, options = _asked_for(connection, spec, on_build_output, on_sent)
    return modal.Sandbox.create(*words, **options).object_id


def begin(
    connection: Connection, spec: SandboxSpec, on_build_output: Callable[[str], None] | None
) -> Future[str]:
    """As `create`, but only what has to be looked up first is waited for, not the creation."""
    words, options = _asked_for(connection, spec, on_build_output, None)

    async def work() -> str:
        with translated():
            # Its type names the SDK's own unknowns.
            sandbox = await modal.Sandbox.create.aio(*words, **options)  # pyright: ignore[reportUnknownMemberType]
        connection.answered()
        return sandbox.object_id

    return connection.background.begin(work())


def _asked_for(
    connection: Connection,
    spec: SandboxSpec,
    on_build_output: Callable[[str], None] | None,
    on_sent: Callable[[Sent], None] | None,
) -> tuple[tuple[str, ...], dict[str, Any]]:
    with script_uploads(spec.scripts) as scripts:
        files = (*spec.uploads, *scripts)
        image = connection.images.get(
            spec.image,
            files,
            on_build_output,
            _registry_login(spec),
            on_sent,
            mounts=[*(one.path for one in spec.volumes if one.name), *(one.path for one in spec.buckets)],
        )
    return spec.argv, {
        "app": connection.need_app(),
        "name": spec.name,
        "tags": dict(spec.tags),
        "image": image,
        "env": dict(spec.env),
        "secrets": [connection.secret(name) for name in spec.secrets],
        "timeout": int(spec.timeout_s),
        "workdir": spec.workdir,
        "gpu": spec.gpu,
        "region": list(spec.regions) or None,
        "cpu": None if spec.cpu is None else float(spec.cpu),
        "memory": _memory(connection, spec),
        "volumes": mounts(connection, spec),
        "encrypted_ports": list(spec.ports),
        "client": connection.client,
    }


def _memory(connection: Connection, spec: SandboxSpec) -> int | tuple[int, int] | None:
    if spec.memory_mib is None:
        return None
    asked = int(spec.memory_mib)
    return (asked, asked) if connection.credentials.memory_is_a_limit else asked


def _registry_login(spec: SandboxSpec) -> tuple[str, str] | None:
    """User and password for the image's registry, where the job's own variables hold them."""
    names = spec.image.registry_login
    # A launch that comes later has the values in a named secret; by then the image has been pulled.
    if names is None or not spec.env.keys() >= set(names):
        return None
    user, password = names
    return spec.env[user], spec.env[password]
