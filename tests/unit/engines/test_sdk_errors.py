"""Every error of the SDK becomes one of ours, and the right one."""

from __future__ import annotations

import inspect

import pytest
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
