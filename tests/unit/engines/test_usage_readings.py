"""What a sandbox's own files and tools say that it takes."""

from __future__ import annotations

import pytest

from trebuchet.engines.base import GpuUsage
from trebuchet.engines.modal.usage import gpu_usage_of, usage_of

HEAD = b"1000.50 3.00\n100\n4096\n"
NUMBERS = b"1 1 1 0 -1 4194560 1 2 3 4 150 50 20 30 20 0 1 0 77 900000 250 18446744073709551615 1 1\n"


@pytest.mark.parametrize("name", [b"python3", b"a b", b"x) R 1 2", b"two\nlines", b"(((", b"\xff\x1b[31m"])
def test_a_process_is_counted_whatever_it_calls_itself(name: bytes) -> None:
    found = usage_of(HEAD + b"7 (" + name + b") S " + NUMBERS + b"8 (sh) R " + NUMBERS)
    assert found is not None
    assert (found.at, found.cpu_s, found.memory) == (1000.5, 5.0, 500 * 4096)


@pytest.mark.parametrize("said", [b"", b"sh: not found", HEAD, b"x\n" + HEAD, HEAD + b"7 (sh) R 1 2\n"])
def test_what_makes_no_sense_is_not_known(said: bytes) -> None:
    assert usage_of(said) is None


def test_gpus_are_added_up_and_averaged() -> None:
    expected = GpuUsage(busy=0.75, memory=3 << 30, memory_size=160 << 30)
    assert gpu_usage_of(b"50, 1024, 81920\n100, 2048, 81920\n") == expected


@pytest.mark.parametrize("said", [b"", b"No devices were found\n", b"[N/A], 10, 81920\n"])
def test_gpus_that_do_not_tell_are_not_known(said: bytes) -> None:
    assert gpu_usage_of(said) is None
