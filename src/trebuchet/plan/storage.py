"""Buckets and volumes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from trebuchet.errors import shown
from trebuchet.plan.places import PlaceError, filled, keep_out_of_system, place
from trebuchet.sandbox import BucketMount, VolumeMount

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trebuchet.job import JobConfig, StorageMount
    from trebuchet.plan.findings import Findings

_STORES = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "r2": "r2"}
_BUCKET_URL = re.compile(r"(s3|gs|r2)://([^/]*)/?(.*)", re.DOTALL)
_OTHER_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_VOLUME_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BUCKET_NAME = re.compile(r"[A-Za-z0-9._-]{3,222}")
_FILE_SUFFIXES = frozenset(
    {
        ".bin", ".bz2", ".csv", ".gguf", ".gz", ".h5", ".hdf5", ".ipynb", ".jpeg", ".jpg", ".json",
        ".jsonl", ".md", ".mp4", ".npy", ".npz", ".onnx", ".parquet", ".pkl", ".png", ".pt", ".pth", ".py",
        ".safetensors", ".sh", ".tar", ".tfrecord", ".tgz", ".toml", ".tsv", ".txt", ".whl", ".xz", ".yaml",
        ".yml", ".zip", ".zst",
    }
)  # fmt: skip
_MODES = {
    "COPY": "it is mounted read-only rather than copied: what is there is read when it is needed",
    "MOUNT_CACHED": "it is mounted without a cache of its own",
}


class Storage:
    """Collects the mounts of a job, each at a place of its own.

    Attributes:
        volumes: Those found.
        buckets: Those found.
        places: Field to the place that it fills.

    Args:
        job: Whose they are.
        variables: What fills the `$NAME`s.
        cloud: Where the job runs.
        findings: Takes what is said about them.
    """

    def __init__(self, job: JobConfig, variables: Mapping[str, str], cloud: str, findings: Findings) -> None:
        self.volumes: list[VolumeMount] = []
        self.buckets: list[BucketMount] = []
        self.places: dict[str, str] = {}
        self._taken: set[str] = set()
        self._named: set[str | None] = set()
        self._job = job
        self._variables = variables
        self._cloud = cloud
        self._findings = findings

    def collect(self) -> None:
        """Look at `storage_mounts` and `volumes`."""
        self._findings.known("storage_mounts", "volumes")
        for target, mount in self._job.storage_mounts.items():
            self._each(f"storage_mounts.{target}", target, mount)
        for target, volume in self._job.volumes.items():
            self._each(f"volumes.{target}", target, volume)

    def _each(self, field: str, target: str, what: StorageMount | str | Mapping[str, Any] | None) -> None:
        self._findings.translated(field)
        try:
            where = self.places[field] = self._free_place(target)
            if field.startswith("storage_mounts"):
                self._storage_mount(field, where, self._filled(cast("StorageMount", what)))
            else:
                self._volume(field, where, cast("str | Mapping[str, Any] | None", what))
        except PlaceError as error:
            self._findings.refused(field, f"{error}", error.hint)

    def _free_place(self, target: str) -> str:
        where = place(target, self._variables).rstrip("/") or "/"
        keep_out_of_system(where, mounted=True)
        if where in self._taken:
            raise PlaceError(f"something else is mounted at {where} already")
        self._taken.add(where)
        return where

    def _filled(self, mount: StorageMount) -> StorageMount:
        """The mount with its variables replaced; SkyPilot does so in whatever stands under `file_mounts`."""
        texts = {"source": mount.source, "name": mount.name, "store": mount.store, "mode": mount.mode}
        given = {name: text.strip() for name, text in texts.items() if text is not None}
        return replace(mount, **{name: filled(text, self._variables) for name, text in given.items()})

    def _storage_mount(self, field: str, where: str, mount: StorageMount) -> None:
        if mount.source is None:
            self._named_only(field, where, mount)
            return
        source = mount.source
        match = _BUCKET_URL.fullmatch(source)
        if match is None:
            raise _no_bucket(source)
        if self._cloud != "modal":
            raise PlaceError(
                f"{source} is a bucket, which the local engine cannot mount", "run it with --cloud modal"
            )
        if mount.store and _STORES.get(mount.store.lower()) != _STORES[match[1]]:
            raise PlaceError(f"its store is {mount.store}, and its source lies elsewhere", "leave store out")
        mode = _mode(mount)
        if mode in _MODES:
            self._findings.noted(field, "is mounted", _MODES[mode])
        if mount.name is not None:
            self._findings.noted(f"{field}.name", "is not used", "the source names the bucket")
        if mount.persistent is False:
            self._findings.noted(f"{field}.persistent", "is not used", "a bucket is never deleted")
        read_only = self._read_only(field, mount)
        bucket = _bucket(match, where, read_only=read_only or mode == "COPY")
        if bucket.store == "gcs" and mount.secret is None:
            keys = "GOOGLE_ACCESS_KEY_ID and GOOGLE_ACCESS_KEY_SECRET"
            self._findings.noted(
                field, f"needs HMAC keys in {keys}", "buckets of Google's are reached with these alone"
            )
        self.buckets.append(replace(bucket, secret=mount.secret))

    def _named_only(self, field: str, where: str, mount: StorageMount) -> None:
        if mount.name is None:
            raise PlaceError("neither a source nor a name is given", "write source: s3://… or name: …")
        if mount.store and mount.store.lower() not in _STORES:
            raise PlaceError(
                f"a bucket of {mount.store} cannot be made or mounted",
                "leave store out, for a Volume of that name",
            )
        name, read_only = _volume_name(mount.name), self._read_only(field, mount)
        self._findings.translated(f"{field}.mode")
        if _mode(mount) in _MODES:
            self._findings.noted(f"{field}.mode", "is not used", "what a name alone stands for is mounted")
        if mount.secret is not None:
            self._findings.noted(f"{field}.secret", "is not used", "only a bucket needs credentials")
        if mount.persistent is False:
            self._findings.noted(field, "becomes scratch space of the sandbox", "it need not outlive the job")
            self.volumes.append(VolumeMount(name=None, path=where))
            return
        store = f"; no bucket of {mount.store} is touched" if mount.store else ""
        self._findings.noted(
            field, f"becomes the Volume {name}", f"a name alone is storage that outlives the job{store}"
        )
        self._add_volume(VolumeMount(name=name, path=where, read_only=read_only))

    def _read_only(self, field: str, mount: StorageMount) -> bool:
        """Whether the mount's settings forbid writing; what else they say is not used."""
        found = False
        for way, settings in (mount.config or {}).items():
            named = cast("Mapping[str, Any]", settings) if isinstance(settings, dict) else {"": settings}
            for name, value in named.items():
                key = f"{field}.config.{way}.{name}".rstrip(".")
                if name == "read_only" and isinstance(value, bool):
                    found = found or value
                    self._findings.translated(key)
                else:
                    self._findings.noted(key, "is not used", "it tunes a mount of another launcher")
        return found

    def _volume(self, field: str, where: str, volume: str | Mapping[str, Any] | None) -> None:
        details: Mapping[str, Any] = {"name": volume} if isinstance(volume, str) else (volume or {})
        for other in ("type", "labels", "config"):
            if details.get(other) is not None:
                self._findings.noted(f"{field}.{other}", "is not used", "Volumes are of one kind")
        name, sub_path = details.get("name"), details.get("sub_path")
        if name is None and details.get("size") is None:
            raise PlaceError("no volume is named", "write a name, or {name: …, sub_path: …}")
        if name is None:
            self._findings.noted(
                field, "becomes scratch space of the sandbox", "a size alone is not kept after the job"
            )
            self.volumes.append(VolumeMount(name=None, path=where))
            return
        if details.get("size") is not None:
            self._findings.noted(f"{field}.size", "is not used", "a Volume grows as it is filled")
        name = _volume_name(filled(str(name).strip(), self._variables))
        self._add_volume(VolumeMount(name=name, path=where, sub_path=_sub_path(sub_path, self._variables)))

    def _add_volume(self, volume: VolumeMount) -> None:
        if volume.name in self._named:
            raise PlaceError(f"the Volume {volume.name} is mounted at another place already", "mount it once")
        self._named.add(volume.name)
        self.volumes.append(volume)


