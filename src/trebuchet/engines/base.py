"""The contract between Trebuchet and a place that runs sandboxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from datetime import datetime

    from trebuchet.sandbox import BucketMount, SandboxSpec
    from trebuchet.status import JobState, LogEntry, LogPosition, LogSource, Reason
    from trebuchet.uploads import Sent


STRETCH_BYTES = 8 << 20
"""Where stretches of files may begin: at multiples of this, the size of the blocks that Modal keeps."""


class Stretch(NamedTuple):
    """A part of a file.

    Attributes:
        start: Where it begins, a multiple of `STRETCH_BYTES`.
        length: In bytes, more than none.
    """

    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose view of which control plane a look-up gives. Absence seen by another identity is no evidence.

    Attributes:
        control_plane: Its address.
        workspace: The account; the token's id where the service does not tell.
        environment: The environment within the workspace.
    """

    control_plane: str
    workspace: str
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the control plane said about one sandbox at one moment.

    Attributes:
        id: The sandbox's id.
        state: As far as the control plane can tell.
        reason: None while it runs.
        exit_code: None while it runs, or where it had none.
        waiting_for: What a pending sandbox waits for, in words, where known.
        message: Why it could not start, in the control plane's words, where it gave any.
    """

    id: str
    state: JobState
    reason: Reason | None = None
    exit_code: int | None = None
    waiting_for: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeFile:
    """A file or the like in a volume.

    Attributes:
        path: Within the volume, without a leading slash.
        kind: What it is.
        size: In bytes.
        modified_at: Seconds since the epoch.
    """

    path: str
    kind: Literal["file", "directory", "symlink", "other"]
    size: int
    modified_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the processes in a sandbox take, about.

    Attributes:
        at: When this was read, in seconds; only differences mean anything.
        cpu_s: Seconds of processor time that they took until then.
        memory: Bytes that they take now.
    """

    at: float
    cpu_s: float
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUsage:
    """What is taken of a sandbox's GPUs.

    Attributes:
        busy: Part of the time that they were at work, all of them averaged: 0 to 1.
        memory: Bytes taken, of all of them.
        memory_size: Bytes that there are.
    """

    busy: float
    memory: int
    memory_size: int


