"""Secrets: values in a folder that the user alone can read, for no longer than something needs them.

A named secret stays until it is deleted. One without a name (an `env`, a `Secret.from_dict`) lies on disk
while a sandbox that is alive refers to it, and for a short while after it was made, in which its sandbox is
created. A handle that a program goes on using is answered from memory, for as long as this daemon lives.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from trebuchet.emulator.world.errors import AlreadyExistsError, InvalidError, NotFoundError
from trebuchet.emulator.world.ids import new_id
from trebuchet.emulator.world.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

GRACE_S = 120.0
"""How long a secret without a name waits on disk for its sandbox."""
MEMORY_LIMIT = 1000
"""How many secrets without a name are remembered once they are off the disk."""


@dataclass(frozen=True, kw_only=True)
class Secret:
    """Variables for a sandbox's environment; nameless ones belong to the sandboxes that refer to them."""

    id: str
    name: str = ""
    environment: str = ""
    values: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    created_at: float = 0.0


class Secrets:
    """All secrets of this engine."""

    def __init__(self, folder: Path) -> None:
        self._shelf = Shelf(folder, Secret, "Secret")
        self._remembered: dict[str, Secret] = {}
        self._users: dict[str, set[str]] = {}

    def make_nameless(self, values: Mapping[str, str]) -> Secret:
        """Keep values for sandboxes that are about to be created."""
        return self._shelf.put(Secret(id=new_id("st"), values=dict(values), created_at=time.time()))

    def make(self, name: str, environment: str, values: Mapping[str, str], *, overwrite: bool) -> Secret:
        """Keep values under a name.

        Raises:
            AlreadyExistsError: The name is taken, and `overwrite` is not set.
        """
        known = self._named(name, environment)
        if known is None:
            known = Secret(id=new_id("st"), name=name, environment=environment, created_at=time.time())
        elif not overwrite:
            raise AlreadyExistsError(f"Secret {name!r} already exists.")
        return self._shelf.put(replace(known, values=dict(values)))

    def exists(self, name: str, environment: str) -> bool:
        """Whether there is a secret of this name."""
        return self._named(name, environment) is not None

    def find(self, name: str, environment: str, required_keys: Iterable[str] = ()) -> Secret:
        """The secret of this name.

        Raises:
            NotFoundError: There is none, or it lacks a required key.
        """
        secret = self._named(name, environment)
        if secret is None:
            raise NotFoundError(f"Secret {name!r} not found.")
        missing = sorted(set(required_keys) - set(secret.values))
        if missing:
            raise NotFoundError(f"Secret is missing key(s): {', '.join(missing)} (of {name!r}).")
        return secret

    def get(self, secret_id: str) -> Secret:
        """The secret of this id.

        Raises:
            NotFoundError: There is none.
        """
        remembered = self._remembered.get(secret_id)
        return remembered if remembered is not None else self._shelf.get(secret_id)

    def update(self, secret_id: str, values: Mapping[str, str]) -> None:
        """Add or replace values of a named secret.

        Raises:
            NotFoundError: There is none.
            InvalidError: It has no name.
        """
        secret = self._shelf.get(secret_id)
        if not secret.name:
            raise InvalidError("Only a named secret can be updated.")
        self._shelf.put(replace(secret, values={**secret.values, **values}))

    def delete(self, secret_id: str) -> None:
        """Forget a secret; sandboxes that have its values keep them.

        Raises:
            NotFoundError: There is none.
        """
        self.get(secret_id)
        self._remembered.pop(secret_id, None)
        self._shelf.drop(secret_id)

    def named(self, environment: str) -> list[Secret]:
        """All that have names, by age."""
        found = [secret for secret in self._shelf if secret.name and secret.environment == environment]
        return sorted(found, key=lambda secret: secret.created_at)

    def values_of(self, secret_ids: Iterable[str]) -> dict[str, str]:
        """The variables of several secrets; later ones win.

        Raises:
            NotFoundError: One of them does not exist.
        """
        merged: dict[str, str] = {}
        for secret_id in secret_ids:
            merged.update(self.get(secret_id).values)
        return merged

    def hold(self, secret_ids: Iterable[str], sandbox_id: str) -> None:
        """Keep these secrets while a sandbox is alive."""
        for secret_id in secret_ids:
            secret = self.get(secret_id)
            if secret_id in self._remembered:
                self._shelf.put(secret)
                del self._remembered[secret_id]
            self._users.setdefault(secret_id, set()).add(sandbox_id)

    def hold_again(self, secret_ids: Iterable[str], sandbox_id: str) -> None:
        """After a daemon's death: keep what is still there for a sandbox that is still alive."""
        self.hold(
            [secret_id for secret_id in secret_ids if self._shelf.peek(secret_id) is not None], sandbox_id
        )

    def release(self, secret_ids: Iterable[str], sandbox_id: str) -> None:
        """A sandbox has ended: what no other one refers to leaves the disk."""
        for secret_id in secret_ids:
            users = self._users.get(secret_id, set())
            users.discard(sandbox_id)
            if not users:
                self._users.pop(secret_id, None)
                self._take_off_disk(secret_id)

    def sweep(self, *, grace_s: float = GRACE_S) -> None:
        """Take off the disk what was made for sandboxes that never came."""
        latest = time.time() - grace_s
        for secret in list(self._shelf):
            if secret.created_at <= latest and secret.id not in self._users:
                self._take_off_disk(secret.id)

    def _take_off_disk(self, secret_id: str) -> None:
        secret = self._shelf.peek(secret_id)
        if secret is None or secret.name:
            return
        self._shelf.drop(secret_id)
        self._remembered[secret_id] = secret
        while len(self._remembered) > MEMORY_LIMIT:
            del self._remembered[next(iter(self._remembered))]

    def _named(self, name: str, environment: str) -> Secret | None:
        return next((secret for secret in self.named(environment) if secret.name == name), None)
