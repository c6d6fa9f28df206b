"""The Python that sandboxes find at /usr/local, as in a container image: clean, and theirs to change.

It is a copy of the interpreter that runs the engine, made once: the original may lie in a home directory that
sandboxes do not see, may be managed by the host's packages, and carries the user's own packages. CPython
finds its standard library beside itself, so a copied tree needs no further settings, and `pip install`, `pip
install --user` and `uv pip install --system` all work in it.
"""

from __future__ import annotations

import compileall
import ensurepip
import hashlib
import importlib.util
import os
import shutil
import sys
import sysconfig
import zipfile
from pathlib import Path

from trebuchet.emulator.process.overlay import make_opaque

_LAYOUT = "4"
"""Raised whenever this file makes something else of the same interpreter."""
_NOT_COPIED = (
    "test",
    "tests",
    "site-packages",
    "dist-packages",
    "EXTERNALLY-MANAGED",
    "idlelib",
    "turtledemo",
    "*.a",
    "*.exe",
)
_SEEDS = ("pip", "setuptools", "wheel")
_SCRIPT = "#!{python}\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"
_PIP_BY_UV = '#!/bin/sh\nverb=$1; shift\nexec uv pip "$verb" --system "$@"\n'
_WHEEL_FOLDERS = (Path(ensurepip.__file__).parent / "_bundled", Path("/usr/share/python-wheels"))


def python_key() -> str:
    """Changes with the interpreter, its uv, and what is made of them."""
    parts = [_LAYOUT, sys.version, _base_executable()]
    parts += [str(Path(path).stat().st_mtime_ns) for path in (_base_executable(), *uv_programs())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def make_python(target: Path) -> None:
    """Fill a new folder with the layer: `usr/local` and below. Takes a second or two.

    Args:
        target: An empty folder.
    """
    local = target / "usr/local"
    library = local / "lib" / _versioned()
    (local / "bin").mkdir(parents=True)
    _copy_library(library)
    _copy_headers(local)
    _place_programs(local / "bin")
    _link_shared_libraries(local / "lib")
    if _is_debians():
        (local / "local").symlink_to(".")
    packages = library / ("dist-packages" if _is_debians() else "site-packages")
    packages.mkdir()
    _unpack_seeds(packages)
    compileall.compile_dir(packages, quiet=2, stripdir=str(target), prependdir="/", workers=0)
    _place_pip(packages, local / "bin")
    make_opaque(library)  # the host's packages of the same version do not shine through


def make_seeds(packages: Path) -> None:
    """Fill a new folder with what every Python starts with: pip and its like."""
    _unpack_seeds(packages)
    compileall.compile_dir(packages, quiet=2, workers=0)


def python_program() -> Path:
    """The interpreter that the engine runs on, outside of any virtual environment."""
    return Path(_base_executable())


def shared_library_folder() -> Path | None:
    """The original's folder where the copy needs libraries from it; it must then be visible in place."""
    return Path(sys.base_prefix) if _shared_libraries() else None


def _versioned() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def _base_executable() -> str:
    executable: str = getattr(sys, "_base_executable", None) or sys.executable
    return str(Path(executable).resolve())


def _is_debians() -> bool:
    """Debian's Python installs into `{prefix}/local`, into a folder of another name."""
    return "posix_local" in sysconfig.get_scheme_names()


def _copy_library(library: Path) -> None:
    original = Path(
        sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix, "base": sys.base_prefix})
    )
    shutil.copytree(
        original,
        library,
        symlinks=False,
        ignore=shutil.ignore_patterns(*_NOT_COPIED),
        ignore_dangling_symlinks=True,
    )


def _copy_headers(local: Path) -> None:
    original = Path(sys.base_prefix, "include", _versioned())
    if original.is_dir():
        shutil.copytree(
            original, local / "include" / _versioned(), symlinks=False, ignore_dangling_symlinks=True
        )


def _place_programs(folder: Path) -> None:
    python = folder / _versioned()
    shutil.copy2(_base_executable(), python)
    python.chmod(0o755)
    for name in ("python3", "python"):
        (folder / name).symlink_to(_versioned())
    for program in uv_programs():
        _link_or_copy(program, folder / program.name)


def uv_programs() -> list[Path]:
    """The programs uv and uvx, where the engine has them."""
    found = shutil.which("uv")
    if importlib.util.find_spec("uv") is not None:
        import uv  # noqa: PLC0415 - an installation without it has the one on PATH

        found = uv.find_uv_bin()
    if found is None:
        return []
    return [path for path in (Path(found), Path(found).with_name("uvx")) if path.exists()]


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _shared_libraries() -> list[Path]:
    if Path(sys.base_prefix) == Path("/usr"):
        return []
    return sorted(Path(sys.base_prefix, "lib").glob("lib*.so*"))


def _link_shared_libraries(folder: Path) -> None:
    for path in _shared_libraries():
        (folder / path.name).symlink_to(path)


def _place_pip(packages: Path, scripts: Path) -> None:
    text = (
        _SCRIPT.format(python=f"/usr/local/bin/{_versioned()}") if (packages / "pip").exists() else _PIP_BY_UV
    )
    for name in ("pip", "pip3", f"pip{sys.version_info.major}.{sys.version_info.minor}"):
        script = scripts / name
        script.write_text(text)
        script.chmod(0o755)


def _unpack_seeds(packages: Path) -> None:
    for folder in _WHEEL_FOLDERS:
        wheels = [max(folder.glob(f"{name}-*.whl"), default=None) for name in _SEEDS]
        if wheels[0] is not None:
            for wheel in filter(None, wheels):
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(packages)
            return
    _borrow_pip(packages)


def _borrow_pip(packages: Path) -> None:
    """Copy the pip of the environment that runs the engine, if it has one."""
    spec = importlib.util.find_spec("pip")
    if spec is None or spec.origin is None:
        return
    folder = Path(spec.origin).parent
    for part in (folder, *folder.parent.glob("pip-*.dist-info")):
        shutil.copytree(part, packages / part.name, ignore=shutil.ignore_patterns("__pycache__"))
