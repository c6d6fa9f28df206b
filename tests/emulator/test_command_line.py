"""Modal's own command line, pointed at an engine: what looks up apps, containers and the token."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import modal

if TYPE_CHECKING:
    from support.engine import Engine


def run(engine: Engine, *words: str) -> str:
    """What a command prints, which must succeed."""
    variables = {
        "MODAL_SERVER_URL": engine.endpoint.url,
        "MODAL_TOKEN_ID": engine.endpoint.token_id,
        "MODAL_TOKEN_SECRET": engine.endpoint.token_secret,
    }
    ran = subprocess.run(
        [sys.executable, "-m", "modal", *words],
        env=os.environ | variables | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_it_tells_whose_the_token_is(engine: Engine) -> None:
    assert engine.endpoint.token_id in run(engine, "token", "info")


def test_it_stops_an_app_by_its_name(engine: Engine) -> None:
    name = f"app-{uuid.uuid4().hex[:8]}"
    app = modal.App.lookup(name, create_if_missing=True, client=engine.client)
    sandbox = engine.create("sleep", "300", app=app)
    run(engine, "app", "stop", name, "--yes")
    sandbox.wait(raise_on_termination=False)
    assert sandbox.returncode == 137


def test_it_lists_containers_shows_what_they_print_and_stops_one(engine: Engine) -> None:
    sandbox = engine.create("sh", "-c", "echo hello; sleep 300", gpu="H100")
    assert next(iter(sandbox.stdout)) == "hello\n"
    task_id = sandbox._get_task_id()
    assert task_id in run(engine, "container", "list", "--json", "--app-id", engine.app.app_id or "")
    assert run(engine, "container", "logs", task_id).strip() == "hello"
    run(engine, "container", "stop", task_id, "--yes")
    sandbox.wait(raise_on_termination=False)
    assert sandbox.returncode == 137
