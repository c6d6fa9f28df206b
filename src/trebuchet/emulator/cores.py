"""How processor cores are counted."""

from __future__ import annotations

THREADS_A_CORE = 2
"""Modal counts physical cores, each "2 vCPU equivalent" (https://modal.com/pricing): the kernel's threads."""
