"""Making an image's files: the host's, or pulled, then changed by commands that run in sandboxes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from trebuchet.emulator.disk import make_private_folder
from trebuchet.emulator.images.challenge import Credentials
from trebuchet.emulator.process.errors import NotRunningError
from trebuchet.emulator.process.python_layer import uv_programs
from trebuchet.emulator.process.spec import Bind, ProcessSpec
from trebuchet.emulator.process.supervise import framing
from trebuchet.emulator.process.system_key import system_key
from trebuchet.emulator.world.builds import Built
from trebuchet.emulator.world.content import PLAIN_MODE
from trebuchet.emulator.world.copying import CONTEXT, read_copying
from trebuchet.emulator.world.dockerfile import read_stage
from trebuchet.emulator.world.errors import ConflictError, InvalidError, NotServedError
from trebuchet.emulator.world.ids import new_id
from trebuchet.emulator.world.image_files import binds_for_image, place_top_files
from trebuchet.emulator.world.recipe import Manner, apply, program_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trebuchet.emulator.images.pull import LayerProgress, PulledImage
    from trebuchet.emulator.process.host import ProcessHost
    from trebuchet.emulator.world.build_log import BuildLog
    from trebuchet.emulator.world.content import Content
    from trebuchet.emulator.world.dockerfile import Command
    from trebuchet.emulator.world.images import Image
    from trebuchet.emulator.world.mounts import Mounts
    from trebuchet.emulator.world.secrets import Secrets

_MB = 1_000_000
_TELL_EVERY_S = 2.0
_LOGIN = ("REGISTRY_USERNAME", "REGISTRY_PASSWORD")
_UV_IMAGE = "--from=ghcr.io/astral-sh/uv:"
_UV_OF_THE_SDK = "/.uv/"
_NO_UV = "There is no uv on this machine to install packages with."
_NO_PYTHON = "add_python is not served by the local engine: use an image that has Python."


class Builder:
    """Builds one image at a time, for as many callers as there are."""

    def __init__(
        self, state: Path, *, host: ProcessHost, content: Content, mounts: Mounts, secrets: Secrets
    ) -> None:
        """Know where things are.

        Args:
            state: The engine's state directory. Pulled images go to `registry`, what they become to `layers`.
            host: Runs the commands.
            content: Files that came with a definition.
            mounts: Files that are copied in.
            secrets: What the commands, and the registry, may have to know.
        """
        self._store = state / "registry"
        self._layers = make_private_folder(state / "layers")
        self._host = host
        self._content = content
        self._mounts = mounts
        self._secrets = secrets

    @staticmethod
    def host_base(image_id: str, manner: Manner) -> Built:
        """An image whose files are the host's, as what others are made on."""
        return Built(id=image_id, key=_key("system", system_key()), manner=asdict(manner))

    async def build(self, image: Image, base: Built | None, output: BuildLog) -> Built:
        """Make what an image adds to its base, or pull its base.

        Raises:
            ImageError: The registry's part cannot be had.
            WorldError: A command failed, or is not served.
            ProcessError: A sandbox cannot be started.
            OSError: The disk fails.
        """
        stage = read_stage(image.commands, image.build_args)
        if base is None:
            base = await self._pull(image, stage.base, output)
        work = _Work(base.root, list(base.layers), base.key, base.how())
        for command in stage.commands:
            changed = apply(command, work.manner, image.build_args)
            if changed is not None:
                work.manner = changed
            elif await self._cannot_layer(work):
                output.write(f"Not done here, where sandboxes are plain processes: {command}\n")
            elif command.verb == "RUN":
                await self._run(image, command, work, output)
            elif layer := await self._ready_made(image, command):
                work.add(layer, str(command))
            else:
                await self._copy(image, command, work, output)
        return Built(
            id=image.id,
            root=work.root,
            layers=work.layers,
            key=work.key,
            manner=asdict(work.manner.settled()),
            built_at=time.time(),
        )

    async def _cannot_layer(self, work: _Work) -> bool:
        """Whether the host's own files would have to be changed; they are taken as they are then.

        Raises:
            NotServedError: Commands could run, and nothing would be left of what they did.
        """
        isolation = await self._host.isolation()
        if isolation.mode == "bubblewrap" and not isolation.layers_on_disk:
            raise NotServedError(
                "Layers cannot be kept where the engine has its state: its file system takes no overlays."
            )
        return isolation.mode == "plain" and not work.root

    async def _pull(self, image: Image, reference: str, output: BuildLog) -> Built:
        isolation = await self._host.isolation()
        if isolation.mode == "plain":
            raise NotServedError(
                "Images from a registry need containers, and this machine has none: see `trebuchet doctor`."
            )
        from trebuchet.emulator.images.pull import pull  # noqa: PLC0415 - heavy, and few engines pull

        output.write(f"Pulling {reference}\n")
        pulled = await pull(
            reference, self._store, credentials=self._credentials(image), progress=_Progress(output)
        )
        output.write(f"Pulled {reference} as {pulled.digest}\n")
        return Built(
            id=image.id,
            root=str(pulled.layers[0]),
            key=_key(pulled.digest, ""),
            manner=asdict(_manner_of(pulled)),
        )

    def _credentials(self, image: Image) -> Credentials | None:
        if not image.registry_secret_id:
            return None
        values = self._secrets.values_of([image.registry_secret_id])
        if not all(values.get(name) for name in _LOGIN):
            raise NotServedError(f"The local engine logs in to registries with {' and '.join(_LOGIN)} alone.")
        username, password = (values[name] for name in _LOGIN)
        return Credentials(username=username, password=password)

    async def _ready_made(self, image: Image, command: Command) -> Path | None:
        """The layer of a `COPY` that the SDK itself asks for, put together without a process."""
        source, _, target = command.rest.rpartition(" ")
        if command.flags:
            is_uv = command.flags[0].startswith(_UV_IMAGE) and target.startswith(_UV_OF_THE_SDK)
            return await asyncio.to_thread(self._uv_layer, target) if is_uv else None
        if source == "." and target == "/" and image.context_mount_id:
            return await self._mounts.layer(image.context_mount_id)
        if source.startswith("/python/"):
            raise NotServedError(_NO_PYTHON)
        if source in image.context_files and target.startswith("/") and not target.endswith("/"):
            return await asyncio.to_thread(self._file_layer, image.context_files[source], target)
        return None

    async def _copy(self, image: Image, command: Command, work: _Work, output: BuildLog) -> None:
        flags = tuple(flag for flag in command.flags if not flag.startswith(_UV_IMAGE))
        copying = read_copying(replace(command, flags=flags), work.manner)
        if flags != command.flags:
            context = await asyncio.to_thread(self._uv_folder)
        elif image.context_mount_id:
            context = await self._mounts.layer(image.context_mount_id)
        else:
            raise InvalidError(f"`{command}`: no files were sent with this image.")
        program = await asyncio.to_thread(copying.program, context)
        step = _Step(str(command), program, _key(context.name, json.dumps(program)))
        await self._make(step, work, output, {}, (Bind(source=context, target=CONTEXT),))

    def _uv_folder(self) -> Path:
        """A folder that stands for the image that uv comes in: it has this machine's uv and uvx."""
        programs = uv_programs()
        if not programs:
            raise ConflictError(_NO_UV)
        facts = [(program.name, program.stat()) for program in programs]
        versions = [(name, found.st_size, found.st_mtime_ns) for name, found in facts]
        folder = self._layers / _key("uv", json.dumps(versions))
        if not folder.is_dir():
            draft = make_private_folder(self._layers / new_id("making"))
            for program in programs:
                shutil.copy2(program, draft / program.name)
            _settle(draft, folder)
        return folder

    def _uv_layer(self, target: str) -> Path:
        programs = uv_programs()
        if not programs:
            raise ConflictError(_NO_UV)
        return self._layer_of_one(_key("uv", target), target, lambda place: shutil.copy2(programs[0], place))

    def _file_layer(self, digest: str, target: str) -> Path:
        key = _key(digest, target)
        return self._layer_of_one(key, target, lambda place: self._content.link(digest, place, PLAIN_MODE))

    def _layer_of_one(self, key: str, target: str, put: Callable[[Path], object]) -> Path:
        """The layer of this key, which has one file, put there if there is no such layer yet.

        Raises:
            InvalidError: The file's place is none.
        """
        layer = self._layers / key
        if not layer.is_dir():
            inside = PurePosixPath(target.lstrip("/"))
            if not inside.name or ".." in inside.parts or "\0" in target:
                raise InvalidError(f"{target!r} is no place for a file in an image.")
            draft = make_private_folder(self._layers / new_id("making"))
            place = draft / inside
            place.parent.mkdir(parents=True, exist_ok=True)
            for folder in inside.parents:
                (draft / folder).chmod(0o755)  # whatever this process's mask is
            put(place)
            _settle(draft, layer)
        return layer

    async def _run(self, image: Image, command: Command, work: _Work, output: BuildLog) -> None:
        secrets = self._secrets.values_of(image.secret_ids)
        program = program_of(command, work.manner)
        step = _Step(str(command), program, f"{command} {_circumstances(work.manner, secrets)}")
        await self._make(step, work, output, secrets)

    async def _make(
        self,
        step: _Step,
        work: _Work,
        output: BuildLog,
        secrets: Mapping[str, str],
        binds: tuple[Bind, ...] = (),
    ) -> None:
        """Let a process make a layer, unless it was made before."""
        output.write(f"=> {step.text}\n")
        layer = self._layers / _key(work.key, step.circumstances)
        if layer.is_dir():
            output.write("It was made before.\n")
        else:
            folder = self._layers / new_id("making")
            try:
                spec = await asyncio.to_thread(_spec, folder.name, step.program, work, secrets, binds)
                await self._run_in_sandbox(spec, step, folder, output)
                # What the command wrote is the sandbox's upper layer; it becomes a lower one of others.
                _settle(folder / framing.ROOT, layer)
            finally:
                await self._remove(folder)
        work.add(layer, step.text)

    async def _remove(self, folder: Path) -> None:
        """Remove what a command's sandbox left, if it came to have any."""
        try:
            with suppress(NotRunningError):  # it was not started: what kept it from that is what to tell
                await self._host.cleanup(folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _run_in_sandbox(self, spec: ProcessSpec, step: _Step, folder: Path, output: BuildLog) -> None:
        await asyncio.to_thread(place_top_files, (*spec.root_layers, *spec.layers), folder)
        await self._host.start(spec, folder)
        try:
            with suppress(NotRunningError):  # it has ended without having read any
                await self._host.write_stdin(folder, b"", eof=True)
            async for records, _ in self._host.follow(folder):
                output.write(b"".join(record.data for record in records).decode(errors="replace"))
        finally:
            self._host.terminate(folder)
        state = await self._host.wait_end(folder)
        if state.exit_code != 0:
            raise ConflictError(state.message or f"`{step.text}` ended with code {state.exit_code}.")


@dataclass(frozen=True)
class _Step:
    """One command: its text, what runs, and all that its doings depend on besides what lies below."""

    text: str
    program: tuple[str, ...]
    circumstances: str


class _Work:
    """An image as far as it is made."""

    def __init__(self, root: str, layers: list[str], key: str, manner: Manner) -> None:
        self.root = root
        self.layers = layers
        self.key = key
        self.manner = manner

    def add(self, layer: Path, what: str) -> None:
        self.layers.append(str(layer))
        self.key = _key(self.key, f"{what} {layer.name}")


class _Progress:
    """Prints how far a pull is: a line for each layer, and one now and then in between."""

    def __init__(self, output: BuildLog) -> None:
        self._output = output
        self._layers: OrderedDict[str, LayerProgress] = OrderedDict()
        self._next = time.monotonic() + _TELL_EVERY_S

    def __call__(self, step: LayerProgress) -> None:
        self._layers[step.layer] = step
        now = time.monotonic()
        if step.phase == "ready":
            self._output.write(f"{step.layer[7:19]}: {step.total / _MB:.1f} MB ready\n")
        elif now >= self._next:
            self._next = now + _TELL_EVERY_S
            self._output.write(
                f"{step.layer[7:19]}: {step.phase} {step.done / _MB:.1f} of {step.total / _MB:.1f} MB\n"
            )


def _spec(
    name: str, program: tuple[str, ...], work: _Work, secrets: Mapping[str, str], binds: tuple[Bind, ...]
) -> ProcessSpec:
    root = (Path(work.root),) if work.root else ()
    return ProcessSpec(
        id=name,
        argv=program,
        env={**work.manner.arguments, **work.manner.variables, **secrets},
        workdir=work.manner.workdir,
        root_layers=root,
        layers=tuple(map(Path, work.layers)),
        binds=(*(binds_for_image(root[0]) if root else ()), *binds),
    )


def _manner_of(pulled: PulledImage) -> Manner:
    manner = Manner(variables=pulled.environment, workdir=pulled.workdir or "/")
    return replace(manner, entrypoint=pulled.entrypoint, command=pulled.command)


def _circumstances(manner: Manner, secrets: Mapping[str, str]) -> str:
    """What a command's doings depend on besides its files."""
    seen = {**manner.arguments, **manner.variables, **secrets}
    return json.dumps([manner.workdir, manner.shell, sorted(seen.items())])


def _key(below: str, what: str) -> str:
    return hashlib.sha256(f"{below}\n{what}".encode()).hexdigest()


def _settle(made: Path, place: Path) -> None:
    """Give a finished layer its name, unless another build was first."""
    made.chmod(0o755)
    try:
        made.rename(place)
    except OSError:
        if not place.is_dir():
            raise
        shutil.rmtree(made, ignore_errors=True)