def _mode(mount: StorageMount) -> str:
    mode = (mount.mode or "MOUNT").upper()
    if mode != "MOUNT" and mode not in _MODES:
        raise PlaceError(f"mode {shown(mount.mode)} is not known", "write MOUNT, COPY or MOUNT_CACHED")
    return mode


def _volume_name(name: str) -> str:
    if not _VOLUME_NAME.fullmatch(name):
        raise PlaceError(f"{shown(name)} is no name for a Volume", "up to 64 of A-Z, a-z, 0-9, '.', '_', '-'")
    return name


def _sub_path(text: str | None, variables: Mapping[str, str]) -> str | None:
    if text is None:
        return None
    path = PurePosixPath(filled(text, variables))
    if not path.parts or ".." in path.parts:
        raise PlaceError(f"sub_path {shown(text)} is no folder of the Volume")
    return str(path).lstrip("/")


def _no_bucket(source: str) -> PlaceError:
    if other := _OTHER_URL.match(source):
        return PlaceError(f"storage of {other[1]}:// cannot be mounted", "s3://, gs:// and r2:// can")
    if not source:
        return PlaceError("its source is empty", "write s3://…, gs://… or r2://…")
    return PlaceError(
        "local files cannot be sent to a bucket", "send them to the sandbox: file_mounts: {PLACE: LOCAL_PATH}"
    )


def _bucket(match: re.Match[str], where: str, *, read_only: bool) -> BucketMount:
    scheme, name, prefix = match.groups()
    if not _BUCKET_NAME.fullmatch(name):
        raise PlaceError(
            f"{shown(name)} is no name of a bucket", f"write {scheme}://BUCKET or {scheme}://BUCKET/FOLDER/"
        )
    if not prefix.endswith("/") and PurePosixPath(prefix).suffix.lower() in _FILE_SUFFIXES:
        raise PlaceError(
            f"{scheme}://{name}/{prefix} looks like a single object, and folders are mounted",
            f"mount {scheme}://{name}/{_parent(prefix)}",
        )
    folder = "/".join(part for part in prefix.split("/") if part)
    return BucketMount(
        store=cast("Any", _STORES[scheme]),
        bucket=name,
        prefix=f"{folder}/" if folder else "",
        path=where,
        read_only=read_only,
    )


def _parent(prefix: str) -> str:
    parent = prefix.rpartition("/")[0]
    return f"{parent}/" if parent else ""
