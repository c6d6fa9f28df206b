"""`trebuchet cancel`, `stop` and `down`: the three ways to end jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trebuchet.cli.completion import known_jobs
from trebuchet.cli.verb import Verb, pass_session, session_options

if TYPE_CHECKING:
    from trebuchet.cli.session import Session
