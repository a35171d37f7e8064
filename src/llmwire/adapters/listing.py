"""The models endpoint of each wire: which models a provider has, and what it says of them.

Wire reference 11 (2026-11-22), and the vendors' Python SDKs (anthropic 2.13.0, mistralai 3.7.0).
Everything but the id may be missing; what is not said is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from ..catalogue import ModelFacts
from ..config import ProviderConfig, ThinkingLevel
from ..errors import ConfigError, DecodeError
from ..pricing import Prices
from ..providers import dialect_of
from . import ADAPTERS
from .base import AuthScheme, Headers, PreparedRequest, decode_json

SOURCE = "models endpoint"
_JSON: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_PAGE = 1000  # the most that Anthropic gives at once


class Listing(Protocol):
    """How a wire lists its models, a page at a time."""

    def prepare_models(self, provider: ProviderConfig, after: str | None) -> PreparedRequest:
        """The request for the page that follows `after` (None: the first)."""
        ...

    def parse_models(
        self, body: bytes, provider: ProviderConfig
    ) -> tuple[tuple[ModelFacts, ...], str | None]:
        """The models of a page, and after what the next one begins; None: there is none.

        Raises `DecodeError` for a body that is no list.
        """
        ...


class OpenAIListing:
    """`GET /models`, as OpenAI and compatible servers answer it, each with fields of its own."""

    def prepare_models(self, provider: ProviderConfig, after: str | None) -> PreparedRequest:
        return _get(provider, _base(provider), "/models", "bearer")

    def parse_models(
        self, body: bytes, provider: ProviderConfig
    ) -> tuple[tuple[ModelFacts, ...], str | None]:
        data = decode_json(_JSON, body, "the list of models")
        entries = data.get("data") if isinstance(data, dict) else data  # Together: a bare array
        return tuple(_openai(e, provider.name) for e in _entries(entries)), None


def _openai(entry: dict[str, Any], provider: str) -> ModelFacts:
    abilities = _object(entry, "capabilities")
    parameters = entry.get("supported_parameters")
    words = set(parameters) if isinstance(parameters, list) else None
    modalities = _object(entry, "architecture").get("input_modalities")
    return _facts(
        entry["id"],
        provider,
        display_name=_text(entry, "display_name") or _text(entry, "name"),
        created=_positive(entry.get("created")),
        context_window=_first(
            entry, "context_length", "context_window", "max_model_len", "max_context_length"
        )
        or _positive(_object(entry, "meta").get("n_ctx_train")),
        max_output_tokens=_positive(_object(entry, "top_provider").get("max_completion_tokens"))
        or _first(entry, "max_completion_tokens", "max_output_tokens"),
        vision=_flag(abilities.get("vision"), entry.get("supports_image_in"))
        if not isinstance(modalities, list)
        else "image" in modalities,
        tools=_flag(abilities.get("function_calling"), entry.get("supports_tools"))
        if words is None
        else "tools" in words,
        thinks=_flag(abilities.get("reasoning"), entry.get("supports_reasoning"))
        if words is None
        else "reasoning" in words,
        sampling=None if words is None else "temperature" in words,
        prices=_openrouter_prices(_object(entry, "pricing")),
    )


def _openrouter_prices(pricing: dict[str, Any]) -> Prices | None:
    """OpenRouter's are texts, in dollars per token; -1 means that it depends."""
    fresh, output, read, write = (
        _per_million(pricing.get(name))
        for name in ("prompt", "completion", "input_cache_read", "input_cache_write")
    )
    found = Prices(fresh, output, read, write, source=SOURCE)
    return found if found != Prices(source=SOURCE) else None


def _per_million(value: Any) -> float | None:
    try:
        price = float(value) if isinstance(value, str) else -1.0
    except ValueError:
        return None
    return round(price * 1e6, 6) if 0 <= price < 1 else None


class AnthropicListing:
    """`GET /v1/models`, with each model's abilities."""

    def prepare_models(self, provider: ProviderConfig, after: str | None) -> PreparedRequest:
        dialect = dialect_of(provider)
        page = f"&after_id={quote(after, safe='')}" if after else ""
        version = dialect.anthropic_version or "2023-06-01"
        return _get(
            provider,
            _base(provider).removesuffix("/v1"),
            f"/v1/models?limit={_PAGE}{page}",
            "bearer" if dialect.bearer else "x-api-key",
            {"anthropic-version": version},
        )

    def parse_models(
        self, body: bytes, provider: ProviderConfig
    ) -> tuple[tuple[ModelFacts, ...], str | None]:
        data = decode_json(_JSON, body, "the list of models")
        if not isinstance(data, dict):
            raise DecodeError("the list of models is no object", phase="response")
        models = tuple(_anthropic(e, provider.name) for e in _entries(data.get("data")))
        last = data.get("last_id") if data.get("has_more") is True else None
        return models, last if isinstance(last, str) and models else None


