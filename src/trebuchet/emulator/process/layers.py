"""The layers that all sandboxes share: made once a machine, by a process of its own, and then only read."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from trebuchet.emulator.own_python import own_environment
from trebuchet.emulator.process.cover import make_cover
from trebuchet.emulator.process.errors import CannotStartError
from trebuchet.emulator.process.python_layer import make_python, make_seeds

COVER = "cover"
PYTHON = "python"
SEEDS = "seeds"
_LONGEST_REASON = 300


async def ensure_layer(layers: Path, kind: str, key: str, *, state: Path) -> Path:
    """The folder of a finished layer, made now if it is not there.

    Two processes that make it at once both succeed, and one that dies halfway leaves nothing that is taken
    for the layer.

    Args:
        layers: Where layers lie.
        kind: COVER, PYTHON or SEEDS.
        key: What tells this layer from others of its kind.
        state: The engine's state directory, which no layer has anything of.

    Raises:
        CannotStartError: It could not be made.
    """
    layer = layers / f"{kind}-{key}"
    if await asyncio.to_thread(layer.is_dir):
        return layer
    argv = [sys.executable, "-m", __spec__.name, kind, str(layer), str(state)]
    # In a thread, which the loop waits for at its end: an engine that ends at once leaves a whole layer.
    maker = await asyncio.to_thread(
        subprocess.run,
        argv,
        env=own_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if maker.returncode != 0:
        raise CannotStartError(f"The sandboxes' {kind} layer could not be made: {_reason(maker.stderr)}")
    return layer


def _reason(errors: bytes) -> str:
    """The last line of a traceback; of one that lists hundreds of files, what is wrong with the first."""
    last = errors.decode(errors="replace").strip().rpartition("\n")[2]
    found = re.search(r"\[Errno \d+\] [^:\"']+", last)
    return found[0] if found and len(last) > _LONGEST_REASON else last[:_LONGEST_REASON]


def make_layer(kind: str, layer: Path, state: Path) -> None:
    """Make a layer under another name, and give it its own when it is whole."""
    os.umask(0o022)
    layer.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    making = Path(tempfile.mkdtemp(prefix=f"{kind}-making-", dir=layer.parent))
    try:
        making.chmod(0o755)
        match kind:
            case "python":
                make_python(making)
            case "seeds":
                make_seeds(making)
            case _:
                make_cover(making, state=state)
        if not layer.exists():
            making.rename(layer)
    except FileExistsError:
        pass  # another process was first; its layer is as good
    except OSError:
        if not layer.is_dir():
            raise
    finally:
        shutil.rmtree(making, ignore_errors=True)


if __name__ == "__main__":
    make_layer(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
