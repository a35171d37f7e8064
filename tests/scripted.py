"""A transport that answers from a script: no network, and every fault at a chosen byte."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from llmwire.transport import Outgoing

SSE = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}


@dataclass
class Answer:
    """One answer: pieces of body; an exception among them is raised, a number is slept."""

    pieces: Sequence[bytes | Exception | float] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: SSE)
    refuse: Exception | None = None
    """Raised instead of answering."""
    delay: float = 0.0
    """Seconds before the headers."""


class Response:
    def __init__(self, answer: Answer) -> None:
        self.status = answer.status
        self.headers: Mapping[str, str] = answer.headers
        self._pieces = list(answer.pieces)
        self.closed = False
        self.at_end = False

    async def read(self) -> bytes:
        while self._pieces:
            piece = self._pieces.pop(0)
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, int | float):
                await asyncio.sleep(piece)
                continue
            return piece
        self.at_end = True
        return b""

    def close(self) -> None:
        self.closed = True


class ScriptedTransport:
    """Gives the answers in order; keeps what was sent and what was answered."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.sent: list[Outgoing] = []
        self.responses: list[Response] = []

    async def send(self, request: Outgoing) -> Response:
        self.sent.append(request)
        answer = self.answers.pop(0)
        await asyncio.sleep(answer.delay)
        if answer.refuse is not None:
            raise answer.refuse
        response = Response(answer)
        self.responses.append(response)
        return response
