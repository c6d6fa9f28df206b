"""The list of the app's unfinished sandboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import modal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trebuchet.engines.modal.connection import Connection


def unfinished(connection: Connection, tags: Mapping[str, str], heard: Callable[[], None]) -> list[str]:
    """Ids of the unfinished sandboxes that carry all of these tags; `heard` is called at each one."""
    app = connection.find_app()
    if app is None:
        return []
    found = list[str]()
    for sandbox in modal.Sandbox.list(app_id=app.app_id, tags=dict(tags), client=connection.client):
        found.append(sandbox.object_id)
        heard()
    return found
