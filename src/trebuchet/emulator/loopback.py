"""Where the engine, and what its sandboxes serve, answers: this machine alone."""

from __future__ import annotations

LOOPBACK = "127.0.0.1"
LOOPBACK_NAMES = (LOOPBACK, "localhost")
"""What programs call it: none of these is to be asked of a proxy."""
