"""What the engine's world refuses, in sentences for people; `rpc` turns each into a status.

WorldError
├── NotFoundError
│   └── UnreadableError    it was written down, and that is damaged
├── AlreadyExistsError
├── InvalidError           the request makes no sense here, now or later
├── ConflictError          not in the state it is in
├── NotInTimeError         what was waited for did not come
└── NotServedError         Modal does this; the engine does not
"""

from __future__ import annotations


class WorldError(Exception):
    """The root of this small tree. Messages hold no secrets."""


class NotFoundError(WorldError):
    """There is no such thing."""


class UnreadableError(NotFoundError):
    """It was written down, and that is damaged."""


class AlreadyExistsError(WorldError):
    """There is one already."""


class InvalidError(WorldError):
    """The request makes no sense here, now or later."""


class ConflictError(WorldError):
    """Not in the state it is in."""


class NotInTimeError(WorldError):
    """What was waited for did not come."""


class NotServedError(WorldError):
    """Modal does this; the engine does not."""
