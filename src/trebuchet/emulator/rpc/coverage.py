"""The page that says which calls are served, made from the registry.

`python -m trebuchet.emulator.rpc.coverage` prints it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from trebuchet.emulator import rpc
from trebuchet.emulator.rpc.registry import CONTROL, ROUTER

if TYPE_CHECKING:
    from trebuchet.emulator.rpc.registry import Service

TABLE = ("| call | file |", "| --- | --- |")
HEAD = """\
# What the local engine serves

The local engine speaks Modal's gRPC protocol on loopback, so that the official SDK talks to it
unchanged. This page is generated from its handlers by `python -m trebuchet.emulator.rpc.coverage`. A
call that is not listed is answered with `UNIMPLEMENTED` and a sentence that names it.

Images from a registry are pulled, and their layers built, each in a sandbox. The SDK's own Debian image is
recorded, not built: a sandbox runs on the host's system folders, with the files that were added to the
image and the variables and work dir that it sets. Cloud buckets, network file systems, proxies and memory
snapshots are refused by name.
"""


def page() -> str:
    """The page, in Markdown."""
    rpc.load()
    control = _section("The control plane", CONTROL)
    return "\n".join([HEAD, control, _section("The command router of a sandbox", ROUTER)])


def _section(title: str, service: Service) -> str:
    served = sorted(service.methods)
    lines = [f"## {title}", "", f"{len(served)} of {len(service.descriptor.methods)} calls.", "", *TABLE]
    for name in served:
        method = service.methods[name]
        function = method.answer or method.stream or method.feed
        module = function.__module__.rpartition(".")[2] if function is not None else ""
        lines.append(f"| `{name}` | `rpc/{module}.py` |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.stdout.write(page())
