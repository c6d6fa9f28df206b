"""The official JavaScript SDK against the engine: what a program in that language does first."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from trebuchet.emulator.endpoint import exclusive_lock

if TYPE_CHECKING:
    from support.engine import Engine

SCRIPTS = Path(__file__).parent / "javascript"
PACKAGE = "modal@0.11.1"
INSTALL_S = 90
RUN_S = 60


@pytest.fixture(scope="session")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which programs find the SDK; installed once for all workers of a run."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("there is no node with npm here")
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "javascript-sdk"
    folder.mkdir(exist_ok=True)
    with exclusive_lock(folder / "lock"):
        if not (folder / "node_modules" / "modal").is_dir():
            _install(folder)
    for script in SCRIPTS.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def _install(folder: Path) -> None:
    (folder / "package.json").write_text('{"private": true}')
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=True)
    except subprocess.SubprocessError as error:
        shutil.rmtree(folder / "node_modules", ignore_errors=True)
        said = getattr(error, "stderr", None) or str(error)
        pytest.skip(f"npm does not get {PACKAGE} here: {said[-300:]}")


@pytest.fixture(scope="session")
def image_id(engine: Engine) -> str:
    """Modal's own Debian image, which this SDK can name by its id alone."""
    image = engine.image.build(engine.app)
    return image.object_id


def run(engine: Engine, sdk: Path, script: str, *arguments: str) -> Any:
    """What a program told."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MODAL_")}
    told = {
        "MODAL_SERVER_URL": engine.endpoint.url,
        "MODAL_TOKEN_ID": engine.endpoint.token_id,
        "MODAL_TOKEN_SECRET": engine.endpoint.token_secret,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
    ran = subprocess.run(
        ["node", script, *arguments],
        cwd=sdk,
        env=env | told,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("options", [[], ["H100"]], ids=["v2", "v1"])
def test_the_main_path(engine: Engine, sdk: Path, image_id: str, options: list[str]) -> None:
    said = run(engine, sdk, "main_path.mjs", image_id, *options)
    assert said["command"] == {"output": "from env and more /tmp\nfed", "code": 3}
    assert (said["file"], said["files"]) == ("some words", ["words"])
    assert said["listed"] == [said["id"]]
    assert said["named"] == said["id"]
    assert list(said["tags"]) == ["mark"]
    assert (said["stdout"], said["stderr"]) == ("out from env\ntyped", "err\n")
    assert said["code"] == 7
    assert (said["before"], said["after"]) == (None, 137)


def test_each_failure_has_its_own_error(engine: Engine, sdk: Path, image_id: str) -> None:
    assert run(engine, sdk, "errors.mjs", image_id) == {
        "app": "NotFoundError",
        "image": "NotFoundError",
        "name": "NotFoundError",
        "taken": "AlreadyExistsError",
        "volume": "NotFoundError",
        "secret": "NotFoundError",
        "file": "SandboxFilesystemNotFoundError",
    }


def test_probes_volumes_tunnels_tokens_and_snapshots(engine: Engine, sdk: Path, image_id: str) -> None:
    assert run(engine, sdk, "more.mjs", image_id) == {
        "tunnels": ["8000"],
        "tags": {"later": "yes"},
        "written": 0,
        "token": ["string", "string"],
        "ended": 137,
        "next": "kept\non volume\n",
    }
