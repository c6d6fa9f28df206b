from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from support.layers import Archive, layer
from support.registries import free_port
from trebuchet.emulator.images.cleaning import prunable, prune, usage
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


def test_what_stays_can_be_had_by_its_digest_from_the_disk_alone(registry: Registry, store: Path) -> None:
    ref = registry.push("stays", [layer(Archive().add("a", b"a"))])
    image = asyncio.run(pull(ref, store))
    asyncio.run(pull(registry.push("goes-away", [layer(Archive().add("b", b"b"))]), store))
    assert prunable(store, image.layers) > 0
    prune(store, keep=lambda: image.layers)
    assert prunable(store, image.layers) < prunable(store, [])
    assert len(list((store / "blobs").iterdir())) == 2  # the manifest and the configuration
    offline = f"127.0.0.1:{free_port()}/stays@{image.digest}"  # nobody listens there
    assert asyncio.run(pull(offline, store)) == image


def test_nothing_is_cleaned_where_nothing_is(store: Path) -> None:
    assert prune(store, keep=tuple) == 0
    assert not store.exists()
    assert usage(store).images == 0
