from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

from support.layers import (
    GZIP,
    INDEX,
    MANIFEST,
    PLAIN,
    ZSTD,
    Archive,
    config_of,
    index_of,
    layer,
    manifest_of,
)
from trebuchet.emulator.images.errors import (
    BadReferenceError,
    DigestMismatchError,
    ImageNotFoundError,
    NoMatchingPlatformError,
    RegistryUnreachableError,
)
from trebuchet.emulator.images.pull import LayerProgress, PulledImage, pull

if TYPE_CHECKING:
    from pathlib import Path

    from support.registries import Registry


def pulled(ref: str, store: Path, **options: Any) -> PulledImage:
    return asyncio.run(pull(ref, store, **options))


def files(image: PulledImage) -> dict[str, str | None]:
    """Everything in an image: contents by path, None for a folder, `-> TARGET` for a link."""
    (top,) = image.layers
    found: dict[str, str | None] = {}
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = None if path.is_dir() else path.read_text()
    return found


@pytest.mark.parametrize("packing", [GZIP, ZSTD, PLAIN])
def test_a_layer_comes_whole_however_it_is_packed(registry: Registry, store: Path, packing: str) -> None:
    archive = (
        Archive().folder("app").add("app/run.sh", b"#!/bin/sh\n", mode=0o755).symlink("app/go", "run.sh")
    )
    archive.hardlink("app/again", "app/run.sh").add("naïve file", b"x").folder("empty")
    ref = registry.push(f"packing{packing[-4:].strip('+.')}", [layer(archive, packing)])

    image = pulled(ref, store)

    assert files(image) == {
        "app": None,
        "app/again": "#!/bin/sh\n",
        "app/go": "-> run.sh",
        "app/run.sh": "#!/bin/sh\n",
        "empty": None,
        "naïve file": "x",
    }
    script = image.layers[0] / "app/run.sh"
    assert script.stat().st_mode & 0o777 == 0o755
    assert script.stat().st_mtime == 1_600_000_000
    assert script.samefile(image.layers[0] / "app/again")


def test_upper_layers_take_away_and_replace(registry: Registry, store: Path) -> None:
    below = Archive().folder("etc").add("etc/kept", b"1").add("etc/gone", b"1").add("etc/changed", b"1")
    below.folder("old").folder("old/deep").add("old/deep/gone", b"1").folder("cache").add("cache/gone", b"1")
    below.folder("becomes-file").add("becomes-file/gone", b"1").add("becomes-folder", b"1")
    below.folder("whole").add("whole/gone", b"1").folder("lib").symlink("to-lib", "lib")
    above = Archive().add("etc/.wh.gone", b"").add("etc/changed", b"2").add("old/deep/.wh.gone", b"")
    # The opaque mark may come after what the layer itself has in the folder.
    above.folder("cache").add("cache/new", b"2").add("cache/.wh..wh..opq", b"").add(".wh.whole", b"")
    above.add("becomes-file", b"2").folder("becomes-folder").add("becomes-folder/new", b"2")
    above.add(".wh.never-was", b"").add(".wh..wh.plnk", b"")
    ref = registry.push("whiteouts", [layer(below), layer(above)])

    assert files(pulled(ref, store)) == {
        "becomes-file": "2",
        "becomes-folder": None,
        "becomes-folder/new": "2",
        "cache": None,
        "cache/new": "2",
        "etc": None,
        "etc/changed": "2",
        "etc/kept": "1",
        "lib": None,
        "old": None,
        "old/deep": None,
        "to-lib": "-> lib",
    }


def test_what_one_image_has_of_another_is_on_disk_once(registry: Registry, store: Path) -> None:
    base = layer(Archive().add("big", b"x" * 100_000))
    first = pulled(registry.push("first", [base]), store)
    second = pulled(registry.push("second", [base, layer(Archive().add("more", b"y"))]), store)
    assert (first.layers[0] / "big").samefile(second.layers[0] / "big")
    assert files(first).keys() == {"big"}


def test_a_folder_that_a_layer_only_passes_through_keeps_its_mode(registry: Registry, store: Path) -> None:
    below = Archive().folder("closed", mode=0o700).add("closed/a", b"1")
    ref = registry.push("implied", [layer(below), layer(Archive().add("closed/b", b"2"))])
    (top,) = pulled(ref, store).layers
    assert (top / "closed").stat().st_mode & 0o777 == 0o700
    assert (top / "closed").stat().st_mtime == 1_600_000_000


def test_the_configuration_is_read(registry: Registry, store: Path) -> None:
    config = {
        "Env": ["PATH=/opt/bin:/bin", "EMPTY=", "EQUALS=a=b"],
        "WorkingDir": "/work",
        "User": "1000:1000",
        "Entrypoint": ["/entry", "point"],
        "Cmd": ["serve"],
    }
    image = pulled(registry.push("config", [layer(Archive().add("a", b""))], **config), store)
    assert image.environment == {"PATH": "/opt/bin:/bin", "EMPTY": "", "EQUALS": "a=b"}
    assert (image.workdir, image.user) == ("/work", "1000:1000")
    assert (image.entrypoint, image.command) == (("/entry", "point"), ("serve",))


