"""The seam between us and the network: one method, so that tests and recordings plug in there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct


class Outgoing(Struct, frozen=True):
    """A request with everything on it, credentials included. Never logged, never in an error."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    connect_timeout: float | None = None
    """Seconds for reaching the server."""

    def __repr__(self) -> str:
        return f"Outgoing({self.method} {self.url}, {len(self.body)} bytes)"


class TransportResponse(Protocol):
    """An answer whose body is still coming."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""

    async def read(self) -> bytes:
        """The next bytes of the body, content coding removed; b"" at its end.

        Raises `TransportError`.
        """
        ...

    def close(self) -> None:
        """Ends the exchange at once: the socket closes unless the body was read to its end."""
        ...


class DirectResponse(TransportResponse, Protocol):
    """An answer that can give its bytes away where they arrive, without a task in between."""

    direct: bool
    """Whether this one can; else it is read like any other."""

    @property
    def at_end(self) -> bool:
        """The body is here to its last byte, and was taken."""
        ...

    def take(self) -> bytes:
        """The bytes that are here; b"" for none."""
        ...

    def deliver(self, sink: Callable[[bytes], bool]) -> None:
        """From now on bytes go to `sink`, which never raises and says whether to wake the reader."""
        ...

    def news(self) -> asyncio.Future[None] | None:
        """Ends when the sink says so, and at the end of the body; None: it has ended.

        All that came counts as seen. Raises `TransportError`.
        """
        ...


class Transport(Protocol):
    """Carries one request to a server. Tests, recordings and clients of one's own plug in here."""

    async def send(self, request: Outgoing) -> TransportResponse:
        """Sends and waits for the status line and headers. Raises `TransportError`."""
        ...
