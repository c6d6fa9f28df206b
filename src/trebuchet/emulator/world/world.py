"""All state of one engine, and its rules. No protobuf and no sockets below this point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.emulator.disk import make_private_folder
from trebuchet.emulator.world.apps import Apps
from trebuchet.emulator.world.blobs import Blobs
from trebuchet.emulator.world.builder import Builder
from trebuchet.emulator.world.builds import Builds
from trebuchet.emulator.world.content import Content
from trebuchet.emulator.world.environments import Environments
from trebuchet.emulator.world.execs import Execs
from trebuchet.emulator.world.furnish import Furniture
from trebuchet.emulator.world.gpus import GpuPool
from trebuchet.emulator.world.image_names import ImageNames
from trebuchet.emulator.world.images import Images
from trebuchet.emulator.world.lifecycle import Lifecycle
from trebuchet.emulator.world.logs import LogViews
from trebuchet.emulator.world.mounts import Mounts
from trebuchet.emulator.world.reclaim import Reclaim
from trebuchet.emulator.world.sandboxes import Sandboxes
from trebuchet.emulator.world.secrets import Secrets
from trebuchet.emulator.world.snapshots import Snapshots
from trebuchet.emulator.world.stdin import Inputs
from trebuchet.emulator.world.syncs import Syncs
from trebuchet.emulator.world.tunnels import Tunnels
from trebuchet.emulator.world.upkeep import Upkeep
from trebuchet.emulator.world.views import IsolatedViews, SharedViews
from trebuchet.emulator.world.volumes import Volumes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trebuchet.emulator.process.host import ProcessHost
    from trebuchet.emulator.world.admission import Room
    from trebuchet.emulator.world.rates import Rates
    from trebuchet.emulator.world.recipes import Recipes
    from trebuchet.emulator.world.views import Sharing


class World:
    """What there is."""

    def __init__(
        self,
        state: Path,
        host: ProcessHost,
        *,
        gpus: Sequence[str],
        minors: Sequence[int] | None = None,
        room: Room,
        sharing: Sharing,
        rates: Rates,
        builds_layers: bool,
        recipes: Recipes | None = None,
    ) -> None:
        """Read what an earlier daemon left.

        Args:
            state: The engine's state directory.
            host: Runs the processes.
            gpus: The type of each GPU, by index.
            minors: The numbers of their device nodes, by index; None where they are pretended.
            sharing: Whether sandboxes that have the same volume see one folder, or each has a copy.
            room: Processor cores and memory that sandboxes may take together.
            rates: What things are said to cost.
            builds_layers: Whether what images add to Modal's own base is really added to the host's files.
            recipes: Images that other engines of this process were asked for; None where it has one engine.
        """
        make_private_folder(state)
        self.host = host
        self.rates = rates
        self.environments = Environments(state / "environments")
        self.apps = Apps(state / "apps")
        self.images = Images(state / "images", builds_layers=builds_layers, recipes=recipes)
        self.image_names = ImageNames(state / "image-names")
        self.secrets = Secrets(state / "secrets")
        self.volumes = Volumes(state / "volumes")
        self.content = Content(state / "content")
        self.blobs = Blobs(state / "blobs")
        self.mounts = Mounts(state / "mounts", self.content)
        builder = Builder(state, host=host, content=self.content, mounts=self.mounts, secrets=self.secrets)
        self.builds = Builds(state / "builds", self.images, builder)
        self.snapshots = Snapshots(
            state / "layers", host=host, images=self.images, builds=self.builds, mounts=self.mounts
        )
        self.gpus = GpuPool(gpus)
        self.execs = Execs(host)
        self.views = IsolatedViews(self.volumes) if sharing == "isolated" else SharedViews(self.volumes)
        self.inputs = Inputs(host)
        self.syncs = Syncs(host, self.views)
        self.upkeep = Upkeep(host, self.execs, self.views, self.inputs)
        self.sandboxes = Sandboxes(state)
        self.tunnels = Tunnels(self.sandboxes, host)
        self.lifecycle = Lifecycle(
            state,
            self.sandboxes,
            host=host,
            gpus=self.gpus,
            room=room,
            secrets=self.secrets,
            upkeep=self.upkeep,
            furnisher=Furniture(
                apps=self.apps,
                images=self.images,
                builds=self.builds,
                mounts=self.mounts,
                volumes=self.volumes,
                views=self.views,
                minors=minors,
            ),
        )
        self.logs = LogViews(host)
        self.reclaim = Reclaim(state, self)
