"""The client's half of generateContent, at AI Studio and at Vertex AI.

https://ai.google.dev/api/generate-content (google-genai 3.4.0, read 2026-11-22): wire reference 5,
9, 10. The key travels in a header, never in an address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

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
    AuthScheme,
    ModelPage,
    PreparedRequest,
    canonical_json,
    decode_json,
    fixed_headers,
    scheme_at,
)
from ..google import HOSTS, project_place
from ..listing import get
from .encode import prepare_body
from .listing import parse_models
from .models import API
from .reply import ReplyReader
from .stream import GeminiStreamDecoder, is_reply

if TYPE_CHECKING:
    from ..base import APIAdapter, ModelLister, StreamDecoder, TokenCounter

_VERSION = re.compile(r"/v\d+(?:(?:alpha|beta)\d*)?$")
_COUNTED = ("systemInstruction", "tools", "toolConfig", "generationConfig", "cachedContent")


PAGE_SIZE = 1000
"""Models a page; the most that the API gives."""


class _Count(Struct, rename="camel"):
    total_tokens: int


_COUNT = msgspec.json.Decoder(_Count)


class GeminiAdapter:
    """Gemini at AI Studio, and at servers that speak its language.

    `api_base` may end with a version of the API (`/v1`, `/v1beta`); without one it is v1beta, which
    has what v1 has and the previews (wire reference 5.1).
    """

    api: str = API
    version: str = "/v1beta"
    vertex: bool = False
    model_list: str = "models"

    def prepare_request(self, request: LLMRequest, provider: ProviderConfig) -> PreparedRequest:
        """Raises `UnsupportedError` with a path for what this wire can't say, `ConfigError` for a
        provider without an address, project or region."""
        log = Log()
        body = prepare_body(request, provider, log, vertex=self.vertex)
        verb = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
        return self._addressed(verb, body, request, provider, log)

    def prepare_count(
        self, request: LLMRequest, provider: ProviderConfig
    ) -> PreparedRequest | None:
        """The counting request (wire reference 10), None where the server has no such endpoint."""
        if not dialect_of(provider).count_endpoint:
            return None
        log = Log()
        body = prepare_body(request, provider, log, vertex=self.vertex)
        counted = {k: v for k, v in body.items() if k in (*_COUNTED, "contents")}
        return self._addressed(
            "countTokens", self._count_body(counted, request), request, provider, log
        )

    def parse_count(self, body: bytes, request: LLMRequest) -> int:
        return decode_json(_COUNT, body, "the token count").total_tokens

    def parse_response(
        self, body: bytes, request: LLMRequest, provider: ProviderConfig | None = None
    ) -> LLMChunk:
        """A whole reply, or a stream of either form that came unasked.

        Raises a `StreamError` for an error that came with status 200 (what came with it is in
        `partial`), `DecodeError` for a body that is no reply.
        """
        if not is_reply(body):
            raise ReplyReader(request, provider).undecodable("it is neither JSON nor events", body)
        decoder = GeminiStreamDecoder(request, provider)
        builder = ChunkBuilder()
        try:
            for chunk in chain(decoder.feed(body), decoder.finish()):
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
            endpoint="generateContent",
            model=request.model.name if request is not None else "",
        )

    def stream_decoder(
        self, request: LLMRequest, provider: ProviderConfig | None = None
    ) -> GeminiStreamDecoder:
        return GeminiStreamDecoder(request, provider)

    # --- models ---

    def prepare_models(self, provider: ProviderConfig, after: str = "") -> PreparedRequest | None:
        if not dialect_of(provider).model_list:
            return None
        base, _, auth = self._root(provider)
        query = f"?pageSize={PAGE_SIZE}" + (f"&pageToken={quote(after, safe='')}" if after else "")
        base, endpoint = self._split(base, f"/{self.model_list}{query}")
        return get(endpoint, base, auth=auth)

    def parse_models(self, body: bytes) -> ModelPage:
        return parse_models(body)

    # --- addresses ---

    def _addressed(
        self,
        verb: str,
        body: dict[str, Any],
        request: LLMRequest,
        provider: ProviderConfig,
        log: Log,
    ) -> PreparedRequest:
        base, project, auth = self._root(provider)
        name = self._resource(request.model.name)
        place = f"/{name}" if name.startswith("projects/") else f"{project}/{name}"
        base, endpoint = self._split(base, f"{place}:{verb}")
        accept = "text/event-stream" if verb.endswith("sse") else "application/json"
        headers = fixed_headers(("Content-Type", "application/json"), ("Accept", accept))
        return PreparedRequest(
            "POST", endpoint, headers, canonical_json(body), base, log.done(), auth
        )

    def _split(self, base: str, place: str) -> tuple[str, str]:
        """The address without a version, and the place under the version: the address's or ours."""
        base = base.rstrip("/")
        version = _VERSION.search(base)
        if version is None:
            return base, self.version + place
        return base[: version.start()], version.group() + place

    # --- what Vertex AI says differently ---

    def _root(self, provider: ProviderConfig) -> tuple[str, str, AuthScheme]:
        """Base address, path of the project, and how the credential travels."""
        if not provider.api_base:
            raise ConfigError(f"provider {provider.name!r} has no api_base")
        address = provider.address
        return address, "", scheme_at(dialect_of(provider), address, "x-goog-api-key")

    def _resource(self, model: str) -> str:
        """A model's name as a path; one that says what it is stays as it is."""
        named = model.startswith(("models/", "tunedModels/"))
        return _quoted(model if named else f"models/{model}")

    def _count_body(self, body: dict[str, Any], request: LLMRequest) -> dict[str, Any]:
        model = self._resource(request.model.name)
        return {"generateContentRequest": {"model": model, **body}}


class VertexGeminiAdapter(GeminiAdapter):
    """Gemini on Vertex AI: Google's credentials, project and region in the path.

    With a key variable and without a project it is Vertex AI's express mode. `api_base` replaces
    Google's address (a gateway); then no Google credential is sent, only the key of
    `api_key_env_var` if one is named.
    """

    version: str = "/v1beta1"
    vertex: bool = True
    model_list: str = "publishers/google/models"

    def _root(self, provider: ProviderConfig) -> tuple[str, str, AuthScheme]:
        own, keyed = provider.address, bool(provider.api_key_env_var)
        base, project = HOSTS["global"], ""
        if provider.project_id or not (own or keyed):
            base, project = project_place(provider)
        if own:
            scheme = scheme_at(dialect_of(provider), own, "x-goog-api-key" if keyed else "none")
            return own, project, scheme
        return base, project, "google" if project else "x-goog-api-key"

    def _resource(self, model: str) -> str:
        name = model.removeprefix("models/")
        if not name.startswith(("publishers/", "projects/")):
            publisher, slash, rest = name.partition("/")
            name = f"publishers/{publisher if slash else 'google'}/models/{rest or name}"
        return _quoted(name)

    def _count_body(self, body: dict[str, Any], request: LLMRequest) -> dict[str, Any]:
        return {k: v for k, v in body.items() if k not in ("toolConfig", "cachedContent")}


def _quoted(name: str) -> str:
    """A resource's name in a path: its slashes are its own, and nothing leads out of it."""
    return "/".join(quote(s, safe="@") if s.strip(".") else "_" for s in name.split("/"))


if TYPE_CHECKING:
    _adapter: APIAdapter = GeminiAdapter()
    _lister: ModelLister = GeminiAdapter()
    _counter: TokenCounter = VertexGeminiAdapter()

    def _decoder(request: LLMRequest) -> StreamDecoder:
        return GeminiAdapter().stream_decoder(request)
