"""The client's half of OpenAI's Responses API.

https://platform.openai.com/docs/api-reference/responses (openai 3.54.0, read 2026-11-22) and the
servers that speak it: wire reference 2, 8, 9, 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, ClassVar

import msgspec
from msgspec import Struct

from ...config import ProviderConfig
from ...error_builder import BackendErrorBuilder
from ...errors import BackendError, ConfigError
from ...folding import ChunkBuilder, close_open_parts
from ...history import Log
from ...providers import dialect_of
from ...request import LLMRequest
from ...types import LLMChunk
from ..base import (
    ModelPage,
    PreparedRequest,
    at_version,
    canonical_json,
    decode_json,
    endpoint_at,
    fixed_headers,
    scheme_at,
)
from ..listing import compatible_list, parse_models
from .encode import prepare_body
from .items import API
from .reply import ReplyReader
from .stream import ResponsesDecoder, read_whole

if TYPE_CHECKING:
    from ..base import APIAdapter, TokenCounter

ENDPOINT = "/responses"
COUNT_ENDPOINT = "/responses/input_tokens"
_COUNTED = frozenset((
    "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning",
    "text", "truncation", "previous_response_id", "conversation",
))  # fmt: skip
_EVENT_STREAM = (b"data:", b"event:", b":", b"id:", b"retry:")


class _Count(Struct):
    input_tokens: int


_COUNT = msgspec.json.Decoder(_Count)


class ResponsesAdapter:
    """Speaks to OpenAI's Responses API and to servers with such an endpoint.

    Stateless by default: what came is kept in the messages, encrypted reasoning included, and
    goes back to the server that issued it.
    """

    api: str = API
    endpoint: ClassVar[str] = ENDPOINT

    def prepare_request(self, request: LLMRequest, provider: ProviderConfig) -> PreparedRequest:
        """Raises `UnsupportedError` with a path for content that this wire can't say, and
        `ConfigError` for a provider without an address."""
        return self._prepared(request, provider)

    def prepare_count(
        self, request: LLMRequest, provider: ProviderConfig
    ) -> PreparedRequest | None:
        """The counting request (wire reference 10); None where the server is known to have no
        such endpoint."""
        if not dialect_of(provider).count_endpoint:
            return None
        return self._prepared(request, provider, count=True)

    def parse_count(self, body: bytes, request: LLMRequest) -> int:
        return decode_json(_COUNT, body, "the token count").input_tokens

    def _prepared(
        self, request: LLMRequest, provider: ProviderConfig, count: bool = False
    ) -> PreparedRequest:
        if not provider.api_base:
            raise ConfigError(f"provider {provider.name!r} has no api_base")
        log, dialect, address = Log(), dialect_of(provider), provider.address
        body = prepare_body(request, provider, log)
        if count:
            body = {k: v for k, v in body.items() if k in _COUNTED}
        accept = "text/event-stream" if body.get("stream") else "application/json"
        return PreparedRequest(
            "POST",
            at_version(dialect, COUNT_ENDPOINT)
            if count
            else endpoint_at(dialect, self.endpoint, request.model.name),
            fixed_headers(("Content-Type", "application/json"), ("Accept", accept)),
            canonical_json(body),
            address,
            log.done(),
            scheme_at(dialect, address, "bearer"),
        )

    def prepare_models(self, provider: ProviderConfig, after: str = "") -> PreparedRequest | None:
        return compatible_list(provider)

    def parse_models(self, body: bytes) -> ModelPage:
        return parse_models(body)

    def parse_response(
        self, body: bytes, request: LLMRequest, provider: ProviderConfig | None = None
    ) -> LLMChunk:
        """A whole reply.

        Raises a `StreamError` for an error that came with status 200 (what came with it is in
        `partial`), `DecodeError` for a body that is no reply. A server that streams unasked is
        understood.
        """
        builder = ChunkBuilder()
        try:
            if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_EVENT_STREAM):
                decoder = ResponsesDecoder(request, provider)
                chunks = chain(decoder.feed(body), decoder.finish())
            else:
                chunks = chain(read_whole(ReplyReader(request, provider), body))
            for chunk in chunks:
                builder.add(chunk)
        except BackendError as e:
            e.partial = close_open_parts(builder.result(), "error")
            raise
        return builder.result()

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
    ) -> ResponsesDecoder:
        return ResponsesDecoder(request, provider)


if TYPE_CHECKING:
    _adapter: APIAdapter = ResponsesAdapter()
    _counter: TokenCounter = ResponsesAdapter()
