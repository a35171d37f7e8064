"""What comes over the wire, typed, as far as it is read. Wire reference 2.3 (2026-11-22).

Everything may be null, absent or of another type; what is kept as it came is `Raw`.
"""

from __future__ import annotations

from typing import ClassVar, Union

import msgspec
from msgspec import Raw, Struct

from ...types import JSON


class Event(Struct, gc=False):
    """Every kind of event in one: of each only its own fields are there."""

    type: JSON = None
    output_index: JSON = None
    content_index: JSON = None
    summary_index: JSON = None
    item_id: JSON = None
    item: Raw = Raw(b"")
    delta: JSON = None
    annotation: JSON = None
    response: Raw = Raw(b"")
    error: JSON = None
    code: JSON = None
    message: JSON = None
    param: JSON = None


class Response(Struct, gc=False):
    """A reply, whole or as the terminal event brings it; an error in its place."""

    id: JSON = None
    model: JSON = None
    status: JSON = None
    usage: JSON = None
    error: JSON = None
    incomplete_details: JSON = None
    input_transformations: JSON = None
    content_filters: JSON = None
    message: JSON = None
    code: JSON = None
    type: JSON = None


class _Output(Struct, gc=False):
    output: list[Raw] | None = None


class _Delta(Struct, gc=False, tag_field="type"):
    """A piece of text: nearly every event. `at` is its place inside the item."""

    kind: ClassVar[str]
    delta: str
    output_index: int


class TextDelta(_Delta, tag="response.output_text.delta"):
    kind = "text"
    at: int = msgspec.field(default=0, name="content_index")


class RefusalDelta(_Delta, tag="response.refusal.delta"):
    kind = "refusal"
    at: int = msgspec.field(default=0, name="content_index")


class SummaryDelta(_Delta, tag="response.reasoning_summary_text.delta"):
    kind = "summary"
    at: int = msgspec.field(default=0, name="summary_index")


class ReasoningDelta(_Delta, tag="response.reasoning_text.delta"):
    kind = "content"
    at: int = msgspec.field(default=0, name="content_index")


class ArgumentsDelta(_Delta, tag="response.function_call_arguments.delta"):
    kind = "call"
    at: int = msgspec.field(default=0, name="(none)")


class InputDelta(_Delta, tag="response.custom_tool_call_input.delta"):
    kind = "call"
    at: int = msgspec.field(default=0, name="(none)")


AnyDelta = Union[TextDelta, RefusalDelta, SummaryDelta, ReasoningDelta, ArgumentsDelta, InputDelta]

DELTA = msgspec.json.Decoder(AnyDelta)
EVENT = msgspec.json.Decoder(Event)
RESPONSE = msgspec.json.Decoder(Response)
OUTPUT = msgspec.json.Decoder(_Output)
