"""Which machines an image was made for, and which of several it is to be."""

from __future__ import annotations

import platform as machine
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "amd64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "arm64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "riscv64": ("riscv64", ""),
    "s390x": ("s390x", ""),
}
_USUAL_VARIANT = {"arm64": "v8", "amd64": "v1"}
"""What an architecture's variant is where none is given; both spellings are the same."""
_RUNS_ON = {("arm", "v7"): ("v7", "v6", "v5"), ("arm", "v6"): ("v6", "v5")}


@dataclass(frozen=True)
class Platform:
    """What a program needs to run: `linux/arm/v7`."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `linux/amd64` or `linux/arm/v7`.

        Raises:
            ValueError: It is neither.
        """
        parts = text.split("/")
        if not 2 <= len(parts) <= 3 or not all(parts):
            raise ValueError(f"`{text}` is not a platform such as linux/amd64")
        return cls(*parts)


def this_machine() -> Platform:
    """What runs here: always Linux's programs, of this processor's kind."""
    name = machine.machine().lower()
    architecture, variant = _ARCHITECTURES.get(name, (name, ""))
    return Platform("linux", architecture, variant)


def choose(wanted: Platform, offered: Iterable[Platform]) -> Platform | None:
    """The offered platform that suits best, or None if none does."""
    ranked = [(rank, offer) for offer in offered if (rank := _rank(wanted, offer)) is not None]
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


def _rank(wanted: Platform, offer: Platform) -> int | None:
    if (wanted.os, wanted.architecture) != (offer.os, offer.architecture):
        return None
    usual = _USUAL_VARIANT.get(wanted.architecture, "")
    variant, given = wanted.variant or usual, offer.variant or usual
    fitting = _RUNS_ON.get((wanted.architecture, variant), (variant,))
    if given in fitting:
        return fitting.index(given)
    return len(fitting) if not given else None
