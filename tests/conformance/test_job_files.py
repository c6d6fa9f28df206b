"""Job files of both dialects, launched for real: each says at its end what it prints and how it ends."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.engine import wait_until
from trebuchet.files import load_job
from trebuchet.job import JobConfig, JobResources
from trebuchet.launcher import Launcher
from trebuchet.settings import Settings
from trebuchet.status import JobState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trebuchet.job import Dialect
    from trebuchet.status import JobStatus

FILES = Path(__file__).parent / "jobs"
APART = {"skypilot-volumes.yaml", "oumi-outputs.yaml", "skypilot-git.yaml"}
"""Launched by tests of their own, since more than the output is looked at."""


@dataclass(frozen=True)
class Said:
    """What a job file says of itself.

    Attributes:
        output: What it prints to stdout.
        code: Its exit code.
        reason: Of its end.
    """

    output: list[str]
    code: int
    reason: str

    @classmethod
    def by(cls, file: Path) -> Said:
        lines = file.read_text(encoding="utf-8").splitlines()
        facts = dict(line[2:].split(": ", 1) for line in lines if line.startswith(("# exit: ", "# reason: ")))
        output = [line[3:] for line in lines if line.startswith("#> ")]
        return cls(output, int(facts.get("exit", 0)), facts.get("reason", "exit"))


@dataclass(frozen=True)
class Place:
    """A launcher, and where job files find their local files."""

    launcher: Launcher
    folder: Path

    def up(self, file: str | Path, **options: Any) -> JobStatus:
        job = load_job(FILES / file, overrides=["--resources.cloud", "local"])
        return self.launcher.up(job, **options)[1]

    def ended(self, *launched: JobStatus) -> list[JobStatus]:
        done = self.launcher.wait([job.key for job in launched], timeout=60)
        assert all(job.done for job in done), done
        return done

    def output(self, job: JobStatus) -> str:
        entries = self.launcher.logs(job.key, follow=True)
        return "".join(entry.message for entry in entries if entry.source == "stdout")

    def run(self, file: str | Path) -> str:
        [done] = self.ended(self.up(file))
        assert done.state is JobState.SUCCEEDED, done
        return self.output(done)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("caller")
    make_local_files(folder)
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        patch.setenv("TREBUCHET_LOCAL_GPUS", "8xH100")
        patch.chdir(folder)
        launcher = Launcher(settings)
        yield Place(launcher, folder)
        for job in launcher.jobs():
            if not job.done:
                launcher.cancel(job.key)
        launcher.close()
        stop_daemon(settings)


def stop_daemon(settings: Settings) -> None:
    from trebuchet.emulator import daemon

    daemon.stop(settings.home / "local")


def make_local_files(folder: Path) -> None:
    contents = {
        ".netrc": "machine example.org password canary\n",
        ".cache/huggingface/token": "hf_canary\n",
        "mounts/input.txt": "the input\n",
        "mounts/words/naïve.txt": "",
        "mounts/words/two words.txt": "",
        "project/.gitignore": "*.log\n",
        "project/.trebuchetignore": "!kept.log\n",
        "project/kept.log": "",
        "project/ignored.log": "",
        "project/two words.txt": "two\n",
        "project/deep/run.sh": "#!/bin/sh\necho ran\n",
        "project/.git/HEAD": "",
        "project/.venv/pyvenv.cfg": "",
        "project/__pycache__/a.pyc": "",
        "project/node_modules/a.js": "",
    }
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (folder / ".netrc").chmod(0o600)
    (folder / "project/deep/run.sh").chmod(0o755)


@pytest.fixture(scope="module")
def launched(place: Place) -> dict[str, JobStatus]:
    """All of the plain job files, side by side."""
    names = sorted(file.name for file in FILES.glob("*.yaml") if file.name not in APART)
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(names, pool.map(place.up, names), strict=True))


def test_job_files_do_what_they_do_at_home(place: Place, launched: dict[str, JobStatus]) -> None:
    ended = place.ended(*launched.values())
    got = {
        file: (place.output(job).splitlines(), job.exit_code, str(job.reason))
        for file, job in zip(launched, ended, strict=True)
    }
    said = {file: Said.by(FILES / file) for file in launched}
    assert got == {file: (each.output, each.code, each.reason) for file, each in said.items()}
    assert len(got) >= 12


def test_the_candidate_that_was_had_stands_in_the_status(
    place: Place, launched: dict[str, JobStatus]
) -> None:
    [job] = place.ended(launched["skypilot-candidates.yaml"])
    assert '"gpu": "H100:4"' in job.metadata


def test_no_value_of_a_variable_stays_in_the_home_of_the_ledger(
    place: Place, launched: dict[str, JobStatus]
) -> None:
    place.ended(launched["skypilot-secrets.yaml"])
    kept = [file for file in place.launcher.settings.home.glob("*") if file.is_file()]
    assert kept
    assert not [file for file in kept if b"canary-7f3a" in file.read_bytes()]


def test_what_one_job_writes_to_a_volume_the_next_one_finds(place: Place) -> None:
    assert place.run("skypilot-volumes.yaml") == "a run\n0\n"
    assert place.run("skypilot-volumes.yaml") == "a run\na run\n0\n"


def test_outputs_outlive_the_sandbox(place: Place, tmp_path: Path) -> None:
    [done] = place.ended(place.up("oumi-outputs.yaml"))
    place.launcher.client("local").outputs(place.launcher.job(done.key)).pull(dest=tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"model/weights", "logs/log", "direct"} <= found


@contextlib.contextmanager
def served(folder: Path) -> Iterator[int]:
    """Repositories of a folder, served on a port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", f"--port={port}"]
    server = subprocess.Popen([*words, f"--base-path={folder}"], start_new_session=True)
    try:
        wait_until(lambda: _answers(port))
        yield port
    finally:
        os.killpg(server.pid, 15)
        server.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def test_a_git_repository_is_cloned_at_its_ref_before_setup(place: Place, tmp_path: Path) -> None:
    repository = tmp_path / "project"
    repository.mkdir()

    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *words], cwd=repository, check=True, stdout=subprocess.DEVNULL)

    git("init", "--quiet")
    for content in ("first", "second"):
        (repository / "file.txt").write_text(f"{content}\n")
        git("add", "file.txt")
        git("commit", "--quiet", "-m", f"the {content}")
        if content == "first":
            git("tag", "v1")
    with served(tmp_path) as port:
        file = tmp_path / "git.yaml"
        file.write_text((FILES / "skypilot-git.yaml").read_text().replace("PORT", str(port)))
        assert place.run(file).splitlines() == Said.by(file).output


@pytest.mark.parametrize("dialect", ["oumi", "skypilot"])
@pytest.mark.parametrize("letter", ["a", "語"])
def test_scripts_too_long_for_arguments_arrive_byte_for_byte(
    place: Place, tmp_path: Path, dialect: Dialect, letter: str
) -> None:
    text = letter * 60_000 + "\n"
    job = JobConfig(
        run=f"cat said\nsha256sum <<'END'\n{text}{text}END\nexit 3\n",
        setup=f": '{letter * 60_000}'\necho setup | tee said",
        resources=JobResources(cloud="local"),
        dialect=dialect,
    )
    [done] = place.ended(place.launcher.up(job)[1])
    told = hashlib.sha256((text + text).encode()).hexdigest()
    assert place.output(done).split() == ["setup", "setup", told, "-"]
    assert done.exit_code == 3
