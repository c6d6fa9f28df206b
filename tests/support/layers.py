"""Layers and images, made by hand."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
PLAIN = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
MTIME = 1_600_000_000


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Archive:
    """A tar archive that grows; nothing keeps it from being hostile."""

    _buffer: io.BytesIO = field(default_factory=io.BytesIO)

    def __post_init__(self) -> None:
        self._tar = tarfile.TarFile(fileobj=self._buffer, mode="w", format=tarfile.PAX_FORMAT)

    def add(
        self, name: str, content: bytes | None = None, *, kind: bytes = tarfile.REGTYPE, **facts: Any
    ) -> Archive:
        member = tarfile.TarInfo(name)
        member.type, member.mtime, member.mode = kind, MTIME, 0o644
        member.size = len(content or b"")
        for key, value in facts.items():
            setattr(member, key, value)
        self._tar.addfile(member, io.BytesIO(content) if content is not None else None)
        return self

    def folder(self, name: str, mode: int = 0o755, **facts: Any) -> Archive:
        return self.add(name, kind=tarfile.DIRTYPE, mode=mode, **facts)

    def symlink(self, name: str, target: str) -> Archive:
        return self.add(name, kind=tarfile.SYMTYPE, linkname=target)

    def hardlink(self, name: str, target: str) -> Archive:
        return self.add(name, kind=tarfile.LNKTYPE, linkname=target)

    def bytes(self) -> bytes:
        self._tar.close()
        return self._buffer.getvalue()


@dataclass(frozen=True)
class Layer:
    """An archive as it is pushed."""

    blob: bytes
    diff_id: str
    media_type: str

    @property
    def digest(self) -> str:
        return digest_of(self.blob)


def layer(archive: Archive, packing: str = GZIP) -> Layer:
    plain = archive.bytes()
    packed = {
        GZIP: lambda: gzip.compress(plain, mtime=0),
        ZSTD: lambda: zstd.compress(plain),
        PLAIN: lambda: plain,
    }[packing]()
    return Layer(packed, digest_of(plain), packing)


def config_of(layers: list[Layer], *, architecture: str = "amd64", **config: Any) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [one.diff_id for one in layers]}
    return json.dumps(
        {"os": "linux", "architecture": architecture, "config": config, "rootfs": rootfs}
    ).encode()


def manifest_of(config: bytes, layers: list[Layer]) -> bytes:
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
            "layers": [
                {"mediaType": one.media_type, "digest": one.digest, "size": len(one.blob)} for one in layers
            ],
        }
    ).encode()


def index_of(manifests: dict[str, bytes]) -> bytes:
    """An index of manifests by platform, `linux/arm/v7` or just `linux/arm64`."""
    entries = []
    for platform, content in manifests.items():
        system, architecture, *variant = platform.split("/")
        place = {"os": system, "architecture": architecture} | ({"variant": variant[0]} if variant else {})
        entries.append(
            {"mediaType": MANIFEST, "digest": digest_of(content), "size": len(content), "platform": place}
        )
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


_PROGRAMS = (
    "sh",
    "bash",
    "cat",
    "chmod",
    "chown",
    "env",
    "id",
    "ls",
    "mkdir",
    "mktemp",
    "rm",
    "sleep",
    "stat",
)


def shell_layer() -> Layer:
    """A small system: a shell and a few programs of this machine's, with the libraries they need."""
    archive = (
        Archive()
        .folder("bin")
        .folder("etc")
        .folder("tmp", mode=0o1777)
        .folder("usr")
        .folder("root", mode=0o700)
    )
    archive.add("etc/passwd", b"root:x:0:0::/root:/bin/sh\n").add("etc/made-in", b"test\n")
    wanted = {f"/bin/{name}": Path(shutil.which(name) or f"/bin/{name}").resolve() for name in _PROGRAMS}
    for program in list(wanted.values()):
        said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        for word in said.split():
            if word.startswith("/"):
                wanted[word] = Path(word).resolve()
    for target, source in wanted.items():
        archive.add(target[1:], source.read_bytes(), mode=0o755)
    return layer(archive)
