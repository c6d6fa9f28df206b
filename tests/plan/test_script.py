"""The wrapper and its sudo, run for real by bash."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from trebuchet.job import JobConfig
from trebuchet.plan.markers import MarkerFilter
from trebuchet.plan.script import WORK_DIR, bind_launch, oversize, script_argv
from trebuchet.status import Phase


def wrapper() -> str:
    return files("trebuchet.plan").joinpath("wrapper.sh").read_text(encoding="utf-8")


def _command(tmp_path: Path, facts: Mapping[str, Any] | None = None, **fields: Any) -> list[str]:
    known = {"nonce": "n", "attempt": 2, "variables": {"SKYPILOT_NUM_NODES": "1"}, **(facts or {})}
    argv = bind_launch(script_argv(JobConfig(**fields)), **known)
    return [
        # The host's own home stays out of it; a sandbox has a real /root.
        word.replace(f"workdir={WORK_DIR}", f"workdir={tmp_path}/work dir").replace(
            "HOME=/root", f"HOME={tmp_path}"
        )
        for word in argv
    ]


class Ran:
    def __init__(self, tmp_path: Path, **fields: Any) -> None:
        environment = {"PATH": f"{tmp_path}/image/bin:/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        environment |= fields.get("envs", {})
        self.result = subprocess.run(
            _command(tmp_path, **fields), capture_output=True, env=environment, check=False
        )
        self.markers = MarkerFilter("n")
        self.stdout = self.result.stdout.decode()
        self.stderr = self.markers.feed(self.result.stderr.decode()) + self.markers.flush()
        self.code = self.result.returncode


def test_oumi_scripts_share_one_shell(tmp_path: Path) -> None:
    ran = Ran(tmp_path, setup="export A=1; B=2; cd /; f() { echo f; }", run='echo "$A$B $PWD"; f')
    assert (ran.stdout, ran.stderr, ran.code) == ("12 /\nf\n", "", 0)


def test_oumi_setup_that_fails_is_told_from_run(tmp_path: Path) -> None:
    ran = Ran(tmp_path, setup="(exit 7); echo no", run="echo no")
    assert (ran.stdout, ran.code) == ("", 7)
    assert ran.markers.setup_failed


def test_oumi_run_fails_fast_only_behind_a_setup(tmp_path: Path) -> None:
    assert Ran(tmp_path, setup="true", run="false; echo on").code == 1
    assert Ran(tmp_path, run="false; echo on").stdout == "on\n"


def test_skypilot_scripts_have_a_shell_each_and_no_fail_fast(tmp_path: Path) -> None:
    ran = Ran(
        tmp_path,
        dialect="skypilot",
        setup="export A=1; cd /; false; true",
        run='echo "[$A] $PWD"; false; true',
    )
    assert (ran.stdout, ran.code) == (f"[] {tmp_path}/work dir\n", 0)


def test_skypilot_setup_decides_whether_run_starts(tmp_path: Path) -> None:
    ran = Ran(tmp_path, dialect="skypilot", setup="false", run="echo no")
    assert (ran.stdout, ran.code, ran.markers.phase) == ("", 1, Phase.SETUP)


@pytest.mark.parametrize("dialect", ["oumi", "skypilot"])
def test_a_setup_that_says_it_is_done_does_not_end_the_job(tmp_path: Path, dialect: str) -> None:
    ran = Ran(tmp_path, dialect=dialect, setup="echo done; exit 0", run="echo $PWD; false; echo on; exit 4")
    # Oumi's fails fast behind a setup, however that has ended.
    rest, code = ("", 1) if dialect == "oumi" else ("on\n", 4)
    assert (ran.stdout, ran.code) == (f"done\n{tmp_path}/work dir\n{rest}", code)
    assert (ran.markers.phase, ran.markers.exit_code, ran.stderr) == (Phase.RUN, code, "")


@pytest.mark.parametrize("dialect", ["oumi", "skypilot"])
def test_a_setup_that_ends_well_when_asked_to_end_is_followed_by_no_run(tmp_path: Path, dialect: str) -> None:
    setup = "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done"
    child = subprocess.Popen(
        _command(tmp_path, dialect=dialect, setup=setup, run="echo no"),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    child.terminate()
    assert child.communicate(timeout=30)[0] == b""


def test_no_variable_of_the_user_meets_one_of_the_wrapper(tmp_path: Path) -> None:
    words = {word for word in re.findall(r"\b[a-z]\w*", wrapper()) if not word.startswith("_tb_")}
    assert {"run", "setup", "path", "code", "entry", "target"} < words
    envs = {word: f"{word} of the user's" for word in words} | {"CDPATH": "/tmp"}
    ran = Ran(tmp_path, envs=envs, setup="true", run="env -0", outputs=["nothing"])
    seen = dict(line.split("=", 1) for line in ran.stdout.split("\0") if "=" in line)
    assert {word: seen.get(word) for word in envs} == envs


def test_a_home_of_the_users_own_holds_for_the_scripts(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path / "elsewhere")}
    assert Ran(tmp_path, envs=home, run="echo $HOME").stdout == f"{tmp_path}/elsewhere\n"
    assert Ran(tmp_path, run="echo $HOME").stdout == f"{tmp_path}\n"


def test_a_script_may_clean_out_the_folder_for_temporary_files(tmp_path: Path) -> None:
    ran = Ran(tmp_path, setup='echo "${BASH_SOURCE[0]}"', run="type -P sudo")
    assert {Path(line).is_relative_to(tmp_path) for line in ran.stdout.splitlines()} == {True}
    assert list((tmp_path / ".trebuchet").iterdir()) == []


def test_a_clone_comes_around_what_is_in_the_work_dir_already(tmp_path: Path) -> None:
    work, mounted, origin = tmp_path / "work dir", tmp_path / "work dir" / "data", tmp_path / "origin"
    for path, text in (
        ("README", "theirs"), ("conf/a.json", "theirs"), ("conf/b.json", "theirs"), ("data/new", "theirs"),
    ):  # fmt: skip
        (origin / path).parent.mkdir(parents=True, exist_ok=True)
        (origin / path).write_text(text)
    git = ["git", "-C", str(origin), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "m"], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True)
    (work / "conf").mkdir(parents=True)
    (work / "conf" / "b.json").write_text("mine")
    mounted.mkdir()
    facts = [f"clone={origin}", "ref=v1", f"mounted:{mounted}"]
    words = [*_command(tmp_path, run="git status --short"), *facts]
    done = subprocess.run(words, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b" M conf/b.json\n D data/new\n")
    assert {str(path.relative_to(work)): path.read_text() for path in work.glob("[!.]*/*")} == {
        "conf/a.json": "theirs",
        "conf/b.json": "mine",
    }
    assert (work / "README").read_text() == "theirs"


@pytest.mark.parametrize("dialect", ["oumi", "skypilot"])
def test_scripts_arrive_byte_for_byte(tmp_path: Path, dialect: str) -> None:
    run = "cat <<'X'\n'\"$HOME `id` é日本\\n  \t\r\nX\nprintf '%s' \"it's\""
    ran = Ran(tmp_path, dialect=dialect, run=run)
    assert ran.result.stdout == "'\"$HOME `id` é日本\\n  \t\r\nit's".encode()


def test_the_images_path_survives_the_login_shell(tmp_path: Path) -> None:
    ran = Ran(tmp_path, run='echo "$PATH"')
    entries = ran.stdout.strip().split(":")
    assert entries.index(f"{tmp_path}/image/bin") < entries.index("/usr/bin")


def test_public_variables_and_the_attempt_reach_the_scripts(tmp_path: Path) -> None:
    assert Ran(tmp_path, run="echo $SKYPILOT_NUM_NODES $TREBUCHET_ATTEMPT").stdout == "1 2\n"


def test_the_job_ends_when_its_script_does(tmp_path: Path) -> None:
    ran = Ran(tmp_path, run="sleep 300 >/dev/null 2>&1 & echo $!")
    assert ran.code == 0
    os.kill(int(ran.stdout), signal.SIGKILL)


def test_traps_and_exits_of_the_user_do_not_hide_how_it_ended(tmp_path: Path) -> None:
    ran = Ran(tmp_path, setup="trap 'echo bye' EXIT", run="exec 2>/dev/null; exit 9")
    assert (ran.stdout, ran.code) == ("bye\n", 9)
    assert (ran.markers.phase, ran.markers.exit_code) == (Phase.RUN, 9)


def test_a_script_killed_by_a_signal_says_so(tmp_path: Path) -> None:
    ran = Ran(tmp_path, run="kill -9 $$")
    assert (ran.code, ran.markers.exit_code, ran.stderr) == (137, 137, "")


def test_a_script_with_a_fault_runs_until_the_fault(tmp_path: Path) -> None:
    ran = Ran(tmp_path, run="echo first\nif then fi\necho never")
    assert ran.stdout == "first\n"
    assert ran.code != 0


def test_sigterm_reaches_the_script_and_its_code_is_kept(tmp_path: Path) -> None:
    run = "trap 'echo got; exit 5' TERM; echo up; while :; do sleep 0.1; done"
    child = subprocess.Popen(_command(tmp_path, run=run), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    child.terminate()
    assert (child.stdout.readline(), child.wait(30)) == (b"got\n", 5)


def test_listed_outputs_are_kept_also_when_the_script_fails(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    facts = {"outputs": str(outputs), "keep": ["a model", "missing", "/etc/hostname"]}
    run = 'mkdir "a model"; echo w >"a model/weights"; echo x >"$TREBUCHET_OUTPUTS/direct"; exit 3'
    ran = Ran(tmp_path, facts=facts, run=run)
    assert ran.code == 3
    assert (outputs / "a model/weights").read_text() == "w\n"
    assert (outputs / "direct").read_text() == "x\n"
    assert (outputs / "hostname").exists()
    assert "missing is listed under outputs and is not there" in ran.stderr


def test_at_its_limit_the_script_is_asked_to_make_room(tmp_path: Path) -> None:
    facts = {"limit_s": 1, "grace_s": 60}
    ran = Ran(tmp_path, facts=facts, run="trap 'echo saved; exit 0' TERM; while :; do sleep 0.1; done")
    assert (ran.stdout, ran.code, ran.markers.cut) == ("saved\n", 0, True)


def test_a_script_that_does_not_make_room_is_killed_after_its_grace(tmp_path: Path) -> None:
    ran = Ran(tmp_path, facts={"limit_s": 1, "grace_s": 1}, run="trap '' TERM; sleep 300")
    assert (ran.code, ran.markers.cut) == (137, True)


def test_a_script_that_ends_before_its_limit_is_not_cut(tmp_path: Path) -> None:
    ran = Ran(tmp_path, facts={"limit_s": 300}, run="exit 4")
    assert (ran.code, ran.markers.cut) == (4, False)


SUDO_FORMS = {
    "sudo echo ok": "ok",
    "sudo -n echo ok": "ok",
    "sudo -nE echo ok": "ok",
    "sudo -u root echo ok": "ok",
    "sudo -uroot echo ok": "ok",
    "sudo --user=root echo ok": "ok",
    "sudo --user root echo ok": "ok",
    "sudo --preserve-env=PATH,HOME echo ok": "ok",
    "sudo -- echo ok": "ok",
    "sudo X=1 Y='a b' sh -c 'echo $X$Y'": "1a b",
    "sudo -E X=1 sh -c 'echo $X'": "1",
    "echo 'echo ok' | sudo -E bash -": "ok",
    "sudo bash -c 'echo \"$0 $1\"' a 'b c'": "a b c",
    "sudo -s echo ok": "ok",
    "sudo -i echo 'a b'": "a b",
    "sudo -H -u root -- sh -c 'echo ok'": "ok",
    "sudo -v && echo ok": "ok",
    "sudo -p prompt -C 3 echo ok": "ok",
    "sudo -D / pwd": "/",
    'echo "sudo is a word" # sudo rm -rf /': "sudo is a word",
    "cat <<X\nsudo rm\nX": "sudo rm",
    "sudo sh -c 'exit 4' || echo $?": "4",
    "export A=kept; sudo sh -c 'echo $A'": "kept",
    "sudo ls -d /": "/",
}


@pytest.mark.parametrize(("script", "expected"), SUDO_FORMS.items(), ids=SUDO_FORMS)
def test_sudo_drops_its_own_options_and_runs_the_rest(tmp_path: Path, script: str, expected: str) -> None:
    assert Ran(tmp_path, run=script).stdout.rstrip("\n") == expected


def test_size_is_told_in_characters_and_in_bytes() -> None:
    assert oversize(script_argv(JobConfig(run="true"))) is None
    assert "characters" in str(oversize(script_argv(JobConfig(run="x" * 66_000))))
    assert "bytes" in str(oversize(script_argv(JobConfig(run="語" * 50_000))))
