"""What comes over the wire, typed, as far as it is read. Wire reference 2.3 (2026-11-22).

Everything may be null, absent or of another type; what is kept as it came is `Raw`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

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
    service_tier: JSON = None
    error: JSON = None
    incomplete_details: JSON = None
    input_transformations: JSON = None
    content_filters: JSON = None
    message: JSON = None
    code: JSON = None
    type: JSON = None


class _Output(Struct, gc=False):
    output: list[Raw] | None = None


def _piece_decoder(kind: str, place: str) -> Callable[[bytes], Any]:
    """Decodes events that continue a part; the field `place` is where inside its item, `at`."""
    fields: list[Any] = [
        ("type", Literal[kind]),  # no tag: msgspec lets a tag be absent
        ("delta", str),
        ("output_index", int),
        ("at", int, msgspec.field(default=0, name=place)),
    ]
    return msgspec.json.Decoder(msgspec.defstruct("Delta", fields, gc=False)).decode


PIECES = {
    f"response.{name}.delta": _piece_decoder(f"response.{name}.delta", place)
    for name, place in (
        ("output_text", "content_index"),
        ("refusal", "content_index"),
        ("reasoning_summary_text", "summary_index"),
        ("reasoning_text", "content_index"),
        ("function_call_arguments", "(none)"),
        ("custom_tool_call_input", "(none)"),
    )
}
EVENT = msgspec.json.Decoder(Event)
RESPONSE = msgspec.json.Decoder(Response)
OUTPUT = msgspec.json.Decoder(_Output)
