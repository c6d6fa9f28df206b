"""The JSON documents that describe an image: an index of several, a manifest of one, its configuration."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from trebuchet.emulator.images.errors import UnusableImageError
from trebuchet.emulator.images.platforms import Platform
from trebuchet.emulator.images.reference import is_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

_DOCKER = "application/vnd.docker."
_OCI = "application/vnd.oci."
INDEX_TYPES = (f"{_OCI}image.index.v1+json", f"{_DOCKER}distribution.manifest.list.v2+json")
MANIFEST_TYPES = (f"{_OCI}image.manifest.v1+json", f"{_DOCKER}distribution.manifest.v2+json")
_CONFIG_TYPES = frozenset({f"{_OCI}image.config.v1+json", f"{_DOCKER}container.image.v1+json"})
_LAYER_TYPES = frozenset(
    {f"{_OCI}image.layer.v1.tar{packing}" for packing in ("", "+gzip", "+zstd")}
    | {f"{_OCI}image.layer.nondistributable.v1.tar{packing}" for packing in ("", "+gzip", "+zstd")}
    | {
        f"{_DOCKER}image.rootfs.{kind}.tar{packing}"
        for kind in ("diff", "foreign.diff")
        for packing in ("", ".gzip", ".zstd")
    }
)
LARGEST_DOCUMENT = 8 << 20
"""Bytes that one of them may have."""
_MOST_LAYERS = 1024


@dataclass(frozen=True, kw_only=True)
class Descriptor:
    """A reference to bytes: what they hash to and how many they are."""

    digest: str
    size: int


@dataclass(frozen=True, kw_only=True)
class IndexEntry:
    """One image of several under a name. `platform` is None where the index does not tell."""

    digest: str
    platform: Platform | None


@dataclass(frozen=True, kw_only=True)
class Index:
    """Several images under one name, one for each kind of machine."""

    entries: tuple[IndexEntry, ...]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One image: its configuration and its layers, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, kw_only=True)
class Config:
    """What an image says about itself and about the processes that run in it.

    Attributes:
        platform: None where it does not tell.
        diff_ids: What each layer's archive hashes to once it is decompressed, lowest first.
        environment: Variables.
        workdir: Where processes start; None for the root folder.
        user: As which user; empty for root.
        entrypoint: Words before any command.
        command: The words where no command is given.
    """

    platform: Platform | None
    diff_ids: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict[str, str])
    workdir: str | None = None
    user: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    @property
    def chain_id(self) -> str:
        """What names its layers in this order, as OCI's image specification computes it."""
        chain = ""
        for diff_id in self.diff_ids:
            chain = hash_of(f"{chain} {diff_id}".encode()) if chain else diff_id
        return chain or hash_of(b"")


def hash_of(content: bytes) -> str:
    """The digest that names these bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def read_manifest(content: bytes, media_type: str) -> Manifest | Index:
    """Read what a registry has under a name.

    Args:
        content: The document.
        media_type: What the registry said it is; the document's own word goes before it.

    Raises:
        UnusableImageError: It is neither an index nor an image.
    """
    document = _document(content)
    kind = document.get("mediaType") or media_type.partition(";")[0].strip()
    if kind in INDEX_TYPES or (kind not in MANIFEST_TYPES and "manifests" in document):
        return Index(entries=tuple(_entry(item) for item in _objects(document, "manifests")))
    if document.get("schemaVersion") == 1:
        raise UnusableImageError(
            "The image is in Docker's first format, which no registry makes any more.",
            "Push it anew with a current tool.",
        )
    config = _object(document, "config")
    layers = _objects(document, "layers")
    if config.get("mediaType") not in _CONFIG_TYPES:
        raise UnusableImageError("There is something under this name, but it is not a container image.")
    for layer in layers:
        if layer.get("mediaType") not in _LAYER_TYPES:
            raise UnusableImageError(
                f"The image has a layer of an unknown kind, {layer.get('mediaType')!r:.80}."
            )
    if len(layers) > _MOST_LAYERS:
        raise UnusableImageError(f"The image has {len(layers)} layers; {_MOST_LAYERS} are the most.")
    return Manifest(config=_descriptor(config), layers=tuple(_descriptor(layer) for layer in layers))


def read_config(content: bytes) -> Config:
    """Read an image's configuration.

    Raises:
        UnusableImageError: It is none.
    """
    document = _document(content)
    diff_ids = tuple(_strings(_object(document, "rootfs"), "diff_ids"))
    if not all(is_digest(diff_id) for diff_id in diff_ids):
        raise UnusableImageError("The image's configuration does not name its layers by SHA-256.")
    settings = _object(document, "config") if document.get("config") else {}
    pairs = (entry.partition("=") for entry in _strings(settings, "Env"))
    return Config(
        platform=_platform(document),
        diff_ids=diff_ids,
        environment={name: value for name, equals, value in pairs if name and equals},
        workdir=_text(settings, "WorkingDir") or None,
        user=_text(settings, "User"),
        entrypoint=tuple(_strings(settings, "Entrypoint")),
        command=tuple(_strings(settings, "Cmd")),
    )


def _document(content: bytes) -> dict[str, Any]:
    try:
        document: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnusableImageError("The registry's description of the image is not JSON.") from error
    if not isinstance(document, dict):
        raise _malformed("it")
    return cast("dict[str, Any]", document)


def _entry(item: Mapping[str, Any]) -> IndexEntry:
    platform = item.get("platform")
    known = isinstance(platform, dict)
    return IndexEntry(
        digest=_descriptor(item).digest,
        platform=_platform(cast("dict[str, Any]", platform)) if known else None,
    )


def _platform(holder: Mapping[str, Any]) -> Platform | None:
    system, architecture = _text(holder, "os"), _text(holder, "architecture")
    return Platform(system, architecture, _text(holder, "variant")) if system and architecture else None


def _descriptor(item: Mapping[str, Any]) -> Descriptor:
    digest, size = item.get("digest"), item.get("size")
    if not isinstance(digest, str) or not is_digest(digest):
        raise UnusableImageError("The image names a part of itself by something else than SHA-256.")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise _malformed("size")
    return Descriptor(digest=digest, size=size)


def _object(holder: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = holder.get(key)
    if not isinstance(value, dict):
        raise _malformed(key)
    return cast("dict[str, Any]", value)


def _objects(holder: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = holder.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in cast("list[Any]", value)):
        raise _malformed(key)
    return cast("list[dict[str, Any]]", value)


def _strings(holder: Mapping[str, Any], key: str) -> list[str]:
    value: object = holder.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in cast("list[Any]", value)):
        raise _malformed(key)
    return cast("list[str]", value)


def _text(holder: Mapping[str, Any], key: str) -> str:
    value = holder.get(key) or ""
    if not isinstance(value, str):
        raise _malformed(key)
    return value


def _malformed(key: str) -> UnusableImageError:
    return UnusableImageError(
        f"The registry's description of the image is malformed: {key} is not what it must be."
    )
