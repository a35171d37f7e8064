"""The server's half of Chat Completions: pure, without memory, and as strict as the real one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from ...errors import BackendError
from ...types import LLMChunk
from ..base import ServerRequest, canonical_json
from .adapter import ENDPOINT
from .hear import RequestReader
from .say import ReplyWords, error_body, error_headers, error_words, frame

if TYPE_CHECKING:
    from ..base import ServerHalf


class OpenAIServer:
    """Hears requests and says replies as OpenAI's service does.

    Reasoning goes into `reasoning_content`, which OpenAI does not have and compatible servers do.
    """

    api: str = "openai"
    _ears: ClassVar[RequestReader] = RequestReader()
    _words: ClassVar[ReplyWords] = ReplyWords()

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and path.partition("?")[0].endswith(ENDPOINT)

    def parse_request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> ServerRequest:
        """Raises `InvalidRequestError` or `HistoryRejectedError` for what the service refuses."""
        return self._ears.read(body)

    def prepare_response(self, reply: LLMChunk, heard: ServerRequest) -> bytes:
        return canonical_json(self._words.whole(reply, heard))

    def prepare_stream(self, chunks: Iterable[LLMChunk], heard: ServerRequest) -> Iterator[bytes]:
        return self._words.events(chunks, heard)

    def prepare_count(self, tokens: int, heard: ServerRequest) -> bytes:
        """Not part of this wire; the answer has the form of OpenAI's Responses endpoint."""
        return canonical_json({"object": "response.input_tokens", "input_tokens": tokens})

    def prepare_error(self, error: BackendError) -> tuple[int, dict[str, str], bytes]:
        body = canonical_json(self._error_body(error))
        return error_words(error)[0], error_headers(error), body

    def prepare_stream_error(self, error: BackendError) -> bytes:
        return frame(self._error_body(error))

    def _error_body(self, error: BackendError) -> dict[str, object]:
        return error_body(error)


if TYPE_CHECKING:
    _server: ServerHalf = OpenAIServer()
