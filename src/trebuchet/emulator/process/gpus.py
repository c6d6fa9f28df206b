"""How a sandbox sees the GPUs that it was given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.emulator.process.spec import Bind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SHARED_NODES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia-caps")


def gpu_variables(gpus: Sequence[int], *, renumbered: bool) -> dict[str, str]:
    """The variables that NVIDIA's libraries read.

    Args:
        gpus: Host indices.
        renumbered: Whether the sandbox has the device nodes of these alone; CUDA then counts them from 0.
    """
    if not gpus:
        return {"CUDA_VISIBLE_DEVICES": "", "NVIDIA_VISIBLE_DEVICES": "void"}
    seen = range(len(gpus)) if renumbered else gpus
    # The driver counts by bus; in CUDA's own order, the fastest first, a number may mean another one.
    return {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(map(str, seen)),
        "NVIDIA_VISIBLE_DEVICES": ",".join(map(str, gpus)),
    }


def device_nodes(minors: Sequence[int], devices: Path = Path("/dev")) -> Iterator[Bind]:
    """The device nodes of the GPUs with these numbers, as far as they exist, and those that all share."""
    own = [devices / f"nvidia{minor}" for minor in minors if (devices / f"nvidia{minor}").exists()]
    if not own:
        return
    for node in (*own, *(devices / name for name in _SHARED_NODES)):
        if node.exists():
            yield Bind(source=node, target=f"/dev/{node.name}", read_only=False)
