from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trebuchet.emulator.images import manifests
from trebuchet.emulator.images.errors import BadReferenceError, UnusableImageError
from trebuchet.emulator.images.reference import is_loopback, parse

if TYPE_CHECKING:
    from collections.abc import Callable

SHA = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "whole", "version", "api_root"),
    [
        ("python", "docker.io/library/python:latest", "latest", "https://registry-1.docker.io"),
        (
            "python:3.12-slim",
            "docker.io/library/python:3.12-slim",
            "3.12-slim",
            "https://registry-1.docker.io",
        ),
        ("docker.io/python", "docker.io/library/python:latest", "latest", "https://registry-1.docker.io"),
        ("index.docker.io/a/b:c", "docker.io/a/b:c", "c", "https://registry-1.docker.io"),
        ("ghcr.io/me/x__y", "ghcr.io/me/x__y:latest", "latest", "https://ghcr.io"),
        (f"nvcr.io/a/b/c:d@{SHA}", f"nvcr.io/a/b/c:d@{SHA}", SHA, "https://nvcr.io"),
        (f"me/x@{SHA}", f"docker.io/me/x@{SHA}", SHA, "https://registry-1.docker.io"),
        ("localhost/x", "localhost/x:latest", "latest", "http://localhost"),
        ("localhost:5000/x:1", "localhost:5000/x:1", "1", "http://localhost:5000"),
        ("127.0.0.9:5000/x", "127.0.0.9:5000/x:latest", "latest", "http://127.0.0.9:5000"),
        ("[::1]:5000/x", "[::1]:5000/x:latest", "latest", "http://[::1]:5000"),
        ("10.0.0.1:5000/x", "10.0.0.1:5000/x:latest", "latest", "https://10.0.0.1:5000"),
        ("MyHost/x", "MyHost/x:latest", "latest", "https://MyHost"),
    ],
)
def test_names_are_read_as_docker_reads_them(text: str, whole: str, version: str, api_root: str) -> None:
    reference = parse(text)
    assert (str(reference), reference.version, reference.api_root) == (whole, version, api_root)
    assert parse(str(reference)) == reference


@pytest.mark.parametrize(
    "text",
    ["", ":", "a:", "/x", "x/", "Python", "a//b", "a b", "x:y:z", "x@sha256:12", "x@md5:1", "-x", "a/../b",
     "localhost:99999999/x", "x:" + "t" * 129, "ex?mple.com/x", "user@host.com/x", "h.com/x#f", "x" * 5000],
)  # fmt: skip
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(BadReferenceError):
        parse(text)


@given(st.text(alphabet=st.sampled_from("aA1.:/@-_[]%?#\\ \n"), max_size=40))
def test_no_text_makes_another_address_of_the_registry(text: str) -> None:
    try:
        reference = parse(text)
    except BadReferenceError:
        return
    assert not set(reference.api_root + reference.repository) & set("?#@%\\ \n")
    assert ".." not in reference.repository


@pytest.mark.parametrize(
    "host", ["localhost.evil.com", "127.0.0.1.nip.io", "10.0.0.1", "[::2]:1", "example.com:80"]
)
def test_only_loopback_is_spoken_to_in_plain_text(host: str) -> None:
    assert not is_loopback(host)


KEYS = [
    "mediaType",
    "config",
    "layers",
    "manifests",
    "digest",
    "size",
    "platform",
    "os",
    "architecture",
    "rootfs",
    "diff_ids",
    "Env",
    "schemaVersion",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(KEYS),
        inner,
        max_size=6,
    ),
)  # fmt: skip


@given(JSON, st.sampled_from([lambda text: manifests.read_manifest(text, ""), manifests.read_config]))
def test_no_document_ends_in_anything_but_a_sentence(
    document: object, read: Callable[[bytes], object]
) -> None:
    import json

    try:
        read(json.dumps(document).encode())
    except UnusableImageError as error:
        said = error.message
    else:
        said = "It is fine."
    assert said.endswith(".")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<html>", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "first format"),
        (b'{"config": {"mediaType": "application/vnd.cncf.helm.config.v1+json"}, "layers": []}',
         "not a container image"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_said_to_be_none(content: bytes, says: str) -> None:
    with pytest.raises(UnusableImageError, match=says):
        manifests.read_manifest(content, "")
