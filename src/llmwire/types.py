"""The vocabulary: roles, parts, messages, tools, chunks; `usage` has what is reported beside.

Read it top to bottom. Every value is immutable, equal to any other with the same content, and
free of identity, clock and randomness. Order is data: a message is one ordered tuple of parts.

A *part* is whole and closed. A *delta* (`PartDelta`) is a piece of a part that is still being
streamed; deltas of one part carry the same `index`, the first says `start`, the last says `end`,
and `+` turns a delta that has both into the part it was (see `folding`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, Union

import msgspec
from msgspec import Struct

from .plain import JSON as JSON
from .plain import load_json as load_json
from .plain import to_builtins as to_builtins
from .plain import to_json as to_json
from .usage import Adaptation as Adaptation
from .usage import LLMUsage as LLMUsage
from .usage import StopInfo as StopInfo
from .usage import StopReason as StopReason

T = TypeVar("T")


class Role(StrEnum):
    """Who speaks. `developer` degrades to `system` where a wire has no such role."""

    system = "system"
    developer = "developer"
    user = "user"
    assistant = "assistant"
    tool = "tool"


# --- parts ------------------------------------------------------------------------------------


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


# --- messages ---------------------------------------------------------------------------------


class _MessageMeta(msgspec.StructMeta):
    """Gives LLMMessage its flat constructor; msgspec allows no `__init__` on a Struct."""

    def __call__(
        cls,  # noqa: N805 - a metaclass
        role: Role | str,
        content: str | Sequence[Part] | None = None,
        *,
        parts: Iterable[Part] = (),
        name: str | None = None,
        reasoning_content: str | None = None,
        reasoning_signature: str | None = None,
        tool_calls: Iterable[ToolCall] | None = None,
        tool_call_id: str | None = None,
    ) -> LLMMessage:
        if type(role) is not Role:
            role = Role(role)
        out = list(parts)
        if reasoning_content is not None or reasoning_signature is not None:
            out.append(ReasoningPart(reasoning_content or "", signature=reasoning_signature))
        if tool_call_id is not None:
            if isinstance(content, str) or content is None:
                result = content or ""
            else:
                result = tuple(content)  # type: ignore[assignment]
            out.append(ToolResultPart(tool_call_id, result, name=name or ""))
        elif isinstance(content, str):
            out.append(TextPart(content))
        elif content is not None:
            out.extend(content)
        if tool_calls is not None:
            out.extend(tool_calls)
        message: LLMMessage = super().__call__(role, tuple(out), name)
        return message


class LLMMessage(Struct, frozen=True, gc=False, omit_defaults=True, metaclass=_MessageMeta):
    """One turn: a role and its parts in order.

    `LLMMessage("user", "Hello")` is the simple case; `content`, `reasoning_content`,
    `reasoning_signature`, `tool_calls` and `tool_call_id` build parts (reasoning, then content,
    then calls) and can be read back as views. With `tool_call_id` the content becomes a tool
    result. `name` names the speaker, or on a tool message the tool.

    Raises `ValueError` for a role that does not exist.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    name: str | None = None

    if TYPE_CHECKING:  # what the metaclass accepts

        def __init__(
            self,
            role: Role | str,
            content: str | Sequence[Part] | None = None,
            *,
            parts: Iterable[Part] = (),
            name: str | None = None,
            reasoning_content: str | None = None,
            reasoning_signature: str | None = None,
            tool_calls: Iterable[ToolCall] | None = None,
            tool_call_id: str | None = None,
        ) -> None: ...

    @property
    def content(self) -> str | None:
        """All text in order, without separators; for a tool message its result. None: no text."""
        texts = [
            p.text
            for p in self.parts
            if type(p) is TextPart or (type(p) is PartDelta and p.kind == "text")
        ]
        if not texts:
            texts = [p.text for p in self.parts if type(p) is ToolResultPart]
        return "".join(texts) if texts else None

    @property
    def text(self) -> str:
        return self.content or ""

    @property
    def reasoning_content(self) -> str | None:
        """The visible reasoning in order, without separators. None: there is none."""
        texts = [
            p.text
            for p in self.parts
            if type(p) is ReasoningPart or (type(p) is PartDelta and p.kind == "reasoning")
        ]
        return "".join(texts) if texts else None

    @property
    def reasoning_signature(self) -> str | None:
        """The last signature. Each reasoning part keeps its own; replay uses the parts."""
        for p in reversed(self.parts):
            if isinstance(p, ReasoningPart | PartDelta) and p.signature is not None:
                return p.signature
        return None

    @property
    def refusal(self) -> str | None:
        texts = [
            p.text
            for p in self.parts
            if type(p) is RefusalPart or (type(p) is PartDelta and p.kind == "refusal")
        ]
        return "".join(texts) if texts else None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The whole calls, in order. Incomplete ones are never among them."""
        return tuple(p for p in self.parts if type(p) is ToolCall)

    @property
    def incomplete_tool_calls(self) -> tuple[IncompleteToolCall, ...]:
        return tuple(p for p in self.parts if type(p) is IncompleteToolCall)

    @property
    def tool_call_id(self) -> str | None:
        """The call that the first tool result answers."""
        for p in self.parts:
            if type(p) is ToolResultPart:
                return p.call_id
        return None

    def __reduce__(self) -> tuple[Any, ...]:
        return new_message, (self.role, self.parts, self.name)

    def with_parts(self, parts: Iterable[Part]) -> LLMMessage:
        """The same turn with other parts."""
        return new_message(self.role, tuple(parts), self.name)

    def to_dict(self) -> dict[str, JSON]:
        """A plain dict; `from_dict` gives an equal message back."""
        return to_builtins(self)

    def to_json(self) -> bytes:
        return to_json(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, JSON]) -> LLMMessage:
        """A message from `to_dict`'s form or from the flat one.

        The flat form has the keys of the constructor and `refusal`; `tool_calls` are the dicts of
        Chat Completions. Raises `ValueError` with the path of what does not fit.
        """
        if not isinstance(data, Mapping):
            raise ValueError(f"not a message: expected an object, got {type(data).__name__}")
        if "parts" in data or not (_FLAT_KEYS & data.keys()):
            return _convert(data, cls, "")
        role = _convert(data.get("role"), Role, "role")
        flat = _convert(data, _FlatMessage, "")
        content: Any = flat.content
        if content is not None and not isinstance(content, str):
            content = _convert(content, list[Part], "content")
        calls = [_flat_call(c, f"tool_calls[{i}]") for i, c in enumerate(flat.tool_calls or ())]
        message = cls(
            role,
            content,
            name=flat.name,
            reasoning_content=flat.reasoning_content,
            reasoning_signature=flat.reasoning_signature,
            tool_calls=calls,
            tool_call_id=flat.tool_call_id,
        )
        if flat.refusal:
            message = message.with_parts((*message.parts, RefusalPart(flat.refusal)))
        return message

    @classmethod
    def from_json(cls, data: bytes | str) -> LLMMessage:
        """The message that `to_json` wrote. Raises `ValueError` for anything else."""
        return cls.from_dict(load_json(data))


class _FlatMessage(Struct):
    content: str | list[JSON] | None = None
    reasoning_content: str | None = None
    reasoning_signature: str | None = None
    tool_calls: list[dict[str, JSON]] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    refusal: str | None = None


def _flat_call(call: dict[str, JSON], where: str) -> ToolCall:
    if call.get("type") == "custom":
        box = _convert(call.get("custom"), dict[str, str], f"{where}.custom")
        function = FunctionCall(box.get("name", ""), box.get("input", ""))
        return _convert(
            {"id": call.get("id"), "function": function, "kind": "custom"}, ToolCall, where
        )
    return _convert({**call, "type": "tool_call"}, ToolCall, where)


def _convert(value: Any, kind: type[T], where: str) -> T:
    """msgspec's conversion; its error becomes a `ValueError` with a path from `where` on."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as e:
        what, _, at = str(e).partition(" - at `$")
        place = (where + at.rstrip("`")).lstrip(".")
        raise ValueError(f"not a message: {what}" + (f" (at {place})" if place else "")) from None


