"""Trees of many files, empty folders and links arrive as they were, through the job's own wrapper."""

from __future__ import annotations

import hashlib
import os
import resource
import sys
import time
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

from trebuchet.engines import engine_for
from trebuchet.job import JobConfig
from trebuchet.plan.script import bind_launch, script_argv
from trebuchet.sandbox import SandboxSpec, Upload, VolumeMount
from trebuchet.uploads import Sent

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Bench

MANY = 300


def run_job(bench: Bench, script: str, *uploads: Upload, **options: object) -> str:
    """What a job prints that runs behind the wrapper, as all jobs do."""
    argv = bind_launch(script_argv(JobConfig(run=script)), nonce="n", attempt=1, variables={})
    sandbox_id = bench.create(*argv, uploads=uploads, **options)
    seen = bench.wait(sandbox_id)
    said = bench.text(sandbox_id, source="stdout")
    assert seen.exit_code == 0, bench.text(sandbox_id)
    return said


def workdir(source: Path) -> Upload:
    return Upload(source=source, target="/root/sky_workdir", role="workdir")


def write_tree(top: Path, count: int) -> dict[str, bytes]:
    """Small files of many names in many folders, that no other tree holds."""
    salt = os.urandom(4).hex()
    files = {f"d {n % 17}/é{n}.txt": f"{salt}{n}".encode() * (n % 100) for n in range(count)}
    for path, data in files.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(data)
    return files


def test_many_files_arrive_as_they_were(bench: Bench, tmp_path: Path) -> None:
    files = write_tree(tmp_path, MANY)
    (tmp_path / "d 3" / "run.sh").write_text("echo ran")
    (tmp_path / "d 3" / "run.sh").chmod(0o750)
    (tmp_path / "big").write_bytes(os.urandom(300_000))  # too big for an archive, so it comes by itself
    script = "find . -type f -not -path './d 3/run.sh' -exec sha256sum {} + ; stat -c %a 'd 3/run.sh'"

    *told, mode = run_job(bench, script, workdir(tmp_path)).splitlines()

    arrived = {line[66:].removeprefix("./"): line[:64] for line in told}
    sent = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    assert arrived == {**sent, "big": hashlib.sha256((tmp_path / "big").read_bytes()).hexdigest()}
    assert mode == "750"


