"""Volumes and buckets of a sandbox, as the SDK wants them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import modal

from trebuchet.errors import UsageError

if TYPE_CHECKING:
    from trebuchet.engines.modal.connection import Connection
    from trebuchet.sandbox import BucketMount, SandboxSpec, VolumeMount

_BUCKET_KEYS = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"),
    "r2": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "gcs": ("GOOGLE_ACCESS_KEY_ID", "GOOGLE_ACCESS_KEY_SECRET"),
}
_NEEDED = 2
"""How many of a store's keys must be there; what follows them is taken along where it is set."""


def mounts(connection: Connection, spec: SandboxSpec) -> dict[str, modal.Volume | modal.CloudBucketMount]:
    """By place in the sandbox. A nameless volume is the sandbox's own disk: nothing is mounted for it.

    Raises:
        UsageError: The credentials of a bucket are not to be had.
    """
    found: dict[str, modal.Volume | modal.CloudBucketMount] = {}
    for mount in spec.volumes:
        if mount.name is not None:
            found[mount.path] = _volume(connection.volume(mount.name, many_writers=mount.many_writers), mount)
    for bucket in spec.buckets:
        found[bucket.path] = _bucket(connection, bucket)
    return found


def _volume(volume: modal.Volume, mount: VolumeMount) -> modal.Volume:
    if mount.sub_path is None and not mount.read_only:
        return volume
    return volume.with_mount_options(read_only=mount.read_only, sub_path=mount.sub_path)


def _bucket(connection: Connection, bucket: BucketMount) -> modal.CloudBucketMount:
    kept = connection.secret(bucket.secret) if bucket.secret else None
    return modal.CloudBucketMount(
        bucket_name=bucket.bucket,
        bucket_endpoint_url=_endpoint(bucket),
        key_prefix=bucket.prefix or None,
        secret=kept or modal.Secret.from_dict({**keys_of_caller(bucket)}),
        read_only=bucket.read_only,
    )


def _endpoint(bucket: BucketMount) -> str | None:
    if bucket.store == "s3":
        return None
    if bucket.store == "gcs":
        return "https://storage.googleapis.com"
    return f"https://{_cloudflare_account(bucket)}.r2.cloudflarestorage.com"


def _cloudflare_account(bucket: BucketMount) -> str:
    file = Path.home() / ".cloudflare" / "accountid"
    account = os.environ.get("CLOUDFLARE_ACCOUNT_ID") or (file.read_text().strip() if file.is_file() else "")
    if not account:
        raise UsageError(
            f"The bucket r2://{bucket.bucket} needs the id of its Cloudflare account.",
            hint="Set CLOUDFLARE_ACCOUNT_ID.",
        )
    return account


def keys_of_caller(bucket: BucketMount) -> dict[str, str]:
    """See `Engine.bucket_keys`."""
    names = _BUCKET_KEYS[bucket.store]
    missing = [name for name in names[:_NEEDED] if not os.environ.get(name)]
    if missing:
        raise UsageError(
            f"The bucket {bucket.bucket} needs {' and '.join(missing)} in the environment.",
            hint="`gs://` wants HMAC keys of Google Cloud Storage."
            if bucket.store == "gcs"
            else "Or name a secret of the control plane that holds them.",
        )
    return {name: os.environ[name] for name in names if os.environ.get(name)}
