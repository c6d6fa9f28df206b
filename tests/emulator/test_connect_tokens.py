"""Connect tokens: HTTP to a sandbox for those who carry one, and for nobody else."""

from __future__ import annotations

import asyncio
import select
import socket
import urllib.error
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import ConflictError, InvalidError

from support.engine import wait_until
from trebuchet.emulator.lobby import MOST_STRANGERS, Lobby
from trebuchet.emulator.process.ports import accepts_connections
from trebuchet.emulator.rpc.tokens import Tokens
from trebuchet.emulator.visits import HEAD_S, Visits
from trebuchet.emulator.world.sandbox import Ask, Sandbox, Standing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Engine

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.end_headers()
        self.wfile.write(f"{self.path} {self.headers.get_all('X-Verified-User-Data')} ".encode() + body)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
UPGRADES = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = server.accept()
    head = connection.recv(65536)
    if b"Connection: Upgrade" in head:
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\n\\r\\n")
        while data := connection.recv(100):
            connection.sendall(data.upper())
    connection.close()
"""


def free_port() -> int:
    """A port that nothing has now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture(scope="module")
def served(engine: Engine) -> Iterator[tuple[modal.Sandbox, int]]:
    """A sandbox with a web server, and the server's port."""
    port = free_port()
    sandbox = engine.create(
        "python3", "-c", SERVER, str(port), readiness_probe=modal.Probe.with_tcp(port), timeout=600
    )
    sandbox.wait_until_ready(timeout=30)
    yield sandbox, port
    sandbox.terminate()


def post(url: str, **headers: str) -> tuple[int, str]:
    """The status and the body of an answer."""
    request = urllib.request.Request(url, data=b"body", headers=headers, method="POST")
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_header_opens_the_sandboxes_port(served: tuple[modal.Sandbox, int]) -> None:
    sandbox, port = served
    pass_ = sandbox.create_connect_token(user_metadata={"name": "é"}, port=port)
    told = post(f"{pass_.url}/a/path?and=query", Authorization=f"Bearer {pass_.token}")
    assert told == (201, '/a/path?and=query [\'{"name": "\\\\u00e9"}\'] body')


def test_an_address_or_a_cookie_opens_it_too(served: tuple[modal.Sandbox, int]) -> None:
    sandbox, port = served
    pass_ = sandbox.create_connect_token(port=port)
    assert post(f"{pass_.url}/x?a=1&_modal_connect_token={pass_.token}") == (201, "/x?a=1 None body")
    assert post(f"{pass_.url}/x", Cookie=f"other=1; _modal_connect_token={pass_.token}") == (
        201,
        "/x None body",
    )


def test_what_is_said_of_a_visitor_cannot_be_forged(served: tuple[modal.Sandbox, int]) -> None:
    sandbox, port = served
    pass_ = sandbox.create_connect_token(user_metadata="true words", port=port)
    headers = {"Authorization": f"Bearer {pass_.token}", "x-verified-user-data": "forged"}
    assert post(f"{pass_.url}/", **headers) == (201, "/ ['true words'] body")


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("X_Verified_User_Data: forged", 201),
        ("X-Verified-User-Data : forged", 400),
        ("A: b\nX-Verified-User-Data: forged", 400),
        ("A: b\r\n X-Verified-User-Data: forged", 400),
    ],
)
def test_no_odd_field_says_anything_of_a_visitor(
    served: tuple[modal.Sandbox, int], field: str, code: int
) -> None:
    sandbox, port = served
    pass_ = sandbox.create_connect_token(user_metadata="true", port=port)
    head = f"POST / HTTP/1.1\r\nAuthorization: Bearer {pass_.token}\r\nContent-Length: 0\r\n{field}\r\n\r\n"
    answer = raw(pass_.url, head)
    assert answer.startswith(f"HTTP/1.1 {code}".replace("1.1 201", "1.0 201"))
    assert "forged" not in answer


def test_those_who_show_no_token_take_no_room(served: tuple[modal.Sandbox, int]) -> None:
    sandbox, port = served
    pass_ = sandbox.create_connect_token(port=port)
    host, _, entrance = pass_.url.removeprefix("http://").partition(":")
    ended = select.poll()
    with ExitStack() as stack:
        for _ in range(MOST_STRANGERS + 200):
            raw = stack.enter_context(socket.create_connection((host, int(entrance)), timeout=20))
            raw.sendall(b"GET / HT")
            ended.register(raw, select.POLLIN)
        wait_until(lambda: len(ended.poll(0)) >= 200, HEAD_S / 2)
        assert post(f"{pass_.url}/x", Authorization=f"Bearer {pass_.token}") == (201, "/x None body")


def test_a_visitor_stays_though_many_come_who_show_no_token(engine: Engine) -> None:
    port = free_port()
    probe = modal.Probe.with_tcp(port)
    sandbox = engine.create("python3", "-c", UPGRADES, str(port), readiness_probe=probe, timeout=60)
    sandbox.wait_until_ready(timeout=30)
    pass_ = sandbox.create_connect_token(port=port)
    address, _, entrance = pass_.url.removeprefix("http://").partition(":")
    with ExitStack() as stack:
        visitor = stack.enter_context(socket.create_connection((address, int(entrance)), timeout=20))
        head = f"GET / HTTP/1.1\r\nAuthorization: Bearer {pass_.token}\r\nConnection: Upgrade\r\n\r\n"
        visitor.sendall(head.encode())
        assert visitor.recv(1000).startswith(b"HTTP/1.1 101")
        for _ in range(MOST_STRANGERS + 200):
            stack.enter_context(socket.create_connection((address, int(entrance)), timeout=20))
        visitor.sendall(b"still here")
        assert visitor.recv(100) == b"STILL HERE"
    sandbox.terminate()


