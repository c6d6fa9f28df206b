"""What a sandbox cannot do to the host, and does not see of it."""

from __future__ import annotations

import asyncio
import os
import secrets
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from support.sandboxes import Sandboxes, until
from trebuchet.emulator.process.host import ProcessHost
from trebuchet.emulator.process.isolation import find_isolation
from trebuchet.emulator.process.nodes import own_nodes
from trebuchet.emulator.process.spec import Bind
from trebuchet.emulator.process.supervise.nodes import make_nodes

_SYSTEM = ("/usr/bin", "/etc", "/opt", "/var/lib", "/usr/local/bin")


def _host_listing() -> dict[str, list[str]]:
    return {folder: sorted(path.name for path in Path(folder).iterdir()) for folder in _SYSTEM}


def test_a_job_that_deletes_and_installs_does_not_touch_the_host(run_script):
    before = _host_listing()
    ended = run_script(
        "echo '#!/bin/sh' > /usr/local/bin/tool; chmod +x /usr/local/bin/tool; tool && echo installed; "
        "touch /etc/made /opt/made /var/lib/made /made; mkdir /data; echo gone >> /etc/made; "
        "rm -rf /usr/bin/* /etc/a* /opt/made; echo /usr/bin/*"
    )
    assert ended.stdout == b"installed\n/usr/bin/*\n"
    assert ended.stderr == b""
    assert _host_listing() == before
    assert not Path("/made").exists()


def test_writes_stay_within_their_sandbox(drive):
    async def body(sandboxes):
        await sandboxes.run("echo mine > /root/file; echo mine > /tmp/file; echo mine > /etc/file")
        ended = await sandboxes.run("cat /root/file /tmp/file /etc/file | wc -c")
        assert ended.stdout.strip() == b"0"

    drive(body)


def test_homes_and_foreign_folders_are_hidden(run_script, tmp_path):
    (tmp_path / "canary").write_text("seen")
    ended = run_script(
        f"ls -A /home; ls {tmp_path} {Path(__file__).parent}; echo $HOME; pwd; id -u; ls -A /run"
    )
    assert ended.stdout == b"/root\n/root\n0\nlock\n"


def test_the_engines_state_is_hidden_also_below_a_system_folder(drive, engine_state):
    async def body(sandboxes):
        token = engine_state / "token"
        token.write_text("canary-of-the-token")
        ended = await sandboxes.run(
            f"cat {token}; ls {engine_state}; cat /proc/1/root{token} /proc/*/cwd/lock"
        )
        assert b"canary" not in ended.stdout
        assert ended.stdout == b""

    drive(body)


def test_a_state_directory_below_a_system_folder_is_left_out_of_it(tmp_path):
    from trebuchet.emulator.process.layout import host_tree

    tree = host_tree(Path("/var/lib/engine/state"), ())
    if Path("/var/lib/engine").exists():
        return
    assert "var" not in tree.overlays
    assert "var/cache" in tree.overlays
    assert not any(name.startswith("var/lib/engine") for name in tree.overlays)


def test_other_processes_are_neither_seen_nor_signalled(run_script):
    outside = subprocess.Popen(["sleep", "1000"])
    try:
        ended = run_script(f"kill -9 {outside.pid} -1; ls -d /proc/[0-9]* | wc -l")
        assert int(ended.stdout or b"0") <= 6
        assert outside.poll() is None
    finally:
        outside.kill()
        outside.wait()


def test_the_hosts_secrets_in_system_folders_are_blank(run_script):
    ended = run_script(
        "grep -v ':[*!]*:' /etc/shadow; cat /etc/gshadow /etc/ssl/private/*; cat /etc/ssh/ssh_host_*_key"
    )
    assert ended.stdout == b""


def test_root_inside_has_no_power_over_the_host(run_script):
    ended = run_script(
        "mount -t tmpfs x /mnt && echo mounted; mknod /tmp/disk b 8 0 && echo made; "
        "umount /etc && echo unmounted; unshare -m true && echo unshared; "
        "mount -o remount,rw /sys && echo remounted"
    )
    assert ended.stdout == b""


def test_no_setting_of_the_kernel_can_be_written(run_script):
    """It only opens them for writing, and writes nothing: where the test fails the host stays as it is."""
    ended = run_script(
        "for f in $(find /proc/sys/kernel /proc/sys/vm /proc/irq /proc/fs /sys/kernel /sys/fs/cgroup "
        "-maxdepth 2 -type f 2> /dev/null) /proc/sysrq-trigger; do (: >> $f) 2> /dev/null && echo $f; "
        "done | head -5; head -c 1 /proc/kcore; cat /proc/keys"
    )
    assert ended.stdout == b""


