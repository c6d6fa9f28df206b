"""Ids in Modal's shapes. A task's id tells its sandbox's, so no index has to be kept."""

from __future__ import annotations

import hashlib
import re
import secrets
import string

ALPHABET = string.ascii_letters + string.digits
LENGTH = 22
V1_SUFFIX_LENGTH = 22
V2_SUFFIX_LENGTH = 26
"""The SDK takes `sb-` and 22 alphanumerics for V1, and everything else for V2."""
V1_TASK_MARK = "1"
V2_TASK_MARK = "V"
"""The SDK takes a task id that ends so for one of a V2 sandbox."""


LONGEST_ID = 128
_OBJECT_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def new_id(prefix: str, length: int = LENGTH) -> str:
    """An id nobody else has."""
    number = int.from_bytes(secrets.token_bytes(length))
    digits: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return f"{prefix}-{''.join(digits)}"


def id_of(prefix: str, content: bytes) -> str:
    """The id of what is told from all else by its content: the same for the same."""
    return f"{prefix}-{hashlib.sha256(content).hexdigest()[:LENGTH]}"


def new_v1_sandbox_id() -> str:
    """An id that the SDK sends to the V1 calls."""
    return new_id("sb", V1_SUFFIX_LENGTH)


def new_v2_sandbox_id() -> str:
    """An id that the SDK sends to the V2 calls."""
    return new_id("sb", V2_SUFFIX_LENGTH)


def is_v2(sandbox_id: str) -> bool:
    """Whether a sandbox id is one of ours for V2."""
    return len(sandbox_id) == len("sb-") + V2_SUFFIX_LENGTH


def task_id_of(sandbox_id: str) -> str:
    """The id of the task that runs a sandbox."""
    return "ta-" + sandbox_id.removeprefix("sb-") + (V2_TASK_MARK if is_v2(sandbox_id) else V1_TASK_MARK)


def is_task_id(word: str) -> bool:
    """Whether a word may be the id of a task."""
    return word.startswith("ta-")


def sandbox_id_of(task_id: str) -> str:
    """The id of the sandbox that a task runs."""
    return "sb-" + task_id.removeprefix("ta-")[:-1]


def is_object_name(word: str) -> bool:
    """Whether this may be the name of a sandbox or a volume, by the SDK's own rule."""
    return _OBJECT_NAME.fullmatch(word) is not None


def is_safe_id(word: str) -> bool:
    """Whether a word from outside may be part of a path."""
    return len(word) <= LONGEST_ID and word.replace("-", "").isalnum() and word.isascii()