_FLAT_KEYS = frozenset(
    (
        "content",
        "reasoning_content",
        "reasoning_signature",
        "tool_calls",
        "tool_call_id",
        "refusal",
    )
)


def new_message(role: Role, parts: tuple[Part, ...], name: str | None = None) -> LLMMessage:
    """An LLMMessage from checked fields, without the flat constructor's work (hot path)."""
    return _struct_new(LLMMessage, role, parts, name)  # type: ignore[no-any-return]


_struct_new: Any = msgspec.StructMeta.__call__


# --- tools ------------------------------------------------------------------------------------


class AvailableFunction(Struct, frozen=True, gc=False, omit_defaults=True):
    """A function the model may call. `parameters` is a JSON Schema whose root is an object."""

    name: str
    description: str = ""
    parameters: dict[str, JSON] = {}
    strict: bool | None = None


class AvailableTool(Struct, frozen=True, gc=False, omit_defaults=True):
    """A tool on offer. As `tool_choice` it means: call exactly this one."""

    function: AvailableFunction
    type: Literal["function"] = "function"


StrToolChoice = Literal["auto", "none", "any", "required"]
"""`any` and `required` mean the same: call some tool."""


# --- chunks -----------------------------------------------------------------------------------

NOTHING = new_message(Role.assistant, ())


class LLMChunk(Struct, frozen=True, gc=False, omit_defaults=True):
    """A reply or a piece of one.

    `a + b` joins neighbours; it is associative, `LLMChunk()` is its identity, and the sum of a
    stream equals the whole reply. Sums are cheap to extend; `accumulate` takes them all at once.
    """

    message: LLMMessage = NOTHING
    usage: LLMUsage | None = None
    """None: the provider reported none (yet)."""
    stop: StopInfo | None = None
    response_id: str | None = None
    model: str | None = None
    """The model that answered, in the provider's words."""
    correlation_id: str | None = None
    """The provider's id of the request, for its support."""
    adaptations: tuple[Adaptation, ...] = ()

    @property
    def text(self) -> str:
        parts = self.message.parts
        if len(parts) == 1 and type(parts[0]) is PartDelta:  # nearly every chunk of a stream
            return str(parts[0].body) if parts[0].kind == "text" else ""
        return self.message.text

    @property
    def reasoning(self) -> str:
        return self.message.reasoning_content or ""

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return self.message.tool_calls

    def __add__(self, other: LLMChunk) -> LLMChunk:
        """The two joined. Raises `ValueError` if both have content of different roles."""
        if not isinstance(other, LLMChunk):
            return NotImplemented
        return accumulate((self, other))


def accumulate(chunks: Iterable[LLMChunk]) -> LLMChunk:
    """The sum of all chunks, in linear time. No chunks give `LLMChunk()`."""
    from .folding import ChunkBuilder

    builder = ChunkBuilder()
    for chunk in chunks:
        builder.add(chunk)
    return builder.result()
