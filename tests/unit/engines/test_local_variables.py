"""What points a program at the local engine, where a proxy stands between it and everything else."""

from __future__ import annotations

import pytest

from trebuchet.engines.local import _past_the_proxy


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ({}, None),
        ({"NO_PROXY": "example.org"}, None),
        ({"HTTP_PROXY": "http://proxy"}, "127.0.0.1,localhost"),
        ({"all_proxy": "http://proxy", "no_proxy": "a.org,localhost"}, "a.org,localhost,127.0.0.1"),
    ],
    ids=["none", "no need", "one", "one with exceptions"],
)
def test_loopback_is_never_behind_a_proxy(
    monkeypatch: pytest.MonkeyPatch, host: dict[str, str], told: str | None
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in host.items():
        monkeypatch.setenv(name, value)
    assert _past_the_proxy() == ({} if told is None else {"NO_PROXY": told, "no_proxy": told})
