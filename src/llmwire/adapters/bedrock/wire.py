"""What comes over the wire, typed, as far as it is read. Wire reference 6.3.

Everything may be null or absent, and unknown fields (the padding `p`) are skipped.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from ...types import JSON


class ToolUse(Struct, rename="camel"):
    tool_use_id: str | None = None
    name: str | None = None
    input: Raw = Raw(b"")
    type: str | None = None


class ReasoningText(Struct):
    text: str | None = None
    signature: str | None = None


class Reasoning(Struct, rename="camel"):
    """Of a whole block `reasoningText` or `redactedContent`; of a delta one of the others too."""

    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None
    text: str | None = None
    signature: str | None = None


class GeneratedText(Struct):
    text: str | None = None


class CitationsContent(Struct):
    content: list[GeneratedText] | None = None
    citations: list[dict[str, JSON]] | None = None


class Media(Struct):
    format: str | None = None
    source: JSON = None


class Start(Struct, rename="camel"):
    tool_use: ToolUse | None = None
    tool_result: dict[str, JSON] | None = None
    image: Media | None = None


class ToolInput(Struct):
    input: str | None = None


class Delta(Struct, rename="camel"):
    """Every kind of delta in one: the key that is there is the kind."""

    text: str | None = None
    tool_use: ToolInput | None = None
    reasoning_content: Reasoning | None = None
    citation: dict[str, JSON] | None = None
    tool_result: list[JSON] | None = None
    image: Media | None = None


class Event(Struct, rename="camel"):
    """Every event in one; which it is stands in the frame's headers."""

    content_block_index: int | None = None
    start: Start | None = None
    delta: Delta | None = None
    stop_reason: str | None = None
    additional_model_response_fields: JSON = None
    usage: JSON = None
    service_tier: JSON = None
    trace: JSON = None


class Message(Struct):
    content: list[Raw] | None = None


class Output(Struct):
    message: Message | None = None


class Answer(Struct, rename="camel"):
    """A whole answer; or, with one of the last fields, what stands for one."""

    output: Output | None = None
    stop_reason: str | None = None
    additional_model_response_fields: JSON = None
    usage: JSON = None
    service_tier: JSON = None
    trace: JSON = None
    message: JSON = None
    error_type: JSON = msgspec.field(name="__type", default=None)
    wrapped: JSON = msgspec.field(name="Output", default=None)


EVENT = msgspec.json.Decoder(Event)
ANSWER = msgspec.json.Decoder(Answer)
CITATIONS = msgspec.json.Decoder(CitationsContent)
REASONING = msgspec.json.Decoder(Reasoning)
TOOL_USE = msgspec.json.Decoder(ToolUse)
FIELDS = msgspec.json.Decoder(dict[str, Raw])
TEXT = msgspec.json.Decoder(str)
