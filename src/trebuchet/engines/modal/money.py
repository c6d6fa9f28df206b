"""What sandboxes cost: by the workspace's own rates before, and by the service's own figures afterwards."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import modal
from modal.exception import Error as SdkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trebuchet.engines.modal.connection import Connection
    from trebuchet.sandbox import SandboxSpec

_CPU = "cpu_hour_cost_sandbox"
_MEMORY = "mem_gib_hour_cost_sandbox"
_GPU = "gpu_hour_cost_"
"""The service's names for prices in US dollars an hour: of a physical core, a GiB, and a GPU."""

_OTHER_NAMES = {"a100": ("a100_40gb", "a100"), "a10": ("a10", "a10g")}
_LEAST_CPUS = 0.125
_LEAST_MIB = 128
"""What a sandbox that asks for nothing is given, by Modal's guide to resources."""

_MIB_A_GIB = 1024


def read_rates(client: modal.Client) -> dict[str, Decimal]:
    """The workspace's prices by name, by one call."""
    workspace = modal.Workspace.from_context(client=client)
    return dict(workspace.billing.rates().items())


def price_an_hour(rates: Mapping[str, Decimal], spec: SandboxSpec) -> float | None:
    """US dollars an hour for what a sandbox asks for; None where a price is not among the rates.

    What it takes beyond that costs more. Nor do the rates tell what a region adds.
    """
    if spec.regions:
        return None
    asked: list[tuple[Decimal | None, float]] = [
        (rates.get(_CPU), max(spec.cpu or 0.0, _LEAST_CPUS)),
        (rates.get(_MEMORY), max(spec.memory_mib or 0, _LEAST_MIB) / _MIB_A_GIB),
    ]
    if spec.gpu is not None:
        name, _, count = spec.gpu.partition(":")
        asked.append((_gpu_rate(rates, name), float(count or 1)))
    if any(rate is None for rate, _ in asked):
        return None
    return float(sum((rate or Decimal(0)) * Decimal(str(amount)) for rate, amount in asked))


def _gpu_rate(rates: Mapping[str, Decimal], name: str) -> Decimal | None:
    plain = name.lower().rstrip("!+").replace("-", "_")
    found = (rates.get(_GPU + each) for each in _OTHER_NAMES.get(plain, (plain,)))
    return next((rate for rate in found if rate is not None), None)


def actual_cost(connection: Connection, sandbox_id: str) -> float | None:
    """US dollars that a sandbox has cost; None where the service does not know it (yet).

    The SDK calls this experimental: what does not work is taken for not known.
    """
    try:
        sandbox = modal.Sandbox.from_id(sandbox_id, client=connection.client)
        cost = sandbox._experimental_stats().cost  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    except (SdkError, AttributeError, NotImplementedError, ValueError):
        return None
    return None if cost is None else float(cost)
