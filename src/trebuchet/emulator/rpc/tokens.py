"""What callers must present: the daemon's token, and signed passes for routers and blobs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

PASS_LIFETIME_S = 24 * 3600
HEADER = {"alg": "HS256", "typ": "JWT"}


class Tokens:
    """Signs and checks with the daemon's own secret, so that passes outlive a daemon."""

    def __init__(self, token_id: str, token_secret: str) -> None:
        self._id = token_id
        self._secret = token_secret
        self._key = hashlib.sha256(f"pass:{token_secret}".encode()).digest()

    def accepts(self, metadata: Mapping[str, str]) -> bool:
        """Whether a call to the control plane presents the token."""
        id_fits = hmac.compare_digest(metadata.get("x-modal-token-id", "").encode(), self._id.encode())
        secret_fits = self.is_secret(metadata.get("x-modal-token-secret", ""))
        return id_fits and secret_fits

    def is_secret(self, presented: str) -> bool:
        """Whether this is the token's secret half."""
        return hmac.compare_digest(presented.encode(), self._secret.encode())

    def make_pass(self, subject: str) -> str:
        """A JWT that opens something for a day."""
        claims = {"sub": subject, "exp": int(time.time()) + PASS_LIFETIME_S}
        signed = f"{_encode(json.dumps(HEADER).encode())}.{_encode(json.dumps(claims).encode())}"
        return f"{signed}.{self._sign(signed)}"

    def subject_of(self, presented: str) -> str | None:
        """What a JWT opens; None for one that is forged or has run out."""
        signed, _, signature = presented.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(signed).encode()):
            return None
        if "." not in signed:
            return None  # a sealed word, which opens something else
        claims = cast("dict[str, object]", json.loads(_decode(signed.partition(".")[2])))
        return str(claims["sub"]) if cast("float", claims["exp"]) > time.time() else None

    def seal(self, content: str) -> str:
        """A word for an address that nobody can guess, which tells its content to us alone."""
        word = _encode(content.encode())
        return f"{word}.{self._sign(word)}"

    def unseal(self, sealed: str) -> str | None:
        """The content of a sealed word; None for a forged one."""
        word, _, signature = sealed.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(word).encode()):
            return None
        return _decode(word).decode()

    def _sign(self, text: str) -> str:
        return _encode(hmac.new(self._key, text.encode(), hashlib.sha256).digest())


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
