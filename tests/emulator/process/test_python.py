"""The Python in a sandbox: there, clean, and open to change."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import zipfile

import pytest

from trebuchet.emulator.process.layers import PYTHON, ensure_layer
from trebuchet.emulator.process.python_layer import python_key
from trebuchet.emulator.process.spec import Bind


@pytest.fixture
def packages(tmp_path):
    """A folder with a wheel that brings a console script, and shows in the sandbox at /packages."""
    folder = tmp_path / "packages"
    folder.mkdir()
    with zipfile.ZipFile(folder / "greeter-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("greeter.py", "def main():\n    print('hello from greeter')\n")
        wheel.writestr(
            "greeter-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greeter\nVersion: 1.0\n"
        )
        wheel.writestr(
            "greeter-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("greeter-1.0.dist-info/entry_points.txt", "[console_scripts]\ngreet = greeter:main\n")
        wheel.writestr("greeter-1.0.dist-info/RECORD", "")
    return (Bind(source=folder, target="/packages"),)


def test_it_is_the_engines_version_at_the_place_of_a_container_image(run_script):
    ended = run_script(
        "python -c 'import sys; print(sys.version, sys.prefix)'; command -v python python3 pip uv"
    )
    assert ended.stdout.decode() == (
        f"{sys.version} /usr/local\n"
        "/usr/local/bin/python\n/usr/local/bin/python3\n/usr/local/bin/pip\n/usr/local/bin/uv\n"
    )


def test_it_has_the_parts_that_link_to_libraries_and_none_of_the_users_packages(run_script):
    ended = run_script(
        "python -c 'import ssl, sqlite3, ctypes, zlib, bz2, lzma, hashlib, sysconfig; print(1)'; "
        "pip list --format=freeze | sed 's/==.*//'"
    )
    assert ended.stderr == b""
    one, *installed = ended.stdout.split()
    assert one == b"1"
    assert b"pip" in installed
    assert set(installed) <= {b"pip", b"setuptools", b"wheel"}


@pytest.mark.parametrize(
    "install",
    [
        "pip install --no-index --find-links /packages greeter",
        "pip install /packages/*.whl",
        "pip install --user --no-index --find-links /packages greeter",
        "python -m pip install /packages/*.whl",
        "uv pip install --system --offline --no-index --find-links /packages greeter",
    ],
)
def test_an_installed_package_imports_and_its_command_is_on_the_path(run_script, packages, install):
    ended = run_script(
        f"set -e; {install} >&2; greet; python -c 'import greeter'; pip show greeter | head -1",
        binds=packages,
    )
    assert (ended.stdout, ended.state.exit_code) == (b"hello from greeter\nName: greeter\n", 0), ended.stderr


def test_packages_can_be_removed_and_virtual_environments_made(run_script, packages):
    ended = run_script(
        "set -e; pip install -q /packages/*.whl; pip uninstall -qy greeter; ! command -v greet; "
        "python -m venv env; env/bin/pip install -q /packages/*.whl; env/bin/greet; "
        "uv venv -q other; VIRTUAL_ENV=other uv pip install -q --offline /packages/*.whl; other/bin/greet",
        binds=packages,
    )
    assert ended.stdout == b"hello from greeter\n" * 2, ended.stderr


def test_a_source_distribution_builds_with_what_the_sandbox_has(run_script, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "built"\nversion = "1"\n'
    )
    (source / "backend.py").write_text(
        "import zipfile\n"
        "def build_wheel(folder, config_settings=None, metadata_directory=None):\n"
        "    name = 'built-1-py3-none-any.whl'\n"
        "    with zipfile.ZipFile(folder + '/' + name, 'w') as wheel:\n"
        "        wheel.writestr('built.py', 'print(7)')\n"
        "        add = lambda name, text: wheel.writestr('built-1.dist-info/' + name, text)\n"
        "        add('METADATA', 'Metadata-Version: 2.1\\nName: built\\nVersion: 1\\n')\n"
        "        add('WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n"
        "        add('RECORD', '')\n"
        "    return name\n"
    )
    subprocess.run(["tar", "-czf", tmp_path / "built-1.tar.gz", "-C", tmp_path, "source"], check=True)
    ended = run_script(
        "pip install -q --no-index /built-1.tar.gz && python -m built",
        binds=(Bind(source=tmp_path / "built-1.tar.gz", target="/built-1.tar.gz"),),
    )
    assert ended.stdout == b"7\n", ended.stderr


def test_two_makers_at_once_both_get_the_layer_and_leave_nothing_half_made(tmp_path):
    async def body():
        layers = tmp_path / "process"
        both = await asyncio.gather(
            *(ensure_layer(layers, PYTHON, python_key(), state=tmp_path) for _ in range(2))
        )
        assert both[0] == both[1]
        assert (both[0] / "usr/local/bin/python3").exists()
        assert [path.name for path in layers.iterdir()] == [both[0].name]

    asyncio.run(body())
