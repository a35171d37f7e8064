"""The client's half of Ollama's chat. https://docs.ollama.com/api (read 2026-11-22, at commit
fb30760 of ollama/ollama), wire reference 7."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING

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
    canonical_json,
    endpoint_at,
    fixed_headers,
    scheme_at,
)
from ..listing import get, parse_models
from .decode import LineDecoder
from .encode import prepare_body
from .wire import API, CHAT, TAGS

if TYPE_CHECKING:
    from ..base import APIAdapter, OwnFraming


class OllamaAdapter:
    """Ollama's own chat, which can set the context's length (`extra_body={"options":
    {"num_ctx": 32768}}`); its compatible endpoint can't, and truncates what is longer."""

    api: str = API
    stream_type: str = "application/x-ndjson"

    def prepare_request(self, request: LLMRequest, provider: ProviderConfig) -> PreparedRequest:
        """Raises `UnsupportedError` with a path for what this wire can't say, and `ConfigError`
        for a provider without an address."""
        log = Log()
        body = canonical_json(prepare_body(request, provider, log))
        accept = self.stream_type if request.stream else "application/json"
        headers = fixed_headers(("content-type", "application/json"), ("accept", accept))
        dialect, base = dialect_of(provider), base_of(provider)
        path = endpoint_at(dialect, CHAT, request.model.name)
        auth = scheme_at(dialect, base, "bearer")
        return PreparedRequest("POST", path, headers, body, base, log.done(), auth)

    def parse_response(
        self, body: bytes, request: LLMRequest, provider: ProviderConfig | None = None
    ) -> LLMChunk:
        """A whole reply, or all lines of a streamed one.

        Raises a `StreamError` for an error that came with status 200 (what came with it is in
        `partial`), `DecodeError` for a body that is no reply.
        """
        builder = ChunkBuilder()
        decoder = LineDecoder(request, provider)
        try:
            for chunk in chain(decoder.feed(body), decoder.finish()):
                builder.add(chunk)
        except BackendError as e:
            e.partial = close_open_parts(builder.result(), "error")
            raise
        return builder.result()

    def prepare_models(self, provider: ProviderConfig, after: str = "") -> PreparedRequest | None:
        dialect, base = dialect_of(provider), base_of(provider)
        return get(TAGS, base, auth=scheme_at(dialect, base, "bearer"))

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
            endpoint=CHAT,
            model=request.model.name if request is not None else "",
        )

    def stream_decoder(
        self, request: LLMRequest, provider: ProviderConfig | None = None
    ) -> LineDecoder:
        return LineDecoder(request, provider)


def base_of(provider: ProviderConfig) -> str:
    """The address without the path that the endpoint brings along."""
    if not provider.api_base:
        raise ConfigError(
            f"provider {provider.name!r} has no api_base; for Ollama it is http://127.0.0.1:11434",
            provider=provider.name,
            phase="prepare",
        )
    base = provider.address.rstrip("/")
    return base.removesuffix("/v1").removesuffix("/api").rstrip("/")


if TYPE_CHECKING:
    _adapter: APIAdapter = OllamaAdapter()
    _framing: OwnFraming = OllamaAdapter()
