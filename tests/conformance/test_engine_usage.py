"""What a running sandbox takes, as the engine and as its own files tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trebuchet.engines.base import GpuUsage
from trebuchet.engines.modal import SdkEngine

if TYPE_CHECKING:
    from conftest import Bench
    from trebuchet.engines.base import Usage

BUSY = "python3 -c 'held = bytearray(100_000_000)\nprint(1, flush=True)\nwhile True: pass'"


@pytest.mark.parametrize("inside", [False, True])
def test_processors_and_memory(bench: Bench, inside: bool) -> None:
    sandbox = bench.shell(BUSY)
    bench.until(lambda: any(bench.engine.logs(sandbox)), "output")

    def read() -> Usage | None:
        # On any cloud it can be read inside; the local engine has a shorter way.
        return SdkEngine.usage(bench.engine, sandbox) if inside else bench.engine.usage(sandbox)

    first = read()
    assert first is not None
    assert 100e6 < first.memory < 1e9

    def has_worked() -> bool:
        now = read()
        return now is not None and now.at > first.at and now.cpu_s >= first.cpu_s + 0.1

    bench.until(has_worked, "work")


def test_gpus_are_read_where_the_tool_for_it_is(bench: Bench) -> None:
    if bench.cloud != "local":
        pytest.skip("A GPU costs money.")
    sandbox = bench.shell("sleep 60", gpu="H100")
    assert bench.engine.gpu_usage(sandbox) is None
    tool = "printf '#!/bin/sh\\necho 40, 100, 1000\\n' > /usr/bin/nvidia-smi; chmod +x /usr/bin/nvidia-smi"
    assert bench.engine.exec(sandbox, ("sh", "-c", tool)) == 0
    assert bench.engine.gpu_usage(sandbox) == GpuUsage(busy=0.4, memory=100 << 20, memory_size=1000 << 20)


def test_of_one_that_has_ended_nothing_is_known(bench: Bench) -> None:
    sandbox = bench.shell("true")
    bench.wait(sandbox)
    if bench.cloud == "local":
        assert bench.engine.usage(sandbox) is None
