"""Numbers on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from typing import NoReturn


class WholeNumber(click.IntRange):
    """A whole number within bounds, which are named where it is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            number = int(value)
        except (TypeError, ValueError):
            self._refuse(value, param, ctx)
        if (self.min is not None and number < self.min) or (self.max is not None and number > self.max):
            self._refuse(value, param, ctx)
        return number

    def _refuse(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> NoReturn:
        self.fail(f"{value!r} is not a whole number{self._bounds()}.", param, ctx)

    def _bounds(self) -> str:
        if self.min is not None and self.max is not None:
            return f" from {self.min} to {self.max}"
        return f" of {self.min} or more" if self.min is not None else ""
