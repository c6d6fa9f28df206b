"""The engine over the SDK. Modal and the local engine are this, with another way to come by a connection."""

from __future__ import annotations

import io
import os
import threading
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from trebuchet.engines.modal.access import ModalAccess
from trebuchet.engines.modal.ended import Ended
from trebuchet.engines.modal.errors import translated
from trebuchet.engines.modal.patience import answered
from trebuchet.errors import ClusterUnreachableError, JobNotFoundError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from datetime import datetime

    import modal

    from trebuchet.engines.base import GpuUsage, Identity, Observation, Stretch, Usage, VolumeFile
    from trebuchet.engines.modal.access import Access, Credentials
    from trebuchet.engines.modal.connection import Connection
    from trebuchet.sandbox import BucketMount, SandboxSpec
    from trebuchet.settings import Settings
    from trebuchet.status import LogEntry, LogPosition, LogSource
    from trebuchet.uploads import Sent

_Answer = TypeVar("_Answer")
_ID_PREFIX = "sb-"
_CLOSE_S = 1.0


class SdkEngine:
    """Implements `engines.base.Engine`, where the methods are described. Safe to use from many threads.

    The SDK is imported at the first call, not before.
    """

    knows_costs = True

    def __init__(self, settings: Settings, access: Access) -> None:
        self.cloud = access.cloud
        self._settings = settings
        self._access = access
        self._connection: Connection | None = None
        self._scheduled: set[str] = set()
        self._ended_handles = Ended()
        self._lock = threading.RLock()

    def identity(self) -> Identity:
        if known := self._access.identity():
            return known
        from trebuchet.engines.modal.identity import identify  # noqa: PLC0415 - imports the SDK

        memory = self._settings.home / "identities.json"
        return self._look_up(lambda connection: identify(connection, memory))

    def require_answer(self) -> None:
        connection = self._connect(self._access.current())
        with translated():
            connection.require_answer()

    def is_asleep(self) -> bool:
        return False

    def create(
        self,
        spec: SandboxSpec,
        *,
        on_build_output: Callable[[str], None] | None = None,
        on_sent: Callable[[Sent], None] | None = None,
    ) -> str:
        from trebuchet.engines.modal.request import create  # noqa: PLC0415 - imports the SDK

        connection = self._connect(self._access.current())
        with translated():
            connection.require_answer()
            warm = connection.remembers
            try:
                sandbox_id = create(connection, spec, on_build_output, on_sent)
            except Exception as error:
                if not (warm and _says_not_found(error)):
                    raise
                # Something that was found earlier is gone. Nothing was created, so asking anew is safe.
                connection.forget()
                sandbox_id = create(connection, spec, on_build_output, on_sent)
            connection.answered()
        if spec.gpu is not None:
            self._scheduled.add(sandbox_id)
        return sandbox_id

    def begin(
        self, spec: SandboxSpec, *, on_build_output: Callable[[str], None] | None = None
    ) -> Future[str]:
        from trebuchet.engines.modal.request import begin  # noqa: PLC0415 - imports the SDK

        connection = self._connection
        if connection is None or not connection.trusted:
            connection = self._connect(self._access.current())
        with translated():
            connection.require_answer()
            return begin(connection, spec, on_build_output)

    def find(self, tags: Mapping[str, str]) -> list[str]:
        if self._access.known() is None:
            return []
        from trebuchet.engines.modal.listing import unfinished  # noqa: PLC0415 - imports the SDK

        return answered(lambda heard: self._ask(lambda connection: unfinished(connection, tags, heard)))

    def find_by_name(self, name: str) -> str | None:
        if self._access.known() is None:
            return None
        try:
            return self._look_up(lambda connection: self._named(connection, name).object_id)
        except NotFoundError:
            return None

    def _named(self, connection: Connection, name: str) -> modal.Sandbox:
        import modal  # noqa: PLC0415 - heavy

        return modal.Sandbox.from_name(
            self._settings.app_name, name, environment_name=connection.environment, client=connection.client
        )

    def find_ended_by_name(self, name: str) -> str | None:
        if self._access.known() is None:
            return None
        try:
            return self._look_up(lambda connection: self._ended(connection, name))
        except NotFoundError:
            return None

    def _ended(self, connection: Connection, name: str) -> str | None:
        import modal  # noqa: PLC0415 - heavy

        newest = modal.Sandbox.from_name(
            self._settings.app_name,
            name,
            environment_name=connection.environment,
            include_terminated=True,
            client=connection.client,
        )
        return None if newest.poll() is None else newest.object_id

    def dashboard_url(self, sandbox_id: str) -> str | None:
        return self._access.dashboard_url(sandbox_id)

    def tags(self, sandbox_id: str) -> dict[str, str]:
        return self._ask_about(sandbox_id, lambda sandbox: sandbox.get_tags())

    def poll(self, sandbox_id: str) -> Observation:
        from trebuchet.engines.modal.observe import observe  # noqa: PLC0415 - imports the SDK
        from trebuchet.status import JobState  # noqa: PLC0415 - beside its only use

        scheduled = sandbox_id in self._scheduled
        asked = list["modal.Sandbox"]()

        def question(sandbox: modal.Sandbox) -> Observation:
            asked[:] = [sandbox]
            return observe(sandbox, scheduled=scheduled)

        seen = self._ask_about(sandbox_id, question)
        if seen.state is JobState.RUNNING:
            self._scheduled.add(sandbox_id)
        elif seen.state.is_final:
            self._scheduled.discard(sandbox_id)
            self._ended_handles.keep(asked[0])
        return seen

    def queued(self) -> Mapping[str, str]:
        return {}

    def terminate(self, sandbox_id: str) -> None:
        self._ask_about(sandbox_id, _end)

    def handle(self, sandbox_id: str) -> modal.Sandbox:
        return self._ask_about(sandbox_id, lambda sandbox: sandbox)

    def logs(
        self,
        sandbox_id: str,
        *,
        follow: bool = False,
        since: datetime | None = None,
        after: LogPosition | None = None,
        tail: int | None = None,
        source: LogSource | None = None,
    ) -> Iterator[LogEntry]:
        from trebuchet.engines.modal.logs import LogReader  # noqa: PLC0415 - imports the SDK

        ended = self._ended_handles.take(sandbox_id)
        # An unknown id is told here, not at the first entry.
        handles = chain([ended or self.handle(sandbox_id)], iter(lambda: self.handle(sandbox_id), None))
        reader = LogReader(lambda: next(handles), self._access.pace, source=source, since=since, after=after)
        return reader.follow(tail) if follow else reader.read(tail)

    def exec(
        self,
        sandbox_id: str,
        argv: Sequence[str],
        *,
        stdin: BinaryIO | None = None,
        stdout: BinaryIO | None = None,
    ) -> int:
        from trebuchet.engines.modal.attach import attach  # noqa: PLC0415 - imports the SDK

        return attach(self.handle(sandbox_id), argv, stdin=stdin, stdout=stdout)

    def shell(self, sandbox_id: str, argv: Sequence[str]) -> int:
        from trebuchet.engines.modal.terminal import attach_terminal  # noqa: PLC0415 - imports the SDK

        sandbox = self.handle(sandbox_id)
        with translated():
            return attach_terminal(sandbox, argv)

    def ports(self, sandbox_id: str) -> dict[int, str]:
        from trebuchet.engines.modal.tunnels import addresses  # noqa: PLC0415 - rarely wanted

        return self._ask_about(sandbox_id, addresses)

    def usage(self, sandbox_id: str) -> Usage | None:
        from trebuchet.engines.modal.usage import READ_PROCESSES, usage_of  # noqa: PLC0415 - rarely wanted

        return usage_of(self._said_inside(sandbox_id, READ_PROCESSES))

    def gpu_usage(self, sandbox_id: str) -> GpuUsage | None:
        from trebuchet.engines.modal.usage import READ_GPUS, gpu_usage_of  # noqa: PLC0415 - rarely wanted

        return gpu_usage_of(self._said_inside(sandbox_id, READ_GPUS))

    def _said_inside(self, sandbox_id: str, script: str) -> bytes:
        """What a small script prints inside; nothing where it fails."""
        said = io.BytesIO()
        with Path(os.devnull).open("rb") as nothing:
            self.exec(sandbox_id, ("sh", "-c", script), stdin=nothing, stdout=said)
        return said.getvalue()

    def list_files(self, volume: str, path: str) -> list[VolumeFile]:
        from trebuchet.engines.modal.volumes import list_files  # noqa: PLC0415 - imports the SDK

        self._need_known(volume)
        return self._ask(lambda connection: list_files(connection, volume, path))

    def read_file(
        self, volume: str, path: str, sink: BinaryIO, *, on_bytes: Callable[[int], None] | None = None
    ) -> int:
        from trebuchet.engines.modal.volumes import read_file  # noqa: PLC0415 - imports the SDK

        self._need_known(volume)
        return self._ask(lambda connection: read_file(connection, volume, path, sink, on_bytes))

    def read_stretch(
        self,
        volume: str,
        path: str,
        sink: BinaryIO,
        stretch: Stretch,
        *,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        from trebuchet.engines.modal.volumes import read_stretch  # noqa: PLC0415 - imports the SDK

        self._need_known(volume)
        part = sink, stretch, on_bytes
        self._ask(lambda connection: read_stretch(connection, volume, path, part))

    def remove_files(self, volume: str, path: str) -> None:
        from trebuchet.engines.modal.volumes import remove_files  # noqa: PLC0415 - imports the SDK

        if self._access.known() is not None:
            self._ask(lambda connection: remove_files(connection, volume, path))

    def _need_known(self, volume: str) -> None:
        if self._access.known() is None:
            raise NotFoundError(f"There is no volume {volume}.")

    def put_secret(self, name: str, values: Mapping[str, str]) -> None:
        from trebuchet.engines.modal.secrets import put_secret  # noqa: PLC0415 - imports the SDK

        connection = self._connect(self._access.current())
        with translated():
            put_secret(connection, name, dict(values))

    def bucket_keys(self, bucket: BucketMount) -> dict[str, str]:
        from trebuchet.engines.modal.mounts import keys_of_caller  # noqa: PLC0415 - imports the SDK

        return keys_of_caller(bucket)

    def delete_secret(self, name: str) -> None:
        from trebuchet.engines.modal.secrets import delete_secret  # noqa: PLC0415 - imports the SDK

        if self._access.known() is not None:
            self._look_up(lambda connection: delete_secret(connection, name))

    def prices(self, specs: Sequence[SandboxSpec]) -> list[float | None]:
        from trebuchet.engines.modal.money import price_an_hour  # noqa: PLC0415 - imports the SDK

        rates = self._ask(lambda connection: connection.rates)
        return [price_an_hour(rates, spec) for spec in specs]

    def cost(self, sandbox_id: str) -> float | None:
        from trebuchet.engines.modal.money import actual_cost  # noqa: PLC0415 - imports the SDK

        if self._access.known() is None:
            return None
        return self._ask(lambda connection: actual_cost(connection, sandbox_id))

    def close(self) -> None:
        if not self._lock.acquire(timeout=_CLOSE_S):
            return  # A look-up that was left behind is still opening one.
        connection, self._connection = self._connection, None
        self._lock.release()
        if connection is not None:
            connection.close()

    def _ask_about(self, sandbox_id: str, question: Callable[[modal.Sandbox], _Answer]) -> _Answer:
        """Look the sandbox up and ask it something.

        Raises:
            JobNotFoundError: The control plane does not know it, or it is no sandbox's id at all.
        """
        import modal  # noqa: PLC0415 - heavy

        if not sandbox_id.startswith(_ID_PREFIX) or self._access.known() is None:
            raise JobNotFoundError(f"The control plane knows no sandbox {sandbox_id}.")

        def ask(connection: Connection) -> _Answer:
            with translated(sandbox_id=sandbox_id):
                return question(modal.Sandbox.from_id(sandbox_id, client=connection.client))

        return self._look_up(ask)

    def _look_up(self, question: Callable[[Connection], _Answer]) -> _Answer:
        """Ask something small, and wait no longer for the answer than `patience` says."""
        return answered(lambda _heard: self._ask(question))

    def _ask(self, question: Callable[[Connection], _Answer]) -> _Answer:
        """Ask something that changes nothing if it is asked twice."""
        try:
            return self._ask_once(question)
        except ClusterUnreachableError:
            if not self._access.renewable:
                raise
        return self._ask_once(question)

    def _ask_once(self, question: Callable[[Connection], _Answer]) -> _Answer:
        connection = self._connect(self._access.current())
        with translated():
            connection.require_answer()
            answer = question(connection)
        connection.answered()
        return answer

    def _connect(self, credentials: Credentials) -> Connection:
        """The connection for these credentials: the one at hand, or a new one where they have changed."""
        from trebuchet.engines.modal.connection import Connection  # noqa: PLC0415 - imports the SDK

        with self._lock:
            before = self._connection
            if before is None or before.credentials != credentials:
                with translated():
                    self._connection = Connection(credentials, self._settings.app_name, self._settings.home)
                    if before is not None:
                        before.close()
            assert self._connection is not None  # noqa: S101 - set just above; for the type checker
            return self._connection


def _end(sandbox: modal.Sandbox) -> None:
    if sandbox.returncode is None:
        sandbox.terminate()


def _says_not_found(error: Exception) -> bool:
    from modal.exception import NotFoundError as SdkNotFoundError  # noqa: PLC0415 - heavy

    return isinstance(error, SdkNotFoundError)


class ModalEngine(SdkEngine):
    """Modal itself, by the token of its own configuration."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, ModalAccess(settings))
