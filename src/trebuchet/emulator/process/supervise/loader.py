"""What the dynamic loader of bubblewrap is told, and what that of its command."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_LIBRARIES = "LD_LIBRARY_PATH"
_FOR_LOADERS = ("LD_", "GLIBC_")


def told_apart(env: Mapping[str, str], libraries: str) -> tuple[dict[str, str], list[str]]:
    """Variables for bubblewrap, and the words by which it gives its command those that it must not follow.

    It starts outside of the sandbox: what an image's `LD_PRELOAD` names would be looked for on this machine.

    Args:
        env: The command's.
        libraries: The folder of bubblewrap's own libraries; empty where they are the system's.
    """
    apart = [name for name in env if name.startswith(_FOR_LOADERS)]
    words = [word for name in apart for word in ("--setenv", name, env[name])]
    own = {name: value for name, value in env.items() if name not in apart}
    if libraries:
        return own | {_LIBRARIES: libraries}, ["--unsetenv", _LIBRARIES, *words]
    return own, words
