"""How a launch goes on, told to whoever called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from trebuchet.client import Client
    from trebuchet.ledger import Job
    from trebuchet.status import JobStatus
    from trebuchet.uploads import Sent


@dataclass(frozen=True)
class Told:
    """Passes a launch's progress on to the functions that were given."""

    client: Client
    on_build_output: Callable[[str], None] | None
    on_waiting: Callable[[JobStatus], None] | None
    on_sending: Callable[[Sent], None] | None = None

    def build_output(self, text: str) -> None:
        if self.on_build_output is not None:
            self.on_build_output(text)

    def sending(self, sent: Sent) -> None:
        if self.on_sending is not None:
            self.on_sending(sent)

    def waiting(self, job: Job) -> None:
        if self.on_waiting is not None:
            self.on_waiting(self.client.status_of(job))
