"""Whether a control plane answers at all: asked first, because the SDK waits a minute for a dead one."""

from __future__ import annotations

import importlib.util
import os
import socket
import urllib.parse
import urllib.request

from trebuchet.errors import ClusterUnreachableError, UsageError

_TIMEOUT_S = 2.0
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def require_reachable(server_url: str) -> None:
    """Connect once to one of the (comma-separated) addresses.

    Raises:
        ClusterUnreachableError: None of them accepts a connection within two seconds.
        UsageError: A proxy stands before it and the SDK lacks what it needs to use one.
    """
    failures: list[str] = []
    for url in server_url.split(","):
        host, port = _first_hop(url.strip())
        try:
            socket.create_connection((host, port), timeout=_TIMEOUT_S).close()
        except OSError as error:
            failures.append(f"{host}:{port}: {error.strerror or error}")
        else:
            return
    raise ClusterUnreachableError(
        f"The control plane does not answer ({'; '.join(failures)}).",
        hint="Check the network; `trebuchet doctor` looks closer.",
    )


def _first_hop(url: str) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or "127.0.0.1"
    default_port = 443 if parts.scheme == "https" else 80
    if host in _LOOPBACK:
        _keep_proxies_off(host)
    elif proxy := _proxy_for(host, parts.scheme):
        return proxy
    return host, parts.port or default_port


def _keep_proxies_off(host: str) -> None:
    """Except a loopback address from the proxy settings: the SDK obeys them there too, and hangs."""
    if not urllib.request.getproxies() or urllib.request.proxy_bypass(host):
        return
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{known},{host}" if known else host


def _proxy_for(host: str, scheme: str) -> tuple[str, int] | None:
    if os.environ.get("MODAL_DISABLE_API_PROXY", "0").lower() not in {"", "0", "false"}:
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(host):
        return None
    if importlib.util.find_spec("python_socks") is None:
        raise UsageError(
            f"A proxy is set for {host}, and the SDK cannot use one as it is installed.",
            hint="pip install 'modal[api-proxy-support]', or set MODAL_DISABLE_API_PROXY=1.",
        )
    parts = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
    return parts.hostname or "127.0.0.1", parts.port or 8080
