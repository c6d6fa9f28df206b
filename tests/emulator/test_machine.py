"""What the driver calls a GPU, in Modal's spelling."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING

import pytest

from trebuchet.emulator import nvidia
from trebuchet.emulator.nvidia import Device

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
        ("NVIDIA GeForce RTX 4090", "RTX4090"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX-PRO-6000"),
        ("Quadro P2000", "QUADRO-P2000"),
    ],
)
def test_a_gpu_is_known_by_its_name_and_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str, known_as: str
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{listed}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert nvidia.from_tool() == [Device(name=known_as, minor=0)]


def test_the_driver_tells_names_and_device_nodes_whatever_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class NVMLError(Exception):
        pass

    names = [b"NVIDIA H100 80GB HBM3", "NVIDIA GeForce RTX 4090"]

    def minor_of(index: int) -> int:
        if index == 1:
            raise NVMLError
        return 5

    library = types.SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda index: names[index],
        nvmlDeviceGetMinorNumber=minor_of,
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)  # the library without a driver says nothing at all
    assert nvidia.from_library() == [Device(name="H100", minor=5), Device(name="RTX4090", minor=1)]


def test_without_a_driver_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "_CONTROL_NODE", tmp_path / "nvidiactl")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvidia.devices() == []


def test_a_driver_that_does_not_answer_leaves_it_to_the_tool() -> None:
    if nvidia._CONTROL_NODE.exists():
        pytest.skip("there is a driver here")
    assert nvidia.from_library() is None
