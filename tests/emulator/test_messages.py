"""What is said where something is missing or taken: Modal's words, on which programs match."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import AlreadyExistsError, NotFoundError
from modal_proto import api_pb2

if TYPE_CHECKING:
    from modal.client import _Client

    from support.engine import Engine


def test_what_is_missing_is_said_in_modals_words(engine: Engine) -> None:
    name = uuid.uuid4().hex
    with pytest.raises(NotFoundError, match=f"^Volume '{name}' not found"):
        modal.Volume.from_name(name, client=engine.client).hydrate()
    with pytest.raises(NotFoundError, match=f"^Secret '{name}' not found"):
        modal.Secret.from_name(name, client=engine.client).hydrate()
    modal.Secret.objects.create(name, {"A": "a"}, client=engine.client)
    with pytest.raises(NotFoundError, match=r"^Secret is missing key\(s\): B"):
        modal.Secret.from_name(name, required_keys=["A", "B"], client=engine.client).hydrate()
    modal.Secret.objects.delete(name, client=engine.client)


def test_an_image_that_there_is_not_is_said_in_modals_words(engine: Engine) -> None:
    image = modal.Image.from_id("im-nowhere", client=engine.client)
    with pytest.raises(NotFoundError, match=r"^Could not find image with ID 'im-nowhere'"):
        engine.create("true", image=image)
    with pytest.raises(NotFoundError, match=r"^No Image with ID 'im-nowhere'"):
        _send(engine, "ImageDelete", api_pb2.ImageDeleteRequest(image_id="im-nowhere"))


def _send(engine: Engine, name: str, request: object) -> None:
    """What the SDK for Python has no function for."""
    from modal._utils.async_utils import synchronizer

    client: _Client = synchronizer._translate_in(engine.client)

    async def send() -> None:
        await getattr(client._stub, name)(request)

    synchronizer.create_blocking(send)()


def test_a_sandboxs_id_is_no_tasks(engine: Engine) -> None:
    sandbox = engine.create("sleep", "60")
    with pytest.raises(NotFoundError, match=f"Task '{sandbox.object_id}' does not exist"):
        _send(engine, "TaskGetInfo", api_pb2.TaskGetInfoRequest(task_id=sandbox.object_id))
    sandbox.terminate()


def test_a_name_that_is_taken_is_said_to_exist_already(engine: Engine) -> None:
    name = f"name-{uuid.uuid4().hex[:12]}"
    sandbox = engine.create("sleep", "60", name=name)
    with pytest.raises(AlreadyExistsError, match=f"{name}.* already exists"):
        engine.create("sleep", "60", name=name)
    sandbox.terminate()
