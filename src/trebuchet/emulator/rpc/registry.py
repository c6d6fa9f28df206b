"""Which calls are served, and by what. The table of the documentation is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from modal_proto import api_pb2, task_command_router_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from google.protobuf.descriptor import ServiceDescriptor
    from google.protobuf.message import Message

    from trebuchet.emulator.rpc.call import Call

    Unary = Callable[[Call, Any], Awaitable[Message]]
    Streaming = Callable[[Call, Any], AsyncIterator[Message]]
    Feeding = Callable[[Call, AsyncIterator[Any]], Awaitable[Message]]

UnaryT = TypeVar("UnaryT", bound="Unary")
StreamingT = TypeVar("StreamingT", bound="Streaming")
FeedingT = TypeVar("FeedingT", bound="Feeding")


@dataclass(frozen=True)
class Method:
    """One served call: exactly one of these is set."""

    answer: Unary | None = None
    stream: Streaming | None = None
    feed: Feeding | None = None


class Service:
    """A gRPC service, and the calls of it that are served."""

    def __init__(self, descriptor: ServiceDescriptor) -> None:
        self.descriptor = descriptor
        self.methods: dict[str, Method] = {}

    def unary(self, *names: str) -> Callable[[UnaryT], UnaryT]:
        """Serve calls that are answered once."""

        def register(function: UnaryT) -> UnaryT:
            for name in names:
                self._add(name, Method(answer=function))
            return function

        return register

    def streaming(self, *names: str) -> Callable[[StreamingT], StreamingT]:
        """Serve calls that are answered piece by piece."""

        def register(function: StreamingT) -> StreamingT:
            for name in names:
                self._add(name, Method(stream=function))
            return function

        return register

    def feeding(self, *names: str) -> Callable[[FeedingT], FeedingT]:
        """Serve calls that are asked piece by piece, and answered once."""

        def register(function: FeedingT) -> FeedingT:
            for name in names:
                self._add(name, Method(feed=function))
            return function

        return register

    def _add(self, name: str, method: Method) -> None:
        described = self.descriptor.methods_by_name[name]
        if described.server_streaming != (method.stream is not None):
            raise TypeError(
                f"{name} is answered {'piece by piece' if described.server_streaming else 'once'}"
            )
        if described.client_streaming != (method.feed is not None):
            raise TypeError(f"{name} is asked {'piece by piece' if described.client_streaming else 'once'}")
        self.methods[name] = method


CONTROL = Service(api_pb2.DESCRIPTOR.services_by_name["ModalClient"])
ROUTER = Service(task_command_router_pb2.DESCRIPTOR.services_by_name["TaskCommandRouter"])
