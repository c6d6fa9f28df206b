"""Limits against carelessness, which every sandbox has whether it asked for any or not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one sandbox may take.

    Attributes:
        log_bytes: Output that is kept of one process; a notice in the log says where it stopped.
        processes: How many at a time; one that has more is ended.
        open_files: How many a process may have open.
        disk_bytes: What it may have written, volumes aside; one that has more is ended.
        keep_free_bytes: What is to stay free where the state lies; one that writes on beyond it is ended.
    """

    log_bytes: int = 8 << 30
    processes: int = 4096
    open_files: int = 65_536
    disk_bytes: int = 512 << 30
    keep_free_bytes: int = 1 << 30
