"""Pretended prices, so that programs that look at them can be tried. This machine costs nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trebuchet.emulator.world.sandbox import Ask

CPU = "cpu_hour_cost_sandbox"
MEMORY = "mem_gib_hour_cost_sandbox"
GPU = "gpu_hour_cost_"

_LEAST_CPUS = Decimal("0.125")
_LEAST_MIB = 128
_MIB_A_GIB = 1024
_SECONDS_AN_HOUR = 3600


class Rates:
    """Prices in US dollars an hour, by the service's names for them; none where none are pretended."""

    def __init__(self, rates: Mapping[str, Decimal]) -> None:
        self.all = dict(rates)

    def cost_of(self, ask: Ask, seconds: float) -> dict[str, Decimal]:
        """What a sandbox of this long life cost, by resource; nothing where a price is not known."""
        hours = Decimal(str(seconds)) / _SECONDS_AN_HOUR
        memory = Decimal(max(ask.wants_memory_mib, _LEAST_MIB)) / _MIB_A_GIB
        amounts = {
            "CPU": (CPU, max(Decimal(str(ask.wants_cpus)), _LEAST_CPUS)),
            "Memory": (MEMORY, memory),
        }
        if ask.gpu.count:
            name = f"{GPU}{ask.gpu.type.lower().replace('-', '_')}"
            amounts[ask.gpu.type] = (name, Decimal(ask.gpu.count))
        if any(name not in self.all for name, _ in amounts.values()):
            return {}
        return {what: self.all[name] * amount * hours for what, (name, amount) in amounts.items()}
