"""What of the host's settings a sandbox needs to reach the network the way the host does.

Proxies, certificates and package indexes only, by name: a sandbox never inherits the environment as such.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from trebuchet.emulator.process.spec import Bind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_CERTIFICATES = (
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HTTPLIB2_CA_CERTS",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
)
_INDEXES = (
    "GOPROXY",
    "HF_ENDPOINT",
    "PIP_CONFIG_FILE",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_DISABLE_PIP_VERSION_CHECK",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_INDEX_URL",
    "PIP_NO_INDEX",
    "PIP_PROXY",
    "PIP_RETRIES",
    "PIP_TIMEOUT",
    "PIP_TRUSTED_HOST",
    "UV_CONFIG_FILE",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_HTTP_TIMEOUT",
    "UV_INDEX",
    "UV_INDEX_STRATEGY",
    "UV_INDEX_URL",
    "UV_INSECURE_HOST",
    "UV_NATIVE_TLS",
    "UV_OFFLINE",
    "UV_PYTHON_INSTALL_MIRROR",
    "UV_SYSTEM_CERTS",
)
_NPM = ("cafile", "https_proxy", "noproxy", "proxy", "registry", "strict_ssl")
_HOME_FILES = (".config/pip/pip.conf", ".pip/pip.conf", ".config/uv/uv.toml", ".npmrc", ".condarc")
_CREDENTIALS = ("_auth", "_password", "token", "password")
_MAY_BE_FOLDERS = frozenset({"PIP_FIND_LINKS", "UV_FIND_LINKS", "SSL_CERT_DIR", "GIT_SSL_CAPATH"})


def network_variables(host: Mapping[str, str]) -> dict[str, str]:
    """The host's variables that a sandbox gets. Proxies come in both cases, since programs read either."""
    found = {name: host[name] for name in (*_CERTIFICATES, *_INDEXES) if name in host}
    for name in _PROXIES:
        value = host.get(name, host.get(name.upper()))
        if value is not None:
            found |= {name: value, name.upper(): host.get(name.upper(), value)}
    for name, value in host.items():
        if name.lower().startswith("npm_config_") and name.lower()[len("npm_config_") :] in _NPM:
            found[name] = value
    return found


def files_of_variables(variables: Mapping[str, str]) -> Iterator[Path]:
    """The host's files that these variables point to; folders only for those that may name one."""
    for name, value in variables.items():
        for word in value.split():
            path = Path(word.removeprefix("file://"))
            if path.is_absolute() and (path.is_file() or (name in _MAY_BE_FOLDERS and path.is_dir())):
                yield path


def home_files(home: Path) -> Iterator[Bind]:
    """The user's settings of package managers, each at its place in the sandbox's home.

    One of npm's or conda's that holds credentials stays out; an index address of pip's or uv's may hold some,
    and is of no use without them.
    """
    for name in _HOME_FILES:
        path = home / name
        if path.is_file() and os.access(path, os.R_OK) and not _holds_credentials(path):
            yield Bind(source=path, target=f"/root/{name}")


def _holds_credentials(path: Path) -> bool:
    if path.name not in {".npmrc", ".condarc"}:
        return False
    text = path.read_text(errors="replace").lower()
    return any(word in text for word in _CREDENTIALS)
