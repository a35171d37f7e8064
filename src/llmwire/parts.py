"""Parts: what a message is made of.

A *part* is whole and closed. A *delta* (`PartDelta`) is a piece of a part that is still being
streamed; deltas of one part carry the same `index`, the first says `start`, the last says `end`,
and `+` turns a delta that has both into the part it was (see `folding`).
"""

from __future__ import annotations

from typing import Literal, TypeAlias, Union

from msgspec import Struct

from .plain import JSON, load_json

CacheLifetime = Literal["default", "5m", "30m", "1h", "12h", "24h"]
"""Everything up to here is worth caching, for so long; `default` leaves the time to the wire.
A wire takes the nearest lifetime it has, with a record; one that caches by itself needs none."""


class Native(Struct, frozen=True, gc=False):
    """Who issued opaque state, and the part of it that no portable field holds.

    State (a signature, encrypted reasoning, a server tool's block) is replayed only to the
    issuer: same wire format, same provider name, same model name. `payload` is what the wire's
    own adapter put there and reads back; a `str` payload is JSON text kept byte for byte.
    """

    api: str
    provider: str = ""
    model: str = ""
    payload: JSON = None


class TextPart(Struct, frozen=True, gc=False, tag="text", tag_field="type", omit_defaults=True):
    """Text. `citations` are the provider's own objects, in order."""

    text: str
    citations: tuple[dict[str, JSON], ...] = ()
    native: Native | None = None
    cache: CacheLifetime | None = None


ReasoningKind = Literal["full", "summary", "redacted", "encrypted"]


class ReasoningPart(
    Struct, frozen=True, gc=False, tag="reasoning", tag_field="type", omit_defaults=True
):
    """What the model thought: text, and the state that proves or hides it.

    `signature` signs the text (it may sign an empty one); `data` is the whole content where the
    text is hidden (`kind` redacted or encrypted).
    """

    text: str = ""
    kind: ReasoningKind = "full"
    signature: str | None = None
    data: str | None = None
    native: Native | None = None


class RefusalPart(
    Struct, frozen=True, gc=False, tag="refusal", tag_field="type", omit_defaults=True
):
    """A refusal that the wire keeps apart from the text."""

    text: str
    native: Native | None = None


class FunctionCall(Struct, frozen=True, gc=False, omit_defaults=True):
    """A function's name and its arguments as the raw JSON text that came."""

    name: str = ""
    arguments: str = ""


class ToolCall(
    Struct, frozen=True, gc=False, tag="tool_call", tag_field="type", omit_defaults=True
):
    """A whole call: known to have ended, its arguments a JSON object (or free text if custom).

    What was cut off or is no object is an `IncompleteToolCall` instead. `id` is None where the
    provider gave none; `history` invents one when the call is sent back.
    """

    id: str | None = None
    function: FunctionCall = FunctionCall()
    kind: Literal["function", "custom"] = "function"
    native: Native | None = None

    @property
    def name(self) -> str:
        return self.function.name

    @property
    def arguments(self) -> str:
        """The raw text, byte for byte; "" means an empty object."""
        return self.function.arguments

    @property
    def parsed(self) -> JSON:
        """The arguments as a value: a dict, or the text itself for a custom tool.

        Raises `ValueError` if the call was built by hand around text that is no JSON.
        """
        if self.kind == "custom":
            return self.function.arguments
        if not self.function.arguments.strip():
            return {}
        try:
            return load_json(self.function.arguments)
        except ValueError as e:
            raise ValueError(f"arguments of {self.function.name!r} are not JSON: {e}") from None


IncompleteReason = Literal["length", "cut", "content_filter", "invalid_json", "error"]


class IncompleteToolCall(
    Struct, frozen=True, gc=False, tag="incomplete_tool_call", tag_field="type", omit_defaults=True
):
    """A call that must not be run: its text is not a whole JSON object, or its end never came.

    `reason`: the output limit (`length`), the end of the bytes (`cut`), a filter, text that
    ended but is no JSON object (`invalid_json`), or an error that stopped the reply.
    """

    id: str | None = None
    name: str = ""
    arguments: str = ""
    reason: IncompleteReason = "cut"
    native: Native | None = None


