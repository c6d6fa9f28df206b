"""Which versions of Modal's Python SDK can be served."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from grpclib import GRPCError, Status

from trebuchet.emulator.rpc.call import PYTHON_CLIENT

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST = (1, 5)
"""Earlier ones run no command in a sandbox without a certificate that they trust for loopback."""
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})")


def refuse_outdated(metadata: Mapping[str, str]) -> None:
    """Refuse every call of a Python SDK that is too old, rather than only the first that must fail.

    Raises:
        GRPCError: It is; the SDK shows the message, whatever its version.
    """
    if metadata.get("x-modal-client-type") != PYTHON_CLIENT:
        return
    said = metadata.get("x-modal-client-version", "")
    known = _VERSION.match(said)
    if known is not None and (int(known[1]), int(known[2])) < FIRST:
        first = ".".join(map(str, FIRST))
        raise GRPCError(
            Status.FAILED_PRECONDITION,
            f"The local engine serves Modal's Python SDK from version {first} on, and this is {said[:40]}: "
            f"`pip install 'modal>={first}'`.",
        )
