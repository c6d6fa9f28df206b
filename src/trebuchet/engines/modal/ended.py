"""Handles of sandboxes that were just seen to have ended."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import modal

_KEPT = 64


class Ended:
    """Whoever learns of an end asks for the last words next, and need not look the sandbox up once more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handles: dict[str, modal.Sandbox] = {}

    def keep(self, sandbox: modal.Sandbox) -> None:
        with self._lock:
            self._handles[sandbox.object_id] = sandbox
            while len(self._handles) > _KEPT:
                del self._handles[next(iter(self._handles))]

    def take(self, sandbox_id: str) -> modal.Sandbox | None:
        with self._lock:
            return self._handles.pop(sandbox_id, None)
