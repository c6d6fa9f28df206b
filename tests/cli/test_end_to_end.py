"""A job's whole life as its owner sees it: launched, left by a killed client, followed, and used."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TRAIN = """
import json, os, random, time
random.seed(7)
points = [(random.uniform(-1, 1), random.uniform(-1, 1)) for _ in range(400)]
labels = [1 if 2 * x - y > 0.1 else -1 for x, y in points]
w = [0.0, 0.0, 0.0]
for epoch in range(12):
    wrong = 0
    for (x, y), label in zip(points, labels):
        if label * (w[0] * x + w[1] * y + w[2]) <= 0:
            w = [w[0] + label * x, w[1] + label * y, w[2] + label]
            wrong += 1
    print(f"epoch {epoch}: {wrong} wrong", flush=True)
    time.sleep(0.25)
with open(os.environ["TREBUCHET_OUTPUTS"] + "/model.json", "w") as file:
    json.dump(w, file)
"""


@pytest.mark.usefixtures("home")
def test_a_model_trained_by_a_launch_whose_client_was_killed_comes_home_and_predicts(
    tmp_path: Path, start: Callable[..., Any], trebuchet: Callable[..., Any], job_file: Callable[..., str]
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/train.py").write_text(TRAIN)
    job = job_file("python train.py", working_dir=str(tmp_path / "code"))
    label = f"end-to-end-{uuid.uuid4().hex[:8]}"

    client = start("up", job, "-c", label)
    assert client.stdout.readline().startswith("epoch 0")
    client.kill()
    client.communicate()

    followed = trebuchet("logs", "-f", label)
    assert followed.code == 0, followed.err
    assert [line.split(":")[0] for line in followed.out.splitlines()] == [f"epoch {n}" for n in range(12)]
    ended = trebuchet("status", label, "--json").json
    assert [(one["state"], one["exit_code"], one["attempt"]) for one in ended] == [("SUCCEEDED", 0, 1)]

    assert trebuchet("pull", label, "model.json", "model.json").code == 0
    w = json.loads((tmp_path / "model.json").read_text())
    unseen = [(0.9, -0.5), (-0.9, 0.5), (0.5, -0.9), (-0.5, 0.9)]
    assert [w[0] * x + w[1] * y + w[2] > 0 for x, y in unseen] == [True, False, True, False]
