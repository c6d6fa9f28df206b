"""Dockerfiles, as the SDK sends them: what each command does to the sandboxes on the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import modal
import pytest
from modal.exception import Error, ImageBuildError

from support.engine import local_engine
from trebuchet.emulator.world.dockerfile import read_stage
from trebuchet.emulator.world.errors import NotServedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Engine

SAY = ["sh", "-c", 'echo "($@)"', "sh"]
built = pytest.mark.parametrize("more", [[], ["RUN true"]], ids=["recorded", "built"])


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that builds no layers on the machine's own system."""
    with local_engine(
        tmp_path_factory.mktemp("recording"), env={"TREBUCHET_LOCAL_LAYERS": "recorded"}
    ) as made:
        yield made


def base() -> modal.Image:
    return modal.Image.debian_slim()


def dockerfile(*lines: str, **options: object) -> modal.Image:
    return base().dockerfile_commands(list(lines), **options)


# ── how processes run ──


@built
def test_a_command_of_the_image_runs_where_none_is_given(engine: Engine, more: list[str]) -> None:
    image = base().dockerfile_commands(["ENV A=1", *more]).cmd(["echo", "by default"])
    assert engine.run(image=image) == (0, "by default\n")
    assert engine.run("echo", "given", image=image) == (0, "given\n")


@built
def test_an_entry_point_stands_before_the_command(engine: Engine, more: list[str]) -> None:
    image = base().dockerfile_commands(["ENV A=1", *more]).entrypoint(SAY)
    assert engine.run("a", "b c", image=image) == (0, "(a b c)\n")
    assert engine.run("echo", "plain", image=image.entrypoint([])) == (0, "plain\n")


def test_a_sandbox_on_modals_base_stays_until_it_is_ended(engine: Engine) -> None:
    sandbox = engine.create(image=base())
    assert "2147483647" in sandbox.exec("cat", "/proc/1/cmdline").stdout.read() + (
        sandbox.exec("sh", "-c", "cat /proc/[0-9]*/cmdline").stdout.read()
    )
    sandbox.terminate()


@built
def test_a_variable_is_filled_in_with_what_every_sandbox_has(engine: Engine, more: list[str]) -> None:
    image = dockerfile("ENV PATH=/opt/venv/bin:$PATH AT=${HOME}/at OR=${NONE:-else} SELF='$HOME'", *more)
    code, output = engine.run("sh", "-c", 'echo "$PATH $AT $OR $SELF"; ls -d /usr', image=image)
    assert code == 0
    path, *others = output.split("\n")[0].split(" ")
    assert path.startswith("/opt/venv/bin:")
    assert "/usr/bin" in path.split(":")
    assert others == ["/root/at", "else", "$HOME"]


def test_arguments_are_seen_by_commands_and_not_by_sandboxes(engine: Engine) -> None:
    image = dockerfile(
        "ARG VERSION=1",
        "ARG NONE",
        "ENV KEPT=v$VERSION",
        'RUN echo "$VERSION ${NONE-unset}" > /opt/seen',
        build_args={"VERSION": "2"},
    )
    assert engine.run("sh", "-c", "cat /opt/seen; echo $KEPT ${VERSION-gone}", image=image) == (
        0,
        "2 unset\nv2 gone\n",
    )


@pytest.mark.parametrize("line", ["ONBUILD RUN true", "PERHAPS something"], ids=["onbuild", "unknown"])
@pytest.mark.parametrize("which", ["engine", "recording"])
def test_what_is_not_understood_is_refused_by_name(
    which: str, line: str, request: pytest.FixtureRequest
) -> None:
    engine: Engine = request.getfixturevalue(which)
    with pytest.raises(ImageBuildError, match=f"does not build images with {line.split(maxsplit=1)[0]}"):
        dockerfile("ENV A=1", line).build(engine.app)


