"""Images: built once a process for each description, and handed out hydrated: they cost no more calls."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import modal
from modal.exception import Error as SdkError
from modal.exception import ImageBuildError as SdkImageBuildError
from modal.output import OutputManager

from trebuchet import uploads
from trebuchet.engines.modal import packs
from trebuchet.engines.modal.covering import uncovered
from trebuchet.engines.modal.sending import overheard
from trebuchet.errors import ImageBuildError
from trebuchet.sandbox import ImageSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from trebuchet.engines.modal.connection import Connection
    from trebuchet.sandbox import Upload

_FILES_KEPT = 32
"""How many combinations of image and local files are remembered."""

_LOG_TAIL = 64 * 1024
"""How many characters of a failed build's output travel with the error."""

# The SDK has one output manager a process: two builds at once would mix their lines.
_BUILDING = threading.RLock()


class ImageShelf:
    """The images that one connection has built.

    Args:
        connection: Builds them.
        state: Where Trebuchet's own state is kept, which is never sent.
    """

    def __init__(self, connection: Connection, state: Path) -> None:
        self._connection = connection
        self._state = state
        self._lock = threading.RLock()
        self._built: dict[tuple[object, ...], modal.Image] = {}
        self._with_files: OrderedDict[tuple[object, ...], modal.Image] = OrderedDict()

    def get(
        self,
        spec: ImageSpec,
        files: Sequence[Upload],
        on_output: Callable[[str], None] | None,
        login: tuple[str, str] | None = None,
        on_sent: Callable[[uploads.Sent], None] | None = None,
        *,
        mounts: Sequence[str] = (),
    ) -> modal.Image:
        """The image with the local files laid over it.

        Args:
            spec: The image.
            files: What lies over it.
            on_output: Called with what its build prints.
            login: User and password of its registry, where the job brings them.
            on_sent: Called with how far sending the files has got.
            mounts: Where volumes and buckets will be: what would lie below is not sent.

        Raises:
            ImageBuildError: With what the build printed.
            UsageError: A local file is missing or cannot be read.
        """
        with self._lock:
            base = self._base(spec, on_output, login)
            if not files:
                return base
            found = [uploads.scan(upload, state=self._state) for upload in files]
            manifests = uncovered(files, found, mounts)
            key = (
                base.object_id,
                *((file.target, seen.fingerprint()) for file, seen in zip(files, manifests, strict=True)),
            )
            whole = uploads.Sent(
                files=sum(seen.count for seen in manifests), bytes=sum(seen.bytes for seen in manifests)
            )
            if key not in self._with_files:
                with overheard(whole, on_sent):
                    self._with_files[key] = self._lay_files(base, files, manifests)
            elif on_sent is not None:  # this process has sent them before, and need not even ask
                on_sent(uploads.Sent(files=whole.files, bytes=0, of=whole))
            self._with_files.move_to_end(key)
            while len(self._with_files) > _FILES_KEPT:
                self._with_files.popitem(last=False)
            return self._with_files[key]

    def _base(
        self, spec: ImageSpec, on_output: Callable[[str], None] | None, login: tuple[str, str] | None
    ) -> modal.Image:
        key = _key(spec)
        if key not in self._built:
            self._built[key] = self._made(spec, on_output, login)
        return self._built[key]

    def _made(
        self, spec: ImageSpec, on_output: Callable[[str], None] | None, login: tuple[str, str] | None
    ) -> modal.Image:
        image = self._describe(spec, login)
        try:
            self._build(image, on_output)
        except ImageBuildError as error:
            added = (*spec.apt_packages, *spec.pip_packages, *spec.commands)
            if not (self._connection.credentials.is_this_machine and added and spec.registry_ref is None):
                raise
            # What is added was told from the scripts' text: they may do without, or say by themselves.
            if on_output is not None:
                why = str(error).strip().rpartition("\n")[2]
                on_output(f"The job runs without what could not be added to this machine's system: {why}\n")
            image = self._describe(ImageSpec(variables=spec.variables), None)
            self._build(image, on_output)
        return image

    def _describe(self, spec: ImageSpec, login: tuple[str, str] | None) -> modal.Image:
        if spec.registry_ref is None:
            image = modal.Image.debian_slim(spec.python_version)
        else:
            # Its own entry point would take our command for its arguments.
            image = _from_registry(spec, self._registry_secret(spec, login)).entrypoint([])
        image = image.apt_install(*spec.apt_packages).uv_pip_install(*spec.pip_packages)
        for command in spec.commands:
            image = image.run_commands(command)
        return image.env(dict(spec.variables)) if spec.variables else image

    def _registry_secret(self, spec: ImageSpec, login: tuple[str, str] | None) -> modal.Secret | None:
        if spec.registry_secret:
            return self._connection.secret(spec.registry_secret)
        if login is None:
            return None
        return modal.Secret.from_dict(
            dict(zip(("REGISTRY_USERNAME", "REGISTRY_PASSWORD"), login, strict=True))
        )

    def _build(self, image: modal.Image, on_output: Callable[[str], None] | None) -> None:
        heard: list[str] = []

        def hear(text: str) -> None:
            heard.append(text)
            if on_output is not None:
                on_output(text)

        try:
            with _build_output(hear):
                image.build(self._connection.need_app())
        except SdkImageBuildError as error:
            log = "".join(heard) or _kept_log(image)
            raise ImageBuildError(
                str(error),
                build_log=log[-_LOG_TAIL:],
                hint="Its output is above; the image and its packages are listed by `trebuchet plan`.",
            ) from error

    def _lay_files(
        self, base: modal.Image, files: Sequence[Upload], manifests: Sequence[uploads.Manifest]
    ) -> modal.Image:
        # By its id the base costs one call; by its description it costs one for each of its layers.
        image = modal.Image.from_id(base.object_id, client=self._connection.client)
        with packs.packed(files, manifests) as archives:
            for file, manifest in zip(files, manifests, strict=True):
                if not manifest.source.is_dir():
                    image = image.add_local_file(file.source, file.target)
                    continue
                loose = manifest.files.keys() - packs.small_files(file, manifest)
                if loose:  # the SDK logs a warning for an empty folder, and the wrapper makes it anyway
                    image = image.add_local_dir(file.source, file.target, ignore=_all_but(loose))
            if archives is not None:
                image = image.add_local_dir(archives, packs.PLACE)
            return image.build(self._connection.need_app())


