"""Claude on Vertex AI: the Messages API at Google's addresses. Wire reference 3.1, 10."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from ..config import ProviderConfig
from ..errors import NotFoundError
from ..request import LLMRequest
from .anthropic import AnthropicAdapter, AnthropicServer, hear
from .anthropic.adapter import Call, base_of
from .anthropic.models import ModelTraits
from .base import AuthScheme, Headers, PreparedRequest, ServerRequest, canonical_body
from .google import project_place

OLD_VERSION = "vertex-2023-10-16"
"""What Vertex calls 2023-06-01."""


class VertexAnthropicAdapter(AnthropicAdapter):
    """The same language; model and verb in the path, the version in the body.

    `api_base` replaces Google's address (a gateway); then no Google credential is sent, only the
    key of `api_key_env_var` if one is named.
    """

    def prepare_models(self, provider: ProviderConfig, after: str = "") -> PreparedRequest | None:
        """Vertex AI lists no models of Anthropic's by this API."""
        return None

    def _version(self, traits: ModelTraits) -> str:
        return OLD_VERSION if traits.version == "2023-06-01" else traits.version

    def _headers(self, version: str) -> dict[str, str]:
        return {}  # the body has it

    def _addressed(
        self, call: Call, request: LLMRequest, provider: ProviderConfig, count: bool = False
    ) -> PreparedRequest:
        base, place_of_project = project_place(provider)
        model = request.model.name
        body: dict[str, Any] = {"anthropic_version": call.plan.version, **call.body}
        if count:
            place = "count-tokens:rawPredict"
        else:
            del body["model"]
            verb = "streamRawPredict" if request.stream else "rawPredict"
            place = f"{quote(model, safe='@')}:{verb}"
        auth: AuthScheme = "google"
        if provider.api_base:
            base = base_of(provider.api_base)
            auth = "bearer" if provider.api_key_env_var else "none"
        return PreparedRequest(
            method="POST",
            endpoint=f"/v1{place_of_project}/publishers/anthropic/models/{place}",
            headers=call.plan.headers,
            body=canonical_body(body),
            base_url=base,
            adaptations=call.adaptations,
            auth=auth,
        )


_PATH = re.compile(
    r"/projects/([^/]+)/locations/([^/]+)/publishers/anthropic/models/([^/:]+):"
    r"(rawPredict|streamRawPredict)/?"
)
_COUNT_MODEL = "count-tokens"


class VertexAnthropicServer(AnthropicServer):
    """Hears and answers as Vertex AI does."""

    def matches(self, method: str, path: str) -> bool:
        match = _PATH.search(path.split("?")[0])
        return method == "POST" and match is not None and match.end() == len(path.split("?")[0])

    def parse_request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> ServerRequest:
        match = _PATH.search(path.split("?")[0])
        if match is None:
            raise NotFoundError(f"{path} is no address of Vertex AI", status=404, api=self.api)
        heard = hear.read_body(body)
        if not heard.anthropic_version:
            raise hear.refusal("anthropic_version: Field required")
        count = match[3] == _COUNT_MODEL
        if not count:
            if heard.model:
                raise hear.refusal("model: Extra inputs are not permitted")
            heard.model = unquote(match[3])
        return self._parsed(body, heard, heard.anthropic_version, Headers(headers), count)
