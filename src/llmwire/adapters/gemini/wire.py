"""What comes over the wire, typed, as far as it is read. Wire reference 5.3 (2026-11-22).

A stream's event and a whole answer are one type. Everything may be null or absent, unknown fields
are skipped, and a part keeps its bytes until its kind is known.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from ...types import JSON


class Content(Struct, gc=False):
    parts: list[Raw] | None = None


class Candidate(Struct, gc=False, rename="camel"):
    content: Content | None = None
    index: int | None = None
    finish_reason: str | int | None = None
    """A number where enums were asked for as numbers (`$alt=json;enum-encoding=int`)."""
    finish_message: JSON = None
    citation_metadata: JSON = None
    grounding_metadata: JSON = None
    url_context_metadata: JSON = None
    safety_ratings: JSON = None
    continuation_token: JSON = None


class Event(Struct, gc=False, rename="camel"):
    candidates: list[Candidate | None] | None = None
    prompt_feedback: JSON = None
    usage_metadata: Raw = Raw(b"")
    model_version: str | None = None
    response_id: str | None = None
    error: JSON = None


class PartialArg(Struct, gc=False, rename="camel"):
    """A piece of a call's arguments (Vertex AI): a value, or a piece of a text, at a JSON path."""

    json_path: str = "$"
    string_value: str | None = None
    number_value: JSON = None
    bool_value: bool | None = None
    null_value: JSON = None
    will_continue: bool | None = None


class Call(Struct, gc=False, rename="camel"):
    id: str | None = None
    name: str | None = None
    args: Raw = Raw(b"")
    partial_args: list[PartialArg] | None = None
    will_continue: bool | None = None


class Blob(Struct, gc=False, rename="camel"):
    mime_type: str = ""
    data: str = ""


class _PlainPart(Struct, gc=False, forbid_unknown_fields=True):
    text: str
    thought: bool = False


class _PlainContent(Struct, gc=False, forbid_unknown_fields=True):
    parts: tuple[_PlainPart]
    role: str | None = None


class _PlainCandidate(Struct, gc=False, forbid_unknown_fields=True, rename="camel"):
    content: _PlainContent
    index: Literal[0] = 0
    safety_ratings: Any = None


class TextEvent(Struct, gc=False, rename="camel"):
    """An event with a piece of text or of a thought and nothing else in it that is read: nearly
    every one. What is more than that, it refuses."""

    candidates: tuple[_PlainCandidate]
    usage_metadata: Raw = Raw(b"")
    prompt_feedback: None = None
    error: None = None


class _NamelessTextEvent(TextEvent, gc=False, rename="camel"):
    """The same without the fields that are told once."""

    response_id: None = None
    model_version: None = None


TEXT_EVENT = msgspec.json.Decoder(TextEvent)
NAMELESS_TEXT_EVENT = msgspec.json.Decoder(_NamelessTextEvent)
EVENT = msgspec.json.Decoder(Event)
PLAIN_PART = msgspec.json.Decoder(_PlainPart)
CALL = msgspec.json.Decoder(Call)
BLOB = msgspec.json.Decoder(Blob)
TEXT = msgspec.json.Decoder(str)
FIELDS = msgspec.json.Decoder(dict[str, Raw])
ANY = msgspec.json.Decoder()
NOT_AS_EXPECTED = (msgspec.DecodeError, UnicodeError, RecursionError)
