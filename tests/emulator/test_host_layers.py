"""Layers on Modal's own base image, whose part the host's system takes here: built, once for each content."""

from __future__ import annotations

import asyncio
import errno
import shutil
import subprocess
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import ImageBuildError

from support.engine import Engine, connect, local_engine
from trebuchet.emulator.embedded import EmbeddedEngine
from trebuchet.emulator.process.host import ProcessHost
from trebuchet.emulator.process.isolation import Isolation, find_isolation
from trebuchet.emulator.world.build_log import BuildLog
from trebuchet.emulator.world.builder import Builder
from trebuchet.emulator.world.content import Content
from trebuchet.emulator.world.images import Image, Images
from trebuchet.emulator.world.mounts import Mounts
from trebuchet.emulator.world.recipe import Manner
from trebuchet.emulator.world.secrets import Secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trebuchet.emulator.process.spec import ProcessSpec

STAMP = "cat /proc/sys/kernel/random/uuid > /opt/stamp"


def base() -> modal.Image:
    return modal.Image.debian_slim()


def test_the_base_alone_is_there_at_once(engine: Engine) -> None:
    engine.clear_calls()
    image = base().env({"A": "1"}).workdir("/srv").build(engine.app)
    assert "ImageJoinStreaming" not in engine.calls()
    assert not list((engine.state / "builds").glob(f"{image.object_id}*"))


def test_commands_change_the_hosts_files_for_their_image_alone(engine: Engine) -> None:
    image = base().run_commands(
        "test -x /usr/bin/env && rm /usr/bin/env",
        "mkdir -p /data/deep /opt/mine; echo below > /data/deep/file",
        "echo top > /top.txt; id -u > /opt/mine/who",
    )
    look = "ls /usr/bin/env; cat /data/deep/file /top.txt /opt/mine/who"
    assert engine.run("sh", "-c", look, image=image)[1] == "below\ntop\n0\n"
    _, elsewhere = engine.run("sh", "-c", f"{look}; true", image=base())
    assert elsewhere == "/usr/bin/env\n"
    assert Path("/usr/bin/env").exists()
    assert not Path("/data/deep/file").exists()


def test_a_layer_is_made_once_and_taken_by_whoever_asks_for_the_same(own_engine: Engine) -> None:
    first = own_engine.run("cat", "/opt/stamp", image=base().run_commands(STAMP))
    assert first[0] == 0
    assert own_engine.run("cat", "/opt/stamp", image=base().run_commands(STAMP)) == first
    longer = base().run_commands(STAMP).run_commands("cp /opt/stamp /opt/copy")
    assert own_engine.run("cat", "/opt/copy", image=longer) == first
    own_engine.kill()
    own_engine.start()
    assert own_engine.run("cat", "/opt/stamp", image=base().run_commands(STAMP)) == first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (base().env({"A": "1"}), base().env({"A": "2"})),
        (base().workdir("/srv/1"), base().workdir("/srv/2")),
    ],
    ids=["variables", "workdir"],
)
def test_what_a_command_sees_is_part_of_its_layer(
    engine: Engine, one: modal.Image, other: modal.Image
) -> None:
    script = 'echo "$A $(pwd)" > /opt/seen'
    made = [engine.run("cat", "/opt/seen", image=image.run_commands(script)) for image in (one, other)]
    assert made[0] != made[1]


def test_a_secret_that_a_command_sees_is_part_of_its_layer(engine: Engine) -> None:
    made = [
        engine.run("cat", "/opt/seen", image=base().run_commands("echo $A > /opt/seen", env={"A": value}))
        for value in ("1", "2", "1")
    ]
    assert made == [(0, "1\n"), (0, "2\n"), (0, "1\n")]


def test_a_command_reads_no_input_and_its_failure_is_told(engine: Engine) -> None:
    with pytest.raises(ImageBuildError, match="`RUN cat; exit 5` ended with code 5"):
        base().run_commands("cat; exit 5").build(engine.app)


