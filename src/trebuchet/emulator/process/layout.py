"""How a sandbox's file system is put together: bubblewrap's arguments for it.

Its root is a folder of its own on disk. Over each system folder lies an overlay: the host's folder (or an
image's) at the bottom, the shared layers above it, and on top the folder of the same name in the sandbox's
root, which so becomes a layer itself. All else of the host is simply not there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.emulator.process.nodes import own_nodes
from trebuchet.emulator.process.places import Places
from trebuchet.emulator.process.supervise import framing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trebuchet.emulator.process.isolation import Isolation
    from trebuchet.emulator.process.nodes import Node
    from trebuchet.emulator.process.spec import Bind

SYSTEM_FOLDERS = ("usr", "etc", "opt", "var", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu")
CAPABILITIES = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_FSETID": 4,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_SYS_CHROOT": 18,
    "CAP_AUDIT_WRITE": 29,
    "CAP_SETFCAP": 31,
}
"""What the sandbox's root may do: as much as package managers ask for, and nothing that reaches the host."""
_OWN_FOLDERS = {
    "root": 0o700,
    "home": 0o755,
    "tmp": 0o1777,
    "run": 0o755,
    "run/lock": 0o1777,
    "mnt": 0o755,
    "srv": 0o755,
    "media": 0o755,
}
_KERNEL_SETTINGS = ("/proc/sys", "/proc/sysrq-trigger", "/proc/fs", "/proc/acpi", "/proc/scsi")
"""The kernel lets the host's root write here whatever capabilities it has lost."""
_KERNEL_SECRETS = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug")
_MADE_BY_BUBBLEWRAP = ("proc", "dev", "sys")
_NOT_LAYERED = frozenset({"proc", "dev", "sys", "run"})

Beneath = list[str]
"""A root, and the way from there to a folder: no link on it is followed."""
Argument = str | Beneath


@dataclass(frozen=True)
class Tree:
    """What lies at the sandbox's root, below its own writes.

    Attributes:
        overlays: Relative path -> its lower layers, lowest first.
        links: Relative path -> where the symbolic link points.
    """

    overlays: dict[str, list[Path]] = field(default_factory=dict[str, "list[Path]"])
    links: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Layout:
    """A file system to be.

    Attributes:
        arguments: bubblewrap's, for its mounts and its work dir. One that is no text is a folder, to be
            opened by the way from a root to it, and told by the number of its descriptor.
        folders: (path relative to the sandbox's folder, mode), to be made before, in order.
        folder_beneath: A root and the way from there to the work dir, to be made before too; None for none.
        nodes: Device nodes, to be made before too.
    """

    arguments: list[Argument]
    folders: list[tuple[str, int]]
    folder_beneath: Beneath | None
    nodes: list[Node]


def host_tree(state: Path, layers: Sequence[Path]) -> Tree:
    """The host's system folders under these layers, without the engine's state wherever that lies."""
    tree = Tree()
    for name in SYSTEM_FOLDERS:
        _add_host_path(tree, Path("/", name), state)
    _add_layers(tree, layers)
    return tree


def image_tree(layers: Sequence[Path]) -> Tree:
    """An image's own root, from its layers, lowest first."""
    tree = Tree()
    _add_layers(tree, layers)
    return tree


def with_layers(tree: Tree, layers: Sequence[Path]) -> Tree:
    """The same tree with more layers on top."""
    grown = Tree({name: list(lowers) for name, lowers in tree.overlays.items()}, dict(tree.links))
    _add_layers(grown, layers)
    return grown


