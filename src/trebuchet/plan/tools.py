"""What scripts call for without bringing it, told from their text alone."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

BASICS = {"zip": "zip", "curl": "curl", "git": "git"}
"""Commands that every default image on Modal has, and their Debian packages."""
_PACKAGES = {
    "wget": "wget",
    "unzip": "unzip",
    "jq": "jq",
    "rsync": "rsync",
    "tmux": "tmux",
    "screen": "screen",
    "vim": "vim",
    "nano": "nano",
    "lsof": "lsof",
    "cmake": "cmake",
    "ninja": "ninja-build",
    "pkill": "procps",
    "ps": "procps",
    "free": "procps",
    "netstat": "net-tools",
    "ifconfig": "net-tools",
    "ip": "iproute2",
    "ping": "iputils-ping",
    "nc": "netcat-openbsd",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "ssh-keyscan": "openssh-client",
    "lsb_release": "lsb-release",
    "bc": "bc",
    "ffmpeg": "ffmpeg",
    "git-lfs": "git-lfs",
    "gcc": "build-essential",
    "g++": "build-essential",
    "make": "build-essential",
}
_NOT_BROUGHT = ("gcloud", "gsutil", "az", "kubectl")
"""What scripts call for that no image of ours has: no package of Debian's brings it."""
PROGRAMS = (*BASICS, *_PACKAGES, *_NOT_BROUGHT, "aws", "conda", "apt-get")
"""What it is worth knowing of a machine whether it has."""
_SDK = re.compile(r"google-cloud-(?:cli|sdk)|sdk\.cloud\.google\.com|\bpip3? install [^\n]*gsutil")
_INSTALLS = {
    "gcloud": _SDK,
    "gsutil": _SDK,
    "az": re.compile(r"azure-cli|InstallAzureCLI"),
    "kubectl": re.compile(r"(?:install|download|curl|wget)[^\n]*kubectl|kubectl[^\n]*https://"),
}
"""By what a script that installs such a command gives itself away."""
_LOOKED_AT = 131_072
"""Characters; a longer script cannot be sent."""

_COMMAND = re.compile(
    r"(?:^|[;&|(`]|\$\(|\b(?:then|do|else|sudo|exec|time|nohup|xargs|env))[ \t]*"
    r"(?:\w{1,80}=[^\s;&|(`]{0,200}[ \t]+){0,8}"
    # Looked at and not consumed, since what stands here may be the `sudo` of the next.
    r"(?=([\w.+-]{1,40})(?![\w.+/-]))",
    re.MULTILINE,
)


@lru_cache(maxsize=8)
def _called(script: str) -> frozenset[str]:
    """The commands that a script seems to run; text in heredocs and quotes may be mistaken for one."""
    return frozenset(match[1] for match in _COMMAND.finditer(script, 0, _LOOKED_AT))


def calls(script: str, *commands: str) -> bool:
    """Whether a script seems to run any of some commands."""
    return not _called(script).isdisjoint(commands)


def debian_packages(script: str) -> list[str]:
    """Debian packages for the commands that a script runs and a slim image lacks, each once."""
    return list(dict.fromkeys(package for command, package in _PACKAGES.items() if calls(script, command)))


def missing(script: str, there: Collection[str]) -> dict[str, str]:
    """The commands that a script runs and a machine lacks, with their Debian packages."""
    known = {**BASICS, **_PACKAGES}
    return {name: known[name] for name in known if name not in there and calls(script, name)}


def not_brought(script: str, there: Collection[str] = ()) -> list[str]:
    """The commands of other clouds that a script runs, and that neither it nor the machine seems to bring."""
    return [
        name
        for name in _NOT_BROUGHT
        if name not in there and calls(script, name) and not _INSTALLS[name].search(script)
    ]


def wants_uv(script: str) -> bool:
    return calls(script, "uv", "uvx")


def wants_conda(script: str) -> bool:
    """Whether it uses conda and does not install it by itself."""
    uses = calls(script, "conda", "mamba") or "conda.sh" in script
    return uses and not re.search(r"(?:Mini(?:conda|forge|mamba)|Anaconda)3?-\S*\.sh", script, re.IGNORECASE)


def wants_nvcc(script: str) -> bool:
    return calls(script, "nvcc") or "/usr/local/cuda" in script or "CUDA_HOME" in script


def wants_docker(script: str) -> bool:
    return calls(script, "docker", "docker-compose")
