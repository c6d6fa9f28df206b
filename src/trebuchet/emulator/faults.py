"""What goes wrong on purpose, so that clients can be tried: late, refused, cut and unanswered calls.

A list of them comes from `TREBUCHET_FAULTS` as JSON, and can be replaced while the daemon runs:
`[{"call": "SandboxCreate", "action": "lose_answer", "times": 1, "after": 2}]`
"""

from __future__ import annotations

import asyncio
import difflib
import fnmatch
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from grpclib import GRPCError, Status

if TYPE_CHECKING:
    from asyncio import Transport
    from collections.abc import Awaitable, Callable

    from google.protobuf.message import Message
    from grpclib.server import Stream

Action = Literal["delay", "refuse", "cut", "lose_answer"]


@dataclass
class Fault:
    """One thing that goes wrong.

    Attributes:
        call: The calls' name, or a pattern like `Sandbox*`.
        action: `delay` it, `refuse` it with a status, `cut` the connection before it is done, or do it and
            cut the connection instead of answering (`lose_answer`).
        seconds: How long to wait first.
        status: The gRPC status of a refusal.
        message: Its words; empty for words that say it is on purpose.
        times: How often it goes wrong; None for always.
        after: How many such calls go right before.
    """

    call: str
    action: Action
    seconds: float = 0.0
    status: str = "UNAVAILABLE"
    message: str = ""
    times: int | None = None
    after: int = 0

    def __post_init__(self) -> None:
        """Refuse what could never strike: a test that waits for it would prove nothing."""
        if self.action not in get_args(Action) or self.status not in Status.__members__:
            raise ValueError(f"There is no fault with action {self.action!r} and status {self.status!r}.")
        _require_served(self.call)

    def strikes(self, call: str) -> bool:
        """Whether this call goes wrong; counts it."""
        if not fnmatch.fnmatchcase(call, self.call):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return self.times is None or self.times >= 0


def _require_served(pattern: str) -> None:
    from trebuchet.emulator import rpc  # noqa: PLC0415 - its handlers come with it, and most engines have no faults
    from trebuchet.emulator.rpc.registry import CONTROL, ROUTER  # noqa: PLC0415 - as above

    rpc.load()
    served = [*CONTROL.methods, *ROUTER.methods]
    if any(fnmatch.fnmatchcase(name, pattern) for name in served):
        return
    near = difflib.get_close_matches(pattern.rstrip("*"), served, n=1)
    told = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"No call that is served here is called {pattern!r}.{told}")


class Faults:
    """All that goes wrong now."""

    def __init__(self, text: str = "") -> None:
        self._faults: list[Fault] = []
        if text:
            self.replace(text)

    def replace(self, text: str) -> None:
        """Let other things go wrong from now on.

        Raises:
            ValueError: The text is no list of faults.
        """
        try:
            self._faults = [Fault(**fault) for fault in cast("list[dict[str, Any]]", json.loads(text))]
        except (TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"This is no list of faults: {error}") from error

    async def around(
        self, stream: Stream[Message, Message], call: str, answer: Callable[[], Awaitable[None]]
    ) -> None:
        """Answer a call, or do what goes wrong with it."""
        fault = next((fault for fault in self._faults if fault.strikes(call)), None)
        if fault is None:
            await answer()
            return
        await asyncio.sleep(fault.seconds)
        match fault.action:
            case "delay":
                await answer()
            case "refuse":
                raise GRPCError(Status[fault.status], fault.message or f"{call} was refused on purpose.")
            case "cut":
                _cut(stream)
            case "lose_answer":
                await answer_nobody(stream, answer)
                _cut(stream)


async def answer_nobody(stream: Stream[Message, Message], answer: Callable[[], Awaitable[None]]) -> None:
    """Do the work of a call, and send nothing."""

    async def swallow(message: object) -> None:
        del message

    stream.send_message = swallow  # of this one stream object alone
    await answer()


def _cut(stream: Stream[Message, Message]) -> None:
    """Break the connection, as the death of a machine does."""
    # Both names are private to grpclib, which offers no other way.
    transport: Transport = getattr(getattr(stream, "_stream"), "_transport")  # noqa: B009
    transport.abort()
    raise GRPCError(Status.UNAVAILABLE, "The connection was cut on purpose.")
