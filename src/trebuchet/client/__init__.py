"""The primitives on one cloud: launch a job, look it up, end it, read its output."""

from __future__ import annotations

from trebuchet.client.client import Client, LocalClient, ModalClient
from trebuchet.client.log_stream import ModalLogStream

__all__ = ["Client", "LocalClient", "ModalClient", "ModalLogStream"]
