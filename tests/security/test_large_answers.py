"""No question makes the daemon put together an answer without an end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from modal_proto import api_pb2
from wire import SERVICES, call, channel, drive, token

from trebuchet.emulator.world.logs import MOST_TEXT
from trebuchet.engines.modal.access import Pace
from trebuchet.engines.modal.logs import LogReader

if TYPE_CHECKING:
    from support.engine import Engine

CONTROL, _ = SERVICES


def test_an_answer_with_a_log_is_only_so_large_and_a_reader_loses_nothing(engine: Engine) -> None:
    size = 96 << 20
    sandbox = engine.create("sh", "-c", f"head -c {size} /dev/zero | tr '\\0' x; echo end")
    sandbox.wait()
    asked = api_pb2.AppFetchLogsRequest(sandbox_id=sandbox.object_id, limit=20_000).SerializeToString()

    async def body() -> bytes | None:
        async with channel(engine) as opened:
            return await call(opened, f"/{CONTROL}/AppFetchLogs", asked, token(engine))

    answer = api_pb2.AppFetchLogsResponse.FromString(drive(body) or b"")
    texts = [item.data for batch in answer.batches for item in batch.items]
    assert MOST_TEXT <= sum(map(len, texts)) <= MOST_TEXT + (1 << 20)
    assert "".join(texts[-2:]).endswith("end\n")
    since = datetime.now(UTC) - timedelta(minutes=5)
    pace = Pace(interval_s=0.1, settle_s=0.0, patience_s=10.0)
    reader = LogReader(lambda: sandbox, pace, source=None, since=since)
    assert sum(len(entry.message) for entry in reader.read(None)) == size + len("end\n")
