"""From what a sandbox asked for to what its process needs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.emulator.process.spec import ProcessSpec
from trebuchet.emulator.world.errors import InvalidError
from trebuchet.emulator.world.ids import task_id_of
from trebuchet.emulator.world.image_files import binds_for_image, place_top_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trebuchet.emulator.world.apps import Apps
    from trebuchet.emulator.world.builds import Builds
    from trebuchet.emulator.world.images import Images
    from trebuchet.emulator.world.mounts import Mounts
    from trebuchet.emulator.world.sandbox import Ask, Sandbox
    from trebuchet.emulator.world.views import Views
    from trebuchet.emulator.world.volumes import Volumes

TERMINAL = "xterm-256color"
"""What a terminal is taken for of which nobody said it."""


class Furniture:
    """Images, mounts and volumes, put together for a process."""

    def __init__(
        self,
        *,
        apps: Apps,
        images: Images,
        builds: Builds,
        mounts: Mounts,
        volumes: Volumes,
        views: Views,
        minors: Sequence[int] | None,
    ) -> None:
        """Know where things are.

        Args:
            apps: All apps.
            images: All images.
            builds: The files of those that have their own.
            mounts: All mounts.
            volumes: All volumes.
            views: How sandboxes see them.
            minors: The numbers of the GPUs' device nodes, by index; None where GPUs are pretended.
        """
        self._apps = apps
        self._images = images
        self._builds = builds
        self._mounts = mounts
        self._volumes = volumes
        self._views = views
        self._minors = minors

    def check(self, ask: Ask) -> None:
        """Refuse what cannot be furnished.

        Raises:
            WorldError: Something it refers to does not exist, or is not understood.
        """
        self._apps.get(ask.app_id)
        if ask.image_id:
            built = self._builds.built(ask.image_id)
            if built is None:
                self._images.manner(ask.image_id)
            elif built.folder:
                raise InvalidError("This image is a snapshot of one folder: it can be mounted, and not run.")
        for mount_id in ask.mount_ids:
            self._mounts.check(mount_id)
        for place in ask.volumes:
            self._volumes.check_place(place.volume_id, place.sub_path)

    async def furnish(self, sandbox: Sandbox, env: Mapping[str, str]) -> ProcessSpec:
        """What to run.

        Raises:
            WorldError: Something it refers to is gone.
        """
        ask = sandbox.ask
        built = self._builds.built(ask.image_id)
        manner = built.how() if built else self._images.manner(ask.image_id)
        root = Path(built.root) if built and built.root else None
        made = tuple(map(Path, built.layers if built else ()))
        uploaded = [await self._mounts.layer(mount_id) for mount_id in ask.mount_ids]
        # A snapshot has all files that were at the top, those of what it was made on included.
        below = made[-1:] if self._images.is_snapshot(ask.image_id) else (*([root] if root else []), *made)
        await asyncio.to_thread(place_top_files, (*below, *uploaded), sandbox.process)
        return ProcessSpec(
            id=ask.id,
            argv=(*manner.entrypoint, *(ask.argv or manner.command)),
            env={
                **self._identity(ask),
                **self._pretended(sandbox),
                **manner.variables,
                **env,
            },
            workdir=ask.workdir or manner.workdir,
            root_layers=(root,) if root else (),
            layers=(*made, *uploaded),
            binds=(
                *(await asyncio.to_thread(binds_for_image, root) if root else ()),
                *await self._views.open(sandbox),
            ),
            gpus=sandbox.standing.gpus if self._minors is not None else (),
            gpu_nodes=tuple(self._minors[index] for index in sandbox.standing.gpus) if self._minors else (),
            memory_mib=ask.memory_mib,
            cpus=ask.cpus,
            wants_cpus=ask.wants_cpus,
            timeout_s=ask.timeout_s,
            pty=ask.pty,
            network=ask.network,
        )

    def _pretended(self, sandbox: Sandbox) -> dict[str, str]:
        """What a program looks at first that asks which GPUs it has; real ones come with their devices."""
        if self._minors is not None or not sandbox.standing.gpus:
            return {}
        indices = ",".join(map(str, sandbox.standing.gpus))
        return {"CUDA_VISIBLE_DEVICES": indices, "NVIDIA_VISIBLE_DEVICES": indices}

    def _identity(self, ask: Ask) -> dict[str, str]:
        return {
            **({"TERM": TERMINAL} if ask.pty else {}),
            "MODAL_SANDBOX_ID": ask.id,
            "MODAL_TASK_ID": task_id_of(ask.id),
            "MODAL_ENVIRONMENT": self._apps.get(ask.app_id).environment,
        }
