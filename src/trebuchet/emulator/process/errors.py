"""What goes wrong between the engine and its processes.

ProcessError
├── NoFolderError        there is nothing at a path of a sandbox
├── NotAFolderError      there is something else than a folder
├── NotRunningError      the process has ended, or was never there
└── CannotStartError     it cannot be accepted: a folder in use, no supervisor to be had
"""

from __future__ import annotations


class ProcessError(Exception):
    """The root of this small tree. Its message is a sentence for people and holds no secrets."""


class NoFolderError(ProcessError):
    """There is nothing at a path of a sandbox."""


class NotAFolderError(ProcessError):
    """There is something else than a folder at a path of a sandbox."""


class NotRunningError(ProcessError):
    """The process has ended, or was never there."""


class CannotStartError(ProcessError):
    """The process cannot be accepted; nothing was started."""
