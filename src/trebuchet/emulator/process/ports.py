"""The ports of a sandbox, as the host sees them: sandboxes share its network."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.emulator.loopback import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Collection

CONNECT_S = 5.0
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"


async def accepts_connections(port: int) -> bool:
    """Whether something listens on a port."""
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def has_connections(ports: Collection[int]) -> bool:
    """Whether one of these ports has an open connection; never, where the kernel does not tell (macOS)."""
    wanted = {f"{port:04X}" for port in ports}
    for table in _TABLES if wanted else ():
        with suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                if state == _ESTABLISHED and local.rpartition(":")[2] in wanted:
                    return True
    return False
