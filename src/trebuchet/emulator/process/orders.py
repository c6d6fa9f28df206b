"""What a supervisor is told: a `ProcessSpec` made concrete for this machine."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trebuchet.emulator.process.cgroups import find_cgroups, group_order
from trebuchet.emulator.process.cover import cover_key
from trebuchet.emulator.process.defaults import DEFAULT_VARIABLES, HOME, SEARCH_PATH
from trebuchet.emulator.process.errors import CannotStartError
from trebuchet.emulator.process.file_tool import FILE_TOOL, place_file_tool
from trebuchet.emulator.process.gpus import device_nodes, gpu_variables
from trebuchet.emulator.process.layers import COVER, PYTHON, SEEDS, ensure_layer
from trebuchet.emulator.process.layout import (
    CAPABILITIES,
    SYSTEM_FOLDERS,
    Tree,
    host_tree,
    image_tree,
    lay_out,
    with_layers,
)
from trebuchet.emulator.process.network import files_of_variables, home_files, network_variables
from trebuchet.emulator.process.plain import environment_in, furnish, place_in
from trebuchet.emulator.process.python_layer import python_key, shared_library_folder
from trebuchet.emulator.process.spec import Bind
from trebuchet.emulator.process.supervise import framing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from trebuchet.emulator.process.cgroups import Cgroups
    from trebuchet.emulator.process.isolation import Isolation
    from trebuchet.emulator.process.limits import Limits
    from trebuchet.emulator.process.spec import ProcessSpec

_SLEEP = ("sleep", "2147483647")
_RESOLVER = Path("/etc/resolv.conf")


@dataclass(frozen=True)
class Machine:
    """What does not change from one sandbox to the next.

    Attributes:
        state: The engine's state directory, resolved.
        isolation: How sandboxes are kept apart here.
        tree: The host's folders under the shared layers; empty in `plain`.
        binds: What of the host shows in every sandbox.
        variables: The host's network settings.
        seeds: What a new Python starts with; only in `plain`.
        cgroups: Where sandboxes have control groups; None where they cannot.
    """

    state: Path
    isolation: Isolation
    tree: Tree
    binds: tuple[Bind, ...]
    variables: dict[str, str]
    seeds: Path | None = None
    cgroups: Cgroups | None = None


def prepare_folder(machine: Machine, spec: ProcessSpec, folder: Path) -> None:
    """Do what takes longer than a moment and has to be done before the process starts.

    Raises:
        CannotStartError: A file to be shown in the sandbox is missing, or the disk is full.
    """
    if machine.seeds is None:
        return
    try:
        furnish(folder, spec.binds, machine.seeds)
    except OSError as error:
        raise CannotStartError(f"The sandbox cannot be furnished: {error}.") from error


async def learn_machine(state: Path, layers: Path, isolation: Isolation) -> Machine:
    """Make the shared layers if need be, and look at the host.

    Raises:
        CannotStartError: A layer could not be made.
    """
    variables = network_variables(os.environ)
    cgroups = await asyncio.to_thread(find_cgroups)
    place = state.resolve()  # what is to be hidden is where it really lies
    if isolation.mode == "plain":
        seeds = await ensure_layer(layers, SEEDS, python_key(), state=state)
        return Machine(state, isolation, Tree(), (), variables, seeds, cgroups)
    cover, python = await asyncio.gather(
        ensure_layer(layers, COVER, cover_key(own_users=isolation.own_users), state=state),
        ensure_layer(layers, PYTHON, python_key(), state=state),
    )
    tree = host_tree(place, (cover, python))
    tool = await asyncio.to_thread(place_file_tool, state)
    binds = (*_host_binds(place, variables), Bind(source=tool, target=FILE_TOOL))
    return Machine(state, isolation, tree, binds, variables, cgroups=cgroups)


def make_order(machine: Machine, spec: ProcessSpec, folder: Path, limits: Limits) -> dict[str, Any]:
    """The order for a supervisor. It holds secrets, in the environment: it may travel, and never be kept."""
    order = {
        "folder": str(folder),
        "argv": list(spec.argv or _SLEEP),
        "timeout_s": spec.timeout_s,
        "pty": spec.pty,
        "log_limit": limits.log_bytes,
        "processes": limits.processes,
        "open_files": limits.open_files,
        "memory_mib": spec.memory_mib,
        "disk_bytes": limits.disk_bytes,
        "keep_free_bytes": limits.keep_free_bytes,
        "cgroup": group_order(machine.cgroups, spec, limits) if machine.cgroups else None,
        "workdir": spec.workdir or HOME,
    }
    return order | (
        _plain(machine, spec, folder) if machine.isolation.mode == "plain" else _boxed(machine, spec, folder)
    )


def _boxed(machine: Machine, spec: ProcessSpec, folder: Path) -> dict[str, Any]:
    tree = image_tree(spec.root_layers) if spec.root_layers else machine.tree
    if spec.layers:
        tree = with_layers(tree, spec.layers)
    devices = tuple(device_nodes(spec.gpu_nodes))
    binds = (*machine.binds, *spec.binds)
    layout = lay_out(
        tree, folder, machine.isolation, devices=devices, binds=binds, workdir=spec.workdir or HOME
    )
    users = ["--unshare-user", "--uid", "0", "--gid", "0"] if machine.isolation.own_users else []
    network = [] if spec.network else ["--unshare-net"]
    capabilities = [word for name in CAPABILITIES for word in ("--cap-add", name)]
    return {
        "program": machine.isolation.program,
        "libraries": machine.isolation.libraries,
        "bwrap": [
            *(
                "--unshare-pid",
                "--unshare-ipc",
                "--die-with-parent",
                *users,
                *network,
                "--cap-drop",
                "ALL",
                *capabilities,
            ),
            *layout.arguments,
        ],
        "capabilities": sorted(CAPABILITIES.values()),
        "folders": layout.folders,
        "folder_beneath": layout.folder_beneath,
        "nodes": layout.nodes,
        "env": DEFAULT_VARIABLES
        | machine.variables
        | gpu_variables(spec.gpus, renumbered=True)
        | dict(spec.env),
    }


def _plain(machine: Machine, spec: ProcessSpec, folder: Path) -> dict[str, Any]:
    """No container: its folder is all that is its own."""
    if not spec.network:
        raise CannotStartError("The network cannot be kept from a plain process: see `trebuchet doctor`.")
    home = folder / framing.ROOT / "root"
    workdir = place_in(folder, spec.workdir or HOME)
    environment = environment_in(folder)
    defaults = {
        "HOME": str(home),
        "TMPDIR": str(folder / framing.ROOT / "tmp"),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "VIRTUAL_ENV": str(environment),
        "PATH": os.pathsep.join([str(environment / "bin"), os.environ.get("PATH", os.defpath)]),
    }
    folders: dict[str, int] = {}
    for place in reversed([workdir, *workdir.parents]):
        if place.is_relative_to(folder) and place != folder:
            folders.setdefault(str(place.relative_to(folder)), 0o755)
    return {
        "bwrap": None,
        "capabilities": None,
        "workdir": str(workdir),
        "folders": list(folders.items()),
        "folder_beneath": None,
        "nodes": [],
        "env": defaults
        | machine.variables
        | gpu_variables(spec.gpus, renumbered=False)
        | _going_on_here(spec.env, defaults["PATH"]),
    }


def _going_on_here(env: Mapping[str, str], search_path: str) -> dict[str, str]:
    """An image's variables; where it puts folders before the usual search path, that is this machine's."""
    return {name: value.replace(SEARCH_PATH, search_path) for name, value in env.items()}


def place_inside(machine: Machine, folder: Path, path: str) -> str:
    """Where a path of the sandbox's is found by a process in it."""
    return path if machine.isolation.mode == "bubblewrap" else str(place_in(folder, path))


def _host_binds(state: Path, variables: dict[str, str]) -> Iterator[Bind]:
    seen: set[Path] = set()
    for path in (*_resolver(), *_library_folders(), *files_of_variables(variables)):
        if path not in seen and not _is_visible(path, state) and not _reveals_too_much(path, state):
            seen.add(path)
            yield Bind(source=path, target=str(path))
    yield from home_files(Path.home())


def _resolver() -> Iterable[Path]:
    return (_RESOLVER.resolve(),) if _RESOLVER.exists() else ()


def _library_folders() -> Iterable[Path]:
    folder = shared_library_folder()
    return (folder,) if folder else ()


def _is_visible(path: Path, state: Path) -> bool:
    return path.parts[1] in SYSTEM_FOLDERS and not path.is_relative_to(state) if len(path.parts) > 1 else True


def _reveals_too_much(path: Path, state: Path) -> bool:
    return path == Path.home() or state.is_relative_to(path) or path.is_relative_to(state)
