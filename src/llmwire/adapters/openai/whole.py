"""Whole answers with a text and nothing else that is read: nearly every one without tools.

What is decoded here, `ReplyReader` would decode to the same; whatever is more, it gets.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from ...config import ProviderConfig
from ...providers import dialect_of
from ...types import LLMChunk, Role, StopInfo, TextPart, new_message
from .usage import STOP_WORDS, usage_of


class _Message(Struct, gc=False, forbid_unknown_fields=True):
    content: str
    role: str | None = None
    refusal: None = None
    annotations: tuple[()] | None = None
    tool_calls: None = None
    function_call: None = None
    audio: None = None
    reasoning_content: None = None
    reasoning: None = None


class _Choice(Struct, gc=False):
    message: _Message
    finish_reason: str
    index: Literal[0] = 0
    delta: None = None
    usage: None = None
    error: None = None


class _Answer(Struct, gc=False):
    choices: tuple[_Choice]
    id: str | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    service_tier: Any = None
    error: None = None
    x_groq: None = None
    base_resp: None = None
    citations: None = None
    search_results: None = None


_decode = msgspec.json.Decoder(_Answer).decode


def plain_answer(body: bytes, provider: ProviderConfig | None) -> LLMChunk | None:
    """The reply that a plain answer is; None for any other body."""
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    choice = answer.choices[0]
    text, word = choice.message.content, choice.finish_reason
    reason = STOP_WORDS.get(word.lower(), "other")
    if not text or not word or reason == "error":
        return None
    usage = None
    if answer.usage:
        outside = dialect_of(provider).reasoning_outside_output
        usage = usage_of(
            answer.usage, reasoning_outside_output=outside, service_tier=answer.service_tier
        )
    return LLMChunk(
        new_message(Role.assistant, (TextPart(text),)),
        usage,
        StopInfo(reason, word),
        answer.id or None,
        answer.model or None,
    )