def _all_but(sent: AbstractSet[str]) -> Callable[[Path], bool]:
    return lambda path: path.as_posix() not in sent


def _from_registry(spec: ImageSpec, secret: modal.Secret | None) -> modal.Image:
    return modal.Image.from_registry(  # pyright: ignore[reportUnknownMemberType] - its kwargs
        spec.registry_ref or "", secret=secret, add_python=spec.python_version
    )


def _key(spec: ImageSpec) -> tuple[object, ...]:
    return (
        spec.registry_ref,
        spec.registry_secret,
        spec.registry_login,
        spec.apt_packages,
        spec.pip_packages,
        spec.commands,
        tuple(sorted(spec.variables.items())),
        spec.python_version,
    )


class _Listener:
    """Stands before the SDK's output manager and overhears what builds print."""

    def __init__(self, manager: OutputManager, hear: Callable[[str], None]) -> None:
        self._manager = manager
        self._hear = hear

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    async def put_streaming_log(self, log: Any, prefix: str = "") -> None:
        self._hear(log.data)
        await self._manager.put_streaming_log(log, prefix)


@contextlib.contextmanager
def _build_output(hear: Callable[[str], None]) -> Generator[None]:
    """Overhear builds while the block runs; silently nothing where the SDK no longer offers the place."""
    install = getattr(OutputManager, "_set", None)
    if install is None:
        yield
        return
    with _BUILDING:
        before = OutputManager.get()
        install(_Listener(before, hear))
        try:
            yield
        finally:
            install(before)


def _kept_log(image: modal.Image) -> str:
    """What the control plane kept of a build that had failed before we came; empty where it does not tell."""
    with contextlib.suppress(SdkError):
        return "".join(entry.message for entry in image.logs.fetch())
    return ""
