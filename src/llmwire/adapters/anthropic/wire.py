"""What comes over the wire, typed, as far as it is read. Wire reference 3.6.

Everything may be null or absent, and unknown fields are skipped.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from ...types import JSON


class Delta(Struct):
    """Every kind of delta in one: of each only its own fields are there."""

    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: dict[str, JSON] | None = None
    content: JSON = None
    encrypted_content: JSON = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: JSON = None
    container: JSON = None


class Event(Struct):
    type: str | None = None
    index: int | None = None
    delta: Delta | None = None
    content_block: Raw = Raw(b"")
    message: Raw = Raw(b"")
    usage: JSON = None
    error: JSON = None
    context_management: JSON = None
    input_transformations: JSON = None


class Head(Struct):
    """The part of a stray or odd event that says whether it concerns us."""

    type: JSON = None
    error: JSON = None


class Message(Struct):
    type: str | None = None
    id: str | None = None
    model: str | None = None
    content: list[Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: JSON = None
    usage: JSON = None
    container: JSON = None
    error: JSON = None
    context_management: JSON = None
    input_transformations: JSON = None


EVENT = msgspec.json.Decoder(Event)
ODD_EVENT = msgspec.json.Decoder(Head)
MESSAGE = msgspec.json.Decoder(Message)
