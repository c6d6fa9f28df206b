from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from support.layers import Archive, layer
from trebuchet.emulator.images.cleaning import prune, usage
from trebuchet.emulator.images.pull import pull

if TYPE_CHECKING:
    from pathlib import Path

    from support.registries import Registry

MIB = 1 << 20


def test_what_no_image_needs_any_more_goes(registry: Registry, store: Path) -> None:
    base = layer(Archive().add("base", os.urandom(MIB)))
    first = asyncio.run(
        pull(registry.push("kept", [base, layer(Archive().add("a", os.urandom(MIB)))]), store)
    )
    second = asyncio.run(
        pull(registry.push("goes", [base, layer(Archive().add("b", os.urandom(3 * MIB)))]), store)
    )
    (store / "blobs" / ("0" * 64 + ".partial")).write_bytes(b"x" * MIB)
    (store / "layers" / ("0" * 64 + ".making")).mkdir()
    held = usage(store)
    assert held.images == 2
    assert 6 * MIB <= held.size < 7 * MIB

    freed = prune(store, keep=lambda: first.layers)

    assert 4 * MIB <= freed < 4.5 * MIB
    assert usage(store).images == 1
    assert sorted(path.name for path in first.layers[0].iterdir()) == ["a", "base"]
    assert not second.layers[0].exists()
    assert not list(store.glob("*/*.making"))
    again = asyncio.run(pull(f"{registry.host}/goes", store))
    assert again == second


def test_nothing_is_cleaned_where_nothing_is(store: Path) -> None:
    assert prune(store, keep=tuple) == 0
    assert not store.exists()
    assert usage(store).images == 0