class Engine(Protocol):
    """A control plane, seen through the official SDK.

    Every method raises `ClusterUnreachableError` where the control plane gives no answer,
    `AuthenticationError` where it does not accept the token, `MachineError` where this machine has no room
    or no open files left for the call, and never answers "none" for any of them.
    """

    cloud: str

    knows_costs: bool
    """Whether there is any use in asking `cost`."""

    def identity(self) -> Identity:
        """Name the view that this engine's answers give; makes no call after the first."""
        ...

    def require_answer(self) -> None:
        """Look whether the control plane is there; makes no call where it answered just now."""
        ...

    def is_asleep(self) -> bool:
        """Whether a question would first have to start something that has stopped, or was. Makes no call."""
        ...

    def create(
        self,
        spec: SandboxSpec,
        *,
        on_build_output: Callable[[str], None] | None = None,
        on_sent: Callable[[Sent], None] | None = None,
    ) -> str:
        """Create a sandbox and return its id. With a GPU this blocks until one is had.

        Args:
            spec: What to create.
            on_build_output: Called with what an image build prints.
            on_sent: Called now and then with how far sending its local files has got, from another thread.

        Raises:
            AlreadyExistsError: A running sandbox of the app has the name.
            CapacityError: No such GPU was to be had.
            ImageBuildError: The image could not be built.
            RateLimitedError: Too many creations a second.
        """
        ...

    def begin(
        self, spec: SandboxSpec, *, on_build_output: Callable[[str], None] | None = None
    ) -> Future[str]:
        """As `create` for a sandbox without a GPU, but its id, or what `create` would raise, comes later.

        What is raised at once came before the sandbox was asked for. `NotFoundError`, at once or later, may
        mean that something remembered is gone: `create` looks it up anew.
        """
        ...

    def find(self, tags: Mapping[str, str]) -> list[str]:
        """Ids of the unfinished sandboxes that carry all these tags."""
        ...

    def find_by_name(self, name: str) -> str | None:
        """The id of the unfinished sandbox of this name, or None where there is none."""
        ...

    def find_ended_by_name(self, name: str) -> str | None:
        """The id of the newest sandbox that had this name and has ended, as far as it is remembered.

        A control plane may remember none at all (Modal's V1, that is GPU sandboxes): None is no evidence.
        """
        ...

    def put_secret(self, name: str, values: Mapping[str, str]) -> None:
        """Keep values under a name, in place of what was there; for `SandboxSpec.secrets`."""
        ...

    def delete_secret(self, name: str) -> None:
        """Forget a named secret. Nothing happens where there is none."""
        ...

    def bucket_keys(self, bucket: BucketMount) -> dict[str, str]:
        """The keys of a bucket that this process's environment has, by the names that mounting wants.

        Raises:
            UsageError: It has none.
        """
        ...

    def dashboard_url(self, sandbox_id: str) -> str | None:
        """Where a browser shows the sandbox; None where there is no such page. Makes no call."""
        ...

    def tags(self, sandbox_id: str) -> dict[str, str]:
        """The tags of a sandbox.

        Raises:
            JobNotFoundError: The control plane does not know it.
        """
        ...

    def poll(self, sandbox_id: str) -> Observation:
        """What the sandbox does now.

        Raises:
            JobNotFoundError: The control plane does not know it.
        """
        ...

    def queued(self) -> Mapping[str, str]:
        """What unfinished sandboxes wait for that were not started yet, by id and by name, in words.

        Only where all can be asked about at once; of any other, `poll` may know.
        """
        ...

    def terminate(self, sandbox_id: str) -> None:
        """Ask for its end; does not wait for it. Nothing happens where it has ended already.

        Raises:
            JobNotFoundError: The control plane does not know it.
        """
        ...

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
        """Output, oldest first; with `follow` until the sandbox has ended and all of it was given.

        Args:
            sandbox_id: Whose.
            follow: Go on until its end.
            since: Only what was received from then on. Where nothing can be older, saying so saves questions.
            after: Only what comes after this place, of all entries; not with `tail` or `source`.
            tail: Only the last so many entries, at most 20,000.
            source: Only this stream.

        Raises:
            JobNotFoundError: The control plane does not know it.
        """
        ...

    def list_files(self, volume: str, path: str) -> list[VolumeFile]:
        """What a folder of a volume holds, all that is below it included; the file itself where it is one.

        Raises:
            NotFoundError: There is no such volume, or nothing at the path.
        """
        ...

    def read_file(
        self, volume: str, path: str, sink: BinaryIO, *, on_bytes: Callable[[int], None] | None = None
    ) -> int:
        """Write a volume's file into a file that can seek, checking what was received; its size.

        Raises:
            NotFoundError: There is no such volume or file.
        """
        ...

    def read_stretch(
        self,
        volume: str,
        path: str,
        sink: BinaryIO,
        stretch: Stretch,
        *,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        """Write a stretch of a volume's file to the same place of a file that can seek, as `read_file` does.

        Args:
            volume: Which.
            path: Of the file in it.
            sink: Where to.
            stretch: Which.
            on_bytes: Told how many more bytes have come.

        Raises:
            NotFoundError: There is no such volume or file, or it ends before the stretch does.
        """
        ...

    def remove_files(self, volume: str, path: str) -> None:
        """Remove a file or folder of a volume. Nothing happens where there is none."""
        ...

    def exec(
        self,
        sandbox_id: str,
        argv: Sequence[str],
        *,
        stdin: BinaryIO | None = None,
        stdout: BinaryIO | None = None,
    ) -> int:
        """Run a command inside with this process's standard streams, or others; its exit code.

        Raises:
            OSError: Some of its output could not be written here; the command was ended.
        """
        ...

    def shell(self, sandbox_id: str, argv: Sequence[str]) -> int:
        """Run a command inside on a terminal of its own, shown on this process's; its exit code.

        Raises:
            UsageError: This process has no terminal.
        """
        ...

    def ports(self, sandbox_id: str) -> dict[int, str]:
        """Where each port that was asked for is reached from outside: an address to open."""
        ...

    def usage(self, sandbox_id: str) -> Usage | None:
        """What a running sandbox takes; None where that cannot be told."""
        ...

    def gpu_usage(self, sandbox_id: str) -> GpuUsage | None:
        """What a running sandbox takes of its GPUs; None where that cannot be told, or it has none."""
        ...

    def prices(self, specs: Sequence[SandboxSpec]) -> list[float | None]:
        """US dollars an hour for what each asks for, by the control plane's own rates: one look-up.

        None for one that the rates do not tell the price of.
        """
        ...

    def cost(self, sandbox_id: str) -> float | None:
        """US dollars that a sandbox has cost, by the control plane's own figures; None where it has none."""
        ...

    def close(self) -> None:
        """Drop connections. Sandboxes live on."""
        ...
