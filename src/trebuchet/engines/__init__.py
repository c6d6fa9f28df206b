"""Places that run sandboxes, behind one contract (`base.Engine`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.errors import UsageError
from trebuchet.sandbox import CLOUDS

if TYPE_CHECKING:
    from trebuchet.engines.base import Engine
    from trebuchet.settings import Settings


def engine_for(cloud: str, settings: Settings) -> Engine:
    """The engine of a cloud. Nothing is started and no call is made.

    Raises:
        UsageError: There is no such cloud.
    """
    if cloud == "local":
        from trebuchet.engines.local import LocalEngine  # noqa: PLC0415 - only the one asked for

        return LocalEngine(settings)
    if cloud == "modal":
        from trebuchet.engines.modal import ModalEngine  # noqa: PLC0415 - only the one asked for

        return ModalEngine(settings)
    raise UsageError(f"There is no cloud {cloud!r}.", hint=f"Trebuchet knows {' and '.join(CLOUDS)}.")
