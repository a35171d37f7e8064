"""Lists of models, as all wires tell them. Source: wire reference 11 (2026-11-22).

The forms differ in names only, and compatible servers mix them, so that one reader knows all.
"""

from __future__ import annotations

from typing import Any

from ..config import ModelInfo, ProviderConfig
from ..errors import DecodeError
from ..providers import dialect_of
from ..types import JSON, load_json
from .base import ModelPage, PreparedRequest, at_version, fixed_headers, scheme_at

_LISTS = ("data", "models")
_NAMES = ("id", "model", "name")
_CONTEXT = (
    "context_length",  # OpenRouter, Together, Moonshot
    "context_window",  # Groq
    "max_context_length",  # Mistral, LM Studio
    "max_model_len",  # vLLM
    "max_input_tokens",  # Anthropic
    "inputTokenLimit",  # Gemini
)
_OUTPUT = ("max_completion_tokens", "max_output_tokens", "max_tokens", "outputTokenLimit")
_NESTED = ("top_provider", "meta", "limits")
"""Objects in which OpenRouter, llama.cpp and others put some of it."""


def get(endpoint: str, base_url: str, **more: Any) -> PreparedRequest:
    """A request without a body."""
    headers = fixed_headers(("accept", "application/json"))
    return PreparedRequest("GET", endpoint, headers, b"", base_url, **more)


def compatible_list(provider: ProviderConfig) -> PreparedRequest | None:
    """The list of servers that are compatible with OpenAI's; None where they are known to have
    none."""
    dialect, address = dialect_of(provider), provider.address
    if not dialect.model_list:
        return None
    auth = scheme_at(dialect, address, "bearer")
    return get(at_version(dialect, "/models"), address, auth=auth)


def parse_models(body: bytes) -> ModelPage:
    """The models of a list: `{data: [...]}`, `{models: [...]}` or a bare array.

    Raises `DecodeError` for anything else. Entries without a name are skipped.
    """
    try:
        value = load_json(body)
    except ValueError as e:
        raise _undecodable(str(e), body) from None
    entries = value
    if isinstance(value, dict):
        entries = next((value[k] for k in _LISTS if isinstance(value.get(k), list)), None)
    if not isinstance(entries, list):
        raise _undecodable("there is no list in it", body)
    models = tuple(m for e in entries if isinstance(e, dict) and (m := _model(e)) is not None)
    return ModelPage(models, _after(value))


def _model(entry: dict[str, JSON]) -> ModelInfo | None:
    name = next((v for k in _NAMES if isinstance(v := entry.get(k), str) and v), None)
    if name is None:
        return None
    nested = [inner for k in _NESTED if isinstance(inner := entry.get(k), dict)]
    return ModelInfo(name, _number([entry, *nested], _CONTEXT), _number([entry, *nested], _OUTPUT))


def _number(places: list[dict[str, JSON]], names: tuple[str, ...]) -> int | None:
    return next(
        (n for p in places for k in names if type(n := p.get(k)) is int and n > 0),
        None,
    )


def _after(value: JSON) -> str:
    if not isinstance(value, dict):
        return ""
    more = value.get("last_id") if value.get("has_more") is True else value.get("nextPageToken")
    return more if isinstance(more, str) else ""


def _undecodable(why: str, body: bytes) -> DecodeError:
    excerpt = body[:200].decode("utf-8", "replace")
    return DecodeError(f"that is no list of models: {why}", body_excerpt=excerpt, phase="response")