def lay_out(
    tree: Tree,
    folder: Path,
    isolation: Isolation,
    *,
    devices: Sequence[Bind],
    binds: Sequence[Bind],
    workdir: str,
) -> Layout:
    """Put a sandbox's file system together, its files to lie in `folder`.

    Raises:
        CannotStartError: A path leads nowhere.
    """
    root = folder / framing.ROOT
    folders: dict[str, int] = {framing.ROOT: 0o755, framing.WORK: 0o700}
    folders |= {f"{framing.ROOT}/{name}": mode for name, mode in _OWN_FOLDERS.items()}
    folders |= {f"{framing.ROOT}/{name}": 0o755 for name in _MADE_BY_BUBBLEWRAP}
    arguments: list[Argument] = ["--bind", str(root), "/"]
    for name, target in tree.links.items():
        arguments += ["--symlink", target, f"/{name}"]
    for number, (name, lowers) in enumerate(tree.overlays.items()):
        for parent in reversed(Path(name).parents):
            folders.setdefault(str(Path(framing.ROOT, parent)), 0o755)
        folders |= {f"{framing.ROOT}/{name}": _mode(lowers[-1]), f"{framing.WORK}/{number}": 0o700}
        for lower in lowers:
            arguments += ["--overlay-src", str(lower)]
        if isolation.layers_on_disk:
            arguments += ["--overlay", str(root / name), str(folder / framing.WORK / str(number)), f"/{name}"]
        else:
            arguments += ["--tmp-overlay", f"/{name}"]
    arguments += _kernel_arguments()
    nodes, shown = own_nodes(devices) if isolation.own_nodes else ([], _as_they_are(devices))
    for source, target in shown:
        arguments += ["--dev-bind", str(folder / source), target]
    places = Places(tree.overlays, tree.links)
    for bind in binds:
        arguments += _bind_arguments(bind, places)
    made, beneath = _workdir(places.real(workdir), places)
    return Layout([*arguments, *made, "--chdir", workdir], list(folders.items()), beneath, nodes)


def _bind_arguments(bind: Bind, places: Places) -> list[Argument]:
    target = places.real(bind.target)
    places.cover(target, bind)
    option = "--ro-bind" if bind.read_only else "--bind"
    if bind.root is None:
        return [option, str(bind.source), target]
    return [f"{option}-fd", _beneath(bind.root, bind.source), target]


def _workdir(place: str, places: Places) -> tuple[list[Argument], Beneath | None]:
    """How the work dir comes to be: made by bubblewrap, or within a volume by ourselves."""
    found = places.mount_of(place)
    if found is None:
        return ["--dir", place], None
    bind, way = found
    return [], None if bind.read_only else _beneath(bind.root or bind.source, bind.source / way)


def _beneath(root: Path, path: Path) -> Beneath:
    return [str(root), str(path.relative_to(root))]


def _as_they_are(devices: Sequence[Bind]) -> list[tuple[str, str]]:
    return [(str(device.source), device.target) for device in devices]


def _kernel_arguments() -> list[str]:
    arguments = ["--proc", "/proc", "--dev", "/dev", "--ro-bind", "/sys", "/sys"]
    for name in _KERNEL_SETTINGS:
        arguments += ["--ro-bind-try", name, name]
    for name in _KERNEL_SECRETS:
        if Path(name).exists():
            arguments += ["--ro-bind", os.devnull, name]
    return arguments


def _add_host_path(tree: Tree, path: Path, state: Path) -> None:
    name = str(path.relative_to("/"))
    if path.is_symlink():
        tree.links[name] = str(path.readlink())
    elif not path.is_dir() or path == state:
        return
    elif state.is_relative_to(path):
        for child in sorted(path.iterdir()):
            _add_host_path(tree, child, state)
    else:
        tree.overlays[name] = [path]


def _add_layers(tree: Tree, layers: Sequence[Path]) -> None:
    """Lay each layer's folders over what is there: over overlays where there are some, else as new ones."""
    for layer in layers:
        for entry in _entries(layer):
            within = [name for name in tree.overlays if name.startswith(f"{entry.name}/")]
            for name in within:
                if _has_folder(layer, name):
                    tree.overlays[name].append(layer / name)
            if within:
                continue
            if entry.is_symlink():
                if entry.name not in tree.overlays:
                    tree.links[entry.name] = str(Path(entry.path).readlink())
            elif entry.is_dir():
                tree.links.pop(entry.name, None)
                tree.overlays.setdefault(entry.name, []).append(Path(entry.path))


def _has_folder(layer: Path, name: str) -> bool:
    """Whether a layer has a folder there, and no link on the way that leads elsewhere."""
    return (layer / name).is_dir() and (layer / name).resolve() == layer.resolve() / name


def _entries(layer: Path) -> Iterator[os.DirEntry[str]]:
    for entry in sorted(os.scandir(layer), key=lambda entry: entry.name):
        if entry.name not in _NOT_LAYERED:
            yield entry


def _mode(lower: Path) -> int:
    """Of the upper folder, which is the one that counts, as the host has it."""
    return lower.stat().st_mode & 0o7777