class BytesSource(Struct, frozen=True, gc=False, tag="bytes", tag_field="type"):
    """Content held here. In JSON, `data` is base64."""

    data: bytes
    media_type: str


class UrlSource(Struct, frozen=True, gc=False, tag="url", tag_field="type"):
    """Content the provider fetches itself."""

    url: str


class FileSource(Struct, frozen=True, gc=False, tag="provider_file", tag_field="type"):
    """Content uploaded to one provider before."""

    id: str
    provider: str = ""


Source: TypeAlias = Union[BytesSource, UrlSource, FileSource]


class ImagePart(Struct, frozen=True, gc=False, tag="image", tag_field="type", omit_defaults=True):
    """A picture. `detail` says how closely to look, where the wire has a word for it."""

    source: Source
    detail: Literal["auto", "low", "high", "original"] | None = None
    native: Native | None = None
    cache: CacheLifetime | None = None


class AudioPart(Struct, frozen=True, gc=False, tag="audio", tag_field="type", omit_defaults=True):
    """Sound: `format` as the wire names it (wav, mp3). `transcript` where the model spoke."""

    source: Source
    format: str = "wav"
    transcript: str = ""
    native: Native | None = None


class FilePart(Struct, frozen=True, gc=False, tag="file", tag_field="type", omit_defaults=True):
    """A document (PDF or other)."""

    source: Source
    filename: str = ""
    native: Native | None = None
    cache: CacheLifetime | None = None


class CompactionPart(
    Struct, frozen=True, gc=False, tag="compaction", tag_field="type", omit_defaults=True
):
    """A provider's summary of older turns, to be sent back in their place."""

    summary: str | None = None
    native: Native | None = None


class OpaquePart(Struct, frozen=True, gc=False, tag="opaque", tag_field="type", omit_defaults=True):
    """Content we do not interpret, kept for its issuer.

    `kind` is the wire's own type word; `data` is the block's JSON text.
    """

    kind: str
    data: str = "{}"
    native: Native | None = None


class ToolResultPart(
    Struct, frozen=True, gc=False, tag="tool_result", tag_field="type", omit_defaults=True
):
    """What a tool returned, for the call with `call_id`."""

    call_id: str
    content: str | tuple[TextPart | ImagePart | FilePart | OpaquePart, ...] = ""
    name: str = ""
    is_error: bool = False
    native: Native | None = None
    cache: CacheLifetime | None = None

    @property
    def text(self) -> str:
        """The text of the result; other content is left out."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(p.text for p in self.content if isinstance(p, TextPart))


DeltaKind = Literal["text", "reasoning", "refusal", "tool_call"]


class PartDelta(Struct, frozen=True, gc=False, tag="delta", tag_field="type", omit_defaults=True):
    """A piece of the part at `index` of a streamed reply.

    `body` is the piece of text (for a tool call: of its arguments); read it as `text`. `id` and
    `name` belong to a tool call, `signature`, `data` and `reasoning_kind` to reasoning.
    `incomplete` on the last piece of a tool call says that it must not be run, and why.
    """

    index: int
    kind: DeltaKind = "text"
    body: str = ""
    start: bool = False
    end: bool = False
    id: str | None = None
    name: str = ""
    signature: str | None = None
    data: str | None = None
    reasoning_kind: ReasoningKind = "full"
    tool_kind: Literal["function", "custom"] = "function"
    incomplete: IncompleteReason | None = None
    citations: tuple[dict[str, JSON], ...] = ()
    native: Native | None = None

    @property
    def text(self) -> str:
        return str(self.body)


Part: TypeAlias = Union[
    TextPart,
    ReasoningPart,
    RefusalPart,
    ToolCall,
    IncompleteToolCall,
    ToolResultPart,
    ImagePart,
    AudioPart,
    FilePart,
    CompactionPart,
    OpaquePart,
    PartDelta,
]
"""Anything that can stand in a message."""