def test_root_inside_can_do_what_package_managers_do(run_script):
    ended = run_script(
        "set -e; touch f; chown root:root f; chmod 4755 f; chmod 000 f; cat f; mkdir -p /srv/x; ln -s f g; "
        "mkfifo p; "
        "echo more >> /etc/new; mv /etc/new /etc/newer; sed -i s/more/less/ /etc/newer; cat /etc/newer"
    )
    assert (ended.stdout, ended.state.exit_code) == (b"less\n", 0), ended.stderr


def test_a_secret_in_the_environment_reaches_the_process_and_no_disk_or_argument(drive, engine_state):
    canary = secrets.token_hex(16)

    async def body(sandboxes):
        folder = await sandboxes.start("echo ${#SECRET}; read wait", env={"SECRET": canary})
        await sandboxes.printed(folder, b"32\n")
        inside = await sandboxes.exec(folder, "test $SECRET = $OTHER && echo same", env={"OTHER": canary})
        assert inside.stdout == b"same\n"
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                assert canary.encode() not in entry.read_bytes()
            except FileNotFoundError:
                continue
        assert _holding(engine_state, canary) == []
        await sandboxes.host.write_stdin(folder, b"\n")
        await sandboxes.host.wait_end(folder)
        assert _holding(engine_state, canary) == []

    drive(body)


def _holding(folder: Path, text: str) -> list[Path]:
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if (
                path.is_file()
                and not path.is_symlink()
                and os.access(path, os.R_OK)
                and path.stat().st_size < 1 << 20
            ):
                found += [path] if text.encode() in path.read_bytes() else []
    return found


