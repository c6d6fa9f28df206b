"""Real GPUs: two jobs on one device queue, each sees its own alone, and a CUDA program runs.

Skipped, and said so, where no driver finds a GPU.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from support.engine import Engine, local_engine, wait_until
from trebuchet.emulator import nvidia

if TYPE_CHECKING:
    from collections.abc import Iterator

# Through the driver's own library, so that no toolkit is needed: count the devices, a kernel writes numbers.
CUDA = r"""
import ctypes, os
cuda = ctypes.CDLL("libcuda.so.1")
def do(code):
    assert code == 0, f"CUDA error {code}"
count, device, context = ctypes.c_int(), ctypes.c_int(), ctypes.c_void_p()
do(cuda.cuInit(0))
do(cuda.cuDeviceGetCount(ctypes.byref(count)))
do(cuda.cuDeviceGet(ctypes.byref(device), 0))
do(cuda.cuCtxCreate_v2(ctypes.byref(context), 0, device))
ptx = b'''
.version 6.0
.target sm_50
.address_size 64
.visible .entry number(.param .u64 target)
{
    .reg .u64 %address, %offset;
    .reg .u32 %thread;
    ld.param.u64 %address, [target];
    cvta.to.global.u64 %address, %address;
    mov.u32 %thread, %tid.x;
    mul.wide.u32 %offset, %thread, 4;
    add.u64 %address, %address, %offset;
    st.global.u32 [%address], %thread;
    ret;
}
'''
module, function, memory = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint64()
do(cuda.cuModuleLoadData(ctypes.byref(module), ptx))
do(cuda.cuModuleGetFunction(ctypes.byref(function), module, b"number"))
do(cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(4 * 64)))
argument = (ctypes.c_void_p * 1)(ctypes.cast(ctypes.byref(memory), ctypes.c_void_p))
do(cuda.cuLaunchKernel(function, 1, 1, 1, 64, 1, 1, 0, None, argument, None))
do(cuda.cuCtxSynchronize())
numbers = (ctypes.c_uint32 * 64)()
do(cuda.cuMemcpyDtoH_v2(numbers, memory, ctypes.c_size_t(4 * 64)))
assert list(numbers) == list(range(64)), list(numbers)
nodes = sorted(name for name in os.listdir("/dev") if name.startswith("nvidia") and name[6:].isdigit())
print(count.value, len(nodes), os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
input()
"""


@pytest.fixture
def real(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    if not nvidia.devices():
        pytest.skip("no driver finds a GPU on this machine")
    monkeypatch.delenv("TREBUCHET_LOCAL_GPUS", raising=False)
    with local_engine(tmp_path_factory.mktemp("gpus")) as made:
        yield made


def test_jobs_queue_for_real_gpus_and_each_runs_a_cuda_program_on_its_own(real: Engine) -> None:
    devices = nvidia.devices()
    name = devices[0].name
    every = sum(1 for device in devices if device.name == name)
    holders = [real.create("python3", "-c", CUDA, gpu=name) for _ in range(every)]
    for holder in holders:
        assert next(iter(holder.stdout)) == "1 1 0\n"
    lent = [index for holder in holders for index in gpus_of(real, holder.object_id)]
    assert len(set(lent)) == every
    queued: list[Any] = []

    late = threading.Thread(target=lambda: queued.append(real.create("python3", "-c", CUDA, gpu=name)))
    late.start()
    wait_until(lambda: "1 of 1 GPU, 1st in the queue" in json.loads(real.ask("GET", "waiting")).values())
    holders[0].terminate()
    late.join(60)
    assert next(iter(queued[0].stdout)) == "1 1 0\n"


def gpus_of(engine: Engine, sandbox_id: str) -> list[int]:
    journal = engine.state / "sandboxes" / sandbox_id / "journal"
    return json.loads([line for line in journal.read_text().splitlines() if line][-1])["gpus"]
