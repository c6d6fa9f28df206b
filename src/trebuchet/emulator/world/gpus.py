"""Who has which GPU."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trebuchet.emulator.world.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ANY = "ANY"
_RTX = re.compile(r"RTX[ -](\d)")
_SAME = {"A10G": "A10"}
_OR_NEWER = {"B200+": frozenset({"B200", "B300"})}


@dataclass(frozen=True, kw_only=True)
class GpuAsk:
    """So many GPUs of one type; a count of 0 asks for none."""

    type: str = ""
    count: int = 0


class GpuPool:
    """The GPUs of this machine, lent to sandboxes by their index."""

    def __init__(self, names: Sequence[str]) -> None:
        """Know the GPUs.

        Args:
            names: The type of each GPU, by index.
        """
        self._names = list(names)
        self._lent: set[int] = set()
        self._held: Counter[str] = Counter()

    @property
    def has(self) -> dict[str, int]:
        """How many of each type there are, lent or not."""
        return dict(Counter(self._names))

    def check(self, ask: GpuAsk) -> None:
        """Refuse what this machine can never give.

        Raises:
            InvalidError: It has no such type, or too few.
        """
        most = sum(1 for name in self._names if _fits(name, ask.type))
        if ask.count and most < ask.count:
            has = ", ".join(f"{count} x {name}" for name, count in sorted(self.has.items())) or "no GPU"
            raise InvalidError(f"This machine can never give {ask.count} x {ask.type}: it has {has}.")

    def take(self, ask: GpuAsk, others: Sequence[GpuAsk] = ()) -> tuple[int, ...] | None:
        """Lend GPUs: their indices, or None where too few are free now. Those that `others` want go last."""
        if not ask.count:
            return ()
        free = self._free(ask.type)
        if len(free) < ask.count:
            return None
        free.sort(key=lambda index: any(self.suits([index], other) for other in others))
        taken = tuple(free[: ask.count])
        self._lent.update(taken)
        return taken

    def missing(self, ask: GpuAsk) -> int:
        """How many more would have to be free."""
        return max(0, ask.count - len(self._free(ask.type))) if ask.count else 0

    def suits(self, indices: Iterable[int], ask: GpuAsk) -> bool:
        """Whether one of these is of the type that is asked for."""
        return bool(ask.count) and any(_fits(self._names[index], ask.type) for index in indices)

    def retake(self, indices: Iterable[int]) -> None:
        """Note what an earlier daemon lent."""
        self._lent.update(indices)

    def give_back(self, indices: Iterable[int]) -> None:
        """End a loan."""
        self._lent.difference_update(indices)

    def hold(self, held: Mapping[str, int]) -> None:
        """Keep so many of each type from being lent, as if others had them; replaces what was held before.

        Raises:
            InvalidError: There are not so many of a type here.
        """
        here = Counter(name.upper() for name in self._names)
        for name, count in held.items():
            if not 0 <= count <= here[name.upper()]:
                has = ", ".join(f"{many} x {one}" for one, many in sorted(self.has.items())) or "no GPU"
                raise InvalidError(f"{count} x {name} cannot be held: this machine has {has}.")
        self._held = Counter({name.upper(): count for name, count in held.items()})

    def _free(self, wanted: str) -> list[int]:
        spare = dict(self._held)
        free: list[int] = []
        for index, name in enumerate(self._names):
            if index in self._lent:
                continue
            if spare.get(name.upper(), 0) > 0:
                spare[name.upper()] -= 1
            elif _fits(name, wanted):
                free.append(index)
        return free


def _fits(name: str, wanted: str) -> bool:
    """Whether a GPU is what was asked for.

    `A100` is met by `A100-80GB`, `H100!` by an H100 alone, and `B200+` by what is newer, too.
    """
    has, wants = _plain(name), _plain(wanted).rstrip("!")
    if wants in _OR_NEWER:
        return has in _OR_NEWER[wants]
    return wants in {ANY, has} or has.startswith(f"{wants}-") or wants.startswith(f"{has}-")


def _plain(name: str) -> str:
    """`RTX 4090`, `rtx-4090` and `RTX4090` are the same, and so are `A10G` and `A10`."""
    plain = _RTX.sub(r"RTX\1", name.upper())
    return _SAME.get(plain, plain)
