"""A real registry on loopback, and one in between that misbehaves."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.layers import MANIFEST, Layer, config_of, digest_of, manifest_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

PROGRAM = shutil.which("docker-registry") or shutil.which("registry")
WHY_NOT = "there is no registry to test against: install Debian's package docker-registry"
_START_S = 20.0


@dataclass(frozen=True)
class Registry:
    """A registry that runs."""

    port: int
    folder: Path
    login: tuple[str, str] | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def push(self, name: str, layers: list[Layer], *, tag: str = "latest", **config: Any) -> str:
        """Push an image; returns its reference."""
        about = config_of(layers, **config)
        for one in layers:
            self.put_blob(name, one.blob)
        self.put_blob(name, about)
        self.put_manifest(name, tag, manifest_of(about, layers), MANIFEST)
        return f"{self.host}/{name}:{tag}"

    def put_blob(self, name: str, content: bytes) -> None:
        place = self._ask("POST", f"/v2/{name}/blobs/uploads/", b"").getheader("Location") or ""
        path = place.partition(self.host)[2] or place
        self._ask("PUT", f"{path}{'&' if '?' in path else '?'}digest={digest_of(content)}", content)

    def put_manifest(self, name: str, tag: str, content: bytes, media_type: str) -> None:
        self._ask("PUT", f"/v2/{name}/manifests/{tag}", content, {"Content-Type": media_type})

    def blob_file(self, digest: str) -> Path:
        """Where the registry keeps a blob."""
        hexadecimal = digest.partition(":")[2]
        return self.folder / "docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal / "data"

    def _ask(
        self, method: str, path: str, body: bytes, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        asked = {"Content-Type": "application/octet-stream"} | (headers or {})
        if self.login:
            asked["Authorization"] = "Basic " + base64.b64encode(":".join(self.login).encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, asked)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status < 300, (method, path, answer.status, content)
        return answer


@contextlib.contextmanager
def run_registry(
    folder: Path, *, login: tuple[str, str] | None = None, htpasswd: str = ""
) -> Iterator[Registry]:
    assert PROGRAM
    port = free_port()
    settings: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder)}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if login:
        (folder / "htpasswd").write_text(htpasswd)
        settings["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(settings))  # YAML, as all JSON is
    process = subprocess.Popen(
        [PROGRAM, "serve", str(folder / "config.yml")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await_port(port, process)
        yield Registry(port, folder, login)
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, "the registry ended"
            assert time.monotonic() < deadline, "the registry does not listen"
            time.sleep(0.05)
        else:
            return


@dataclass
class Gate:
    """A listener before a registry that can break connections off or hold them up.

    Attributes:
        break_after: Bytes after which the answers to the next requests for blobs are cut, one each.
        hold: While it is not set, no answer's byte beyond `hold_after` goes through.
        requests: The first lines and ranges of what was asked.
    """

    target: int
    break_after: list[int] = field(default_factory=list)
    hold_after: int | None = None
    hold: threading.Event = field(default_factory=threading.Event)
    requests: list[str] = field(default_factory=list)
    port: int = 0

    def __enter__(self) -> Gate:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hold.set()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with (
            client,
            socket.create_connection(("127.0.0.1", self.target)) as server,
            contextlib.suppress(OSError),
        ):
            request = _read_request(client)
            lines = request.decode("latin-1").split("\r\n")
            ranges = [line for line in lines if line.lower().startswith("range:")]
            self.requests.append(" ".join([lines[0], *ranges]))
            # One answer a connection, so that its end is seen.
            server.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
            self._answer(server, client, is_blob="/blobs/" in lines[0])

    def _answer(self, server: socket.socket, client: socket.socket, *, is_blob: bool) -> None:
        limit = self.break_after.pop(0) if is_blob and self.break_after else None
        sent = 0
        while data := server.recv(4096):
            if limit is not None and sent + len(data) > limit:
                client.sendall(data[: max(0, limit - sent)])
                return
            if is_blob and self.hold_after is not None and sent > self.hold_after:
                self.hold.wait()
            client.sendall(data)
            sent += len(data)


def _read_request(client: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        data = client.recv(4096)
        if not data:
            return b""
        request += data
    return request
