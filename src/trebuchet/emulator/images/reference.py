"""Names of images: `python:3.12`, `ghcr.io/me/tool@sha256:…`, `127.0.0.1:5000/x`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from trebuchet.emulator.images.errors import BadReferenceError

DOCKER_HUB = "docker.io"
_HUB_ALIASES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_HUB_API = "registry-1.docker.io"
_DEFAULT_TAG = "latest"
_LONGEST = 4096

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

_HINT = "Write it as for `docker pull`: NAME[:TAG], HOST[:PORT]/NAME[:TAG] or NAME@sha256:DIGEST."


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Where an image is to be had.

    Attributes:
        host: The registry as people name it, with its port if one was given: `docker.io`, `127.0.0.1:5000`.
        repository: The path within it, `library/python`.
        tag: None where only a digest was given.
        digest: None where none was given; it decides over the tag.
    """

    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")

    @property
    def api_root(self) -> str:
        """The registry's own address. Loopback is spoken to in plain text, everything else by TLS."""
        if self.host == DOCKER_HUB:
            return f"https://{_HUB_API}"
        return f"{'http' if is_loopback(self.host) else 'https'}://{self.host}"

    @property
    def version(self) -> str:
        """What a registry is asked for: the digest, else the tag."""
        return self.digest or self.tag or _DEFAULT_TAG


def parse(text: str) -> Reference:
    """Read an image's name as Docker does: the hub, `library/` and `latest` go without saying.

    Raises:
        BadReferenceError: It is none.
    """
    if len(text) > _LONGEST:
        raise BadReferenceError("The image's name is over 4,096 characters long.", _HINT)
    rest, has_digest, digest = text.partition("@")
    if has_digest and not _DIGEST.fullmatch(digest):
        raise _bad(text, f"`{digest}` is no SHA-256 digest")
    host, rest = _split_host(rest)
    repository, has_tag, tag = rest.partition(":")
    if has_tag and not _TAG.fullmatch(tag):
        raise _bad(text, f"`{tag}` is no tag")
    if not _HOST.fullmatch(host):
        raise _bad(text, f"`{host}` is no host")
    if not _REPOSITORY.fullmatch(repository):
        complaint = (
            "names are in lower case" if repository != repository.lower() else f"`{repository}` is no name"
        )
        raise _bad(text, complaint)
    if host in _HUB_ALIASES:
        host = DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    if not has_tag and not has_digest:
        tag = _DEFAULT_TAG
    return Reference(host=host, repository=repository, tag=tag or None, digest=digest or None)


def is_digest(text: str) -> bool:
    """Whether this is a digest of the one kind that is understood, SHA-256."""
    return _DIGEST.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Whether a host, with or without its port, is this machine's loopback."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) and not host.endswith("]") else host
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _split_host(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    names_a_host = first == "localhost" or any(mark in first for mark in ".:[") or first != first.lower()
    return (first, rest) if slash and names_a_host else (DOCKER_HUB, text)


def _bad(text: str, complaint: str) -> BadReferenceError:
    return BadReferenceError(f"`{text}` is not the name of an image: {complaint}.", _HINT)
