"""Sandboxes on images from a registry, through the official SDK."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modal
import pytest
from modal.exception import ImageBuildError

from support.layers import Archive, layer, shell_layer
from support.registries import PROGRAM, WHY_NOT, Gate, Registry, run_registry
from trebuchet.emulator import daemon

if TYPE_CHECKING:
    from support.engine import Engine

MIB = 1 << 20
DAY_S = 86_400.0
PASSWORD_HASH = "$2y$05$jotl5gjLDewBjU/GZVrAm.mucLYhtRAkw9EkGOkvYAUOOujz97yoq"


def from_registry(ref: str, **options: Any) -> modal.Image:
    return modal.Image.from_registry(ref, **options)


@pytest.fixture(scope="session")
def system(registry: Registry) -> str:
    """An image with a shell, and everything that an image can say about its processes."""
    above = Archive().add("top.txt", b"top\n").add("etc/.wh.made-in", b"").folder("app")
    above.add("app/hello", b"#!/bin/sh\necho hello $NAME\n", mode=0o755)
    config = {"Env": ["NAME=world", "PATH=/app:/bin"], "WorkingDir": "/app"}
    return registry.push("system", [shell_layer(), layer(above)], **config)


def test_a_sandbox_runs_on_the_images_own_files(engine: Engine, system: str) -> None:
    code, output = engine.run(
        "sh", "-c", "hello; pwd; cat /top.txt; ls /etc/made-in /usr/bin/python3", image=from_registry(system)
    )
    assert code != 0  # by ls, which finds neither
    assert output == "hello world\n/app\ntop\n"


def test_what_a_job_changes_stays_its_own(engine: Engine, system: str) -> None:
    image = from_registry(system)
    script = "rm -r /app/hello /etc/passwd && echo x > /app/new && mkdir /elsewhere && ls /app /elsewhere"
    assert engine.run("sh", "-c", script, image=image) == (0, "/app:\nnew\n\n/elsewhere:\n")
    assert engine.run("ls", "/app", image=image) == (0, "hello\n")


def test_the_job_finds_the_hosts_name_servers(engine: Engine, system: str) -> None:
    script = "cat /etc/resolv.conf; stat -c %a /tmp /root; echo $HOME; id -u"
    expected = Path("/etc/resolv.conf").read_text() + "1777\n700\n/root\n0\n"
    assert engine.run("sh", "-c", script, image=from_registry(system)) == (0, expected)


def test_settings_of_the_sdk_go_on_top_of_the_images(engine: Engine, system: str) -> None:
    image = from_registry(system).env({"NAME": "you $PATH"}).workdir("/made/here")
    assert engine.run("sh", "-c", "/app/hello; pwd", image=image) == (0, "hello you $PATH\n/made/here\n")
    assert engine.run("sh", "-c", "/app/hello", image=image, env={"NAME": "me"}) == (0, "hello me\n")


def test_an_entry_point_stands_before_the_command_unless_it_is_taken_away(
    engine: Engine, registry: Registry
) -> None:
    ref = registry.push("entry", [shell_layer()], Entrypoint=["sh", "-c", 'echo "($@)"', "sh"])
    assert engine.run("a", "b c", image=from_registry(ref)) == (0, "(a b c)\n")
    assert engine.run("sh", "-c", "echo plain", image=from_registry(ref).entrypoint([])) == (0, "plain\n")


def test_commands_run_on_top_and_are_kept_by_content(engine: Engine, registry: Registry, system: str) -> None:
    image = from_registry(system)
    image = image.run_commands("echo made by $NAME > /app/made; rm /app/hello")
    image = image.run_commands("mkdir /stamp; cat /proc/sys/kernel/random/uuid > /stamp/at")
    code, first = engine.run("sh", "-c", "cat /app/made; ls /app; cat /stamp/at", image=image)
    assert (code, first.splitlines()[:2]) == (0, ["made by world", "made"])
    assert engine.run("sh", "-c", "cat /app/made; ls /app; cat /stamp/at", image=image) == (0, first)
    # Another image, since its last layer is another, takes the same layers below.
    longer = image.env({"MORE": "1"}).run_commands("echo $MORE > /app/more")
    assert engine.run("sh", "-c", "cat /stamp/at /app/more", image=longer)[1].endswith("\n1\n")
    assert engine.run("ls", "/app", image=from_registry(system)) == (0, "hello\n")


def test_a_command_that_fails_fails_the_build_and_shows_why(engine: Engine, system: str) -> None:
    image = from_registry(system).run_commands("echo before; echo oh no >&2; exit 7")
    with pytest.raises(ImageBuildError, match="ended with code 7"):
        image.build(engine.app)
    assert "before\noh no\n" in build_output(engine, image)


def build_output(engine: Engine, image: modal.Image) -> str:
    """What was kept of a build's output, asked for as another program would."""
    from trebuchet.emulator.disk import read_json

    (log,) = [
        path
        for path in (engine.state / "builds").glob("*.log")
        if "code 7" in str((read_json(path.with_suffix(".json")) or {}).get("failure"))
    ]
    return log.read_text()


