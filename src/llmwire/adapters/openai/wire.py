"""What comes over the wire, typed, as far as it is read. Source: wire reference 1.3, 4, 8.2.

A stream's event and a whole answer are one type: a `message` is read like one `delta`. Everything
may be null or absent, unknown fields are skipped, and a field that servers fill with anything at
all is `Any` and checked where it is used.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct


class FunctionDelta(Struct, gc=False):
    name: str | None = None
    arguments: Any = None
    """Text; an object from some servers."""


class CustomDelta(Struct, gc=False):
    name: str | None = None
    input: str | None = None


class ToolCallDelta(Struct, gc=False):
    index: int | None = None
    id: str | int | None = None
    type: str | None = None
    function: FunctionDelta | None = None
    custom: CustomDelta | None = None
    extra_content: Any = None
    """Google's: holds the thought signature, which has to come back."""


class AudioDelta(Struct, gc=False):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None


class Delta(Struct, gc=False):
    """A piece of the assistant's message, or all of it."""

    content: str | list[Any] | None = None
    tool_calls: list[ToolCallDelta | None] | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_text: Any = None
    custom_reasoning: Any = msgspec.field(default=None, name="(the provider's own name)")
    reasoning_details: list[Any] | None = None
    reasoning_opaque: str | None = None
    refusal: str | None = None
    function_call: FunctionDelta | None = None
    annotations: list[Any] | None = None
    audio: AudioDelta | None = None
    images: list[Any] | None = None
    extra_content: Any = None
    """Google's: says that the content is a thought."""


class Choice(Struct, gc=False):
    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    """Moonshot's place for it."""
    error: Any = None
    """OpenRouter's."""


class Event(Struct, gc=False):
    id: str | int | None = None
    model: str | None = None
    object: str | None = None
    choices: list[Choice | None] | None = None
    usage: dict[str, Any] | None = None
    service_tier: Any = None
    error: Any = None
    x_groq: dict[str, Any] | None = None
    base_resp: dict[str, Any] | None = None
    """MiniMax: an error has a status code other than 0 here."""
    citations: Any = None
    """Perplexity's: addresses of what the answer rests on."""
    search_results: Any = None
    """The same with titles and dates."""
    message: Any = None
    """A bare message without choices, or the text of a bare error."""
    delta: Any = None
    type: Any = None
    code: Any = None


KNOWN_REASONING = ("reasoning_content", "reasoning", "reasoning_text")


@lru_cache(maxsize=64)
def event_decoder(reasoning_field: str = "") -> msgspec.json.Decoder[Event]:
    """A decoder for events; `reasoning_field` is one more name that holds reasoning."""
    if not reasoning_field or reasoning_field in KNOWN_REASONING:
        return msgspec.json.Decoder(Event)
    name = msgspec.field(default=None, name=reasoning_field)
    delta = msgspec.defstruct("Delta", [("custom_reasoning", Any, name)], bases=(Delta,))
    nested = [(f, delta | None, None) for f in ("delta", "message")]
    choice = msgspec.defstruct("Choice", nested, bases=(Choice,))
    choices: Any = [("choices", list[choice | None] | None, None)]  # type: ignore[valid-type]
    event = msgspec.defstruct("Event", choices, bases=(Event,))
    return msgspec.json.Decoder(event)