def _anthropic(entry: dict[str, Any], provider: str) -> ModelFacts:
    abilities = _object(entry, "capabilities")
    thinking, effort = _object(abilities, "thinking"), _object(abilities, "effort")
    types = _object(thinking, "types")
    order: tuple[ThinkingLevel, ...] = ("low", "medium", "high", "xhigh", "max")
    levels = [level for level in order if _supported(effort, level)]
    if levels and _supported(types, "disabled"):
        levels.insert(0, "off")
    form = None
    if _supported(types, "adaptive"):
        form = "adaptive"
    elif _supported(types, "enabled"):
        form = "budget"
    return _facts(
        entry["id"],
        provider,
        display_name=_text(entry, "display_name"),
        created=_moment(entry.get("created_at")),
        context_window=_positive(entry.get("max_input_tokens")),
        max_output_tokens=_positive(entry.get("max_tokens")),
        vision=_supported(abilities, "image_input"),
        thinks=_flag(thinking.get("supported")),
        thinking=tuple(levels) or None,
        thinking_form=form,
    )


def _supported(holder: dict[str, Any], name: str) -> bool | None:
    return _flag(_object(holder, name).get("supported"))


class GeminiListing:
    """The list at AI Studio and at Vertex AI, where the adapter says it is."""

    def __init__(self, style: str) -> None:
        self._style = style

    def prepare_models(self, provider: ProviderConfig, after: str | None) -> PreparedRequest:
        adapter: Any = ADAPTERS[self._style]
        prepared: PreparedRequest = adapter.prepare_model_list(provider, after or "")
        return prepared

    def parse_models(
        self, body: bytes, provider: ProviderConfig
    ) -> tuple[tuple[ModelFacts, ...], str | None]:
        """Those that can be talked to; others embed or draw."""
        data = decode_json(_JSON, body, "the list of models")
        if not isinstance(data, dict):
            raise DecodeError("the list of models is no object", phase="response")
        entries = _entries(data.get("models", data.get("publisherModels", [])), "name")
        models = tuple(_gemini(e, provider.name) for e in entries if _talks(e))
        token = data.get("nextPageToken")
        return models, token if isinstance(token, str) and token else None


def _talks(entry: dict[str, Any]) -> bool:
    methods = entry.get("supportedGenerationMethods")
    return not isinstance(methods, list) or "generateContent" in methods


def _gemini(entry: dict[str, Any], provider: str) -> ModelFacts:
    return _facts(
        entry["name"].removeprefix("publishers/google/").removeprefix("models/"),
        provider,
        display_name=_text(entry, "displayName"),
        context_window=_positive(entry.get("inputTokenLimit")),
        max_output_tokens=_positive(entry.get("outputTokenLimit")),
        thinks=_flag(entry.get("thinking")),
    )


LISTINGS: Mapping[str, Listing] = {
    "openai": OpenAIListing(),
    "reasoning": OpenAIListing(),
    "openai-responses": OpenAIListing(),
    "anthropic": AnthropicListing(),
    "gemini": GeminiListing("gemini"),
    "vertex-gemini": GeminiListing("vertex-gemini"),
}
"""By wire format. What else is on Vertex AI and Bedrock is listed elsewhere, with other rights."""


# --- reading what may be anything ---------------------------------------------------------------


def _base(provider: ProviderConfig) -> str:
    if not provider.api_base:
        raise ConfigError(f"provider {provider.name!r} has no api_base")
    return provider.api_base.rstrip("/")


def _get(
    provider: ProviderConfig,
    base: str,
    endpoint: str,
    auth: AuthScheme,
    headers: Mapping[str, str] = {},
) -> PreparedRequest:
    accept = Headers({"accept": "application/json"}, headers)
    return PreparedRequest("GET", endpoint, accept, b"", base, auth=auth)


def _entries(value: Any, name: str = "id") -> Iterable[dict[str, Any]]:
    if not isinstance(value, list):
        raise DecodeError("the list of models has no list in it", phase="response")
    return [e for e in value if isinstance(e, dict) and isinstance(e.get(name), str) and e[name]]


def _facts(name: str, provider: str, **fields: Any) -> ModelFacts:
    known = {field: value for field, value in fields.items() if value is not None}
    return ModelFacts(name, provider, sources=dict.fromkeys(known, SOURCE), **known)


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _text(holder: dict[str, Any], name: str) -> str | None:
    value = holder.get(name)
    return value if isinstance(value, str) and value else None


def _positive(value: Any) -> int | None:
    whole = type(value) is int or (type(value) is float and value.is_integer())
    return int(value) if whole and value >= 1 else None


def _first(holder: dict[str, Any], *names: str) -> int | None:
    return next((n for name in names if (n := _positive(holder.get(name))) is not None), None)


def _flag(*values: Any) -> bool | None:
    return next((v for v in values if isinstance(v, bool)), None)


def _moment(value: Any) -> int | None:
    """Seconds since 1970 of an RFC 3339 text; None for 1970 itself, which means unknown."""
    try:
        moment = datetime.fromisoformat(value)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) or None
    except (TypeError, ValueError, OverflowError):
        return None
