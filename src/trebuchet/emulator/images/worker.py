"""The heavy part of a pull, in a process of its own: the engine goes on, and no archive can fill its memory.

Run as a module; lines of JSON on standard output tell how far it is, and the last one what went wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trebuchet.emulator.disk import write_json
from trebuchet.emulator.images import errors
from trebuchet.emulator.images.errors import ImageError
from trebuchet.emulator.images.extract import extract
from trebuchet.emulator.images.merge import merge
from trebuchet.emulator.images.store import TREE, disk_error, making
from trebuchet.emulator.own_python import own_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MADE_OF = "root.json"
_MOST_MEMORY = 2 << 30
_REPORT_EVERY_S = 0.1
_FAILED = 1


async def unpack_layer(
    archive: Path, diff_id: str, finished: Path, *, lock: int, on_progress: Callable[[int], None]
) -> None:
    """Unpack a layer's archive into a folder, which appears when it is whole.

    Args:
        archive: The file.
        diff_id: What it hashes to once decompressed.
        finished: The folder.
        lock: The descriptor of the lock on it: the work holds on to it, whatever becomes of this process.
        on_progress: Called with the number of the archive's bytes that are done.

    Raises:
        ImageError: It cannot be unpacked; nothing is left.
    """
    await _work(["layer", str(finished), str(archive), diff_id], lock, on_progress)


async def stack_layers(layers: Sequence[Path], finished: Path, *, lock: int) -> None:
    """Lay unpacked layers over one another, lowest first, into a folder that appears when it is whole.

    Raises:
        ImageError: The disk fails; nothing is left.
    """
    await _work(["root", str(finished), *map(str, layers)], lock, lambda _: None)


async def _work(arguments: Sequence[str], lock: int, on_progress: Callable[[int], None]) -> None:
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", __spec__.name, *arguments),
        env={**own_environment(), "PYTHONUTF8": "1"},
        pass_fds=(lock,),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        failure = await _listen(worker, on_progress)
        code = await worker.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()
        raise
    if failure:
        kind = getattr(errors, str(failure["kind"]), ImageError)
        raise kind(failure["message"], failure["hint"])
    if code != 0:
        raise ImageError(f"Unpacking the image ended with code {code}.", "The next pull goes on from here.")


async def _listen(
    worker: asyncio.subprocess.Process, on_progress: Callable[[int], None]
) -> dict[str, Any] | None:
    assert worker.stdout is not None  # noqa: S101 - it was asked for
    failure = None
    async for line in worker.stdout:
        said = json.loads(line)
        if "done" in said:
            on_progress(said["done"])
        else:
            failure = said
    return failure


def main(arguments: Sequence[str]) -> int:
    """Do one piece of work, as told by another process's `unpack_layer` or `stack_layers`."""
    what, finished, *rest = arguments
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    os.umask(0)
    try:
        with making(Path(finished)) as target:
            if what == "layer":
                archive, diff_id = rest
                extract(Path(archive), diff_id, target, _Reporter())
            else:
                merge([Path(layer) for layer in rest], target / TREE)
                write_json(target / MADE_OF, {"layers": [Path(layer).name for layer in rest]})
    except OSError as error:
        return _fail(disk_error(error, "the image's files"))
    except ImageError as error:
        return _fail(error)
    return 0


class _Reporter:
    """Says how far the work is, not too often."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _REPORT_EVERY_S
            _say({"done": done})


def _fail(error: ImageError) -> int:
    _say({"kind": type(error).__name__, "message": error.message, "hint": error.hint})
    return _FAILED


def _say(what: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody listens any more; the work is of use all the same
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
