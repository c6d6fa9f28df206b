"""What is asked for is what the sandbox gets."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from trebuchet.errors import (
    AlreadyExistsError,
    ImageBuildError,
    NotFoundError,
    PlanError,
    TrebuchetError,
    UsageError,
)
from trebuchet.sandbox import ImageSpec, SandboxSpec, VolumeMount

if TYPE_CHECKING:
    from conftest import Bench


def test_arguments_arrive_as_they_are(bench: Bench) -> None:
    awkward = ["two words", "it's", '"', "$HOME `id`", "a\nb", "日本語", "\\", "*", ""]
    sandbox_id = bench.create("printf", "<%s>", *awkward)

    assert bench.text(sandbox_id) == "".join(f"<{word}>" for word in awkward)


@pytest.mark.parametrize("gpu", [None, "H100"], ids=["V2", "V1"])
def test_environment_values_arrive_as_they_are(bench: Bench, gpu: str | None) -> None:
    if gpu and bench.cloud == "modal":
        pytest.skip("a GPU on Modal costs money")
    env = {"PLAIN": "x", "AWKWARD": " a'b\"c\n$d=é ", "EMPTY": ""}
    script = 'printf "<%s>" "$PLAIN" "$AWKWARD" "$EMPTY" "${EMPTY+set}"'

    assert bench.output(script, env=env, gpu=gpu) == "<x>< a'b\"c\n$d=é ><><set>"


def test_it_starts_in_the_work_dir_asked_for(bench: Bench) -> None:
    assert bench.output("pwd", workdir="/root/some where").strip() == "/root/some where"


def test_a_name_is_taken_while_its_sandbox_runs(bench: Bench) -> None:
    name = f"name-{bench.mark}"
    first = bench.create("sleep", "100", name=name)

    with pytest.raises(AlreadyExistsError) as caught:
        bench.create("sleep", "100", name=name)
    assert caught.value.hint

    bench.engine.terminate(first)
    bench.wait(first)
    bench.until(lambda: bench.engine.find_by_name(name) is None, "the name becomes free")
    assert bench.create("true", name=name) != first


def test_a_volume_outlives_the_sandbox(bench: Bench) -> None:
    volumes = (VolumeMount(name=f"volume-{bench.mark}", path="/data"),)

    bench.output("echo kept > /data/file", volumes=volumes)

    assert bench.output("cat /data/file", volumes=volumes) == "kept\n"


def test_a_part_of_a_volume_can_be_mounted(bench: Bench) -> None:
    name = f"parts-{bench.mark}"
    bench.output("echo inner > /part/file", volumes=(VolumeMount(name=name, path="/part", sub_path="a/b"),))

    assert bench.output("cat /all/a/b/file", volumes=(VolumeMount(name=name, path="/all"),)) == "inner\n"


def test_a_read_only_volume_is_read_only(bench: Bench) -> None:
    name = f"read-{bench.mark}"
    bench.output("echo 1 > /data/file", volumes=(VolumeMount(name=name, path="/data"),))
    script = "cat /data/file; if echo 2 > /data/file; then echo written; else echo refused; fi"

    text = bench.output(script, volumes=(VolumeMount(name=name, path="/data", read_only=True),))

    assert "1\nrefused\n" in text.replace("bash: line 1: /data/file: Read-only file system\n", "")


def test_one_volume_at_two_places_is_refused(bench: Bench) -> None:
    name = f"twice-{bench.mark}"
    volumes = (VolumeMount(name=name, path="/a"), VolumeMount(name=name, path="/b"))

    with pytest.raises(UsageError):
        bench.create("true", volumes=volumes)


def test_a_named_secret_reaches_the_environment(bench: Bench) -> None:
    name = f"secret-{bench.mark}"
    bench.engine.put_secret(name, {"FIRST": "1", "OLD": "x"})
    bench.engine.put_secret(name, {"FIRST": "one", "SECOND": "zwei"})
    try:
        script = 'echo "$FIRST $SECOND ${OLD-gone} $THIRD"'
        assert bench.output(script, secrets=(name,), env={"THIRD": "3"}) == "one zwei gone 3\n"
    finally:
        bench.engine.delete_secret(name)
        bench.engine.delete_secret(name)

    with pytest.raises(NotFoundError):
        bench.create("true", secrets=(name,))


def test_a_secret_made_anew_is_found_by_an_engine_that_knew_the_old_one(bench: Bench) -> None:
    name = f"again-{bench.mark}"
    for value in ("first", "second"):
        bench.engine.put_secret(name, {"VALUE": value})
        assert bench.output("echo $VALUE", secrets=(name,)) == f"{value}\n"
        bench.engine.delete_secret(name)


def test_processor_and_memory_can_be_asked_for(bench: Bench) -> None:
    assert bench.output("echo ok", cpu=0.5, memory_mib=256) == "ok\n"


@pytest.mark.parametrize(
    "options",
    [
        {"env": {"not-a-name": "x"}},
        {"workdir": "relative"},
        {"name": "not a name"},
        {"volumes": (VolumeMount(name="v", path="/root"),)},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_the_sdk_refuses_is_a_usage_error(bench: Bench, options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        bench.create("true", **options)


def test_too_long_a_command_is_a_usage_error(bench: Bench) -> None:
    with pytest.raises(UsageError):
        bench.create("echo", "x" * 70_000)


def test_a_gpu_that_is_not_there_is_refused_at_once(bench: Bench) -> None:
    if bench.cloud == "modal":
        pytest.skip("Modal would look for one for 21 minutes")
    for gpu in ("H100:9", "B200"):
        with pytest.raises((TrebuchetError, PlanError)) as caught:
            bench.create("true", gpu=gpu)
        assert "H100" in str(caught.value)


def test_many_threads_share_one_engine(bench: Bench) -> None:
    made: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: made.append(bench.create("true", tags={"trebuchet-many": bench.mark}))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(made)) == 8
    for sandbox_id in made:
        bench.wait(sandbox_id)


def test_a_build_can_be_listened_to(bench: Bench) -> None:
    heard: list[str] = []
    spec_image = ImageSpec(commands=(f"echo building {bench.mark}",))
    bench.made.append(
        bench.engine.create(
            SandboxSpec(argv=("true",), image=spec_image, timeout_s=60), on_build_output=heard.append
        )
    )

    assert f"building {bench.mark}" in "".join(heard)


def test_on_this_machine_a_job_starts_without_what_cannot_be_added(bench: Bench) -> None:
    if bench.cloud != "local":
        pytest.skip("on Modal an image that cannot be built is an error")
    heard: list[str] = []
    image = ImageSpec(commands=("echo no > /opt/never; exit 7",), variables={"A": "kept"})
    spec = SandboxSpec(argv=("sh", "-c", "echo $A; ls /opt/never"), image=image, timeout_s=60)
    for _ in range(2):
        bench.made.append(bench.engine.create(spec, on_build_output=heard.append))
        assert bench.text(bench.made[-1], source="stdout") == "kept\n"
    told = [line for line in "".join(heard).splitlines() if "The job runs without" in line]
    assert len(told) == 1
    assert "ended with code 7" in told[0]


def test_an_image_that_was_named_is_never_replaced(bench: Bench) -> None:
    image = ImageSpec(registry_ref="127.0.0.1:1/nobody/nothing:1", commands=("true",))
    with pytest.raises(ImageBuildError):
        bench.engine.create(SandboxSpec(argv=("true",), image=image, timeout_s=60))
