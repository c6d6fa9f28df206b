"""Files of volumes, read from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from modal.exception import NotFoundError as SdkNotFoundError

from trebuchet.engines.base import VolumeFile
from trebuchet.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from trebuchet.engines.base import Stretch
    from trebuchet.engines.modal.connection import Connection


def _kind(name: str) -> Literal["file", "directory", "symlink", "other"]:
    match name:
        case "FILE":
            return "file"
        case "DIRECTORY":
            return "directory"
        case "SYMLINK":
            return "symlink"
        case _:
            return "other"


def list_files(connection: Connection, volume: str, path: str) -> list[VolumeFile]:
    return [
        VolumeFile(
            path=entry.path.lstrip("/"),
            kind=_kind(entry.type.name),
            size=entry.size,
            modified_at=entry.mtime,
        )
        for entry in connection.look_up_volume(volume).iterdir("/" + path, recursive=True)
    ]


def read_file(
    connection: Connection, volume: str, path: str, sink: BinaryIO, on_bytes: Callable[[int], None] | None
) -> int:
    """Read in blocks, several at a time; the SDK checks each against the digest that came with it."""

    def progress(*_: Any, advance: int = 0, **__: Any) -> None:
        if on_bytes is not None:
            on_bytes(advance)

    sink.seek(0)
    try:
        return connection.looked_up_volume(volume).read_file_into_fileobj(path, sink, progress_cb=progress)
    except FileNotFoundError as error:
        raise NotFoundError(f"The volume {volume} has no file {path}.") from error


def read_stretch(
    connection: Connection,
    volume: str,
    path: str,
    part: tuple[BinaryIO, Stretch, Callable[[int], None] | None],
) -> None:
    from trebuchet.engines.modal import stretches  # noqa: PLC0415 - inside of the SDK; only for large files

    sink, stretch, on_bytes = part
    try:
        stretches.read_stretch(connection.looked_up_volume(volume), path, sink, stretch, on_bytes=on_bytes)
    except FileNotFoundError as error:
        raise NotFoundError(f"The volume {volume} has no such stretch of {path}.") from error


def remove_files(connection: Connection, volume: str, path: str) -> None:
    try:
        connection.look_up_volume(volume).remove_file(path, recursive=True)
    except (SdkNotFoundError, FileNotFoundError):
        return
