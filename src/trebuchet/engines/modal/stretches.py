"""A stretch of a volume's file, for transfers that go on in the middle.

The service gives any stretch of a file, the SDK's public methods the whole file alone. This has the SDK's own
reader, with its checks and its retries, ask for a stretch instead. It leans on what the SDK does not promise,
which is why the SDK's version is bounded in `pyproject.toml`, and why the answer's length is checked.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from modal._utils import async_utils

if TYPE_CHECKING:
    from collections.abc import Callable

    import modal

    from trebuchet.engines.base import Stretch


class _Asks:
    """The SDK's client, or its stub, with another question in place of one of its own."""

    def __init__(self, inner: Any, **replaced: Any) -> None:
        self._inner = inner
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def _read(volume: Any, path: str, sink: Any, stretch: Any, progress: Callable[..., None]) -> int:
    start, length = stretch
    client = volume.client

    async def get_file(request: Any, *arguments: Any, **options: Any) -> Any:
        request.start, request.len = start, length
        answer = await client._stub.VolumeGetFile2(request, *arguments, **options)  # noqa: SLF001 - see above
        if (answer.start, answer.len) != (start, length):
            raise FileNotFoundError(f"{path} is shorter than it was.")
        return answer

    asking = copy.copy(volume)
    asking._client = _Asks(client, _stub=_Asks(client._stub, VolumeGetFile2=get_file))  # noqa: SLF001 - see above
    return await asking._read_file_into_fileobj(path, sink, progress_cb=progress)  # noqa: SLF001 - see above


_read_blocking = cast("Callable[..., int]", cast("Any", async_utils).synchronize_api(_read))


def read_stretch(
    volume: modal.Volume,
    path: str,
    sink: BinaryIO,
    stretch: Stretch,
    *,
    on_bytes: Callable[[int], None] | None,
) -> None:
    """Write a stretch of a file to the same place of another.

    Args:
        volume: Whose file.
        path: Where in it.
        sink: Can seek.
        stretch: Which.
        on_bytes: Told how many more bytes have come.

    Raises:
        FileNotFoundError: There is no such file, or it has no such stretch.
    """

    def progress(*_: Any, advance: int = 0, **__: Any) -> None:
        if on_bytes is not None:
            on_bytes(advance)

    sink.seek(stretch.start)
    _read_blocking(volume, path, sink, tuple(stretch), progress)