def test_local_files_are_copied_in(engine: Engine, system: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine\n")
    image = from_registry(system).add_local_file(tmp_path / "file", "/app/copied", copy=True)
    image = image.run_commands("cat /app/copied /app/copied > /app/twice")
    image = image.add_local_file(tmp_path / "file", "/late")
    assert engine.run("cat", "/app/twice", "/late", image=image) == (0, "mine\n" * 3)


def test_an_image_that_is_not_there_fails_the_build_with_a_sentence(
    engine: Engine, registry: Registry
) -> None:
    with pytest.raises(ImageBuildError, match=f"There is no image {registry.host}/nowhere:latest"):
        from_registry(f"{registry.host}/nowhere").build(engine.app)


def test_python_cannot_be_added_here(engine: Engine, system: str) -> None:
    with pytest.raises(ImageBuildError, match="add_python"):
        from_registry(system, add_python="3.12").build(engine.app)


def test_a_private_image_is_pulled_with_a_secret(engine: Engine, tmp_path: Path) -> None:
    if PROGRAM is None:
        pytest.skip(WHY_NOT)
    with run_registry(tmp_path, login=("me", "s3cret"), htpasswd=f"me:{PASSWORD_HASH}\n") as private:
        ref = private.push("private", [shell_layer()])
        with pytest.raises(ImageBuildError, match="does not give"):
            from_registry(ref).build(engine.app)
        login = modal.Secret.from_dict({"REGISTRY_USERNAME": "me", "REGISTRY_PASSWORD": "s3cret"})
        image = from_registry(ref, secret=login)
        assert engine.run("cat", "/etc/made-in", image=image) == (0, "test\n")
    for parent, folders, files in os.walk(engine.state):
        folders[:] = [name for name in folders if name not in {"secrets", "sandboxes"}]
        for name in files:
            path = Path(parent) / name
            assert not path.is_file() or b"s3cret" not in path.read_bytes(), name


def test_a_build_goes_on_after_the_daemons_death(own_engine: Engine, registry: Registry) -> None:
    name = registry.push("slow", [shell_layer()]).partition("/")[2]
    with Gate(registry.port, hold_after=MIB) as gate:
        image = from_registry(f"127.0.0.1:{gate.port}/{name}")
        failed: list[Exception] = []

        def build() -> None:
            try:
                image.build(own_engine.app)
            except Exception as error:  # noqa: BLE001 - a daemon that dies may break a call anyhow
                failed.append(error)

        thread = threading.Thread(target=build)
        thread.start()
        deadline = time.monotonic() + 30
        while not any(part.stat().st_size for part in own_engine.state.glob("registry/blobs/*.partial")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        own_engine.kill()
        gate.hold.set()
        own_engine.start()
        thread.join(60)
        image = from_registry(f"127.0.0.1:{gate.port}/{name}")
        assert own_engine.run("cat", "/etc/made-in", image=image) == (0, "test\n")
    assert any("bytes=" in ask for ask in gate.requests)


def test_no_program_is_placed_outside_of_an_image(own_engine: Engine, system: str, tmp_path: Path) -> None:
    command = f"COPY --from=ghcr.io/astral-sh/uv:latest /uv /../../../../../..{tmp_path}/planted"
    image = from_registry(system).dockerfile_commands([command])
    with pytest.raises(ImageBuildError):
        own_engine.run("true", image=image)
    assert not (tmp_path / "planted").exists()


def test_a_pulled_image_goes_when_unwanted_and_is_pulled_again(own_engine: Engine, system: str) -> None:
    def reclaimable() -> dict[str, int]:
        return sizes(daemon.reclaimable(own_engine.endpoint, older_than_s=DAY_S, volumes=False))

    def reclaim() -> dict[str, int]:
        return sizes(daemon.reclaim(own_engine.endpoint, older_than_s=DAY_S, volumes=False))

    def sizes(found: list[dict[str, object]]) -> dict[str, int]:
        return {str(one["kind"]): int(str(one["size"])) for one in found}

    image = from_registry(system)
    live = own_engine.create("sh", "-c", "hello; sleep 300", image=image)
    assert next(iter(live.stdout)) == "hello world\n"
    own_engine.kill()
    for record in own_engine.state.glob("builds/*.json"):
        record.write_text(json.dumps(json.loads(record.read_text()) | {"built_at": 1.0}))
    own_engine.start()
    kept = reclaim()
    assert "image" not in kept
    assert kept.get("unpacked", 0) < 100_000  # notes on its layers
    assert live.exec("hello").stdout.read() == "hello world\n"
    live.terminate()
    live.wait(raise_on_termination=False)

    assert reclaimable()["unpacked"] > 500_000
    assert reclaim().keys() >= {"image", "unpacked"}
    assert not list(own_engine.state.glob("registry/roots/*"))
    assert not list(own_engine.state.glob("registry/layers/*"))
    assert reclaimable().keys() & {"image", "unpacked"} == set()
    assert own_engine.run("hello", image=from_registry(system)) == (0, "hello world\n")
