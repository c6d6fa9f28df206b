"""A start is immediate, except in a burst: there the answers to those who ask come first."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from trebuchet.emulator.world import starter
from trebuchet.emulator.world.starter import BURST, CALM_S, Starter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DEADLINE_S = 20.0


class Started:
    """What was started, and when."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.times: list[float] = []
        self.starter = Starter(asyncio.create_task)

    def add(self, number: int) -> None:
        async def start() -> None:
            self.numbers.append(number)
            self.times.append(time.monotonic())

        self.starter.add(start)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while len(self.numbers) < count:
                await asyncio.sleep(0.001)


def run(body: Callable[[Started], Awaitable[None]]) -> None:
    async def main() -> None:
        await body(Started())

    asyncio.run(main())


def test_few_start_at_once() -> None:
    async def body(started: Started) -> None:
        for number in range(BURST - 1):
            started.add(number)
        for _ in range(4 * BURST):  # turns of the loop: no time has to pass
            await asyncio.sleep(0)
        assert started.numbers == list(range(BURST - 1))

    run(body)


def test_a_burst_starts_in_turn_once_nothing_more_comes() -> None:
    async def body(started: Started) -> None:
        for number in range(3 * BURST):
            started.add(number)
        came = time.monotonic()
        await started.until(3 * BURST)
        assert started.numbers == list(range(3 * BURST))
        assert started.times[0] >= came + CALM_S / 2

    run(body)


def test_none_waits_for_ever_while_more_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "PATIENCE_S", 0.05)
    monkeypatch.setattr(starter, "CALM_S", 1_000.0)

    async def body(started: Started) -> None:
        added = 0
        async with asyncio.timeout(DEADLINE_S):
            while not started.numbers:
                for _ in range(BURST):
                    started.add(added)
                    added += 1
                await asyncio.sleep(0.001)

    run(body)


def test_one_that_takes_long_keeps_no_other_waiting() -> None:
    async def body(started: Started) -> None:
        never = asyncio.Event()

        async def stuck() -> None:
            await never.wait()

        started.starter.add(stuck)
        started.add(1)
        await started.until(1)

    run(body)
