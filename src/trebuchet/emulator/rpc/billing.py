"""What things cost, as far as prices are pretended here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp
from modal_proto import api_pb2

from trebuchet.emulator.rpc.registry import CONTROL

if TYPE_CHECKING:
    from trebuchet.emulator.rpc.call import Call

_SECONDS_AN_HOUR = 3600


@CONTROL.unary("WorkspaceBillingRates")
async def get_rates(
    call: Call, _: api_pb2.WorkspaceBillingRatesRequest
) -> api_pb2.WorkspaceBillingRatesResponse:
    rates = {name: str(rate) for name, rate in call.world.rates.all.items()}
    formatted = "\n".join(f"{name}: ${rate} an hour" for name, rate in sorted(rates.items()))
    return api_pb2.WorkspaceBillingRatesResponse(rates=rates, formatted=formatted)


@CONTROL.unary("SandboxGetStats")
async def get_stats(call: Call, request: api_pb2.SandboxGetStatsRequest) -> api_pb2.SandboxGetStatsResponse:
    sandbox = call.world.sandboxes.get(request.sandbox_id)
    now = call.world.lifecycle.clock.now()
    begin = sandbox.standing.started_at or now
    end = sandbox.standing.ended_at or now
    costs = call.world.rates.cost_of(sandbox.ask, max(0.0, end - begin))
    return api_pb2.SandboxGetStatsResponse(
        cost=str(sum(costs.values())) if costs else None,
        cost_by_resource={what: str(cost) for what, cost in costs.items()},
        duration_hours=max(0.0, end - begin) / _SECONDS_AN_HOUR,
        since=_moment(begin),
        until=_moment(end),
    )


def _moment(seconds: float) -> Timestamp:
    return Timestamp(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
