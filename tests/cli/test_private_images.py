"""Jobs on images of a private registry, which their files, or a named secret, have the login of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import modal
import pytest

from support.engine import connect
from support.layers import Archive, layer, shell_layer
from support.registries import PROGRAM, WHY_NOT, Registry, run_registry
from trebuchet.emulator import daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Answer

PASSWORD_HASH = "$2y$05$jotl5gjLDewBjU/GZVrAm.mucLYhtRAkw9EkGOkvYAUOOujz97yoq"


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that gives `team/greeter` to one user alone."""
    if PROGRAM is None:
        pytest.skip(WHY_NOT)
    folder = tmp_path_factory.mktemp("private")
    with run_registry(folder, login=("me", "s3cret"), htpasswd=f"me:{PASSWORD_HASH}\n") as registry:
        greeter = Archive().folder("app").add("app/hello", b"#!/bin/sh\necho hello $NAME\n", mode=0o755)
        registry.push("team/greeter", [shell_layer(), layer(greeter)], Env=["NAME=you", "PATH=/app:/bin"])
        registry.push("team/shellless", [layer(greeter)])
        yield registry


def logged_in(private: Registry, image: str, *, password: str | None) -> dict[str, Any]:
    """What a job file says to run on an image of the registry as its user."""
    return {
        "resources": {"cloud": "local", "image_id": f"docker:{image}"},
        "envs": {"SKYPILOT_DOCKER_USERNAME": "me", "SKYPILOT_DOCKER_SERVER": private.host},
        "secrets": {"SKYPILOT_DOCKER_PASSWORD": password},
    }


@pytest.mark.usefixtures("home")
def test_a_job_brings_its_registrys_login(
    trebuchet: Callable[..., Answer], job_file: Callable[..., str], private: Registry
) -> None:
    job = job_file(
        "hello; test -e /etc/debian_version || echo no host",
        **logged_in(private, "team/greeter", password=None),
    )
    answer = trebuchet("up", job, "--secret", "SKYPILOT_DOCKER_PASSWORD=s3cret")
    assert (answer.code, answer.out) == (0, "hello you\nno host\n"), answer.err


@pytest.mark.usefixtures("home")
def test_a_wrong_login_ends_the_launch_and_says_so(
    trebuchet: Callable[..., Answer], job_file: Callable[..., str], private: Registry
) -> None:
    job = job_file(
        "hello",
        **logged_in(private, "team/greeter", password="wr0ng"),
    )
    answer = trebuchet("up", job)
    assert answer.code != 0
    assert "does not let this user have" in answer.err
    assert "wr0ng" not in answer.err


def test_a_named_secret_has_the_login(
    trebuchet: Callable[..., Answer], job_file: Callable[..., str], private: Registry, home: Path
) -> None:
    image = {"cloud": "local", "image_id": f"docker:{private.host}/team/greeter"}
    job = job_file("hello", resources=image, image_secret="registry-login")
    missing = trebuchet("up", job)
    assert missing.code != 0
    assert "registry-login" in missing.err
    login = {"REGISTRY_USERNAME": "me", "REGISTRY_PASSWORD": "s3cret"}
    client = connect(daemon.ensure(home / "local"))
    modal.Secret.objects.create("registry-login", login, environment_name="local", client=client)
    answer = trebuchet("up", job)
    assert (answer.code, answer.out) == (0, "hello you\n"), answer.err


@pytest.mark.usefixtures("home")
def test_an_image_without_bash_ends_the_launch_with_a_hint(
    trebuchet: Callable[..., Answer], job_file: Callable[..., str], private: Registry
) -> None:
    job = job_file(
        "hello",
        **logged_in(private, "team/shellless", password="s3cret"),
    )
    answer = trebuchet("up", job)
    assert answer.code != 0
    assert "use an image that has it" in answer.err
