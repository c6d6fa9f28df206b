"""From a reference to an image's files on disk."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trebuchet.emulator.disk import write_whole
from trebuchet.emulator.images import reference as references
from trebuchet.emulator.images.download import download
from trebuchet.emulator.images.errors import (
    BadReferenceError,
    DigestMismatchError,
    NoMatchingPlatformError,
    UnusableImageError,
)
from trebuchet.emulator.images.manifests import Config, Index, Manifest, hash_of, read_config, read_manifest
from trebuchet.emulator.images.platforms import Platform, choose, this_machine
from trebuchet.emulator.images.registry import Registry
from trebuchet.emulator.images.store import TREE, WHOLE, Store, disk_error
from trebuchet.emulator.images.worker import stack_layers, unpack_layer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trebuchet.emulator.images.challenge import Credentials
    from trebuchet.emulator.images.manifests import Descriptor
    from trebuchet.emulator.images.reference import Reference

_DEEPEST_INDEX = 4
_DOWNLOADS_AT_ONCE = 3
_UNPACKED_AT_ONCE = 2


@dataclass(frozen=True, kw_only=True)
class LayerProgress:
    """How far one layer is.

    Attributes:
        layer: The digest of its archive.
        phase: `downloading`, `unpacking`, or `ready`.
        done: Bytes of the archive that are through this phase.
        total: Bytes of the archive.
    """

    layer: str
    phase: Literal["downloading", "unpacking", "ready"]
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class PulledImage:
    """An image that is on disk, and what it says of the processes that run in it.

    Attributes:
        layers: Read-only root folders, lowest first, as `ProcessSpec.root_layers` takes them.
        environment: Variables.
        workdir: Where processes start; None for the root folder.
        entrypoint: Words before any command.
        command: The words where no command is given.
        user: As which user; empty for root.
        digest: Of the manifest for this platform: with the repository it names this image for ever.
    """

    layers: tuple[Path, ...]
    environment: dict[str, str]
    workdir: str | None
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    user: str
    digest: str


async def pull(
    ref: str,
    store: Path,
    *,
    credentials: Credentials | None = None,
    progress: Callable[[LayerProgress], None] | None = None,
    platform: str | None = None,
) -> PulledImage:
    """Bring an image to the disk, or what of it is not there yet.

    Several processes may pull at once into one store, and each may be killed at any moment: the next pull
    goes on from there. A reference with a digest whose image is there needs no network.

    Args:
        ref: The image's name, as for `docker pull`.
        store: The folder of all images; made if missing.
        credentials: For a private registry.
        progress: Called from the loop as layers come in; a few times a second for each.
        platform: `linux/amd64` and the like; None for this machine's.

    Raises:
        ImageError: It cannot be had. Its subclasses tell why.
    """
    reference = references.parse(ref)
    try:
        wanted = Platform.parse(platform) if platform else this_machine()
    except ValueError as error:
        raise BadReferenceError(f"{error}.") from error
    place = Store(store)
    try:
        await asyncio.to_thread(place.make)
        async with place.lock(WHOLE, shared=True), Registry(reference, credentials) as registry:
            puller = _Puller(reference, wanted, place, registry, progress or (lambda _: None))
            return await puller.pull()
    except OSError as error:
        raise disk_error(error, "the image") from error


class _Puller:
    """One pull."""

    def __init__(
        self,
        reference: Reference,
        wanted: Platform,
        store: Store,
        registry: Registry,
        progress: Callable[[LayerProgress], None],
    ) -> None:
        self._reference = reference
        self._wanted = wanted
        self._store = store
        self._registry = registry
        self._progress = progress
        self._downloading = asyncio.Semaphore(_DOWNLOADS_AT_ONCE)
        self._unpacking = asyncio.Semaphore(_UNPACKED_AT_ONCE)

    async def pull(self) -> PulledImage:
        manifest, digest = await self._find_manifest()
        config = read_config(await self._document(manifest.config.digest))
        self._check(manifest, config)
        blobs = dict(zip(config.diff_ids, manifest.layers, strict=True))
        root = self._store.root(config.chain_id)
        if not root.is_dir():
            await self._fetch_layers(blobs)
            async with self._store.lock(f"root-{root.name}") as lock:
                if not root.is_dir():
                    layers = [self._store.layer(diff_id) for diff_id in config.diff_ids]
                    await stack_layers(layers, root, lock=lock)
        return PulledImage(
            layers=(root / TREE,),
            environment=config.environment,
            workdir=config.workdir,
            entrypoint=config.entrypoint,
            command=config.command,
            user=config.user,
            digest=digest,
        )

    async def _find_manifest(self) -> tuple[Manifest, str]:
        """The manifest for the wanted platform, through as many indexes as lead to it, and its digest."""
        version = self._reference.version
        for _ in range(_DEEPEST_INDEX):
            if references.is_digest(version):
                content, media_type = await self._document(version, is_manifest=True), ""
                digest = version
            else:
                content, media_type = await self._registry.manifest(version)
                digest = hash_of(content)
                self._keep(digest, content)
            found = read_manifest(content, media_type)
            if isinstance(found, Manifest):
                return found, digest
            version = self._choose(found)
        raise UnusableImageError(f"The index of {self._reference} leads to others without end.")

    def _choose(self, index: Index) -> str:
        by_platform = {entry.platform: entry.digest for entry in reversed(index.entries) if entry.platform}
        best = choose(self._wanted, by_platform)
        if best is not None:
            return by_platform[best]
        if len(index.entries) == 1 and index.entries[0].platform is None:
            return index.entries[0].digest
        offered = ", ".join(sorted(str(platform) for platform in by_platform if platform.os != "unknown"))
        raise self._no_platform(offered or "nothing that tells its platform")

    def _check(self, manifest: Manifest, config: Config) -> None:
        if config.platform is not None and choose(self._wanted, [config.platform]) is None:
            raise self._no_platform(str(config.platform))
        if len(config.diff_ids) != len(manifest.layers):
            raise UnusableImageError(
                f"{self._reference} names {len(manifest.layers)} layers and describes others."
            )

    def _no_platform(self, offered: str) -> NoMatchingPlatformError:
        return NoMatchingPlatformError(
            f"{self._reference} does not run on {self._wanted}: it is made for {offered}.",
            f"Use an image that is made for {self._wanted}, or run the job elsewhere.",
        )

    async def _document(self, digest: str, *, is_manifest: bool = False) -> bytes:
        """A small document by its digest, from the disk if it is there."""
        with contextlib.suppress(FileNotFoundError):
            content = self._store.blob(digest).read_bytes()
            if hash_of(content) == digest:
                return content
        if is_manifest:
            content, _ = await self._registry.manifest(digest)
        else:
            content = await self._registry.document(digest)
        if hash_of(content) != digest:
            raise DigestMismatchError(f"The registry has something else under {digest} of {self._reference}.")
        self._keep(digest, content)
        return content

    def _keep(self, digest: str, content: bytes) -> None:
        write_whole(self._store.blob(digest), content)

    async def _fetch_layers(self, blobs: dict[str, Descriptor]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for diff_id, blob in blobs.items():
                    group.create_task(self._fetch_layer(diff_id, blob))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _fetch_layer(self, diff_id: str, blob: Descriptor) -> None:
        layer = self._store.layer(diff_id)
        report = _Report(blob, self._progress)

        def look() -> None:  # somebody else is at it: tell how far
            with contextlib.suppress(FileNotFoundError):
                report.downloading(self._store.partial(blob.digest).stat().st_size)

        async with self._store.lock(f"layer-{diff_id}", while_waiting=look) as lock:
            if not layer.is_dir():
                archive = self._store.blob(blob.digest)
                async with self._downloading, self._store.lock(f"blob-{blob.digest}", while_waiting=look):
                    if not archive.is_file():
                        partial = self._store.partial(blob.digest)
                        await download(self._registry, blob, partial, archive, report.downloading)
                try:
                    async with self._unpacking:
                        await unpack_layer(archive, diff_id, layer, lock=lock, on_progress=report.unpacking)
                finally:
                    # Of no more use: either it is unpacked, or it had better come anew.
                    archive.unlink(missing_ok=True)
        report.ready()


class _Report:
    """Tells how far a layer is."""

    def __init__(self, blob: Descriptor, progress: Callable[[LayerProgress], None]) -> None:
        self._blob = blob
        self._progress = progress

    def downloading(self, done: int) -> None:
        self._say("downloading", done)

    def unpacking(self, done: int) -> None:
        self._say("unpacking", done)

    def ready(self) -> None:
        self._say("ready", self._blob.size)

    def _say(self, phase: Literal["downloading", "unpacking", "ready"], done: int) -> None:
        self._progress(LayerProgress(layer=self._blob.digest, phase=phase, done=done, total=self._blob.size))
