"""One table from the SDK's errors to ours."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from trebuchet.errors import (
    AlreadyExistsError,
    AuthenticationError,
    CapacityError,
    ClusterUnreachableError,
    ControlPlaneError,
    ImageBuildError,
    JobNotFoundError,
    LaunchError,
    MachineError,
    NotFoundError,
    RateLimitedError,
    TrebuchetError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Generator

TOKEN_HINT = "Run `modal token new`, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET."  # noqa: S105 - a hint
_WAIT_HINT = "Nothing is known about what runs there; try again in a while."
_MACHINE_HINT = "This machine refused it; the control plane did not. Look at its disks and limits."

_NETWORK = frozenset(
    {
        errno.EADDRNOTAVAIL,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ENOBUFS,
        errno.ENOTCONN,
    }
)
"""What the system says of a network, beside what has a class of its own in Python."""

_TRANSPORTS = frozenset({"aiohttp", "grpclib", "h2"})
"""What the SDK speaks through; their own errors have no public name in it."""

_SEVERAL = "Multiple exceptions"
"""How asyncio begins where none of a host's addresses takes a connection; it gives no number then."""


class _Row(NamedTuple):
    sdk: tuple[type[BaseException], ...]
    ours: type[TrebuchetError]
    hint: str | None = None


@cache
def _table() -> tuple[_Row, ...]:
    """The first row that fits wins: subclasses stand above their bases."""
    from modal import exception as sdk  # noqa: PLC0415 - heavy; and so this module stays light

    return (
        _Row((sdk.AuthError, sdk.PermissionDeniedError), AuthenticationError, TOKEN_HINT),
        _Row((sdk.AlreadyExistsError,), AlreadyExistsError, "Choose another name, or end the one that runs."),
        _Row((sdk.NotFoundError,), NotFoundError),
        _Row((sdk.ImageBuildError,), ImageBuildError),
        _Row((sdk.ConflictError, sdk.SandboxTerminatedError), LaunchError),
        _Row((sdk.InvalidError,), UsageError),
        _Row((sdk.ServiceError, sdk.ConnectionError, sdk.TimeoutError), ClusterUnreachableError, _WAIT_HINT),
        _Row((sdk.ClientClosed,), ClusterUnreachableError, _WAIT_HINT),
        _Row((sdk.VersionError,), ControlPlaneError, "Update the `modal` package."),
        _Row((sdk.Error,), ControlPlaneError),
        # A file of the caller's that went away or is locked is no fault of the network.
        _Row((FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError), UsageError),
        _Row(
            (ConnectionError, TimeoutError, socket.gaierror, ssl.SSLError),
            ClusterUnreachableError,
            _WAIT_HINT,
        ),
    )


def translate(error: Exception) -> TrebuchetError | None:
    """Our error for one of the SDK's or of what lies below it; None for one that is neither's."""
    from modal import exception as sdk  # noqa: PLC0415 - as above

    if isinstance(error, sdk.ResourceExhaustedError):
        return _exhausted(str(error))
    for row in _table():
        if isinstance(error, row.sdk):
            return row.ours(_sentence(error), hint=row.hint)
    if type(error).__module__.partition(".")[0] in _TRANSPORTS:
        return ClusterUnreachableError(f"The connection broke: {_sentence(error)}", hint=_WAIT_HINT)
    return _of_the_system(error) if isinstance(error, OSError) else None


def _of_the_system(error: OSError) -> TrebuchetError:
    """A network that is away may come back; a full disk of this machine is nothing to wait for."""
    if error.errno in _NETWORK or (error.errno is None and str(error).startswith(_SEVERAL)):
        return ClusterUnreachableError(_sentence(error), hint=_WAIT_HINT)
    reason = _sentence(error) if error.errno is None else os.strerror(error.errno)
    named = f"{os.fsdecode(error.filename)}: {reason}" if error.filename else reason
    return MachineError(f"{named.rstrip('.')}.", hint=_MACHINE_HINT)


def _exhausted(message: str) -> TrebuchetError:
    # The status is the same for both; the SDK words the one for capacity itself.
    if "capacity" in message.lower():
        return CapacityError(message, hint="Wait, or ask for another GPU type.")
    return RateLimitedError(message or "Too many requests.", hint="Try again in a few seconds.")


def _sentence(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text if len(text) <= 600 else text[:600] + " …"


@contextmanager
def translated(*, sandbox_id: str | None = None) -> Generator[None]:
    """Turn the SDK's errors into ours.

    Args:
        sandbox_id: Where given, "not found" and "not an id" mean that this sandbox is unknown.

    Raises:
        JobNotFoundError: The control plane does not know `sandbox_id`.
        TrebuchetError: As the table says.
    """
    try:
        yield
    except TrebuchetError:
        raise
    except Exception as error:
        ours = translate(error)
        if ours is None:
            raise
        says_unknown = isinstance(ours, (NotFoundError, UsageError)) and not isinstance(error, OSError)
        if sandbox_id is not None and says_unknown:
            ours = JobNotFoundError(f"The control plane knows no sandbox {sandbox_id}.")
        raise ours from error
