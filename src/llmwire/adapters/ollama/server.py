"""The server's half of Ollama's chat: pure, without memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ...errors import BackendError
from ...types import LLMChunk
from ..base import ServerRequest, canonical_json
from ..openai.say import error_headers, error_words
from . import hear, say
from .adapter import OllamaAdapter
from .wire import API, CHAT

if TYPE_CHECKING:
    from ..base import FramedServer, ServerHalf


class OllamaServer:
    """Hears requests and says replies as Ollama does."""

    api: str = API
    stream_type: str = OllamaAdapter.stream_type

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and path.partition("?")[0].endswith(CHAT)

    def parse_request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> ServerRequest:
        """Raises `InvalidRequestError` for what the server refuses."""
        return hear.read(body)

    def prepare_response(self, reply: LLMChunk, heard: ServerRequest) -> bytes:
        """Raises `UnsupportedError` for parts that no reply of this wire can hold."""
        return say.whole(reply, heard)

    def prepare_stream(self, chunks: Iterable[LLMChunk], heard: ServerRequest) -> Iterator[bytes]:
        """Raises as `prepare_response` does."""
        return say.lines(chunks, heard)

    def prepare_ping(self) -> bytes:
        """A line without content: clients take no blank one."""
        return say.one_line({"message": {"role": "assistant", "content": ""}, "done": False})

    def prepare_count(self, tokens: int, heard: ServerRequest) -> bytes:
        """Not part of this wire."""
        return canonical_json({"prompt_eval_count": tokens})

    def prepare_error(self, error: BackendError) -> tuple[int, dict[str, str], bytes]:
        status, _, _, message = error_words(error)
        return status, error_headers(error), canonical_json({"error": message})

    def prepare_stream_error(self, error: BackendError) -> bytes:
        """With the status, as the server passes on errors of the hosted models."""
        status, _, _, message = error_words(error)
        return say.one_line({"StatusCode": status, "error": message})


if TYPE_CHECKING:
    _server: ServerHalf = OllamaServer()
    _framing: FramedServer = OllamaServer()
