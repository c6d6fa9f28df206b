"""Visits to sandboxes over HTTP by those who carry a connect token.

Each sandbox that a token was made for has a port of its own on loopback, so that its pages may use any path.
A connection brings one request (or one upgrade, to a web socket say): its head is read and checked, then
bytes pass both ways as they come.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Self, cast
from urllib.parse import parse_qsl, urlencode

from trebuchet.emulator.lobby import MOST_STRANGERS, Lobby
from trebuchet.emulator.loopback import LOOPBACK
from trebuchet.emulator.world.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trebuchet.emulator.rpc.tokens import Tokens
    from trebuchet.emulator.world.sandbox import Sandbox

PARAMETER = "_modal_connect_token"
USER_DATA = "X-Verified-User-Data"
HEAD_S = 30.0
LONGEST_HEAD = 1 << 16
CHUNK = 1 << 16
_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:")
_REPLACED = {"connection", USER_DATA.lower()}


@dataclass(frozen=True)
class Permit:
    """What a connect token allows: one port of one sandbox, under what its maker says of the visitor."""

    sandbox_id: str
    port: int
    user_data: str

    def sealed(self, tokens: Tokens) -> str:
        """The token."""
        return tokens.make_pass(json.dumps(["connect", self.sandbox_id, self.port, self.user_data]))

    @classmethod
    def unsealed(cls, tokens: Tokens, token: str) -> Self | None:
        """What a token allows; None for one that is forged, has run out, or is of another kind."""
        try:
            words = json.loads(tokens.subject_of(token) or "null")
        except ValueError:  # a pass for a router, or no token at all
            return None
        if not isinstance(words, list) or words[:1] != ["connect"]:
            return None
        _, sandbox_id, port, user_data = cast("tuple[str, str, int, str]", words)
        return cls(sandbox_id, port, user_data)


class Head:
    """The head of a request."""

    def __init__(self, content: bytes) -> None:
        """Read it.

        Raises:
            ValueError: It is none of HTTP/1.
        """
        first, *lines = content.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        # What some servers take for a line or a field of its own, and others do not, nobody gets to see.
        if any("\r" in line or "\n" in line for line in (first, *lines)):
            raise ValueError("a line is broken")
        if not all(_FIELD.match(line) for line in lines):
            raise ValueError("a line is no field")
        self._method, self._target, self._version = first.split(" ")
        if not self._version.startswith("HTTP/1."):
            raise ValueError("this is not HTTP/1")
        self._fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        self._path, _, query = self._target.partition("?")
        self._query = parse_qsl(query, keep_blank_values=True)

    def _field(self, wanted: str) -> str:
        return next((value for name, value in self._fields if name.lower() == wanted), "")

    @property
    def tokens(self) -> list[str]:
        """What may be a connect token, the most certain first."""
        found = [dict(self._query).get(PARAMETER, "")]
        with suppress(CookieError):
            found += [
                morsel.value
                for name, morsel in SimpleCookie(self._field("cookie")).items()
                if name == PARAMETER
            ]
        return [*found, self._field("authorization").removeprefix("Bearer ")]

    @property
    def upgrades(self) -> bool:
        """Whether it asks for another protocol on this connection."""
        return "upgrade" in self._field("connection").lower()

    def passed_on(self, user_data: str) -> bytes:
        """The head as the sandbox gets it: without the token in its address, and with what is verified."""
        target = self._target
        if PARAMETER in dict(self._query):
            left = urlencode([(name, value) for name, value in self._query if name != PARAMETER])
            target = self._path + (f"?{left}" if left else "")
        # Gateways of many a language take `_` for `-`.
        kept = [
            (name, value) for name, value in self._fields if name.lower().replace("_", "-") not in _REPLACED
        ]
        kept += [("Connection", "Upgrade" if self.upgrades else "close")]
        kept += [(USER_DATA, user_data.encode().decode("latin-1"))] if user_data else []
        lines = [f"{self._method} {target} {self._version}", *(f"{name}: {value}" for name, value in kept)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Visits:
    """The entrances of all sandboxes that have one."""

    def __init__(self, tokens: Tokens, lobby: Lobby) -> None:
        """Know who may come in.

        Args:
            tokens: Tell what a connect token allows.
            lobby: Where a connection is until it has shown one.
        """
        self._tokens = tokens
        self._entrances: dict[str, asyncio.Task[asyncio.Server]] = {}
        self._lobby = lobby
        self._closing: set[asyncio.Task[None]] = set()

    async def url(self, sandbox: Sandbox) -> str:
        """Where a sandbox is visited, from now on until its end.

        Raises:
            ConflictError: It has ended meanwhile.
        """
        opening = self._entrances.get(sandbox.id)
        if opening is None:
            opening = self._entrances[sandbox.id] = asyncio.create_task(self._open(sandbox))
        # Shielded: one who asks may go, and another wait for the same.
        entrance = await asyncio.shield(opening)
        if not entrance.sockets:
            raise ConflictError(f"Sandbox {sandbox.id} has ended.")
        return "http://{}:{}".format(*entrance.sockets[0].getsockname())

    def close(self) -> None:
        """Close all entrances."""
        for task in self._closing:
            task.cancel()
        for opening in self._entrances.values():
            _close(opening)
        self._entrances.clear()

    async def _open(self, sandbox: Sandbox) -> asyncio.Server:
        try:
            entrance = await asyncio.start_server(
                lambda reader, writer: self._receive(sandbox, reader, writer),
                LOOPBACK,
                0,
                limit=LONGEST_HEAD,
                backlog=MOST_STRANGERS,  # Whom the queue has no room for waits for a second.
            )
        except BaseException:
            self._entrances.pop(sandbox.id, None)  # who asks next tries again
            raise
        closing = asyncio.create_task(self._close_after(sandbox))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        return entrance

    async def _close_after(self, sandbox: Sandbox) -> None:
        await sandbox.ended.wait()
        _close(self._entrances.pop(sandbox.id))

    async def _receive(
        self, sandbox: Sandbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._lobby.enter(writer.transport)
        try:
            async with asyncio.timeout(HEAD_S):
                head = Head(await reader.readuntil(b"\r\n\r\n"))
            permit = self._permit(sandbox, head)
            if permit is None:
                writer.write(_refusal("401 Unauthorized"))
            else:
                self._lobby.admit(writer.transport)
                sandbox.touch()
                await self._show_in(permit, head, reader, writer)
        except (ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.write(_refusal("400 Bad Request"))
        except OSError:
            pass  # one side went away
        finally:
            self._lobby.admit(writer.transport)
            writer.close()

    def _permit(self, sandbox: Sandbox, head: Head) -> Permit | None:
        permits = (Permit.unsealed(self._tokens, token) for token in head.tokens)
        return next((permit for permit in permits if permit and permit.sandbox_id == sandbox.id), None)

    async def _show_in(
        self, permit: Permit, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            answers, asks = await asyncio.open_connection(LOOPBACK, permit.port)
        except OSError:
            writer.write(_refusal("502 Bad Gateway"))
            return
        asks.write(head.passed_on(permit.user_data))
        asking = None
        try:
            # One that is not let into another protocol may not go on in this one: a second request of theirs
            # would say of them what they like.
            switched = not head.upgrades or await _passed_on_head(answers, writer)
            asking = asyncio.create_task(_pass_on(reader, asks) if switched else _wait_gone(reader, answers))
            await _pass_on(answers, writer)
        finally:
            if asking is not None:
                asking.cancel()
            asks.close()
            writer.close()


def _close(opening: asyncio.Task[asyncio.Server]) -> None:
    """Close an entrance, or let it never open."""
    if not opening.done():
        opening.cancel()
    elif not opening.cancelled() and opening.exception() is None:
        opening.result().close()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    async for chunk in _chunks(source):
        target.write(chunk)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()


async def _passed_on_head(answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Pass on the head of an answer; whether it switches protocols."""
    head = await answers.readuntil(b"\r\n\r\n")
    writer.write(head)
    return head.split(b" ", 2)[1:2] == [b"101"]


async def _wait_gone(reader: asyncio.StreamReader, answers: asyncio.StreamReader) -> None:
    """Until the visitor goes; then let no more of the answer be waited for."""
    async for _ in _chunks(reader):
        pass
    answers.feed_eof()


async def _chunks(source: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while chunk := await source.read(CHUNK):
        yield chunk


def _refusal(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
