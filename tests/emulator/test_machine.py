"""What the driver calls a GPU, in Modal's spelling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trebuchet.emulator.machine import real_gpus

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("listed", "known_as"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA A100 80GB PCIe", "A100-80GB"),
        ("NVIDIA A100-SXM4-40GB", "A100"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("Tesla T4", "T4"),
    ],
)
def test_a_gpu_is_known_by_its_name_and_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str, known_as: str
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{listed}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert real_gpus() == [known_as]
