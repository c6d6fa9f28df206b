"""Plain HTTP: where blobs, blocks and files are put and got, and what tests may ask of the daemon.

The addresses of blobs, blocks and files are sealed words that the control plane hands out; they open that one
thing. What lies under `/_trebuchet` wants the token's secret as a bearer.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import os
from typing import TYPE_CHECKING, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from trebuchet.emulator.sparse import end_of_content
from trebuchet.emulator.world.errors import InvalidError, NotFoundError, WorldError
from trebuchet.emulator.world.reclaim import Wanted

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from trebuchet.emulator.faults import Faults
    from trebuchet.emulator.rpc.call import Site
    from trebuchet.emulator.world.reclaim import Reclaimable

CHUNK = 1 << 18


class Web:
    """The handlers of plain HTTP requests."""

    def __init__(
        self, site: Site, *, calls: Counter[str], faults: Faults, on_call: Callable[[], None]
    ) -> None:
        self._site = site
        self._calls = calls
        self._faults = faults
        self._on_call = on_call

    def runner(self) -> web.AppRunner:
        """What serves them."""
        return web.AppRunner(self.app(), access_log=None, handle_signals=False, logger=_log())

    def app(self) -> web.Application:
        """All routes."""
        app = web.Application(middlewares=[self._errors, self._guard])
        app.add_routes(
            [
                web.put("/blob/{sealed}", self.put_blob),
                web.get("/blob/{sealed}", self.get_blob),
                web.put("/block/{sealed}", self.put_block),
                web.get("/file/{sealed}", self.get_file),
                web.get("/_trebuchet/health", self.health),
                web.get("/_trebuchet/waiting", self.get_waiting),
                web.get("/_trebuchet/calls", self.get_calls),
                web.delete("/_trebuchet/calls", self.clear_calls),
                web.put("/_trebuchet/faults", self.put_faults),
                web.put("/_trebuchet/gpus", self.hold_gpus),
                web.get("/_trebuchet/reclaimable", self.get_reclaimable),
                web.delete("/_trebuchet/reclaimable", self.reclaim),
            ]
        )
        return app

    @web.middleware
    async def _errors(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except NotFoundError as error:
            return web.Response(status=404, text=str(error))
        except (WorldError, ValueError) as error:
            return web.Response(status=400, text=str(error))

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path.startswith("/_trebuchet/"):
            presented = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not self._site.tokens.is_secret(presented):
                return web.Response(status=401, text="The local engine does not accept this token.")
            self._site.lobby.admit(request.transport)
        self._on_call()
        try:
            return await handler(request)
        finally:
            self._on_call()

    # ── contents ──

    async def put_blob(self, request: web.Request) -> web.Response:
        """Take an upload; its MD5 is the answer's ETag, as the SDK checks it."""
        digest = await self._site.world.blobs.put(self._unseal(request), request.content.iter_chunked(CHUNK))
        return web.Response(headers={"ETag": f'"{digest}"'})

    async def get_blob(self, request: web.Request) -> web.StreamResponse:
        """Give an upload back."""
        return web.FileResponse(self._site.world.blobs.path(self._unseal(request)))

    async def put_block(self, request: web.Request) -> web.Response:
        """Take a block of a file, known by its digest."""
        digest = self._unseal(request)
        await self._site.world.content.put_stream(digest, request.content.iter_chunked(CHUNK))
        return web.Response(text=digest)

    async def get_file(self, request: web.Request) -> web.StreamResponse:
        """Give a stretch of a volume's file."""
        volume_id, path, start, end, pads = cast(
            "tuple[str, str, int, int, bool]", json.loads(self._unseal(request))
        )
        response = web.StreamResponse()
        file = self._site.world.volumes.files(volume_id).open(path)
        try:
            if pads:
                end = await asyncio.to_thread(end_of_content, file, start, end)
            response.content_length = end - start
            response.headers["Repr-Digest"] = await asyncio.to_thread(_digest, file, start, end)
            await response.prepare(request)
            async for chunk in _read(file, start, end):
                await response.write(chunk)
        finally:
            os.close(file)
        return response

    def _unseal(self, request: web.Request) -> str:
        content = self._site.tokens.unseal(request.match_info["sealed"])
        if content is None:
            raise NotFoundError("There is nothing at this address.")
        self._site.lobby.admit(request.transport)
        return content

    # ── for tests and for those that look after the daemon ──

    async def health(self, _: web.Request) -> web.Response:
        """Say that the daemon lives, and how many sandboxes do."""
        return web.json_response({"alive": self._site.world.sandboxes.alive})

    async def get_waiting(self, _: web.Request) -> web.Response:
        """What each sandbox that was not started yet waits for, by its id and by its name."""
        return web.json_response(self._site.world.lifecycle.waiting())

    async def get_calls(self, _: web.Request) -> web.Response:
        """How often each call was made."""
        return web.json_response(dict(self._calls))

    async def clear_calls(self, _: web.Request) -> web.Response:
        """Count from nothing again."""
        self._calls.clear()
        return web.Response()

    async def put_faults(self, request: web.Request) -> web.Response:
        """Let other things go wrong from now on."""
        self._faults.replace(await request.text())
        return web.Response()

    async def get_reclaimable(self, request: web.Request) -> web.Response:
        """What of the disk can be had back."""
        return _told(await self._site.world.reclaim.find(_wanted(request)))

    async def reclaim(self, request: web.Request) -> web.Response:
        """Have it back; what went."""
        return _told(await self._site.world.reclaim.remove(_wanted(request)))

    async def hold_gpus(self, request: web.Request) -> web.Response:
        """Keep GPUs from being lent, as if others had them: `{"H100": 8}`; `{}` frees them all."""
        held: object = await request.json()
        if not isinstance(held, dict):
            raise InvalidError('Say how many of which type: {"H100": 8}.')
        self._site.world.gpus.hold(cast("dict[str, int]", held))
        self._site.world.lifecycle.admit_waiting()
        return web.Response()


def _log() -> logging.Logger:
    """For what goes wrong in here; what is no HTTP says nothing of the daemon, and anybody can send it."""
    logger = logging.getLogger(__name__)
    logger.addFilter(
        lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
    )
    return logger


def _wanted(request: web.Request) -> Wanted:
    return Wanted(
        older_than_s=float(request.query["older_than_s"]), volumes=request.query.get("volumes") == "1"
    )


def _told(found: Iterable[Reclaimable]) -> web.Response:
    facts = [{"kind": one.kind, "id": one.id, "size": one.size, "why": one.why} for one in found]
    return web.json_response(facts)


def _digest(file: int, start: int, end: int) -> str:
    """What the SDK checks a stretch of a file by."""
    digest = hashlib.sha256()
    while start < end and (chunk := os.pread(file, min(end - start, CHUNK), start)):
        digest.update(chunk)
        start += len(chunk)
    return f"sha-256=:{base64.b64encode(digest.digest()).decode('ascii')}:"


async def _read(file: int, start: int, end: int) -> AsyncIterator[bytes]:
    while start < end and (chunk := await asyncio.to_thread(os.pread, file, min(end - start, CHUNK), start)):
        yield chunk
        start += len(chunk)
