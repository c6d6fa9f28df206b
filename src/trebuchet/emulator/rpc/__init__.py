"""The two gRPC services: each handler unpacks a request, calls the world, and packs the answer."""

from __future__ import annotations

import importlib

HANDLERS = (
    "session", "apps", "images", "secrets", "mounts", "volumes", "sandboxes", "logs", "router", "files",
    "billing", "lookups",
)  # fmt: skip


def load() -> None:
    """Register every handler."""
    for name in HANDLERS:
        importlib.import_module(f"{__name__}.{name}")