def test_empty_folders_and_links_arrive_as_they_were(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir(mode=0o755)
    (tmp_path / "sub" / "file").write_text("here")
    (tmp_path / "sub" / "file").chmod(0o644)
    (tmp_path / "empty folder" / "within").mkdir(parents=True)
    (tmp_path / "empty folder" / "within").chmod(0o700)
    (tmp_path / "to-folder").symlink_to("sub")
    (tmp_path / "to-file").symlink_to("sub/file")
    (tmp_path / "to-later").symlink_to("out/made by the job")

    leaves = "find . -mindepth 1 ! -path ./sub ! -path './empty folder' -printf '%y %P %l\n' | LC_ALL=C sort"
    script = f"{leaves}; stat -c %a sub 'empty folder/within'; cat to-folder/file to-file"

    assert run_job(bench, script, workdir(tmp_path)).splitlines() == [
        "d empty folder/within ",
        "f sub/file ",
        "l to-file sub/file",
        "l to-folder sub",
        "l to-later out/made by the job",
        *("755", "700"),
        "herehere",
    ]


def test_a_mounted_folder_that_is_empty_is_there(bench: Bench, tmp_path: Path) -> None:
    upload = Upload(source=tmp_path, target="/data/in", role="file_mount")
    assert run_job(bench, "ls -A /data/in; echo there", upload) == "there\n"


def test_several_trees_lie_side_by_side(bench: Bench, tmp_path: Path) -> None:
    write_tree(tmp_path / "work", MANY)
    write_tree(tmp_path / "data", MANY)
    (tmp_path / "data" / "empty").mkdir()
    data = Upload(source=tmp_path / "data", target="/root/data", role="file_mount")
    script = "find . -type f | wc -l; find /root/data -type f | wc -l; ls -d /root/data/empty"
    assert run_job(bench, script, workdir(tmp_path / "work"), data).split() == [
        *(str(MANY), str(MANY)),
        "/root/data/empty",
    ]


@pytest.mark.parametrize("count", [1, MANY], ids=["one file", "many"])
@pytest.mark.parametrize("as_link", [False, True], ids=["file", "link"])
def test_what_a_volume_holds_is_not_overwritten_by_what_it_hides(
    bench: Bench, tmp_path: Path, count: int, as_link: bool
) -> None:
    write_tree(tmp_path, count)
    (tmp_path / "data").mkdir()
    if as_link:
        (tmp_path / "data" / "checkpoint").symlink_to("../other")
    else:
        (tmp_path / "data" / "checkpoint").write_text("stale")
    volume = VolumeMount(name=f"{bench.mark}-{count}-{as_link}", path="/root/sky_workdir/data")
    run_job(bench, "echo precious >data/checkpoint", volumes=(volume,))
    assert run_job(bench, "cat data/checkpoint", workdir(tmp_path), volumes=(volume,)) == "precious\n"
    assert run_job(bench, "cat data/checkpoint", volumes=(volume,)) == "precious\n"


@pytest.mark.parametrize("count", [1, MANY], ids=["one file", "many"])
def test_what_is_mounted_over_a_file_of_the_work_dir_wins_however_many_there_are(
    bench: Bench, tmp_path: Path, count: int
) -> None:
    work, over = tmp_path / "work", tmp_path / "over"
    write_tree(work, count)
    (work / "config").write_text("of the work dir")
    (work / "tree").symlink_to("config")
    (over / "tree").mkdir(parents=True)
    (over / "tree" / "leaf").write_text("mounted")
    (over / "config").write_text("mounted")
    mounts = [
        Upload(source=over / name, target=f"/root/sky_workdir/{name}", role="file_mount")
        for name in ("config", "tree")
    ]
    assert run_job(bench, "cat config tree/leaf", workdir(work), *mounts) == "mountedmounted"
    assert run_job(bench, "cat config", *mounts[:1], workdir(work)) == "of the work dir"


def test_a_changed_file_among_many_arrives_as_changed(bench: Bench, tmp_path: Path) -> None:
    write_tree(tmp_path, MANY)
    (tmp_path / "d 1" / "word").write_text("old")
    assert run_job(bench, "cat 'd 1/word'", workdir(tmp_path)) == "old"
    (tmp_path / "d 1" / "word").write_text("new")
    assert run_job(bench, "cat 'd 1/word'", workdir(tmp_path)) == "new"


def test_what_is_sent_is_told_and_nothing_is_sent_twice(bench: Bench, tmp_path: Path) -> None:
    files = write_tree(tmp_path, MANY)
    (tmp_path / "big").write_bytes(os.urandom(6_000_000))  # in pieces of its own
    (tmp_path / "middle").write_bytes(os.urandom(300_000))
    whole = Sent(files=MANY + 2, bytes=sum(map(len, files.values())) + 6_300_000)

    first: list[Sent] = []
    second: list[Sent] = []
    spec = SandboxSpec(argv=("true",), uploads=(workdir(tmp_path),), timeout_s=60)
    bench.made.append(bench.engine.create(spec, on_sent=first.append))
    another = engine_for(bench.cloud, bench.settings)
    bench.made.append(another.create(spec, on_sent=second.append))
    another.close()

    assert first[-1].of == whole
    assert first[-1].files == second[-1].files == whole.files
    assert whole.bytes <= first[-1].bytes < whole.bytes + 1024 * whole.files  # what an archive adds
    assert [sent.bytes for sent in first] == sorted(sent.bytes for sent in first)
    assert second[-1].bytes == 0


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_twenty_thousand_files_are_sent_quickly_and_in_little_memory(bench: Bench, tmp_path: Path) -> None:
    write_tree(tmp_path / "work", 20_000)
    run_job(bench, "true")  # the engine is up, and its image is known
    argv = bind_launch(
        script_argv(JobConfig(run="find . -type f | wc -l")), nonce="n", attempt=1, variables={}
    )
    upload = workdir(tmp_path / "work")

    sandbox_id, took_s, grown_mib = _create_apart(
        bench, SandboxSpec(argv=argv, uploads=(upload,), timeout_s=60)
    )

    assert bench.text(sandbox_id, source="stdout") == "20000\n"
    assert took_s < 20  # one call a file took 36 on an idle machine
    assert grown_mib < 100


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_a_file_of_five_gigabytes_arrives_in_little_memory(bench: Bench, tmp_path: Path) -> None:
    size = 5_000_000_000
    with (tmp_path / "big").open("wb") as file:
        file.truncate(size)
        file.seek(size // 2)
        file.write(b"here")
    argv = bind_launch(
        script_argv(JobConfig(run=f"stat -c %s big; tail -c +{size // 2 + 1} big | head -c 4")),
        nonce="n",
        attempt=1,
        variables={},
    )
    spec = SandboxSpec(argv=argv, uploads=(workdir(tmp_path),), timeout_s=300)

    sandbox_id, _, grown_mib = _create_apart(bench, spec)

    assert bench.text(sandbox_id, source="stdout") == f"{size}\nhere"
    assert grown_mib < 150


def _create_apart(bench: Bench, spec: SandboxSpec) -> tuple[str, float, float]:
    """Create in a process of its own: the sandbox, the seconds it took, and by how many MiB memory grew."""
    spawn = get_context("spawn")
    with spawn.Pool(1) as pool:
        answer = pool.apply(_create_and_measure, (bench.settings, bench.cloud, spec))
    bench.made.append(answer[0])
    return answer


def _create_and_measure(settings: object, cloud: str, spec: SandboxSpec) -> tuple[str, float, float]:
    engine = engine_for(cloud, settings)  # type: ignore[arg-type]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    sandbox_id = engine.create(spec)
    took_s = time.monotonic() - begun
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return sandbox_id, took_s, grown / (1 << 20 if sys.platform == "darwin" else 1 << 10)
