"""The page that says which calls are served, made from the registry.

`python -m trebuchet.emulator.rpc.coverage` prints it.
"""

from __future__ import annotations

import sys
from textwrap import fill
from typing import TYPE_CHECKING

from trebuchet.emulator import rpc
from trebuchet.emulator.rpc.asking import UNSERVED
from trebuchet.emulator.rpc.registry import CONTROL, ROUTER

if TYPE_CHECKING:
    from trebuchet.emulator.rpc.registry import Service

WIDTH = 110
TABLE = ("| call | file |", "| --- | --- |")
HEAD = """\
# What the local engine serves

The local engine speaks Modal's gRPC protocol on loopback, so that the official SDKs talk to it
unchanged. This page is generated from its handlers by `python -m trebuchet.emulator.rpc.coverage`. A
call that is not served is answered with `UNIMPLEMENTED` and a sentence that names it. How what is served
differs from Modal stands on [its own page](local-engine.md).

Images from a registry are pulled. The SDK's own Debian image is not: the host's system folders stand for it.
Layers on either are built, each in a sandbox.
"""


def page() -> str:
    """The page, in Markdown."""
    rpc.load()
    control = _section("The control plane", CONTROL)
    return "\n".join([HEAD, _options(), control, _section("The command router of a sandbox", ROUTER)])


def _options() -> str:
    lines = ["## What a sandbox cannot be asked to have", "", "These are refused by name too:", ""]
    return "\n".join([*lines, *(f"- {what}" for what in UNSERVED), ""])


def _section(title: str, service: Service) -> str:
    served = sorted(service.methods)
    lines = [f"## {title}", "", f"{len(served)} of {len(service.descriptor.methods)} calls.", "", *TABLE]
    for name in served:
        method = service.methods[name]
        function = method.answer or method.stream or method.feed
        module = function.__module__.rpartition(".")[2] if function is not None else ""
        lines.append(f"| `{name}` | `rpc/{module}.py` |")
    missing = sorted(set(service.descriptor.methods_by_name) - set(served))
    text = fill(", ".join(f"`{name}`" for name in missing), WIDTH, break_long_words=False)
    return "\n".join([*lines, "", f"The other {len(missing)} are not served:", "", text, ""])


if __name__ == "__main__":
    sys.stdout.write(page())
