"""Every error of the SDK becomes one of ours, and the right one."""

from __future__ import annotations

import errno
import inspect
import os
import socket
import ssl

import pytest
from aiohttp import ClientPayloadError
from grpclib.exceptions import StreamTerminatedError
from modal import exception as sdk

from trebuchet import errors as ours
from trebuchet.engines.modal.errors import translate, translated


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sdk.AuthError("x"), ours.AuthenticationError),
        (sdk.PermissionDeniedError("x"), ours.AuthenticationError),
        (sdk.NotFoundError("x"), ours.NotFoundError),
        (sdk.AlreadyExistsError("x"), ours.AlreadyExistsError),
        (sdk.ServiceError("unavailable"), ours.ClusterUnreachableError),
        (sdk.ConnectionError("x"), ours.ClusterUnreachableError),
        (sdk.TimeoutError("x"), ours.ClusterUnreachableError),
        (sdk.ClientClosed("x"), ours.ClusterUnreachableError),
        (sdk.InvalidError("x"), ours.UsageError),
        (sdk.ConflictError("x"), ours.LaunchError),
        (sdk.InternalError("x"), ours.ControlPlaneError),
        (sdk.UnimplementedError("x"), ours.ControlPlaneError),
        (sdk.ImageBuildError("x", "im-1"), ours.ImageBuildError),
        (sdk.ResourceExhaustedError("Insufficient capacity to create sandbox."), ours.CapacityError),
        (sdk.ResourceExhaustedError("Sandbox creation rate limit exceeded."), ours.RateLimitedError),
        (StreamTerminatedError("Connection lost"), ours.ClusterUnreachableError),
        (ConnectionResetError("x"), ours.ClusterUnreachableError),
        (TimeoutError("x"), ours.ClusterUnreachableError),
        (FileNotFoundError("x"), ours.UsageError),
    ],
)
def test_the_error_is_ours(error: Exception, expected: type[Exception]) -> None:
    assert type(translate(error)) is expected


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENETUNREACH, "x"),
        OSError(errno.EHOSTUNREACH, "x"),
        OSError(errno.ENETDOWN, "x"),
        OSError(errno.ENOBUFS, "x"),
        OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 101] Connect call failed"),
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        ssl.SSLError("x"),
        ClientPayloadError("x"),
    ],
)
def test_a_network_that_is_away_may_come_back(error: Exception) -> None:
    assert type(translate(error)) is ours.ClusterUnreachableError


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EROFS, errno.ENOMEM]
)
def test_what_this_machine_refuses_is_no_fault_of_the_control_plane(number: int) -> None:
    error = translate(OSError(number, "x", "/var/tmp/pack"))
    assert type(error) is ours.MachineError
    assert not error.transient
    assert str(error) == f"/var/tmp/pack: {os.strerror(number)}."


def test_an_error_of_the_system_without_a_file_or_a_number_says_what_there_is() -> None:
    assert str(translate(OSError(errno.EMFILE, "x"))) == f"{os.strerror(errno.EMFILE)}."
    assert str(translate(OSError("It was given up."))) == "It was given up."
    assert str(translate(OSError(errno.EIO, "x", b"/a/\xff"))) == f"/a/\udcff: {os.strerror(errno.EIO)}."


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "x", "/a"), FileNotFoundError("x"), OSError(errno.EMFILE, "x")]
)
def test_a_file_that_cannot_be_read_here_does_not_say_that_a_sandbox_is_unknown(error: OSError) -> None:
    with pytest.raises(ours.TrebuchetError) as caught, translated(sandbox_id="sb-1"):
        raise error
    assert not isinstance(caught.value, ours.NotFoundError)


def test_no_error_of_the_sdk_gets_through() -> None:
    for name, kind in inspect.getmembers(sdk, inspect.isclass):
        if not issubclass(kind, sdk.Error) or name.startswith("_"):
            continue
        error = kind("x", "im-1") if kind is sdk.ImageBuildError else kind("x")
        assert translate(error) is not None, name


def test_a_fault_of_our_own_is_not_disguised() -> None:
    with pytest.raises(ZeroDivisionError), translated():
        _ = 1 // 0


@pytest.mark.parametrize("error", [sdk.NotFoundError("x"), sdk.InvalidError("malformed id")])
def test_an_unknown_sandbox_is_a_job_that_is_not_there(error: Exception) -> None:
    with pytest.raises(ours.JobNotFoundError, match="sb-1"), translated(sandbox_id="sb-1"):
        raise error


def test_an_unreachable_control_plane_never_reads_as_not_there() -> None:
    with pytest.raises(ours.ClusterUnreachableError), translated(sandbox_id="sb-1"):
        raise sdk.ServiceError("UNAVAILABLE")
