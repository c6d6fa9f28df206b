"""Keys, tags and names: how a sandbox says which job it belongs to."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets

from trebuchet.errors import UsageError

_KEY = re.compile(r"[A-Za-z0-9_-]{1,30}")
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9._-]")
_TAG_LENGTH = 63
_NAME_LENGTH = 63


def new_key() -> str:
    """A key that no other job has: 60 random bits, easily typed."""
    return base64.b32encode(secrets.token_bytes(8)).decode("ascii").lower()[:12]


def check_key(key: str) -> str:
    """Give back a key that the user chose.

    Raises:
        UsageError: It cannot be one.
    """
    if not _KEY.fullmatch(key):
        raise UsageError(
            f"{key!r} cannot be a job's key.", hint="Use 1 to 30 letters, digits, hyphens and underscores."
        )
    return key


def check_cluster(name: str | None) -> str | None:
    """Give back a cluster's name.

    Raises:
        UsageError: It cannot be one.
    """
    if name is not None and (not name.strip() or not name.isprintable()):
        raise UsageError("A cluster's name cannot be empty or hold control characters.", hint="Leave it out.")
    return name


def tag_value(text: str) -> str:
    """A text as a tag's value: itself where that is allowed, else what can be kept and a hash of all."""
    if 0 < len(text) <= _TAG_LENGTH and not _NOT_IN_TAGS.search(text):
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{_NOT_IN_TAGS.sub('-', text)[: _TAG_LENGTH - 17]}.{digest}"


def launch_tag(key: str, attempt: int) -> str:
    """The value of the tag that one attempt alone has."""
    return f"{key}.{attempt}"


def sandbox_name(job_name: str, key: str, attempt: int) -> str:
    """The name that only one running sandbox can have: two attempts to create it give one sandbox."""
    end = f"-{key}-{attempt}"
    return _NOT_IN_TAGS.sub("-", job_name)[: min(30, _NAME_LENGTH - len(end))] + end


def secret_name(key: str) -> str:
    """The named secret that keeps a job's values until they are needed."""
    return f"trebuchet-{key}"


def bucket_secret_name(key: str, store: str) -> str:
    """The one that keeps the keys of its buckets in one service."""
    return f"trebuchet-{key}-{store}"


def owner(ledger_id: str, machine: str) -> str:
    """Whose a sandbox is: the ledger that asked for it, and the machine, for people."""
    return f"{ledger_id}.{_NOT_IN_TAGS.sub('-', machine)}"[:_TAG_LENGTH]


def machine_of(owner: str) -> str:
    """The machine that `owner` names."""
    return owner.partition(".")[2]


def is_owned_by(owner: str | None, ledger_id: str) -> bool:
    """Whether the ledger asked for what carries this mark."""
    return owner is not None and owner.partition(".")[0] == ledger_id


def tags(
    prefix: str,
    *,
    key: str,
    name: str,
    attempt: int,
    cluster: str | None,
    user: str | None,
    owner: str,
    until: float,
) -> dict[str, str]:
    """The tags of an attempt's sandbox; `until` is when its owner no longer expects it to be there."""
    facts = {
        "key": key,
        "name": name,
        "attempt": str(attempt),
        "launch": launch_tag(key, attempt),
        "cluster": cluster,
        "user": user,
        "owner": owner,
        "until": str(int(until)),
    }
    return {f"{prefix}{what}": tag_value(value) for what, value in facts.items() if value is not None}