def test_only_named_settings_of_the_host_get_in(run_script, monkeypatch, tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("certificates\n")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:1")
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://index.invalid/simple")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never")
    monkeypatch.setenv("UV_PUBLISH_TOKEN", "never")
    ended = run_script("cat $REQUESTS_CA_BUNDLE; echo $https_proxy $HTTPS_PROXY $PIP_INDEX_URL; env")
    assert ended.stdout.startswith(
        b"certificates\nhttp://proxy.invalid:1 http://proxy.invalid:1 http://index.invalid/simple\n"
    )
    assert b"never" not in ended.stdout


def test_the_users_package_settings_show_read_only(run_script, monkeypatch, tmp_path):
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text("[global]\ntimeout = 77\n")
    (tmp_path / ".npmrc").write_text("//registry.invalid/:_authToken=never\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    ended = run_script("pip config get global.timeout; cat ~/.npmrc; echo x >> ~/.config/pip/pip.conf")
    assert ended.stdout == b"77\n"
    assert b"Read-only" in ended.stderr
    assert "x" not in (tmp_path / ".config/pip/pip.conf").read_text()


def test_binds_show_at_their_place_and_only_writable_ones_can_be_written(run_script, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("data\n")
    (tmp_path / "volume").mkdir()
    ended = run_script(
        "cat /root/work/data/file; echo new > /mnt/volume/file; echo x > /root/work/data/file",
        binds=(
            Bind(source=tmp_path / "data", target="/root/work/data"),
            Bind(source=tmp_path / "volume", target="/mnt/volume", read_only=False),
        ),
        workdir="/root/work",
    )
    assert ended.stdout == b"data\n"
    assert b"Read-only" in ended.stderr
    assert (tmp_path / "volume/file").read_text() == "new\n"


def test_extra_layers_lie_over_the_host_and_are_not_written(run_script, tmp_path):
    for name in ("low", "high"):
        (tmp_path / name / "usr/local/share/layers").mkdir(parents=True)
        (tmp_path / name / "app").mkdir()
        (tmp_path / name / "usr/local/share/layers" / name).write_text(name)
        (tmp_path / name / "app/which").write_text(name)
    ended = run_script(
        "cat /usr/local/share/layers/* /app/which; echo changed > /app/which; "
        "rm /usr/local/share/layers/low; ls /usr/bin/env",
        layers=(tmp_path / "low", tmp_path / "high"),
    )
    assert ended.stdout == b"highlowhigh/usr/bin/env\n"
    assert (tmp_path / "high/app/which").read_text() == "high"
    assert (tmp_path / "low/usr/local/share/layers/low").exists()


def test_what_is_written_to_a_new_folder_of_the_root_lies_on_disk(drive):
    async def body(sandboxes):
        folder = await sandboxes.start("mkdir /data; echo kept > /data/file; echo up; read x")
        await sandboxes.printed(folder, b"up")
        await until((folder / "root/data/file").exists)
        await sandboxes.host.write_stdin(folder, b"\n", eof=True)
        await sandboxes.host.wait_end(folder)

    drive(body)


def test_pretended_gpus_are_variables_and_no_gpus_are_none(run_script):
    assert run_script("echo $CUDA_VISIBLE_DEVICES", gpus=(3, 5)).stdout == b"0,1\n"
    assert run_script("echo -$CUDA_VISIBLE_DEVICES-; ls /dev/nvidia*").stdout == b"--\n"


def test_the_state_may_lie_below_a_system_folder_and_have_a_long_name():
    """There it would be a layer within another, and its sockets' names longer than an address can be."""
    with tempfile.TemporaryDirectory(prefix=f"trebuchet-{'x' * 150}-", dir="/var/tmp") as name:
        state = Path(name)

        async def body() -> None:
            async with ProcessHost(state) as host:
                sandboxes = Sandboxes(host, state)
                ended = await sandboxes.run(
                    f"ls -d {state} /var/lib/* > /dev/null; touch /var/lib/new && echo made"
                )
                assert ended.stdout == b"made\n"
                assert str(state).encode() in ended.stderr
                folder = await sandboxes.start("sleep 1000")
                host._switchboard.close()  # so that it is reached as a later daemon reaches it
                assert (await sandboxes.exec(folder, "echo entered")).stdout == b"entered\n"
                host.terminate(folder)
                await host.wait_end(folder, 10)
                for each in (ended.folder, folder):
                    await host.cleanup(each)

        asyncio.run(body())


_NODES = ("null", "zero", "full", "random", "urandom", "tty")


def test_a_sandboxs_device_nodes_are_its_own_where_its_root_is_the_machines(drive):
    """It changes one only once it is known for its own: where the test fails the machine's stay."""
    if os.geteuid() != 0:
        pytest.skip("an ordinary user's sandbox owns none of the machine's nodes")

    async def body(sandboxes):
        assert (await sandboxes.host.isolation()).own_nodes
        look = "cd /dev; stat -c '%n %d %i' null zero full random urandom tty"
        seen = [(await sandboxes.run(look)).stdout.decode().splitlines() for _ in range(2)]
        known = {name: Path("/dev", name).stat() for name in _NODES}
        assert not set(seen[0]) & {f"{name} {its.st_dev} {its.st_ino}" for name, its in known.items()}
        assert not set(seen[0]) & set(seen[1])
        ended = await sandboxes.run(
            "set -e; cd /dev; stat -c '%A %t:%T' null zero full random urandom tty; echo lost > null; "
            "head -c 3 zero urandom | wc -c; test ! -s null; chmod 600 null; stat -c %a null"
        )
        expected = [f"{stat.filemode(its.st_mode)} {_numbers(its.st_rdev)}" for its in known.values()]
        *modes, _, changed = ended.stdout.decode().splitlines()
        assert (modes, changed, ended.stderr) == (expected, "600", b"")
        assert Path(os.devnull).stat().st_mode == known["null"].st_mode
        await sandboxes.host.cleanup(ended.folder)
        assert not (ended.folder / "nodes").exists()

    drive(body)


def _numbers(device: int) -> str:
    return f"{os.major(device):x}:{os.minor(device):x}"


def test_nodes_of_gpus_are_copied_with_the_folders_of_them(tmp_path):
    devices = tmp_path / "dev"
    (devices / "nvidia-caps").mkdir(parents=True)
    try:
        for name, mode in (("null", 0o666), ("nvidia3", 0o660), ("nvidia-caps/nvidia-cap1", 0o400)):
            os.mknod(devices / name, stat.S_IFCHR | mode, os.makedev(1, 3))
            (devices / name).chmod(mode)
    except PermissionError:
        pytest.skip("device nodes can be made by root alone")
    given = [
        Bind(source=devices / name, target=f"/dev/{name}", read_only=False)
        for name in ("nvidia3", "nvidia-caps")
    ]
    nodes, binds = own_nodes(given, devices)
    make_nodes(nodes, str(tmp_path / "nodes"))
    made = [Path(tmp_path, "nodes", path) for path, _, _ in nodes]
    assert [(path.stat().st_mode & 0o7777, path.stat().st_rdev) for path in made] == [
        (mode, os.makedev(1, 3)) for mode in (0o666, 0o660, 0o400)
    ]
    assert binds == [
        ("nodes/null", "/dev/null"),
        ("nodes/nvidia3", "/dev/nvidia3"),
        ("nodes/nvidia-caps", "/dev/nvidia-caps"),
    ]


def test_where_no_device_node_can_be_made_that_is_said(monkeypatch, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("an ordinary user's sandbox owns none of the machine's nodes")
    monkeypatch.setattr("trebuchet.emulator.process.isolation.can_make_nodes", lambda _: False)
    found = find_isolation(tmp_path)
    assert not found.own_nodes
    assert "/dev/null" in found.missing[-1]
