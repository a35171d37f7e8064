"""From a request to who answers it: wire format, key, model lists. Pure."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from msgspec import Struct

from ..adapters.base import Headers, ServerHalf, ServerRequest
from ..errors import AuthenticationError, InvalidRequestError, NotFoundError
from ..request import LLMRequest
from ..types import JSON, load_json
from .answer import Answer, json_answer

_PREFIXES: dict[str, tuple[str, ...]] = {
    "openai": ("openai", "openai-responses"),
    "anthropic": ("anthropic",),
    "vertex": ("vertex-anthropic",),
    "reasoning": ("reasoning",),
    "gemini": ("gemini",),
    "vertex-gemini": ("vertex-gemini",),
    "ollama": ("ollama",),
    "bedrock": ("bedrock-converse",),
    "bedrock-anthropic": ("bedrock-anthropic",),
}
"""The wire formats under the first segment of a path; of several the one whose path it is."""


class Heard(Struct, frozen=True):
    """A request that the server heard."""

    method: str
    path: str
    """As it came, without the query."""
    query: str
    headers: Headers
    """By name, whatever its case; of several with one name the last."""
    raw_headers: tuple[tuple[str, str], ...]
    """All of them, in order."""
    body: bytes
    style: str | None = None
    """The wire format it was in; None: no wire's path."""
    request: ServerRequest | None = None
    """What the server half understood; None if it refused."""

    @property
    def asked(self) -> LLMRequest:
        """The request in our words. Raises `ValueError` if it was not understood."""
        if self.request is None:
            raise ValueError(f"{self.method} {self.path} was no request that a wire understands")
        return self.request.request

    @property
    def json(self) -> JSON:
        """The body as JSON. Raises `ValueError` if it is none."""
        return load_json(self.body)


def route(halves: Mapping[str, ServerHalf], path: str) -> tuple[str | None, ServerHalf | None, str]:
    """The wire format of a path, its server half, and the path inside it."""
    first, _, rest = path.lstrip("/").partition("/")
    styles = [style for style in _PREFIXES.get(first, ()) if style in halves]
    if styles:
        inner = unquote(f"/{rest}")
        style = next((s for s in styles if halves[s].matches("POST", inner)), styles[0])
        return style, halves[style], inner
    path = unquote(path)
    for style, half in halves.items():
        if half.matches("POST", path):
            return style, half, path
    return None, None, path


def understand(heard: Heard, half: ServerHalf | None, path: str) -> ServerRequest:
    """What is asked of the model. Raises what the half raises, and errors 404 and 405."""
    if half is not None and half.matches(heard.method, path):
        target = f"{path}?{heard.query}" if heard.query else path
        return half.parse_request(heard.method, target, heard.headers, heard.body)
    if half is not None and half.matches("POST", path):
        said = f"{heard.method} is not allowed here, only POST"
        raise InvalidRequestError(said, status=405, provider_message=said)
    said = f"there is nothing at {heard.path}"
    raise NotFoundError(said, status=404, provider_message=said)


def check_key(headers: Headers, key: str) -> None:
    """Raises `AuthenticationError` unless the headers carry the key."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else ""
    for name in ("x-goog-api-key", "x-api-key", "api-key"):  # the last is Azure's
        given = given or headers.get(name, "")
    if not hmac.compare_digest(given.encode(), key.encode()):
        said = "the API key is missing or wrong"
        raise AuthenticationError(
            said, status=401, type="authentication_error", provider_message=said
        )


def model_list(heard: Heard, path: str, models: Sequence[str]) -> Answer | None:
    """The list of models or one of them, in the form of the wire; None: not asked for."""
    if path == "/api/tags" and heard.method in ("GET", "HEAD"):
        when = "1970-01-01T00:00:00Z"
        tags = [{"name": n, "model": n, "modified_at": when, "size": 0} for n in models]
        return json_answer({"models": tags})
    if path == "/foundation-models" and heard.method == "GET":  # AWS's, and its own profiles
        arn = "arn:aws:bedrock:us-east-1::foundation-model/"
        found = [{"modelArn": arn + n, "modelId": n, "modelName": n} for n in models]
        return json_answer({"modelSummaries": found})
    if path == "/inference-profiles" and heard.method == "GET":
        return json_answer({"inferenceProfileSummaries": []})
    match = re.fullmatch(r"/(?:v1|v1beta1?)/(publishers/google/)?models(?:/(.*))?", path)
    google = "x-goog-api-key" in heard.headers or (heard.style or "").endswith("gemini")
    if match is None or not (google or path.startswith("/v1/models")):
        return None
    name = match[2] or ""
    if heard.method not in ("GET", "HEAD") or (name and name not in models):
        return None
    names = (name,) if name else tuple(models)
    data: list[dict[str, JSON]]
    if google:
        verbs: JSON = ["generateContent", "countTokens"]
        place = f"{match[1] or ''}models"
        data = [
            {"name": f"{place}/{n}", "displayName": n, "supportedGenerationMethods": verbs}
            for n in names
        ]
        listed = "publisherModels" if match[1] else "models"
        return json_answer(data[0] if name else {listed: data})
    if heard.style == "anthropic" or "anthropic-version" in heard.headers:
        when = "1970-01-01T00:00:00Z"
        data = [{"type": "model", "id": n, "display_name": n, "created_at": when} for n in names]
        ends = {"first_id": names[0], "last_id": names[-1]} if names else {}
        return json_answer(data[0] if name else {"data": data, "has_more": False, **ends})
    data = [{"id": n, "object": "model", "created": 0, "owned_by": "llmwire"} for n in names]
    return json_answer(data[0] if name else {"object": "list", "data": data})


def split_target(target: str) -> tuple[str, str]:
    """Path and query of a request's target; a proxy's absolute form has its path later."""
    scheme, mark, rest = target.partition("://")
    if mark and "/" not in scheme:
        target = "/" + rest.partition("/")[2]
    path, _, query = target.partition("?")
    return path, query
