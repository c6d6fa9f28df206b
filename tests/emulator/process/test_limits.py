"""What a sandbox may take: memory, processes, open files."""

from __future__ import annotations

from trebuchet.emulator.process.limits import Limits

TAKE = (
    "python3 -c 'import time; held = bytearray({mib} << 20); print(\"took it\", flush=True); time.sleep({s})'"
)


def test_one_that_takes_more_memory_than_it_asked_for_is_ended(run_script):
    ended = run_script(TAKE.format(mib=300, s=60), memory_mib=100)
    assert (ended.state.exit_code, ended.state.cause) == (137, "out_of_memory")
    assert ended.state.message == "The sandbox took more than its 100 MiB of memory."
    assert b"more than its 100 MiB" in ended.notices


def test_one_that_keeps_within_its_memory_is_not(run_script):
    ended = run_script(TAKE.format(mib=100, s=1.5), memory_mib=300)
    assert (ended.state.exit_code, ended.stdout) == (0, b"took it\n")


def test_memory_of_all_its_processes_counts_and_what_they_share_counts_once(run_script):
    sharing = "for _ in range(5): os.fork() or time.sleep(1.5) or os._exit(0)"
    program = f"import os, time; held = bytearray(100 << 20)\n{sharing}\ntime.sleep(2)"
    shared = run_script(f"python3 -c '{program}'", memory_mib=250)
    assert shared.state.cause == "exit"
    several = " & ".join([TAKE.format(mib=100, s=60)] * 4)
    assert run_script(f"{several} & wait", memory_mib=250).state.cause == "out_of_memory"


def test_memory_that_a_further_command_takes_counts(drive):
    async def body(sandboxes):
        folder = await sandboxes.start("sleep 600", memory_mib=100)
        await sandboxes.exec(folder, TAKE.format(mib=300, s=60))
        state = await sandboxes.host.wait_end(folder, 30)
        assert state.cause == "out_of_memory"

    drive(body)


def test_one_that_forks_and_forks_is_ended(drive):
    async def body(sandboxes):
        ended = await sandboxes.run("for i in $(seq 100); do sleep 600 & done; wait")
        assert (ended.state.exit_code, ended.state.cause) == (137, "too_many_processes")
        assert b"more than 50 processes" in ended.notices

    drive(body, limits=Limits(processes=50))


def test_open_files_are_limited_for_it_and_for_what_is_run_beside_it(drive):
    async def body(sandboxes):
        folder = await sandboxes.start("ulimit -Hn; echo up; sleep 600")
        await sandboxes.printed(folder, b"100\nup")
        assert (await sandboxes.exec(folder, "ulimit -Hn")).stdout == b"100\n"
        sandboxes.host.terminate(folder)

    drive(body, limits=Limits(open_files=100))
