"""The seam between us and the network: one method, so that tests and recordings plug in there."""

from __future__ import annotations

from collections.abc import Mapping
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


class Transport(Protocol):
    """Carries one request to a server. Tests, recordings and clients of one's own plug in here."""

    async def send(self, request: Outgoing) -> TransportResponse:
        """Sends and waits for the status line and headers. Raises `TransportError`."""
        ...
