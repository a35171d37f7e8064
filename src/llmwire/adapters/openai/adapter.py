"""The client's half of Chat Completions.

https://platform.openai.com/docs/api-reference/chat (openai 3.54.0, read 2026-11-22) and the
servers that speak it: wire reference 1, 4, 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, ClassVar

from ...config import ProviderConfig
from ...error_builder import BackendErrorBuilder
from ...errors import BackendError, ConfigError
from ...folding import ChunkBuilder, close_open_parts
from ...memory import Memory
from ...providers import dialect_of
from ...request import LLMRequest
from ...types import LLMChunk
from ..base import (
    Headers,
    ModelPage,
    PreparedRequest,
    endpoint_at,
    fixed_headers,
    scheme_at,
)
from ..listing import compatible_list, parse_models
from .encode import affinity, prepare_body
from .reply import ReplyReader
from .stream import ChatStreamDecoder, read_whole
from .whole import plain_answer

if TYPE_CHECKING:
    from ..base import APIAdapter, Remembering, StreamDecoder

ENDPOINT = "/chat/completions"
_EVENT_STREAM = (b"data:", b"event:", b":", b"id:", b"retry:")


class OpenAIAdapter:
    """Chat Completions, as OpenAI and the servers compatible with it speak it."""

    api: str = "openai"
    endpoint: ClassVar[str] = ENDPOINT

    def prepare_request(self, request: LLMRequest, provider: ProviderConfig) -> PreparedRequest:
        """Raises `UnsupportedError` with a path for content that this wire can't say, and
        `ConfigError` for a provider without an address."""
        return self.prepare_next(request, provider, None)

    def prepare_next(
        self, request: LLMRequest, provider: ProviderConfig, memory: Memory | None
    ) -> PreparedRequest:
        if not provider.api_base:
            raise ConfigError(f"provider {provider.name!r} has no api_base")
        dialect, address = dialect_of(provider), provider.address
        body, adaptations = prepare_body(request, provider, self.api, memory)
        accept = "text/event-stream" if request.stream else "application/json"
        headers = fixed_headers(("Content-Type", "application/json"), ("Accept", accept))
        if near := affinity(request, provider):
            headers = Headers(headers, near)
        return PreparedRequest(
            "POST",
            endpoint_at(dialect, self.endpoint, request.model.name),
            headers,
            body,
            address,
            adaptations,
            scheme_at(dialect, address, "bearer"),
        )

    def parse_response(
        self, body: bytes, request: LLMRequest, provider: ProviderConfig | None = None
    ) -> LLMChunk:
        """A whole reply.

        Raises a `StreamError` for an error that came with status 200 (what came with it is in
        `partial`), `DecodeError` for a body that is no reply. A server that streams unasked is
        understood.
        """
        plain = plain_answer(body, provider)
        if plain is not None:
            return plain
        builder = ChunkBuilder()
        try:
            if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_EVENT_STREAM):
                decoder = ChatStreamDecoder(self.api, request, provider)
                chunks = chain(decoder.feed(body), decoder.finish())
            else:
                chunks = chain(read_whole(ReplyReader(self.api, request, provider), body))
            for chunk in chunks:
                builder.add(chunk)
        except BackendError as e:
            e.partial = close_open_parts(builder.result(), "error")
            raise
        return builder.result()

    def prepare_models(self, provider: ProviderConfig, after: str = "") -> PreparedRequest | None:
        return compatible_list(provider)

    def parse_models(self, body: bytes) -> ModelPage:
        return parse_models(body)

    def parse_error(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        request: LLMRequest | None = None,
        provider: ProviderConfig | None = None,
    ) -> BackendError:
        return BackendErrorBuilder.build_http_error(
            status=status,
            headers=headers,
            body=body,
            provider=provider.name if provider is not None else "",
            api=self.api,
            endpoint=self.endpoint,
            model=request.model.name if request is not None else "",
        )

    def stream_decoder(
        self, request: LLMRequest, provider: ProviderConfig | None = None
    ) -> ChatStreamDecoder:
        return ChatStreamDecoder(self.api, request, provider)


if TYPE_CHECKING:
    _adapter: APIAdapter = OpenAIAdapter()
    _writer: Remembering = OpenAIAdapter()

    def _decoder(request: LLMRequest) -> StreamDecoder:
        return OpenAIAdapter().stream_decoder(request)
