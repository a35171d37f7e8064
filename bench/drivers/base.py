"""What a driver does. Only the standard library here: it is imported in every environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..wires import Turn

PROMPT = [Turn("user", "hi")]


class Place(NamedTuple):
    """Where to ask: the address begins with the wire format and what is to be answered."""

    origin: str
    style: str
    what: str

    @property
    def url(self) -> str:
        return f"{self.origin}/{self.style}/{self.what}"


class Driver:
    """One library. Each method returns the text that its user would have got."""

    package: str = ""
    """The distribution whose version is reported."""

    async def call(self, place: Place, asked: Any) -> str:
        """A whole answer."""
        raise NotImplementedError

    async def stream(self, place: Place, asked: Any) -> str:
        """A streamed answer, every piece looked at as it comes: text, reasoning, arguments."""
        raise NotImplementedError

    async def gather(self, place: Place, asked: Any) -> str:
        """A streamed answer, put together by the library's own means."""
        raise NotImplementedError

    async def add_up(self, place: Place, asked: Any) -> str:
        """A streamed answer, put together by adding each chunk to the sum so far."""
        raise NotImplementedError

    def conversation(self, style: str, turns: Sequence[Turn], tools: list[dict[str, Any]]) -> Any:
        """The turns and tools as the library's own values, as its user would hold them."""
        raise NotImplementedError

    def extended(self, asked: Any, style: str, turns: Sequence[Turn]) -> Any:
        """The same conversation with more turns; the earlier values stay the same objects."""
        raise NotImplementedError

    def decoder(self, style: str) -> Callable[[Sequence[bytes]], str]:
        """The decoding of a stream alone, without any network."""
        raise NotImplementedError

    def parser(self, style: str) -> Callable[[bytes], str]:
        """The decoding of a whole answer alone, without any network."""
        raise NotImplementedError

    async def close(self) -> None:
        """Lets go of connections."""
