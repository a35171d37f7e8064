"""What comes over the wire, typed, as far as it is read; and its words.

A line of a stream and a whole answer are one type. Source: wire reference 7, 12.5 (2026-11-22).
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from ...config import ThinkingLevel
from ...types import LLMUsage, StopReason, load_json
from ..base import canonical_json

T = TypeVar("T")

API: Final = "ollama"
CHAT: Final = "/api/chat"
TAGS: Final = "/api/tags"
NOT_JSON = (msgspec.DecodeError, ValueError, RecursionError)

STOP_WORDS: dict[str, StopReason] = {"stop": "stop", "length": "length"}
"""By `done_reason`; `load` and `unload` say that nothing was asked."""

METRICS = (
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
)
"""What the last line reports: tokens, and times in nanoseconds."""


class Function(Struct, gc=False):
    name: str | None = None
    arguments: Raw = Raw(b"")
    """An object, as its text."""


class Call(Struct, gc=False):
    id: str | None = None
    function: Function | None = None


class Message(Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Call | None] | None = None


class Line(Struct, gc=False):
    model: str | None = None
    message: Message | None = None
    done: bool | None = None
    done_reason: str | None = None
    error: Any = None
    total_duration: Any = None
    load_duration: Any = None
    prompt_eval_count: Any = None
    prompt_eval_duration: Any = None
    eval_count: Any = None
    eval_duration: Any = None


class _TextMessage(Struct, gc=False, forbid_unknown_fields=True):
    content: str
    role: str | None = None
    thinking: None = None
    tool_calls: None = None


class TextLine(Struct, gc=False):
    """A line with a piece of text and nothing else in it that is read: nearly every one.

    What it decodes, `Line` decodes to the same; what is more than that, it refuses.
    """

    message: _TextMessage
    done: bool
    error: None = None


TEXT_LINE = msgspec.json.Decoder(TextLine)
_LINE = msgspec.json.Decoder(Line)


def decode(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """A typed value. Raises one of `NOT_JSON` for what is none.

    Escaped lone surrogates, which are legal JSON, become U+FFFD (wire reference 0).
    """
    try:
        return decoder.decode(data)
    except NOT_JSON as e:
        try:
            anew = canonical_json(load_json(data))
        except ValueError:
            raise e from None
        return decoder.decode(anew)


def read_line(data: bytes) -> Line:
    return decode(_LINE, data)


def arguments_of(raw: Raw) -> str:
    """The text of a call's arguments, byte for byte; "" where there are none.

    Servers that speak this wire in Ollama's place may put the text into a JSON string. Raises one
    of `NOT_JSON` for bytes that are no text.
    """
    text = bytes(raw).decode("utf-8")
    if text.startswith('"'):
        inner = load_json(text)
        return inner if isinstance(inner, str) else text
    return "" if text == "null" else text


def usage_of(line: Line) -> LLMUsage | None:
    """The tokens that a last line reports; None if it reports none.

    Nothing is said about caches and reasoning, so that stays unknown.
    """
    prompt, output = _count(line.prompt_eval_count), _count(line.eval_count)
    if prompt is None and output is None:
        return None
    told = {name: getattr(line, name) for name in METRICS}
    return LLMUsage(prompt, output, raw={k: v for k, v in told.items() if v is not None})


def _count(value: Any) -> int | None:
    return value if type(value) is int else None


def levels_of(model: str) -> tuple[ThinkingLevel, ...] | None:
    """The levels a model takes, by its name; None: only on and off, or unknown.

    Each model tells its own in /api/show; gpt-oss can't be told not to think.
    """
    name = model.rpartition("/")[2].lower()
    return ("low", "medium", "high") if name.startswith("gpt-oss") else None
