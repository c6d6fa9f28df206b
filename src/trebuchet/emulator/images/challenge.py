"""What a registry says when it wants to know who asks, and the tokens that answer it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field

_SCHEME = re.compile(
    r"\s*,?\s*([A-Za-z][A-Za-z0-9_-]*)\s+(?=[A-Za-z]+\s*=)|\s*,?\s*([A-Za-z][A-Za-z0-9_-]*)\s*(?:,|$)"
)
_PARAMETER = re.compile(r'\s*,?\s*([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Who asks. An access token goes in the password's place, as registries want it."""

    username: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """As an `Authorization` header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """One way in that a `WWW-Authenticate` header offers. The scheme is in lower case."""

    scheme: str
    parameters: dict[str, str]


def read_challenges(header: str) -> list[Challenge]:
    """All ways in that a header offers; what cannot be read is left out."""
    found: list[Challenge] = []
    position = 0
    while match := _SCHEME.match(header, position):
        position = match.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, position):
            position = parameter.end()
            name, quoted, plain = parameter.groups()
            parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        found.append(Challenge(scheme=(match[1] or match[2]).lower(), parameters=parameters))
    return found
