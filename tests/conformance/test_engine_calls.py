"""How many calls things cost, by the local engine's own count."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING

import pytest

from trebuchet.emulator import daemon
from trebuchet.sandbox import ImageSpec, Upload, VolumeMount

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Bench

IMAGE = ImageSpec(commands=("echo 1 > /opt/one", "echo 2 > /opt/two"), variables={"B": "b"})


class Counter:
    """The calls since the last look."""

    def __init__(self, bench: Bench) -> None:
        endpoint = daemon.running(bench.settings.home / "local")
        assert endpoint is not None
        self._url = f"{endpoint.url}/_trebuchet/calls"
        self._headers = {"Authorization": f"Bearer {endpoint.token_secret}"}

    def forget(self) -> None:
        self._send("DELETE")

    def calls(self) -> dict[str, int]:
        found = json.loads(self._send("GET"))
        self.forget()
        return found

    def _send(self, method: str) -> bytes:
        request = urllib.request.Request(self._url, headers=self._headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return answer.read()


@pytest.fixture
def counter(own_bench: Bench) -> Counter:
    own_bench.output("true", image=IMAGE, volumes=(VolumeMount(name="cache", path="/cache"),))
    counter = Counter(own_bench)
    counter.forget()
    return counter


def test_a_warm_launch_is_one_call(own_bench: Bench, counter: Counter) -> None:
    own_bench.create(
        "true",
        image=IMAGE,
        env={"A": "b"},
        volumes=(VolumeMount(name="cache", path="/cache", sub_path="mine"),),
        tags={"mark": "warm"},
        name=f"warm-{own_bench.mark}",
    )

    assert counter.calls() == {"SandboxCreateV2": 1}


def test_a_warm_launch_with_a_gpu_is_three_calls(own_bench: Bench, counter: Counter) -> None:
    own_bench.create("true", image=IMAGE, env={"A": "b"}, gpu="H100")

    assert counter.calls() == {"SecretGetOrCreate": 1, "SandboxCreate": 1, "SandboxGetTaskId": 1}


def test_unchanged_files_cost_no_call(own_bench: Bench, counter: Counter, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("content")
    uploads = (Upload(source=tmp_path, target="/root/sky_workdir", role="workdir"),)
    own_bench.create("true", image=IMAGE, uploads=uploads)
    first = counter.calls()
    own_bench.create("true", image=IMAGE, uploads=uploads)

    assert counter.calls() == {"SandboxCreateV2": 1}
    assert first["ImageFromId"] == 1
    assert "ImageGetOrCreate" not in first


def test_polling_is_one_call(own_bench: Bench, counter: Counter) -> None:
    sandbox_id = own_bench.create("sleep", "100")
    counter.forget()
    own_bench.engine.poll(sandbox_id)
    assert counter.calls() == {"SandboxWaitV2": 1}


def test_polling_with_a_gpu_is_one_call_once_it_is_known_to_run(own_bench: Bench, counter: Counter) -> None:
    sandbox_id = own_bench.create("sleep", "100", gpu="H100")
    counter.forget()
    own_bench.engine.poll(sandbox_id)

    assert counter.calls() == {"SandboxWait": 1}


def test_a_list_is_its_pages_whatever_it_holds(own_bench: Bench, counter: Counter) -> None:
    for _ in range(5):
        own_bench.create("sleep", "100", tags={"mark": f"{own_bench.mark}l"})
    counter.forget()

    assert len(own_bench.engine.find({"mark": f"{own_bench.mark}l"})) == 5
    assert counter.calls() == {"SandboxListV2": 2}
