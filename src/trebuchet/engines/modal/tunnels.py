"""Where the ports of a sandbox are reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import modal

_LOOPBACK = "127.0.0.1"


def addresses(sandbox: modal.Sandbox) -> dict[int, str]:
    """A URL for each port: without TLS for a tunnel that nothing encrypts, as none of the local engine is."""
    return {port: _address(tunnel) for port, tunnel in sandbox.tunnels().items()}


def _address(tunnel: modal.Tunnel) -> str:
    if tunnel.unencrypted_host:
        return f"http://{tunnel.unencrypted_host}:{tunnel.unencrypted_port}"
    return f"http://{tunnel.host}:{tunnel.port}" if tunnel.host == _LOOPBACK else tunnel.url
