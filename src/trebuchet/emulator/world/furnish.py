"""From what a sandbox asked for to what its process needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.emulator.process.spec import Bind, ProcessSpec
from trebuchet.emulator.world.ids import task_id_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trebuchet.emulator.world.apps import Apps
    from trebuchet.emulator.world.images import Images
    from trebuchet.emulator.world.mounts import Mounts
    from trebuchet.emulator.world.sandbox import Ask, Sandbox
    from trebuchet.emulator.world.volumes import Volumes


class Furniture:
    """Images, mounts and volumes, put together for a process."""

    def __init__(
        self, *, apps: Apps, images: Images, mounts: Mounts, volumes: Volumes, devices: bool
    ) -> None:
        """Know where things are.

        Args:
            apps: All apps.
            images: All images.
            mounts: All mounts.
            volumes: All volumes.
            devices: Whether GPU indices mean real devices, or are pretended.
        """
        self._apps = apps
        self._images = images
        self._mounts = mounts
        self._volumes = volumes
        self._devices = devices

    def check(self, ask: Ask) -> None:
        """Refuse what cannot be furnished.

        Raises:
            WorldError: Something it refers to does not exist.
        """
        self._apps.get(ask.app_id)
        if ask.image_id:
            self._images.get(ask.image_id)
        for mount_id in ask.mount_ids:
            self._mounts.check(mount_id)
        for place in ask.volumes:
            self._volumes.resolve(place.volume_id, place.sub_path)

    async def furnish(self, sandbox: Sandbox, env: Mapping[str, str]) -> ProcessSpec:
        """What to run.

        Raises:
            WorldError: Something it refers to is gone.
        """
        ask = sandbox.ask
        setting = self._images.setting(ask.image_id)
        return ProcessSpec(
            id=ask.id,
            argv=ask.argv,
            env={**self._identity(ask), **setting.variables, **env},
            workdir=ask.workdir or setting.workdir,
            layers=tuple([await self._mounts.layer(mount_id) for mount_id in ask.mount_ids]),
            binds=tuple(
                Bind(
                    source=self._volumes.place(place.volume_id, place.sub_path),
                    target=place.path,
                    read_only=place.read_only,
                )
                for place in ask.volumes
            ),
            gpus=sandbox.standing.gpus if self._devices else (),
            memory_mib=ask.memory_mib,
            cpus=ask.cpus,
            timeout_s=ask.timeout_s,
            pty=ask.pty,
        )

    def _identity(self, ask: Ask) -> dict[str, str]:
        return {
            "MODAL_SANDBOX_ID": ask.id,
            "MODAL_TASK_ID": task_id_of(ask.id),
            "MODAL_ENVIRONMENT": self._apps.get(ask.app_id).environment,
        }
