"""A home with a local engine, a launcher on it, and what tests do with them again and again."""

from __future__ import annotations

import os
import signal
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.engine import Engine, local_engine, wait_until
from trebuchet.job import JobConfig, JobResources
from trebuchet.launcher import Launcher
from trebuchet.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trebuchet.client import Client
    from trebuchet.status import JobStatus

ENVIRONMENT = {"TREBUCHET_LOCAL_GPUS": "4xH100,1xA100-80GB"}


@dataclass
class Bench:
    """A launcher and the engine it launches on.

    Attributes:
        home: Of the ledger and the engine.
        engine: The engine as its own users see it.
        launcher: On that home.
        cluster: A label that no other test uses.
    """

    home: Path
    engine: Engine
    launcher: Launcher
    cluster: str = field(default_factory=lambda: f"c-{uuid.uuid4().hex[:8]}")

    @property
    def client(self) -> Client:
        return self.launcher.client("local")

    def job(self, run: str, **fields: Any) -> JobConfig:
        gpu = fields.pop("gpu", None)
        resources = JobResources(cloud="local", accelerators=gpu)
        return JobConfig(name=fields.pop("name", "job"), run=run, resources=resources, **fields)

    def up(self, run: str, **options: Any) -> JobStatus:
        fields = {
            name: options.pop(name) for name in ("setup", "envs", "gpu", "name", "timeout") if name in options
        }
        return self.launcher.up(self.job(run, **fields), self.cluster, **options)[1]

    def ended(self, status: JobStatus, seconds: float = 30.0) -> JobStatus:
        """The job once it has ended."""
        [done] = self.launcher.wait([status.key], timeout=seconds)
        assert done.done, done
        return done

    def running(self, cluster: str | None = None) -> list[str]:
        """Ids of the cluster's sandboxes that the engine says are unfinished."""
        return self.engine_listed("cluster", cluster or self.cluster)

    def engine_listed(self, tag: str, value: str) -> list[str]:
        return self.launcher.contexts.of("local").engine.find({f"trebuchet-{tag}": value})

    def another(self) -> Launcher:
        """A launcher as another process would have: nothing remembered, the same ledger."""
        return Launcher(self.launcher.settings)

    def keepers(self) -> list[int]:
        """Processes that keep this home, or are about to leave one behind that does."""
        found = []
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal():
                command = _command_of(entry.name)
                if "trebuchet.keeper" in command and f'"{self.home}"' in command:
                    found.append(int(entry.name))
        return found

    def keepers_at_work(self) -> list[int]:
        """Of the keepers those that have the lock, and the pipe that whoever has it opens."""
        return [pid for pid in self.keepers() if any(file.endswith(".wake") for file in _files_of(pid))]

    def kill_keepers(self) -> None:
        def none_is_left() -> bool:
            found = self.keepers()
            for pid in found:
                with suppress(ProcessLookupError):  # One that starts a keeper leaves by itself.
                    os.kill(pid, signal.SIGKILL)
            return not found

        wait_until(none_is_left)


def _command_of(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _files_of(pid: int) -> list[str]:
    """The names of what a process has open."""
    found: list[str] = []
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.append(descriptor.readlink().name)
    return found


@contextmanager
def bench_at(home: Path) -> Iterator[Bench]:
    """A bench on a home of its own; all it started is ended."""
    with local_engine(home / "local", env=ENVIRONMENT) as engine:
        launcher = Launcher(Settings(home=home))
        bench = Bench(home, engine, launcher)
        try:
            yield bench
        finally:
            engine.hold_gpus()
            bench.kill_keepers()
            launcher.close()
