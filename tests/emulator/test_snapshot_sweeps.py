"""What becomes of snapshots' files when their time is up, or a daemon died while it took one."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from support.engine import make_shared_base
from trebuchet.emulator.assembly import assemble
from trebuchet.emulator.machine import shared_base
from trebuchet.emulator.process.removal import remove_tree
from trebuchet.emulator.world.builds import Built
from trebuchet.emulator.world.ids import new_v2_sandbox_id
from trebuchet.emulator.world.sandbox import Ask

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trebuchet.emulator.world.sandbox import Sandbox
    from trebuchet.emulator.world.world import World

LONG_AGO = 1.0
"""Seconds since the epoch."""


def in_world(state: Path, work: Callable[[World], Awaitable[None]]) -> None:
    """Do something to a world of its own; all its sandboxes end with that."""

    async def do() -> None:
        async with assemble(state, layers=shared_base()) as parts:
            try:
                await work(parts.world)
            finally:
                running = list(parts.world.sandboxes.running())
                for sandbox in running:
                    parts.world.lifecycle.terminate(sandbox.id)
                for sandbox in running:
                    await sandbox.ended.wait()

    make_shared_base()
    asyncio.run(do())


async def started(world: World, image_id: str = "") -> Sandbox:
    """A sandbox that runs for as long as it takes."""
    app = world.apps.find_or_make("tests", "main")
    ask = Ask(
        id=new_v2_sandbox_id(),
        app_id=app.id,
        created_at=time.time(),
        argv=("sleep", "600"),
        image_id=image_id,
    )
    sandbox = world.lifecycle.create(ask, {}, {})
    await sandbox.settled.wait()
    return sandbox


def layer_of(world: World, image_id: str) -> Path:
    built = world.builds.built(image_id)
    assert built is not None
    return Path(built.layers[-1])


def let_run_out(world: World, image_id: str) -> None:
    world.images.adopt(image_id, None, expires_at=LONG_AGO)


def forget(world: World, image_id: str) -> None:
    """Leave what a daemon leaves that dies before it has written down what it made."""
    world.images.delete(image_id)
    world.builds.forget(image_id)


def test_one_that_a_daemon_died_over_can_be_taken_after_all(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        sandbox = await started(world)
        image_id = await world.snapshots.take(sandbox, "name", 0)
        left = layer_of(world, image_id)
        (left / "left").touch()
        forget(world, image_id)
        assert await world.snapshots.take(sandbox, "name", 0) == image_id
        assert not (layer_of(world, image_id) / "left").exists()
        assert layer_of(world, image_id) == left

    in_world(tmp_path, work)


def test_one_that_is_taken_again_after_its_time_changes_nothing_that_was_made_of_it(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        sandbox = await started(world)
        image_id = await world.snapshots.take(sandbox, "name", 0)
        first = layer_of(world, image_id)
        (first / "first").touch()
        world.builds.adopt(Built(id="im-other", layers=[str(first)]))
        let_run_out(world, image_id)
        await world.snapshots.sweep(())
        assert world.images.peek(image_id) is None
        assert await world.snapshots.take(sandbox, "name", 0) == image_id
        assert layer_of(world, image_id) != first
        assert (first / "first").exists()

    in_world(tmp_path, work)


def test_what_is_just_being_made_of_one_keeps_it(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        below = await world.snapshots.take(await started(world), "below", 0)
        sandbox = await started(world, below)
        taking = asyncio.create_task(world.snapshots.take(sandbox, "above", 0))
        while not list((tmp_path / "layers").glob("making-*")):
            assert not taking.done()
            await asyncio.sleep(0)
        let_run_out(world, below)
        await world.snapshots.sweep(())  # as if the sandbox had ended meanwhile
        above = world.builds.built(await taking)
        assert above is not None
        assert [layer for layer in above.layers if not Path(layer).is_dir()] == []
        layer = layer_of(world, above.id)
        await world.snapshots.sweep(())
        assert world.images.peek(below) is None
        let_run_out(world, above.id)
        await world.snapshots.sweep(())
        assert not layer.exists()

    in_world(tmp_path, work)


def test_what_cannot_be_removed_keeps_nothing_else(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        sandbox = await started(world)
        taken = [await world.snapshots.take(sandbox, str(number), 0) for number in range(3)]
        layers = [layer_of(world, image_id) for image_id in taken]
        for layer in layers[:2]:
            remove_tree(layer)
        layers[0].touch()  # a file is no folder that could be removed
        for image_id in taken:
            let_run_out(world, image_id)
        await world.snapshots.sweep(())
        assert not any(map(world.images.peek, taken))
        assert not layers[2].exists()

    in_world(tmp_path, work)
