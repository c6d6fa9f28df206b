"""Apps: looked up by name, or made for as long as a program runs."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import NotFoundError, UnimplementedError

from support.engine import wait_until

if TYPE_CHECKING:
    from support.engine import Engine


def word() -> str:
    return f"app-{uuid.uuid4().hex[:12]}"


@pytest.mark.parametrize("shown", [False, True], ids=["quiet", "with output"])
def test_one_that_is_run_ends_with_its_program_and_ends_its_sandboxes(engine: Engine, *, shown: bool) -> None:
    name = word()
    app = modal.App(name)

    def use() -> modal.Sandbox:
        with app.run(client=engine.client):
            assert engine.run("echo", "hi", app=app) == (0, "hi\n")
            with pytest.raises(NotFoundError):
                modal.App.lookup(name, client=engine.client)
            return engine.create("sleep", "300", app=app)

    if shown:
        with modal.enable_output():
            left = use()
    else:
        left = use()
    wait_until(lambda: left.poll() == 137)
    with pytest.raises(NotFoundError):
        modal.Sandbox.create("true", app=app, client=engine.client)


def test_tags_take_the_place_of_those_before(engine: Engine) -> None:
    name = word()
    app = modal.App.lookup(name, create_if_missing=True, client=engine.client)
    assert app.get_tags(client=engine.client) == {}
    app.set_tags({"team": "one", "stage": "test"}, client=engine.client)
    app.set_tags({"team": "two"}, client=engine.client)
    assert modal.App.lookup(name, client=engine.client).get_tags(client=engine.client) == {"team": "two"}


def test_functions_are_not_served(engine: Engine) -> None:
    app = modal.App(word())

    @app.function(serialized=True)
    def work() -> None:
        pass

    with pytest.raises(UnimplementedError, match="Function"), app.run(client=engine.client):
        pass


def test_one_that_is_stopped_ends_its_sandboxes(engine: Engine) -> None:
    from modal_proto import api_pb2

    app = modal.App.lookup(word(), create_if_missing=True, client=engine.client)
    sandbox = engine.create("sleep", "300", app=app)
    other = engine.create("sleep", "300")
    stop(engine, api_pb2.AppStopRequest(app_id=app.app_id))
    wait_until(lambda: sandbox.poll() == 137)
    assert other.poll() is None
    other.terminate()


def stop(engine: Engine, request: object) -> None:
    """What the SDK's own command line sends."""
    from modal._utils.async_utils import synchronizer
    from modal.client import _Client

    client: _Client = synchronizer._translate_in(engine.client)

    async def send() -> None:
        await client._stub.AppStop(request)

    synchronizer.create_blocking(send)()
