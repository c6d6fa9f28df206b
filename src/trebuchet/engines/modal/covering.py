"""What of local files would lie below something that comes later: a mount, or another upload.

Laid one over the other they would be hidden. Those that travel in archives are unpacked last of all, over
whatever is there, a mounted volume's own files too: so nothing that is covered is sent at all.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from trebuchet.sandbox import Upload
    from trebuchet.uploads import Manifest

What = TypeVar("What")


def uncovered(
    files: Sequence[Upload], manifests: Sequence[Manifest], mounts: Iterable[str]
) -> list[Manifest]:
    """The manifests of uploads without what nobody would see.

    Args:
        files: In the order in which they are laid.
        manifests: Theirs.
        mounts: Places of volumes and buckets.
    """
    cover = _Cover()
    for mount in mounts:
        cover.add(mount)
    seen = list["Manifest"]()
    later: Iterable[str] = ()
    for file, manifest in reversed(list(zip(files, manifests, strict=True))):
        for path in later:
            cover.add(path)
        seen.append(_without(manifest, file.target, cover))
        later = _arriving(file, manifest)  # Of the first, which has the most, nobody asks.
    return seen[::-1]


class _Cover:
    """Places that are taken by what comes later."""

    def __init__(self) -> None:
        self._taken = set[str]()
        self._above = set[str]()

    def add(self, path: str) -> None:
        *above, path = _steps(path)
        self._taken.add(path)
        self._above.update(above)

    def hides_file(self, path: str) -> bool:
        """Whether a file or a link there would be hidden, or be in the way of what comes later."""
        steps = _steps(path)
        return steps[-1] in self._above or not self._taken.isdisjoint(steps)

    def hides_folder(self, path: str) -> bool:
        return not self._taken.isdisjoint(_steps(path))


def _steps(path: str) -> list[str]:
    """A path and all above it, the topmost first, without `/` at their ends."""
    return list(accumulate(path.strip("/").split("/"), lambda above, name: f"{above}/{name}"))


def _arriving(file: Upload, manifest: Manifest) -> Iterable[str]:
    if not manifest.source.is_dir():
        return (file.target,)
    return (f"{file.target}/{path}" for path in (*manifest.files, *manifest.links))


def _without(manifest: Manifest, target: str, cover: _Cover) -> Manifest:
    # A single file that is hidden was refused before; most folders have nothing to do with what comes later.
    if not manifest.source.is_dir() or not cover.hides_file(target):
        return manifest
    return replace(
        manifest,
        files=_kept(manifest.files, target, cover.hides_file),
        folders=_kept(manifest.folders, target, cover.hides_folder),
        links=_kept(manifest.links, target, cover.hides_file),
    )


def _kept(found: Mapping[str, What], target: str, hides: Callable[[str], bool]) -> dict[str, What]:
    return {path: one for path, one in found.items() if not hides(f"{target}/{path}")}
