"""Environments, and the apps, secrets and volumes in them."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import AlreadyExistsError, ConflictError, NotFoundError

from support.engine import wait_until

if TYPE_CHECKING:
    from support.engine import Engine


def word() -> str:
    return f"w{uuid.uuid4().hex[:12]}"


def names(engine: Engine) -> list[str | None]:
    return [environment.name for environment in modal.Environment.objects.list(client=engine.client)]


def test_they_are_made_found_and_removed(engine: Engine) -> None:
    name, client = word(), engine.client
    with pytest.raises(NotFoundError):
        modal.Environment.from_name(name, client=client).hydrate()
    modal.Environment.objects.create(name, client=client)
    assert name in names(engine)
    with pytest.raises(AlreadyExistsError):
        modal.Environment.objects.create(name, client=client)
    found = modal.Environment.from_name(name, create_if_missing=True, client=client).hydrate()
    assert found.object_id == modal.Environment.from_name(name, client=client).hydrate().object_id
    modal.Environment.objects.delete(name, client=client)
    assert name not in names(engine)
    with pytest.raises(NotFoundError):
        modal.Environment.objects.delete(name, client=client)


def test_the_usual_one_is_always_there(engine: Engine) -> None:
    assert "main" in names(engine)
    with pytest.raises(ConflictError):
        modal.Environment.objects.delete("main", client=engine.client)


def test_names_mean_something_else_in_each(engine: Engine) -> None:
    name, client = word(), engine.client
    environment = modal.Environment.from_name(word(), create_if_missing=True, client=client).hydrate()
    options = {"environment_name": environment.name, "client": client}
    app = modal.App.lookup(name, create_if_missing=True, **options)
    modal.Volume.objects.create(name, **options)
    modal.Secret.objects.create(name, {"A": "a"}, **options)
    with pytest.raises(NotFoundError):
        modal.App.lookup(name, client=client)
    for kind in (modal.Volume, modal.Secret):
        assert [found.name for found in kind.objects.list(**options)] == [name]
        with pytest.raises(NotFoundError):
            kind.from_name(name, client=client).hydrate()
    assert [(found.name, found.app_id) for found in environment.apps.list()] == [(name, app.app_id)]


def test_what_is_in_one_goes_with_it(engine: Engine) -> None:
    name, client = word(), engine.client
    modal.Environment.objects.create(name, client=client)
    app = modal.App.lookup(name, environment_name=name, create_if_missing=True, client=client)
    volume = modal.Volume.from_name(name, environment_name=name, create_if_missing=True, client=client)
    sandbox = engine.create("sleep", "300", app=app, volumes={"/mnt/v": volume})
    modal.Environment.objects.delete(name, client=client)
    wait_until(lambda: sandbox.poll() == 137)
    modal.Environment.objects.create(name, client=client)
    for find in (
        lambda: modal.App.lookup(name, environment_name=name, client=client),
        lambda: modal.Volume.from_name(name, environment_name=name, client=client).hydrate(),
        lambda: modal.Volume.from_id(volume.object_id, client=client).hydrate(),
    ):
        with pytest.raises(NotFoundError):
            find()


def test_what_had_not_started_when_one_went_reads_as_ended_by_that(engine: Engine) -> None:
    """A burst starts after all have their answers: then the volume is gone that they were to see."""
    name, client = word(), engine.client
    modal.Environment.objects.create(name, client=client)
    app = modal.App.lookup(name, environment_name=name, create_if_missing=True, client=client)
    volume = modal.Volume.from_name(name, environment_name=name, create_if_missing=True, client=client)
    with ThreadPoolExecutor(20) as pool:
        made = pool.map(
            lambda _: engine.create("sleep", "300", app=app, volumes={"/mnt/v": volume}), range(20)
        )
        sandboxes = list(made)
    modal.Environment.objects.delete(name, client=client)
    wait_until(lambda: all(sandbox.poll() is not None for sandbox in sandboxes))
    assert {sandbox.poll() for sandbox in sandboxes} == {137}


def test_nothing_is_made_in_one_that_does_not_exist(engine: Engine) -> None:
    nowhere = {"environment_name": word(), "client": engine.client}
    with pytest.raises(NotFoundError):
        modal.App.lookup(word(), create_if_missing=True, **nowhere)
    with pytest.raises(NotFoundError):
        modal.Volume.objects.create(word(), **nowhere)
    with pytest.raises(NotFoundError):
        modal.Secret.objects.create(word(), {}, **nowhere)