@pytest.mark.parametrize(
    ("options", "what"),
    [({"gpu": "H100"}, "GPUs"), ({"volumes": True}, "volumes")],
    ids=["gpu", "volumes"],
)
def test_what_a_build_cannot_have_is_refused_by_name(
    engine: Engine, options: dict[str, object], what: str
) -> None:
    if "volumes" in options:
        options = {"volumes": {"/data": modal.Volume.from_name("builds", create_if_missing=True)}}
    with pytest.raises(Error, match=f"does not build images with {what}"):
        base().run_commands("true", **options).build(engine.app)


# ── RUN ──


def test_lines_go_on_and_comments_are_left_out(engine: Engine) -> None:
    image = dockerfile(
        "# first", "RUN echo one \\", "  # within", "  two > /opt/said && \\", "", "  true", ""
    )
    assert engine.run("cat", "/opt/said", image=image) == (0, "one two\n")


def test_a_document_is_run_by_the_shell(engine: Engine) -> None:
    image = dockerfile("RUN <<EOF", "echo one > /opt/a", "# not left out", "echo $((1 + 1)) >> /opt/a", "EOF")
    image = image.dockerfile_commands(
        "RUN cat <<'EOF' > /opt/b\n$HOME\n\nRUN stays\nEOF\nRUN echo c > /opt/c"
    )
    assert engine.run("cat", "/opt/a", "/opt/b", "/opt/c", image=image) == (
        0,
        "one\n2\n$HOME\n\nRUN stays\nc\n",
    )


def test_a_document_without_an_end_is_refused(engine: Engine) -> None:
    with pytest.raises(Error, match="<<EOF of a Dockerfile has no end"):
        dockerfile("RUN <<EOF", "echo").build(engine.app)


def test_a_list_of_words_is_run_without_a_shell(engine: Engine) -> None:
    image = dockerfile('RUN ["cp", "/etc/hostname", "/opt/$HOME"]')
    assert engine.run("ls", "/opt/$HOME", image=image) == (0, "/opt/$HOME\n")


def test_a_text_of_several_lines_is_one_command(engine: Engine) -> None:
    image = base().run_commands("for i in 1 2\ndo\n  echo $i >> /opt/counted\ndone")
    assert engine.run("cat", "/opt/counted", image=image) == (0, "1\n2\n")


def test_a_cache_of_a_command_is_no_more_than_a_cache(engine: Engine) -> None:
    image = dockerfile("RUN --mount=type=cache,target=/root/.cache echo built > /opt/built")
    assert engine.run("cat", "/opt/built", image=image) == (0, "built\n")
    with pytest.raises(ImageBuildError, match="RUN with --mount=type=secret"):
        dockerfile("RUN --mount=type=secret,id=x true").build(engine.app)


