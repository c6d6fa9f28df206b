"""The variables that every sandbox in a container has, whatever its image."""

from __future__ import annotations

HOME = "/root"
SEARCH_PATH = "/root/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_VARIABLES = {
    "HOME": HOME,
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "PATH": SEARCH_PATH,
    "PIP_ROOT_USER_ACTION": "ignore",
    "UV_LINK_MODE": "copy",  # the cache and the packages lie on different mounts
}
