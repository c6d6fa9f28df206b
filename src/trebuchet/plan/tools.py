"""What scripts call for without bringing it, told from their text alone."""

from __future__ import annotations

import re
from functools import cache

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
    "ffmpeg": "ffmpeg",
    "git-lfs": "git-lfs",
    "gcc": "build-essential",
    "g++": "build-essential",
    "make": "build-essential",
}
_LOOKED_AT = 131_072
"""Characters; a longer script cannot be sent."""

_AT_COMMAND = (
    r"(?:^|[;&|(`]|\$\(|\b(?:then|do|else|sudo|exec|time|nohup|xargs|env))[ \t]*"
    r"(?:\w{1,80}=\S{0,200}[ \t]+){0,8}"
)


def calls(script: str, command: str) -> bool:
    """Whether a script seems to run a command; text in heredocs and quotes may be mistaken for it."""
    return bool(_pattern(command).search(script, 0, _LOOKED_AT))


@cache
def _pattern(command: str) -> re.Pattern[str]:
    return re.compile(_AT_COMMAND + re.escape(command) + r"(?![\w.-])", re.MULTILINE)


def debian_packages(script: str) -> list[str]:
    """Debian packages for the commands that a script runs and a slim image lacks, each once."""
    return list(dict.fromkeys(package for command, package in _PACKAGES.items() if calls(script, command)))


def wants_uv(script: str) -> bool:
    return calls(script, "uv") or calls(script, "uvx")


def wants_conda(script: str) -> bool:
    """Whether it uses conda and does not install it by itself."""
    uses = calls(script, "conda") or calls(script, "mamba") or "conda.sh" in script
    return uses and not re.search(r"(?:Mini(?:conda|forge|mamba)|Anaconda)3?-\S*\.sh", script, re.IGNORECASE)


def wants_nvcc(script: str) -> bool:
    return calls(script, "nvcc") or "/usr/local/cuda" in script or "CUDA_HOME" in script


def wants_docker(script: str) -> bool:
    return calls(script, "docker") or calls(script, "docker-compose")
