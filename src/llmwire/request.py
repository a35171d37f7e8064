"""One call as one frozen value: what the adapters read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from .config import ModelConfig, ThinkingLevel
from .types import JSON, AvailableTool, LLMMessage, StrToolChoice


class OutputFormat(Struct, frozen=True, omit_defaults=True):
    """The form a reply's text is to have: JSON that fits `schema`, or any JSON object (None)."""

    schema: dict[str, JSON] | None = None
    name: str = "output"
    strict: bool = True
    """Whether the provider is to hold the model to the schema, where it can."""
    type: Any = None
    """The Python type that the text becomes (see `output`). None: plain JSON values."""
    wrapped: bool = False
    """Whether the value is no object, so that it stands under the one key of one."""


class LLMRequest(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Everything a call asks for. `stream` says in which form the reply is to come."""

    model: ModelConfig
    messages: tuple[LLMMessage, ...]
    temperature: float | None = None
    """None: not sent. The backend fills in the model's own."""
    tools: tuple[AvailableTool, ...] = ()
    max_tokens: int | None = None
    """The most tokens to write, reasoning included."""
    tool_choice: StrToolChoice | AvailableTool | None = None
    stream: bool = False
    thinking: ThinkingLevel = "off"
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    parallel_tool_calls: bool | None = None
    metadata: dict[str, str] = {}
    output: OutputFormat | None = None
    cache_key: str | None = None
    """Calls with the same key share a cached prefix, where the wire has such a key."""
    previous_response_id: str | None = None
    """Go on from a reply that the provider stored (Responses); `messages` are then only new ones."""
    store: bool | None = None
    """Whether the provider may store the reply. None: no, where the wire can say so."""
    extra_body: dict[str, JSON] = {}
    """Merged over the body's top level, last: for what we do not know yet."""


def approx_chars(messages: Iterable[LLMMessage]) -> int:
    """How much text a history holds, in characters; for error summaries and estimates."""
    return sum(len(m.text) + len(m.reasoning_content or "") for m in messages)
