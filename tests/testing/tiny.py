"""A wire format of a few lines, and a raw HTTP client: for tests of the server itself."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from llmwire.adapters.base import ServerRequest, canonical_json
from llmwire.config import ModelConfig
from llmwire.errors import BackendError, InvalidRequestError, RateLimitError
from llmwire.request import LLMRequest
from llmwire.testing import LocalServer
from llmwire.types import LLMChunk, LLMMessage

PATH = "/v1/tiny"
DONE = b"data: [DONE]\n\n"


class TinyHalf:
    """Speaks `{"say": ..., "stream": ...}` and answers `{"text": ...}` or its deltas."""

    api = "tiny"

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and path in (PATH, PATH + "/count")

    def parse_request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> ServerRequest:
        try:
            asked = json.loads(body)
            say = asked["say"]
        except (ValueError, KeyError, TypeError):
            raise InvalidRequestError("say is missing", status=400) from None
        request = LLMRequest(
            model=ModelConfig(asked.get("model", "m"), "tiny"),
            messages=(LLMMessage("user", say),),
            stream=asked.get("stream", False),
        )
        return ServerRequest(request, count=path.endswith("/count"), body=asked)

    def prepare_response(self, reply: LLMChunk, heard: ServerRequest) -> bytes:
        return canonical_json({"text": reply.text, "model": reply.model})

    def prepare_stream(self, chunks: Iterable[LLMChunk], heard: ServerRequest) -> Iterator[bytes]:
        for chunk in chunks:
            if chunk.text:
                yield b"data: " + canonical_json({"text": chunk.text}) + b"\n\n"
        yield DONE

    def prepare_count(self, tokens: int, heard: ServerRequest) -> bytes:
        return canonical_json({"tokens": tokens})

    def prepare_error(self, error: BackendError) -> tuple[int, dict[str, str], bytes]:
        body = canonical_json({"tiny_error": error.provider_message or error.message})
        status = error.status or (429 if isinstance(error, RateLimitError) else 500)
        return status, {"content-type": "application/json"}, body

    def prepare_stream_error(self, error: BackendError) -> bytes:
        return b"data: " + canonical_json({"tiny_error": error.message}) + b"\n\n"


def tiny_server(**settings: Any) -> LocalServer:
    return LocalServer(**{"halves": {"tiny": TinyHalf()}, "default": "hello", **settings})


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool  # by the rules of HTTP
    reset: bool  # the connection was reset, not closed

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[bytes]:
        return [e + b"\n\n" for e in self.body.split(b"\n\n") if e]


class Client:
    """A connection that sends bytes and reads answers, nothing hidden."""

    def __init__(self, server: LocalServer) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        self.pending = b""
        self.eof = self.reset = False

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def post(self, body: Any, path: str = PATH, **headers: str) -> Answer:
        data = body if isinstance(body, bytes) else canonical_json(body)
        self.send(request_bytes(data, path, **headers))
        return self.answer()

    def more(self) -> bool:
        """Reads; False at the end."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            self.reset = True
            data = b""
        self.eof = not data
        self.pending += data
        return not self.eof

    def rest(self) -> bytes:
        """All bytes to the end of the connection."""
        while self.more():
            pass
        return self.pending

    def take(self, size: int) -> bytes | None:
        while len(self.pending) < size:
            if not self.more():
                return None
        data, self.pending = self.pending[:size], self.pending[size:]
        return data

    def line(self) -> bytes | None:
        while b"\r\n" not in self.pending:
            if not self.more():
                return None
        line, _, self.pending = self.pending.partition(b"\r\n")
        return line

    def answer(self, head_only: bool = False) -> Answer:
        status_line = self.line()
        assert status_line is not None, "no answer at all"
        headers = {}
        while line := self.line():
            name, _, value = line.decode("latin-1").partition(": ")
            assert name.lower() not in headers, f"{name} came twice"
            headers[name.lower()] = value
        status = int(status_line.split()[1])
        if head_only or status < 200:
            body, whole = b"", True
        elif "content-length" in headers:
            data = self.take(int(headers["content-length"]))
            body, whole = (self.pending, False) if data is None else (data, True)
        elif headers.get("transfer-encoding") == "chunked":
            body, whole = self.chunked()
        else:
            body, whole = self.rest(), True
        return Answer(status, headers, body, whole, self.reset)

    def chunked(self) -> tuple[bytes, bool]:
        body = b""
        while (size := self.line()) is not None:
            data = self.take(int(size, 16) + 2)
            if data is None:
                return body + self.pending, False
            if size == b"0":
                return body, True
            body += data[:-2]
        return body, False


def request_bytes(body: bytes, path: str = PATH, method: str = "POST", **headers: str) -> bytes:
    fields = {"host": "127.0.0.1", "content-length": str(len(body)), **headers}
    head = "".join(f"{n.replace('_', '-')}: {v}\r\n" for n, v in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def ask(server: LocalServer, say: str = "hi", *, stream: bool = False, **more: Any) -> Answer:
    """One request on a connection of its own; the answer as far as it came."""
    with Client(server) as client:
        return client.post({"say": say, "stream": stream, **more})
