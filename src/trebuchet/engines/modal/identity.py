"""Whose view of Modal a token gives: asked once, then remembered on disk: a status makes no call for it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from dataclasses import astuple, fields
from typing import TYPE_CHECKING, cast

import modal
from modal.exception import NotFoundError, PermissionDeniedError, UnimplementedError

from trebuchet.engines.base import Identity
from trebuchet.settings import make_missing_folder

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
        found = list(astuple(_ask(connection)))
        known = _remember(memory, key, found)
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
    """What is remembered and fits; a file that somebody else wrote may hold anything."""
    try:
        written = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(written, dict):
        return {}
    return {
        key: cast("list[str]", facts)
        for key, facts in cast("dict[str, object]", written).items()
        if isinstance(facts, list)
        and len(cast("list[object]", facts)) == len(fields(Identity))
        and all(isinstance(fact, str) for fact in cast("list[object]", facts))
    }


def _remember(memory: Path, key: str, found: list[str]) -> dict[str, list[str]]:
    """Add what was found to what is remembered; where nothing can be written, it is asked for again.

    Two processes may both add something: each reads the file anew while it has the lock.
    """
    try:
        make_missing_folder(memory.parent)
        with memory.with_name(f".{memory.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = _read(memory) | {key: found}
            _write(memory, known)
    except OSError:
        return {key: found}
    return known


def _write(memory: Path, known: dict[str, list[str]]) -> None:
    descriptor, name = tempfile.mkstemp(dir=memory.parent, prefix=memory.name)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(known, file)
        os.replace(name, memory)  # noqa: PTH105 - atomic, and both are plain strings
    except BaseException:
        os.unlink(name)  # noqa: PTH108 - as above
        raise
