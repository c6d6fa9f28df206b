"""Whose view of Modal a token gives: asked once, then remembered on disk: a status makes no call for it."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import astuple
from typing import TYPE_CHECKING

import modal
from modal.exception import NotFoundError, PermissionDeniedError, UnimplementedError

from trebuchet.engines.base import Identity
from trebuchet.settings import make_private_folder

if TYPE_CHECKING:
    from pathlib import Path

    from trebuchet.engines.modal.connection import Connection

_NOT_TOLD = (NotFoundError, PermissionDeniedError, UnimplementedError)


def identify(connection: Connection, memory: Path) -> Identity:
    """The view that the connection's token gives.

    Args:
        connection: Asked where the file does not tell.
        memory: A JSON file, made if missing.
    """
    credentials = connection.credentials
    # The file must not become a list of tokens.
    token = f"{credentials.server_url} {credentials.token_id} {credentials.environment}"
    key = hashlib.sha256(token.encode()).hexdigest()[:32]
    known = _read(memory)
    if key not in known:
        known[key] = list(astuple(_ask(connection)))
        _write(memory, known)
    return Identity(*known[key])


def _ask(connection: Connection) -> Identity:
    credentials = connection.credentials
    return Identity(
        control_plane=credentials.server_url.partition(",")[0],
        workspace=_workspace(connection.client) or credentials.token_id,
        environment=credentials.environment or _default_environment(connection.client) or "",
    )


def _workspace(client: modal.Client) -> str | None:
    try:
        return modal.Workspace.from_context(client=client).hydrate(client).name
    except _NOT_TOLD:
        return None


def _default_environment(client: modal.Client) -> str | None:
    try:
        return modal.Environment.from_context(client=client).hydrate(client).name
    except _NOT_TOLD:
        return None


def _read(memory: Path) -> dict[str, list[str]]:
    try:
        return dict(json.loads(memory.read_text()))
    except (OSError, ValueError):
        return {}


def _write(memory: Path, known: dict[str, list[str]]) -> None:
    make_private_folder(memory.parent)
    descriptor, name = tempfile.mkstemp(dir=memory.parent, prefix=memory.name)
    with os.fdopen(descriptor, "w") as file:
        json.dump(known, file)
    os.replace(name, memory)  # noqa: PTH105 - atomic, and both are plain strings