def test_local_files_are_copied_in_before_commands(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine\n")
    image = base().add_local_file(tmp_path / "file", "/srv/copied", copy=True)
    image = image.run_commands("cat /srv/copied /srv/copied > /srv/twice")
    assert engine.run("cat", "/srv/twice", "/srv/copied", image=image) == (0, "mine\n" * 3)


def test_python_packages_are_installed_with_uv(engine: Engine, tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheels")
    here = base().add_local_dir(tmp_path / "wheels", "/wheels", copy=True)
    offline = "--no-index --find-links /wheels"
    found = (0, "hello from greeter\n")
    assert engine.run("greet", image=here.uv_pip_install("greeter", extra_options=offline)) == found
    (tmp_path / "requirements.txt").write_text("greeter==1.0\n")
    listed = here.uv_pip_install(requirements=[str(tmp_path / "requirements.txt")], extra_options=offline)
    assert engine.run("greet", image=listed) == found
    old_way = here.pip_install_from_requirements(str(tmp_path / "requirements.txt"), extra_options=offline)
    assert engine.run("greet", image=old_way) == found


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="Debian packages are made with dpkg-deb")
@pytest.mark.timeout(180)  # without a network, apt-get asks for its lists several times
def test_debian_packages_are_installed(engine: Engine, tmp_path: Path) -> None:
    package = write_package(tmp_path)
    image = base().add_local_file(package, "/srv/greeter.deb", copy=True).apt_install("/srv/greeter.deb")
    assert engine.run("greet-from-debian", image=image) == (0, "hello from Debian\n")
    script = "dpkg-query --show --showformat '${Version} ${Status}' trebuchet-test-greeter"
    assert engine.run("sh", "-c", script, image=image) == (0, "1.0 install ok installed")


def test_layers_lie_below_files_and_snapshots(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("sent\n")
    image = base().run_commands("echo layer > /opt/layer").add_local_file(tmp_path / "file", "/opt/sent")
    sandbox = engine.create("sh", "-c", "echo own > /opt/own; echo ready; sleep 300", image=image)
    assert next(iter(sandbox.stdout)) == "ready\n"
    snapshot = sandbox.snapshot_filesystem()
    sandbox.terminate()
    assert engine.run("cat", "/opt/layer", "/opt/sent", "/opt/own", image=snapshot)[1] == "layer\nsent\nown\n"


def test_layers_can_be_left_out(tmp_path: Path) -> None:
    with local_engine(tmp_path / "engine", env={"TREBUCHET_LOCAL_LAYERS": "recorded"}) as recording:
        image = base().env({"A": "1"}).run_commands("echo no > /opt/never; exit 1")
        assert recording.run("sh", "-c", "echo $A; ls /opt/never || true", image=image) == (0, "1\n")


def write_wheel(folder: Path) -> None:
    folder.mkdir()
    with zipfile.ZipFile(folder / "greeter-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("greeter.py", "def main():\n    print('hello from greeter')\n")
        about = "greeter-1.0.dist-info"
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: greeter\nVersion: 1.0\n")
        kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{about}/WHEEL", kind)
        wheel.writestr(f"{about}/entry_points.txt", "[console_scripts]\ngreet = greeter:main\n")
        wheel.writestr(f"{about}/RECORD", "")


def write_package(folder: Path) -> Path:
    tree = folder / "package"
    program = tree / "usr/bin/greet-from-debian"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho hello from Debian\n")
    program.chmod(0o755)
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(
        "Package: trebuchet-test-greeter\nVersion: 1.0\nArchitecture: all\n"
        "Maintainer: nobody <nobody@example.org>\nDescription: says hello\n"
    )
    package = folder / "greeter.deb"
    build = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(package)]
    subprocess.run(build, check=True, capture_output=True)
    return package


@contextmanager
def engine_with(isolation: Isolation, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine on a machine that has this kind of container."""
    patch.setattr("trebuchet.emulator.process.host.find_isolation", lambda _: isolation)
    embedded = EmbeddedEngine(folder / "state", layers=folder / "layers")
    endpoint = embedded.start()
    try:
        client = connect(endpoint)
        app = modal.App.lookup("tests", create_if_missing=True, client=client)
        yield Engine(folder / "state", endpoint, client, app)
        client.close()
    finally:
        embedded.stop()


def test_where_there_are_no_containers_the_machine_is_never_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.touch()
    with engine_with(Isolation(mode="plain"), tmp_path, monkeypatch) as engine:
        image = base().env({"A": "1"}).run_commands(f"rm {victim}")
        assert engine.run("sh", "-c", "echo $A", image=image) == (0, "1\n")
    assert victim.exists()


def test_where_layers_are_kept_in_memory_a_build_fails_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = find_isolation(tmp_path)
    if here.mode == "plain":
        pytest.skip("there are no containers here")
    with engine_with(replace(here, layers_on_disk=False), tmp_path, monkeypatch) as engine:
        with pytest.raises(ImageBuildError, match="its file system takes no overlays"):
            base().run_commands("true").build(engine.app)
        assert engine.run("echo", "hello", image=base()) == (0, "hello\n")


def test_another_system_makes_another_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []
    for system in ("one", "other", "one"):
        monkeypatch.setattr("trebuchet.emulator.world.images.system_key", lambda system=system: system)
        images = Images(tmp_path / "images", builds_layers=True)
        made = images.find_or_build(
            b"debian", commands=["FROM python"], bases=[], builder_version="2025.06", context_mount_id="",
            context_files={}, build_args={}, secret_ids=[], registry_secret_id="", is_modals_own=True,
        )  # fmt: skip
        found.append(made.id)
    assert found[0] == found[2] != found[1]


class FullHost(ProcessHost):
    """A host on a disk that is full."""

    async def start(self, spec: ProcessSpec, folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_why_a_command_could_not_be_started_is_what_is_told(tmp_path: Path) -> None:
    async def build() -> None:
        async with FullHost(tmp_path) as host:
            content = Content(tmp_path / "content")
            mounts, secrets = Mounts(tmp_path / "mounts", content), Secrets(tmp_path / "secrets")
            builder = Builder(tmp_path, host=host, content=content, mounts=mounts, secrets=secrets)
            base = builder.host_base("im-base", Manner())
            image = Image(
                id="im-made", commands=["FROM base", "RUN true"], bases=["im-base"], builder_version=""
            )
            await builder.build(image, base, BuildLog(tmp_path / "log"))

    with pytest.raises(OSError, match="No space left"):
        asyncio.run(build())
    assert list((tmp_path / "layers").iterdir()) == []


def test_an_image_that_was_gone_for_a_while_is_known_by_its_commands_again(tmp_path: Path) -> None:
    images = Images(tmp_path, builds_layers=True)

    def made(*commands: str, bases: tuple[str, ...] = ()) -> str:
        return images.find_or_build(
            repr((commands, bases)).encode(),
            commands=list(commands),
            bases=list(bases),
            builder_version="1",
            context_mount_id="",
            context_files={},
            build_args={},
            secret_ids=[],
            registry_secret_id="",
            is_modals_own=False,
        ).id

    below = made("FROM somewhere", "ENV WHO=below")
    above = made("FROM base", "WORKDIR /above", bases=(below,))
    images.delete(below)
    assert images.manner(below) == Manner()
    assert images.manner(above).variables == {}
    assert made("FROM somewhere", "ENV WHO=below") == below
    for image_id in (below, above):
        assert images.manner(image_id).variables == {"WHO": "below"}