# ── COPY ──


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A folder to copy from."""
    (tmp_path / "src" / "deep").mkdir(parents=True)
    for path in ("a.txt", "b.txt", "c.md", "src/main.py", "src/deep/er.py", "with space"):
        (tmp_path / path).write_text(f"{path}\n")
    (tmp_path / "src" / "main.py").chmod(0o755)
    return tmp_path


def test_files_and_folders_are_copied_from_the_context(engine: Engine, context: Path) -> None:
    image = dockerfile(
        "WORKDIR /srv/app",
        "ENV TO=/opt/to",
        "COPY a.txt renamed",
        "COPY *.txt c.md many/",
        "COPY src $TO",
        'COPY "with space" /opt/',
        "COPY ./src/main.py /bin/",
        context_dir=context,
    )
    look = "cat renamed many/*; cd /opt; cat to/main.py to/deep/er.py 'with space'"
    assert engine.run(
        "sh", "-c", f"{look}; ls -l to/main.py | cut -c1-10; cat /usr/bin/main.py; pwd -P", image=image
    )[1].splitlines() == [
        *("a.txt", "a.txt", "b.txt", "c.md", "src/main.py", "src/deep/er.py", "with space", "-rwxr-xr-x"),
        *("src/main.py", "/opt"),
    ]


def test_a_whole_context_is_copied_to_the_working_directory(engine: Engine, context: Path) -> None:
    image = dockerfile("WORKDIR /srv/all", "COPY . .", "RUN cat src/main.py > read", context_dir=context)
    assert engine.run("sh", "-c", "cat read; ls src", image=image) == (0, "src/main.py\ndeep\nmain.py\n")


def test_what_is_copied_gets_the_mode_that_is_asked_for(engine: Engine, context: Path) -> None:
    image = dockerfile("COPY --chmod=700 --chown=root:root a.txt src /opt/mine/", context_dir=context)
    script = "stat -c '%a %U %n' /opt/mine/a.txt /opt/mine/deep/er.py"
    assert engine.run("sh", "-c", script, image=image) == (
        0,
        "700 root /opt/mine/a.txt\n700 root /opt/mine/deep/er.py\n",
    )


def test_a_copy_is_made_anew_when_its_files_change(engine: Engine, context: Path) -> None:
    lines = ("COPY a.txt /opt/copied", "RUN cp /opt/copied /opt/again")
    assert engine.run("cat", "/opt/again", image=dockerfile(*lines, context_dir=context)) == (0, "a.txt\n")
    (context / "a.txt").write_text("changed\n")
    assert engine.run("cat", "/opt/again", image=dockerfile(*lines, context_dir=context)) == (0, "changed\n")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("COPY --from=alpine:3 /etc/os-release /x", "COPY with --from=alpine:3"),
        ("COPY --chown=app a.txt /x", "COPY with --chown=app"),
        ("COPY <<EOF /x\ntext\nEOF", "COPY of a document"),
        ("ADD https://example.com/x /x", "ADD of 'https://example.com/x'"),
        ("ADD x.tar.gz /x", "ADD of an archive"),
        ("ADD a.txt /x", "no files were sent|no 'a.txt'"),
        ("ADD ../../etc/passwd /x", "leads out of"),
        ("ADD a.txt b.txt /x", "no files were sent|must end with a slash"),
    ],
)
def test_what_cannot_be_copied_is_refused_by_name(engine: Engine, context: Path, line: str, why: str) -> None:
    with pytest.raises(Error, match=why):
        dockerfile(line, context_dir=context).build(engine.app)


def test_nothing_outside_of_the_context_is_copied(engine: Engine, context: Path) -> None:
    (context / "link").symlink_to("/etc/hostname")
    for source in ("../a.txt", "*/../../../etc/hostname", "/../../etc/hostname"):
        with pytest.raises(Error, match="leads out of"):
            dockerfile("COPY a.txt /x", f"ADD {source} /x", context_dir=context).build(engine.app)
    with pytest.raises(Error):
        dockerfile("COPY link /x", context_dir=context).build(engine.app)


def test_added_files_are_those_that_copies_sent(engine: Engine, context: Path) -> None:
    image = dockerfile("COPY a.txt /opt/one", "ADD a.txt /opt/two/", context_dir=context)
    assert engine.run("cat", "/opt/one", "/opt/two/a.txt", image=image) == (0, "a.txt\n" * 2)


def test_uv_comes_from_its_image_to_where_a_dockerfile_wants_it(engine: Engine) -> None:
    image = dockerfile("COPY --from=ghcr.io/astral-sh/uv:latest /uv /uvx /bin/", "RUN uv --version > /opt/uv")
    code, output = engine.run("sh", "-c", "cat /opt/uv; ls -l /bin/uvx", image=image)
    assert code == 0
    assert output.startswith("uv ")
    assert "/bin/uvx" in output


def test_an_argument_before_the_base_is_known_in_its_name_and_where_it_is_asked_for() -> None:
    lines = ["# syntax=x", "ARG TAG=1 OTHER", "FROM python:${TAG}-slim AS it", "ARG TAG", "RUN true"]
    stage = read_stage(lines, {})
    assert (stage.base, str(stage.commands[0])) == ("python:1-slim", "ARG TAG=1")
    assert read_stage(lines, {"TAG": "2"}).base == "python:2-slim"
    with pytest.raises(NotServedError, match="one stage"):
        read_stage([*lines, "FROM scratch"], {})
