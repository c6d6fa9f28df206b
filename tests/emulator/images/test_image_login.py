"""A registry that hands out tokens and keeps its blobs elsewhere, as large ones do; behind it a real one."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs, urlsplit

import pytest

from support.layers import Archive, layer
from trebuchet.emulator.images.challenge import Credentials, read_challenges
from trebuchet.emulator.images.errors import RegistryUnreachableError, UnauthorizedError
from trebuchet.emulator.images.pull import pull

if TYPE_CHECKING:
    from pathlib import Path

    from support.registries import Registry


class Front:
    """Asks for a token, then passes everything on to a registry, but sends the client elsewhere for blobs.

    Attributes:
        realm: Where tokens are said to be had; by default here.
        uses: How often a token is good.
        asked: The scopes that tokens were asked for.
        told_elsewhere: The `Authorization` headers that reached the other host.
    """

    def __init__(self, target: int, *, login: str = "", realm: str = "", uses: int = 1000) -> None:
        self.login = login
        self.uses = uses
        self.asked: list[str] = []
        self.told_elsewhere: list[str | None] = []
        self.tokens: dict[str, int] = {}
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                front.answer(self)

            def log_message(self, *_: object) -> None:
                return

        self._target = target
        self._server = ThreadingHTTPServer(("0.0.0.0", 0), Handler)
        self.port = self._server.server_address[1]
        self.realm = realm or f"http://127.0.0.1:{self.port}/token"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        place = urlsplit(request.path)
        identity = request.headers.get("Authorization")
        if place.path == "/token":
            self._give_token(request, identity, parse_qs(place.query))
        elif request.headers["Host"].startswith("127.0.0.2"):
            self.told_elsewhere.append(identity)
            self._pass_on(request)
        elif not self._is_good(identity):
            offer = f'Bearer realm="{self.realm}",service="front",scope="repository:x:pull"'
            self._say(request, 401, b"{}", {"WWW-Authenticate": offer})
        elif "/blobs/" in place.path:
            self._say(request, 307, b"", {"Location": f"http://127.0.0.2:{self.port}{request.path}"})
        else:
            self._pass_on(request)

    def _give_token(
        self, request: BaseHTTPRequestHandler, identity: str | None, query: dict[str, list[str]]
    ) -> None:
        if self.login and identity != "Basic " + base64.b64encode(self.login.encode()).decode():
            self._say(request, 401, b"{}", {})
            return
        self.asked += query["scope"]
        token = f"token-{len(self.tokens)}"
        self.tokens[token] = self.uses
        self._say(request, 200, json.dumps({"token": token}).encode(), {})

    def _is_good(self, identity: str | None) -> bool:
        token = (identity or "").removeprefix("Bearer ")
        self.tokens[token] = self.tokens.get(token, 0) - 1
        return self.tokens[token] >= 0

    def _pass_on(self, request: BaseHTTPRequestHandler) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._target, timeout=30)
        connection.request("GET", request.path, headers={"Accept": request.headers.get("Accept", "*/*")})
        answer = connection.getresponse()
        kind = answer.getheader("Content-Type") or ""
        self._say(request, answer.status, answer.read(), {"Content-Type": kind})

    @staticmethod
    def _say(request: BaseHTTPRequestHandler, status: int, content: bytes, headers: dict[str, str]) -> None:
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)


def test_anybody_gets_a_token_and_no_other_host_sees_it(registry: Registry, store: Path) -> None:
    name = registry.push("tokens", [layer(Archive().add("a", b"1"))]).partition("/")[2]
    with Front(registry.port) as front:
        image = asyncio.run(pull(f"127.0.0.1:{front.port}/{name}", store))
    assert (image.layers[0] / "a").read_bytes() == b"1"
    assert front.asked == ["repository:x:pull"]
    assert set(front.told_elsewhere) == {None}


def test_a_token_that_ran_out_is_replaced(registry: Registry, store: Path) -> None:
    layers = [layer(Archive().add(name, b"1")) for name in "abcdef"]
    name = registry.push("run-out", layers).partition("/")[2]
    with Front(registry.port, uses=4) as front:
        asyncio.run(pull(f"127.0.0.1:{front.port}/{name}", store))
    assert len(front.asked) >= 2


def test_credentials_buy_the_token(registry: Registry, store: Path) -> None:
    name = registry.push("bought", [layer(Archive().add("a", b"1"))]).partition("/")[2]
    with Front(registry.port, login="me:pässwörd") as front:
        ref = f"127.0.0.1:{front.port}/{name}"
        with pytest.raises(UnauthorizedError):
            asyncio.run(pull(ref, store))
        asyncio.run(pull(ref, store, credentials=Credentials(username="me", password="pässwörd")))


@pytest.mark.parametrize("realm", ["ftp://127.0.0.1/token", "file:///etc/passwd", "//nowhere"])
def test_a_token_is_asked_for_at_sensible_places_alone(registry: Registry, store: Path, realm: str) -> None:
    with (
        Front(registry.port, realm=realm) as front,
        pytest.raises(RegistryUnreachableError, match="not safe"),
    ):
        asyncio.run(pull(f"127.0.0.1:{front.port}/x", store))


def test_challenges_are_read_in_all_their_forms() -> None:
    header = 'Basic realm="a, \\"b\\"", Bearer realm="https://c/d",service=e , scope="x:pull,push"'
    assert [(found.scheme, found.parameters) for found in read_challenges(header)] == [
        ("basic", {"realm": 'a, "b"'}),
        ("bearer", {"realm": "https://c/d", "service": "e", "scope": "x:pull,push"}),
    ]
    assert [found.scheme for found in read_challenges("Negotiate")] == ["negotiate"]
    assert read_challenges("= , ;") == []