def test_of_several_images_that_of_this_platform_is_taken(registry: Registry, store: Path) -> None:
    manifests: dict[str, bytes] = {}
    for platform in ("linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7", "windows/amd64"):
        one = layer(Archive().add("platform", platform.encode()))
        config = config_of([one], architecture=platform.split("/")[1])
        for blob in (one.blob, config):
            registry.put_blob("several", blob)
        manifests[platform] = manifest_of(config, [one])
        registry.put_manifest("several", platform.replace("/", "-"), manifests[platform], MANIFEST)
    registry.put_manifest("several", "latest", index_of(manifests), INDEX)
    ref = f"{registry.host}/several"

    for wanted, taken in {
        "linux/amd64": "linux/amd64",
        "linux/arm64/v8": "linux/arm64",
        "linux/arm": None,
    }.items():
        if taken is None:
            with pytest.raises(
                NoMatchingPlatformError, match="made for linux/amd64, linux/arm/v6, linux/arm/v7"
            ):
                pulled(ref, store, platform=wanted)
        else:
            assert files(pulled(ref, store, platform=wanted)) == {"platform": taken}
    assert files(pulled(ref, store, platform="linux/arm/v7")) == {"platform": "linux/arm/v7"}


def test_one_image_for_another_machine_is_refused(registry: Registry, store: Path) -> None:
    ref = registry.push("foreign", [layer(Archive().add("a", b""))], architecture="s390x")
    with pytest.raises(NoMatchingPlatformError, match="made for linux/s390x"):
        pulled(ref, store, platform="linux/amd64")
    assert not list((store / "layers").iterdir())


def test_progress_goes_up_to_the_end_of_each_layer(registry: Registry, store: Path) -> None:
    layers = [layer(Archive().add("a", os.urandom(3_000_000))), layer(Archive().add("b", b"b"))]
    ref = registry.push("progress", layers)
    seen: dict[str, list[LayerProgress]] = {}

    pulled(ref, store, progress=lambda step: seen.setdefault(step.layer, []).append(step))

    assert seen.keys() == {one.digest for one in layers}
    for one in layers:
        steps = seen[one.digest]
        down = [step.done for step in steps if step.phase == "downloading"]
        assert down == sorted(down)
        assert {step.total for step in steps} == {len(one.blob)}
        assert down[-1] == steps[-1].done == len(one.blob)
        assert steps[-1].phase == "ready"
    assert len([step for step in seen[layers[0].digest] if step.phase == "downloading"]) > 3


def test_an_image_that_is_there_is_found_by_its_digest_without_the_registry(
    registry: Registry, store: Path
) -> None:
    ref = registry.push("known", [layer(Archive().add("a", b"1"))])
    image = pulled(ref, store)
    nowhere = f"127.0.0.1:1/known@{image.digest}"
    assert pulled(nowhere, store) == image


def test_a_damaged_copy_in_the_registry_is_noticed(registry: Registry, store: Path) -> None:
    one = layer(Archive().add("a", b"damaged" * 1000))
    ref = registry.push("damaged", [one])
    file = registry.blob_file(one.digest)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)

    with pytest.raises(DigestMismatchError, match=one.digest):
        pulled(ref, store)

    assert not list((store / "layers").iterdir())
    assert not list((store / "roots").iterdir())
    assert not list((store / "blobs").glob("*.partial"))


def test_a_layer_that_is_not_what_the_configuration_says_is_refused(registry: Registry, store: Path) -> None:
    real, other = layer(Archive().add("a", b"real")), layer(Archive().add("a", b"other"))
    config = config_of([other])
    for blob in (real.blob, config):
        registry.put_blob("swapped", blob)
    registry.put_manifest("swapped", "latest", manifest_of(config, [real]), MANIFEST)
    with pytest.raises(DigestMismatchError):
        pulled(f"{registry.host}/swapped", store)
    assert not list((store / "layers").iterdir())


def test_what_is_not_there_is_said_to_be_so(registry: Registry, store: Path) -> None:
    with pytest.raises(ImageNotFoundError, match=f"There is no image {registry.host}/never/was:1"):
        pulled(f"{registry.host}/never/was:1", store)


def test_a_registry_that_does_not_answer_may_do_so_later(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trebuchet.emulator.images.registry._FIRST_WAIT_S", 0.001)
    with pytest.raises(RegistryUnreachableError) as caught:
        pulled("127.0.0.1:1/x", store)
    assert caught.value.transient
    assert "127.0.0.1:1" in caught.value.message


def test_a_platform_that_is_none_is_refused(store: Path) -> None:
    with pytest.raises(BadReferenceError, match="amd64"):
        pulled("127.0.0.1:1/x", store, platform="amd64")
