"""The server's half of the Responses API: pure, without memory, and as strict as the real one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ...errors import BackendError
from ...types import LLMChunk
from ..base import ServerRequest, canonical_json
from ..openai.say import error_body, error_headers, error_words
from . import hear, say
from .adapter import COUNT_ENDPOINT, ENDPOINT
from .items import API

if TYPE_CHECKING:
    from ..base import ServerHalf


class ResponsesServer:
    """Hears requests and says replies as OpenAI's service does.

    It stores nothing: a `previous_response_id` is heard, and what it names is not looked up.
    """

    api: str = API

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and path.partition("?")[0].endswith((ENDPOINT, COUNT_ENDPOINT))

    def parse_request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> ServerRequest:
        """Raises `InvalidRequestError` or `HistoryRejectedError` for what the service refuses."""
        return hear.read(body, count=path.partition("?")[0].endswith(COUNT_ENDPOINT))

    def prepare_response(self, reply: LLMChunk, heard: ServerRequest) -> bytes:
        """Raises `UnsupportedError` for parts that no reply of this API can hold."""
        return say.whole(reply, heard)

    def prepare_stream(self, chunks: Iterable[LLMChunk], heard: ServerRequest) -> Iterator[bytes]:
        return say.events(chunks, heard)

    def prepare_count(self, tokens: int, heard: ServerRequest) -> bytes:
        return canonical_json({"object": "response.input_tokens", "input_tokens": tokens})

    def prepare_error(self, error: BackendError) -> tuple[int, dict[str, str], bytes]:
        return error_words(error)[0], error_headers(error), canonical_json(error_body(error))

    def prepare_stream_error(self, error: BackendError) -> bytes:
        """As the service sends it: the documentation has the words beside the type instead."""
        return say.frame("error", {"type": "error", "sequence_number": 0, **error_body(error)})


if TYPE_CHECKING:
    _server: ServerHalf = ResponsesServer()
