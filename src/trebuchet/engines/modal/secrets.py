"""Named secrets, for sandboxes that will be created later, by whoever then creates them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import modal
from modal.exception import AlreadyExistsError

if TYPE_CHECKING:
    from trebuchet.engines.modal.connection import Connection


def put_secret(connection: Connection, name: str, values: dict[str, str]) -> None:
    """Store exactly these values under the name."""
    try:
        _create(connection, name, values)
    except AlreadyExistsError:
        # An update would keep the keys that the new values no longer have.
        delete_secret(connection, name)
        _create(connection, name, values)


def _create(connection: Connection, name: str, values: dict[str, str]) -> None:
    modal.Secret.objects.create(
        name, values, environment_name=connection.environment, client=connection.client
    )


def delete_secret(connection: Connection, name: str) -> None:
    """Delete it; nothing happens where there is none."""
    connection.forget_secret(name)
    modal.Secret.objects.delete(
        name, allow_missing=True, environment_name=connection.environment, client=connection.client
    )
