"""A sandbox reaches the programs of this machine that start it: what it does to them, it does to a copy.

No test lets a sandbox near the machine's own bubblewrap and Python: their inodes are told apart first.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.ordinary_user import folder_of_nobody, python_of_nobody, run_as_nobody
from trebuchet.emulator.process.isolation import find_bubblewrap
from trebuchet.emulator.process.supervise import untouchable
from trebuchet.emulator.process.supervise.untouchable import open_untouchable

pytestmark = pytest.mark.skipif(
    find_bubblewrap() is None, reason="only bubblewrap can be reached from within"
)

_WHICH = "stat -L -c '%d:%i' /proc/1/exe"
_SPOIL = "chmod 000 /proc/1/exe && echo changed; : > /proc/1/exe || echo kept"


def _identity(program: str) -> str:
    known = Path(program).stat()
    return f"{known.st_dev}:{known.st_ino}"


def test_the_program_that_starts_a_sandbox_is_not_the_machines_own(drive):
    program = find_bubblewrap()
    assert program is not None

    async def body(sandboxes):
        seen = [(await sandboxes.run(_WHICH)).stdout.decode().strip() for _ in range(2)]
        assert _identity(program) not in seen
        assert seen[0] != seen[1]  # nor that of another sandbox
        before = Path(program).stat()
        ended = await sandboxes.run(_SPOIL)
        assert b"kept" in ended.stdout
        assert (Path(program).stat().st_mode, Path(program).stat().st_mtime_ns) == (
            before.st_mode,
            before.st_mtime_ns,
        )
        assert (await sandboxes.run("echo on")).stdout == b"on\n"

    drive(body)


def test_a_command_in_a_sandbox_cannot_be_the_machines_own_python(drive):
    ask = "import os; s = os.stat('/proc/self/exe'); print(f'{s.st_dev}:{s.st_ino}')"

    async def body(sandboxes):
        folder = await sandboxes.start("sleep 1000")
        inside = await sandboxes.host.exec(folder, ("/proc/self/exe", "-S", "-c", ask))
        seen = (await sandboxes.ended(inside)).stdout.decode().strip()
        assert seen
        assert seen != _identity(sys.executable)
        # All sandboxes share it: what can be done to it keeps nobody from it.
        spoil = "import os; os.chmod('/proc/self/exe', 0); open('/proc/self/exe', 'r+b')"
        inside = await sandboxes.host.exec(folder, ("/proc/self/exe", "-S", "-c", spoil))
        assert (await sandboxes.ended(inside)).state.exit_code != 0
        assert (await sandboxes.exec(folder, "echo on")).stdout == b"on\n"
        assert (await sandboxes.run("echo on")).stdout == b"on\n"
        sandboxes.host.terminate(folder)

    drive(body)


def test_what_a_sandboxs_variables_name_is_not_loaded_from_this_machine(drive, tmp_path):
    """An image's variables reach bubblewrap while it is outside of the sandbox still."""
    library, mark = tmp_path / "planted.so", tmp_path / "mark"
    mark_it = f'__attribute__((constructor)) static void f(void) {{ open("{mark}", O_CREAT, 0600); }}'
    source = f"#include <fcntl.h>\n{mark_it}"
    if shutil.which("cc") is None:
        pytest.skip("there is no compiler")
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=source, text=True, check=True
    )
    ctypes.CDLL(str(library))
    assert mark.exists()  # it does what it is for
    mark.unlink()

    async def body(sandboxes):
        variables = {"LD_PRELOAD": str(library), "LD_LIBRARY_PATH": "/nowhere:/else", "GLIBC_TUNABLES": "a=b"}
        ended = await sandboxes.run("echo $LD_PRELOAD $LD_LIBRARY_PATH $GLIBC_TUNABLES", env=variables)
        assert ended.stdout.decode().split() == [str(library), "/nowhere:/else", "a=b"]
        assert not mark.exists()
        assert (await sandboxes.run("echo ${LD_LIBRARY_PATH-unset}")).stdout == b"unset\n"

    drive(body)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return Path(shutil.copy("/bin/echo", tmp_path / "program"))


def _prints(descriptor: int) -> str:
    path, passed = f"/proc/self/fd/{descriptor}", (descriptor,)
    return subprocess.check_output(["echo", "on"], executable=path, pass_fds=passed, text=True)


def test_a_copy_can_be_executed_and_never_written(program: Path) -> None:
    descriptor = open_untouchable(str(program))
    assert os.fstat(descriptor).st_ino != program.stat().st_ino
    assert _prints(descriptor) == "on\n"
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
    os.close(descriptor)


def test_where_the_kernel_executes_nothing_in_memory_the_copy_lies_on_disk(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, flags: int) -> int:
        raise PermissionError(name, flags)

    monkeypatch.setattr(untouchable.os, "memfd_create", refuse)
    descriptor = open_untouchable(str(program), str(tmp_path))
    known = os.fstat(descriptor)
    assert (known.st_nlink, known.st_dev, known.st_size) == (
        0,
        tmp_path.stat().st_dev,
        program.stat().st_size,
    )
    assert known.st_ino != program.stat().st_ino
    assert _prints(descriptor) == "on\n"
    os.close(descriptor)


def test_a_program_that_others_own_is_run_as_it_is() -> None:
    """So it keeps what the machine allows it by its place: AppArmor lets `/usr/bin/bwrap` have users."""
    with folder_of_nobody() as folder:
        ask = (
            "import os\nfrom trebuchet.emulator.process.supervise.untouchable import open_untouchable\n"
            "print(os.fstat(open_untouchable('/bin/echo')).st_ino == os.stat('/bin/echo').st_ino)"
        )
        done = run_as_nobody([python_of_nobody(folder), "-c", ask], folder)
    assert done.stdout == "True\n", done.stderr
