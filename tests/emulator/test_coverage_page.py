from __future__ import annotations

from pathlib import Path

from trebuchet.emulator.rpc import coverage

PAGE = Path(__file__).parents[2] / "docs" / "local-engine-coverage.md"


def test_the_page_on_what_is_served_is_current() -> None:
    assert PAGE.read_text() == coverage.page(), (
        "run: python -m trebuchet.emulator.rpc.coverage > docs/local-engine-coverage.md"
    )
