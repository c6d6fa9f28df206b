"""One repository of a registry, over HTTP: who may ask, what is asked again, and what an answer means.

No library for this protocol goes on with a download that broke off, and none that streams is asynchronous.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import urllib.request
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlsplit

import aiohttp

from trebuchet.emulator.images.challenge import Challenge, Credentials, read_challenges
from trebuchet.emulator.images.errors import (
    ImageNotFoundError,
    RegistryUnreachableError,
    UnauthorizedError,
    UnusableImageError,
)
from trebuchet.emulator.images.manifests import INDEX_TYPES, LARGEST_DOCUMENT, MANIFEST_TYPES
from trebuchet.emulator.images.reference import is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from trebuchet.emulator.images.reference import Reference

TRIES = 5
_CONNECT_S = 20.0
_SILENCE_S = 60.0
_LONGEST_WAIT_S = 30.0
_FIRST_WAIT_S = 0.5
_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})

BROKEN_OFF = (aiohttp.ClientError, TimeoutError, ConnectionError)
"""What a connection that fails raises."""


class Registry:
    """Asks for the parts of the image that a reference names. An asynchronous context manager."""

    def __init__(self, reference: Reference, credentials: Credentials | None) -> None:
        self._reference = reference
        self._credentials = credentials
        self._base = f"{reference.api_root}/v2/{reference.repository}"
        self._authorization: str | None = None
        self._asking = asyncio.Lock()

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENCE_S)
        # Nothing is decompressed on the way: what is hashed is what is stored.
        self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def manifest(self, version: str) -> tuple[bytes, str]:
        """What the registry has under a tag or a digest, and of which media type it says it is.

        Raises:
            ImageError: It has none, or does not give it.
        """
        accept = ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))
        return await self._document(f"{self._base}/manifests/{version}", {"Accept": accept})

    async def document(self, digest: str) -> bytes:
        """A small blob, whole.

        Raises:
            ImageError: It is not there, or not small.
        """
        content, _ = await self._document(f"{self._base}/blobs/{digest}", {})
        return content

    @contextlib.asynccontextmanager
    async def blob(self, digest: str, start: int) -> AsyncGenerator[aiohttp.ClientResponse]:
        """The answer to a request for a blob from its byte `start` on; it may begin at 0 all the same.

        Raises:
            ImageError: The registry refuses.
            aiohttp.ClientError, TimeoutError: The connection fails; asking again may help.
        """
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        async with self._ask(f"{self._base}/blobs/{digest}", headers) as answer:
            yield answer

    async def _document(self, url: str, headers: Mapping[str, str]) -> tuple[bytes, str]:
        tries = 0
        while True:
            tries += 1
            try:
                async with self._ask(url, headers) as answer:
                    return await _read_small(answer), answer.headers.get("Content-Type", "")
            except BROKEN_OFF as error:
                await self.wait_before_again(error, tries)

    async def wait_before_again(self, error: Exception, tries: int) -> None:
        """Wait a while after a failure, longer after each.

        Raises:
            RegistryUnreachableError: That was the last try, or trying again is no use.
        """
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
            raise RegistryUnreachableError(
                f"The registry {self._reference.host} cannot be trusted: {error}.",
                "Check the clock, and SSL_CERT_FILE if the registry has a certificate of your own authority.",
            ) from error
        if isinstance(error, aiohttp.InvalidURL) or tries >= TRIES:
            raise RegistryUnreachableError(
                f"The registry {self._reference.host} does not answer: {_what_happened(error)}.",
                "Check the image's name and the network, then try again: what has been downloaded is kept.",
                transient=not isinstance(error, aiohttp.InvalidURL),
            ) from error
        asked_for = error.seconds if isinstance(error, _BusyError) else 0.0
        backoff = _FIRST_WAIT_S * 2 ** (tries - 1) * random.uniform(0.5, 1)  # noqa: S311 - spreads retries, no secret
        await asyncio.sleep(min(max(backoff, asked_for), _LONGEST_WAIT_S))

    @contextlib.asynccontextmanager
    async def _ask(self, url: str, headers: Mapping[str, str]) -> AsyncGenerator[aiohttp.ClientResponse]:
        used = self._authorization
        async with self._get(url, headers, used) as answer:
            if answer.status != HTTPStatus.UNAUTHORIZED:
                await self._check(answer)
                yield answer
                return
            offered = answer.headers.getall("WWW-Authenticate", [])
        async with self._asking:
            if self._authorization == used:  # else another request has just been told
                self._authorization = await self._authorize(offered)
        async with self._get(url, headers, self._authorization) as answer:
            await self._check(answer)
            yield answer

    def _get(
        self, url: str, headers: Mapping[str, str], authorization: str | None
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        # Where an answer leads on to another host, as to a store of blobs, the client leaves the header out.
        identity = {"Authorization": authorization} if authorization else {}
        return self._session.get(url, headers={**headers, **identity}, proxy=_proxy_for(url))

    async def _authorize(self, offered: list[str]) -> str:
        challenges = [challenge for header in offered for challenge in read_challenges(header)]
        for challenge in challenges:
            if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                return f"Bearer {await self._fetch_token(challenge)}"
        if self._credentials and any(challenge.scheme == "basic" for challenge in challenges):
            return self._credentials.header
        raise self._refusal()

    async def _fetch_token(self, challenge: Challenge) -> str:
        asked = challenge.parameters
        realm = asked["realm"]
        place = urlsplit(realm)
        plain = place.scheme == "http" and (is_loopback(place.netloc) or self._base.startswith("http:"))
        if place.scheme != "https" and not plain:
            raise RegistryUnreachableError(
                f"The registry {self._reference.host} sends us to log in at an address that is not safe."
            )
        query = {"scope": asked.get("scope", f"repository:{self._reference.repository}:pull")}
        if "service" in asked:
            query["service"] = asked["service"]
        headers = {"Authorization": self._credentials.header} if self._credentials else {}
        async with self._session.get(realm, params=query, headers=headers, proxy=_proxy_for(realm)) as answer:
            await self._check(answer)
            content = await _read_small(answer)
        with contextlib.suppress(ValueError):
            said: object = json.loads(content)
            if isinstance(said, dict):
                reply = cast("dict[str, Any]", said)
                token = reply.get("token") or reply.get("access_token")
                if isinstance(token, str) and token.isprintable():
                    return token
        raise RegistryUnreachableError(f"The registry {self._reference.host} gives no token.", transient=True)

    async def _check(self, answer: aiohttp.ClientResponse) -> None:
        if answer.status in _REFUSED:
            raise self._refusal()
        if answer.status == HTTPStatus.NOT_FOUND:
            raise ImageNotFoundError(
                f"There is no image {self._reference}.", "Check its name and its tag in the registry."
            )
        if answer.status in _AGAIN or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _BusyError(answer)
        if (
            answer.status >= HTTPStatus.BAD_REQUEST
            and answer.status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        ):
            raise RegistryUnreachableError(
                f"The registry {self._reference.host} answers {answer.status} {answer.reason or ''}".rstrip()
                + "."
            )

    def _refusal(self) -> UnauthorizedError:
        if self._credentials:
            return UnauthorizedError(
                f"The registry {self._reference.host} does not let this user have {self._reference}.",
                "Check the user name, the password or token, and the image's name.",
            )
        return UnauthorizedError(
            f"The registry {self._reference.host} does not give {self._reference} to everybody, or has none.",
            "Check its name; if it is private, give the job the registry's user name and password.",
        )


class _BusyError(aiohttp.ClientError):
    """The registry asks us to come again.

    Attributes:
        seconds: After how long; 0 where it does not say.
    """

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        super().__init__(f"it answers {answer.status} {answer.reason or ''}".rstrip())
        wait = answer.headers.get("Retry-After", "")
        self.seconds = float(wait) if wait.isdecimal() else 0.0


async def _read_small(answer: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in answer.content.iter_any():
        content += chunk
        if len(content) > LARGEST_DOCUMENT:
            raise UnusableImageError("The registry's description of the image is over 8 MiB long.")
    return bytes(content)


def _proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address; none for this machine itself."""
    place = urlsplit(url)
    if is_loopback(place.netloc) or urllib.request.proxy_bypass(place.hostname or ""):
        return None
    return urllib.request.getproxies().get(place.scheme)


def _what_happened(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    return str(error) or type(error).__name__
