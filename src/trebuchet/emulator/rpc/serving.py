"""From the registry to grpclib: who may call, what is counted, and what errors become."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Any, cast

from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from grpclib import GRPCError, Status
from grpclib.config import Configuration
from grpclib.const import Cardinality, Handler
from grpclib.exceptions import StreamTerminatedError
from grpclib.server import Server

from trebuchet.emulator.process.errors import NotRunningError, ProcessError
from trebuchet.emulator.rpc.call import Call
from trebuchet.emulator.rpc.registry import CONTROL, ROUTER, Method, Service
from trebuchet.emulator.rpc.versions import refuse_outdated
from trebuchet.emulator.world import errors

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping

    from google.protobuf.descriptor import MethodDescriptor
    from google.protobuf.message import Message
    from grpclib.protocol import H2Protocol
    from grpclib.server import Stream

    from trebuchet.emulator.faults import Faults
    from trebuchet.emulator.rpc.call import Site

    AnyStream = Stream[Message, Message]

log = logging.getLogger(__name__)

WINDOW = 16 * 1024 * 1024
LARGEST_MESSAGE = 32 * 1024 * 1024
FULL = {errno.ENOSPC, errno.EDQUOT}
STATUSES: dict[type[Exception], Status] = {
    errors.NotFoundError: Status.NOT_FOUND,
    errors.UnreadableError: Status.NOT_FOUND,
    errors.AlreadyExistsError: Status.ALREADY_EXISTS,
    errors.InvalidError: Status.INVALID_ARGUMENT,
    errors.ConflictError: Status.FAILED_PRECONDITION,
    errors.NotInTimeError: Status.DEADLINE_EXCEEDED,
    errors.NotServedError: Status.UNIMPLEMENTED,
    NotRunningError: Status.NOT_FOUND,
}


class GrpcServer(Server):
    """Both services. It listens nowhere: connections are handed to it."""

    def __init__(
        self, site: Site, *, calls: Counter[str], faults: Faults, on_call: Callable[[], None]
    ) -> None:
        """Serve.

        Args:
            site: What all calls share.
            calls: Counts each call by its name.
            faults: What goes wrong on purpose.
            on_call: Told of each call that may be made, at its beginning and its end.
        """
        self._site = site
        self._calls = calls
        self._faults = faults
        self._on_call = on_call
        super().__init__(
            [_Mapping(self._mapping(CONTROL) | self._mapping(ROUTER))],
            config=Configuration(http2_connection_window_size=WINDOW, http2_stream_window_size=WINDOW),
        )

    def protocol(self) -> H2Protocol:
        """A protocol for one connection."""
        return self._protocol_factory()

    def _mapping(self, service: Service) -> dict[str, Handler]:
        return {
            f"/{service.descriptor.full_name}/{described.name}": self._handler(service, described)
            for described in service.descriptor.methods
        }

    def _handler(self, service: Service, described: MethodDescriptor) -> Handler:
        name, method = described.name, service.methods.get(described.name)

        async def handle(stream: AnyStream) -> None:
            metadata = cast("Mapping[str, str]", stream.metadata or {})
            self._authorize(service, metadata)
            refuse_outdated(metadata)
            # The names are private to grpclib, which tells of no connection.
            self._site.lobby.admit(getattr(getattr(stream, "_stream"), "_transport"))  # noqa: B009
            self._calls[name] += 1
            self._on_call()
            try:
                call = Call(self._site, name, metadata)
                await self._faults.around(stream, name, lambda: self._answer(call, method, stream))
            finally:
                self._on_call()

        return Handler(
            handle,
            _cardinality(described),
            GetMessageClass(described.input_type),
            GetMessageClass(described.output_type),
        )

    def _authorize(self, service: Service, metadata: Mapping[str, str]) -> None:
        if service is CONTROL:
            accepted = self._site.tokens.accepts(metadata)
        else:
            presented = metadata.get("authorization", "").removeprefix("Bearer ")
            accepted = self._site.tokens.subject_of(presented) is not None
        if not accepted:
            raise GRPCError(Status.UNAUTHENTICATED, "The local engine does not accept this token.")

    async def _answer(self, call: Call, method: Method | None, stream: AnyStream) -> None:
        if method is None:
            raise GRPCError(Status.UNIMPLEMENTED, f"The local engine does not serve {call.name}.")
        _limit_messages(stream)
        try:
            if method.feed is not None:
                await stream.send_message(await method.feed(call, aiter(stream)))
                return
            request = await _request(call, stream)
            if method.answer is not None:
                await stream.send_message(await method.answer(call, request))
            elif method.stream is not None:
                async for message in method.stream(call, request):
                    await stream.send_message(message)
        except (GRPCError, StreamTerminatedError):
            raise
        except (errors.WorldError, ProcessError) as error:
            raise GRPCError(STATUSES.get(type(error), Status.FAILED_PRECONDITION), str(error)) from error
        except OSError as error:
            log.exception("%s failed", call.name)
            status = Status.RESOURCE_EXHAUSTED if error.errno in FULL else Status.INTERNAL
            raise GRPCError(status, f"The local engine cannot write its state: {error.strerror}.") from error
        except Exception as error:
            log.exception("%s failed", call.name)
            raise GRPCError(
                Status.INTERNAL, f"The local engine failed in {call.name}; its log says why."
            ) from error


async def _request(call: Call, stream: AnyStream) -> Message | None:
    try:
        return await stream.recv_message()
    except DecodeError as error:
        raise GRPCError(Status.INVALID_ARGUMENT, f"This is no request of {call.name}.") from error


def _limit_messages(stream: AnyStream) -> None:
    """Refuse a message by the length it announces, before any of it is kept."""
    # The names are private to grpclib, which reads a message of any length.
    inner: Any = getattr(stream, "_stream")  # noqa: B009
    receive = inner.recv_data

    async def receive_within_reason(length: int) -> bytes:
        if length > LARGEST_MESSAGE:
            raise GRPCError(Status.RESOURCE_EXHAUSTED, f"A message has at most {LARGEST_MESSAGE} bytes.")
        return await receive(length)

    inner.recv_data = receive_within_reason


class _Mapping:
    def __init__(self, mapping: dict[str, Handler]) -> None:
        self._mapping = mapping

    def __mapping__(self) -> dict[str, Any]:
        return self._mapping


def _cardinality(described: MethodDescriptor) -> Cardinality:
    match described.client_streaming, described.server_streaming:
        case False, False:
            return Cardinality.UNARY_UNARY
        case False, True:
            return Cardinality.UNARY_STREAM
        case True, False:
            return Cardinality.STREAM_UNARY
        case _:
            return Cardinality.STREAM_STREAM