KEEPS_ALIVE = SERVER.replace("def do_POST", "protocol_version = 'HTTP/1.1'\n    def do_POST").replace(
    "self.end_headers()", "self.send_header('Content-Length', '0'); self.end_headers(); print(self.headers)"
)


def test_who_is_not_upgraded_says_nothing_more(engine: Engine) -> None:
    port = free_port()
    probe = modal.Probe.with_tcp(port)
    sandbox = engine.create("python3", "-uc", KEEPS_ALIVE, str(port), readiness_probe=probe, timeout=60)
    sandbox.wait_until_ready(timeout=30)
    pass_ = sandbox.create_connect_token(user_metadata="true", port=port)
    first = (
        f"POST / HTTP/1.1\r\nAuthorization: Bearer {pass_.token}\r\nConnection: Upgrade\r\nContent-Length: 0"
    )
    second = "POST /second HTTP/1.1\r\nX-Verified-User-Data: forged\r\nContent-Length: 0"
    answer = raw(pass_.url, f"{first}\r\n\r\n{second}\r\n\r\n")
    assert answer.count("HTTP/1.1 201") == 1
    sandbox.terminate()
    assert "forged" not in sandbox.stdout.read()


def raw(url: str, request: str) -> str:
    """What comes back for bytes that no library would send."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request.encode())
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def test_nobody_else_gets_in(engine: Engine, served: tuple[modal.Sandbox, int]) -> None:
    sandbox, port = served
    other = engine.create("sleep", "60")
    pass_, of_other = sandbox.create_connect_token(port=port), other.create_connect_token(port=port)
    tokens = Tokens(engine.endpoint.token_id, engine.endpoint.token_secret)
    for word in ("", "x", "a.b.c", pass_.token[:-2] + "xx", of_other.token, tokens.make_pass("session")):
        assert post(f"{pass_.url}/", Authorization=f"Bearer {word}")[0] == 401
    assert post(f"{of_other.url}/", Authorization=f"Bearer {pass_.token}")[0] == 401
    other.terminate()


def test_an_upgraded_connection_stays_open(engine: Engine) -> None:
    port = free_port()
    sandbox = engine.create("python3", "-c", UPGRADES, str(port), readiness_probe=modal.Probe.with_tcp(port))
    sandbox.wait_until_ready(timeout=30)
    pass_ = sandbox.create_connect_token(port=port)
    host, _, place = pass_.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(place)), timeout=20) as connection:
        connection.sendall(
            f"GET /?_modal_connect_token={pass_.token} HTTP/1.1\r\n"
            "Connection: keep-alive, Upgrade\r\nUpgrade: shout\r\n\r\n".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 101")
        for word in (b"one", b"two"):
            connection.sendall(word)
            assert connection.recv(100) == word.upper()
    sandbox.terminate()


def test_a_port_that_nothing_listens_on_is_a_bad_gateway(served: tuple[modal.Sandbox, int]) -> None:
    sandbox, _ = served
    pass_ = sandbox.create_connect_token(port=free_port())
    assert post(f"{pass_.url}/", Authorization=f"Bearer {pass_.token}")[0] == 502


def test_what_is_no_request_is_refused(served: tuple[modal.Sandbox, int]) -> None:
    host, _, place = served[0].create_connect_token().url.removeprefix("http://").partition(":")
    for words in (b"hello\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n", b"\xff" * 70_000):
        with socket.create_connection((host, int(place)), timeout=20) as connection:
            connection.sendall(words)
            assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_the_end_closes_the_entrance(engine: Engine) -> None:
    sandbox = engine.create("sleep", "60")
    pass_ = sandbox.create_connect_token()
    sandbox.terminate(wait=True)
    host, _, place = pass_.url.removeprefix("http://").partition(":")
    with pytest.raises(ConnectionError):
        socket.create_connection((host, int(place)), timeout=20)
    with pytest.raises(ConflictError):
        sandbox.create_connect_token()


def test_what_is_said_of_a_visitor_is_short_and_one_line(served: tuple[modal.Sandbox, int]) -> None:
    for words in ("x" * 512, "one\r\nX-Verified-User-Data: two"):
        with pytest.raises(InvalidError):
            served[0].create_connect_token(user_metadata=words)


def test_two_who_ask_at_once_get_the_one_entrance_of_a_sandbox(tmp_path: Path) -> None:
    async def ask_twice() -> None:
        visits = Visits(Tokens("id", "secret"), Lobby())
        sandbox = Sandbox(tmp_path, Ask(id="sb-1", app_id="ap-1", created_at=0.0), Standing())
        first, second = await asyncio.gather(visits.url(sandbox), visits.url(sandbox))
        assert first == second
        port = int(first.rpartition(":")[2])
        sandbox.ended.set()
        async with asyncio.timeout(30):
            while await accepts_connections(port):
                await asyncio.sleep(0)
        visits.close()

    asyncio.run(ask_twice())
