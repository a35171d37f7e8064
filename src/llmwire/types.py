"""The vocabulary: roles, messages, tools, chunks. `parts` has what messages are made of, `usage`
what is reported beside.

Read it top to bottom. Every value is immutable, equal to any other with the same content, and
free of identity, clock and randomness. Order is data: a message is one ordered tuple of parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from .parts import AudioPart as AudioPart
from .parts import BytesSource as BytesSource
from .parts import CacheLifetime as CacheLifetime
from .parts import CompactionPart as CompactionPart
from .parts import DeltaKind as DeltaKind
from .parts import FilePart as FilePart
from .parts import FileSource as FileSource
from .parts import FunctionCall as FunctionCall
from .parts import ImagePart as ImagePart
from .parts import IncompleteReason as IncompleteReason
from .parts import IncompleteToolCall as IncompleteToolCall
from .parts import Native as Native
from .parts import OpaquePart as OpaquePart
from .parts import Part as Part
from .parts import PartDelta as PartDelta
from .parts import ReasoningKind as ReasoningKind
from .parts import ReasoningPart as ReasoningPart
from .parts import RefusalPart as RefusalPart
from .parts import Source as Source
from .parts import TextPart as TextPart
from .parts import ToolCall as ToolCall
from .parts import ToolResultPart as ToolResultPart
from .parts import UrlSource as UrlSource
from .plain import JSON as JSON
from .plain import load_json as load_json
from .plain import to_builtins as to_builtins
from .plain import to_json as to_json
from .usage import Adaptation as Adaptation
from .usage import LLMUsage as LLMUsage
from .usage import Retry as Retry
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


# --- messages ---------------------------------------------------------------------------------


class _MessageMeta(msgspec.StructMeta):
    """Gives LLMMessage its flat constructor; msgspec allows no `__init__` on a Struct."""

    def __call__(
        cls,  # noqa: N805 - a metaclass
        role: Role | str,
        content: str | Sequence[Part | str] | None = None,
        *,
        parts: Iterable[Part] = (),
        name: str | None = None,
        reasoning_content: str | None = None,
        reasoning_signature: str | None = None,
        tool_calls: Iterable[ToolCall] | None = None,
        tool_call_id: str | None = None,
        cache: CacheLifetime | None = None,
    ) -> LLMMessage:
        if type(role) is not Role:
            role = Role(role)
        out = list(parts)
        if reasoning_content is not None or reasoning_signature is not None:
            out.append(ReasoningPart(reasoning_content or "", signature=reasoning_signature))
        said: list[Part] = []
        result: Any = content or ""
        if isinstance(content, str):
            said.append(TextPart(content))
        elif content is not None:
            said += (TextPart(p) if isinstance(p, str) else p for p in content)
            result = tuple(said)
        if tool_call_id is not None:
            out.append(ToolResultPart(tool_call_id, result, name=name or ""))
        else:
            out += said
        if tool_calls is not None:
            out.extend(tool_calls)
        message: LLMMessage = super().__call__(role, tuple(out), name, cache)
        return message


class LLMMessage(Struct, frozen=True, gc=False, omit_defaults=True, metaclass=_MessageMeta):
    """One turn: a role and its parts in order.

    `LLMMessage("user", "Hello")` is the simple case, a list of texts and parts the next.
    `content`, `reasoning_content`, `reasoning_signature`, `tool_calls` and `tool_call_id` build
    parts (reasoning, then content, then calls) and can be read back as views. With `tool_call_id`
    the content becomes a tool result. `name` names the speaker, or on a tool message the tool.

    Raises `ValueError` for a role that does not exist.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    name: str | None = None
    cache: CacheLifetime | None = None
    """Everything up to the end of this message is worth caching."""

    if TYPE_CHECKING:  # what the metaclass accepts

        def __init__(
            self,
            role: Role | str,
            content: str | Sequence[Part | str] | None = None,
            *,
            parts: Iterable[Part] = (),
            name: str | None = None,
            reasoning_content: str | None = None,
            reasoning_signature: str | None = None,
            tool_calls: Iterable[ToolCall] | None = None,
            tool_call_id: str | None = None,
            cache: CacheLifetime | None = None,
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
        return new_message, (self.role, self.parts, self.name, self.cache)

    def with_parts(self, parts: Iterable[Part]) -> LLMMessage:
        """The same turn with other parts."""
        return new_message(self.role, tuple(parts), self.name, self.cache)

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
            cache=flat.cache,
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
    cache: CacheLifetime | None = None


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


def new_message(
    role: Role,
    parts: tuple[Part, ...],
    name: str | None = None,
    cache: CacheLifetime | None = None,
) -> LLMMessage:
    """An LLMMessage from checked fields, without the flat constructor's work (hot path)."""
    return _struct_new(LLMMessage, role, parts, name, cache)  # type: ignore[no-any-return]


_struct_new: Any = msgspec.StructMeta.__call__


# --- tools ------------------------------------------------------------------------------------


class AvailableFunction(Struct, frozen=True, gc=False, omit_defaults=True):
    """A function the model may call. `parameters` is a JSON Schema whose root is an object.

    A custom tool has no parameters: it takes free text, held to `format` (a grammar, in the
    wire's own words) where one is given.
    """

    name: str
    description: str = ""
    parameters: dict[str, JSON] = {}
    strict: bool | None = None
    format: dict[str, JSON] | None = None


class AvailableTool(Struct, frozen=True, gc=False, omit_defaults=True):
    """A tool on offer. As `tool_choice` it means: call exactly this one."""

    function: AvailableFunction
    type: Literal["function", "custom"] = "function"
    cache: CacheLifetime | None = None
    """Everything up to the end of this tool is worth caching."""


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
    output: Any = None
    """The reply as a value of the type that `output=` asked for; only a whole reply has it."""
    retries: tuple[Retry, ...] = ()
    """The attempts before the one that this is of."""

    @property
    def text(self) -> str:
        parts = self.message.parts
        if len(parts) == 1 and type(part := parts[0]) is PartDelta:  # nearly every streamed chunk
            return str(part.body) if part.kind == "text" else ""
        return self.message.text

    @property
    def reasoning(self) -> str:
        parts = self.message.parts
        if len(parts) == 1 and type(part := parts[0]) is PartDelta:
            return str(part.body) if part.kind == "reasoning" else ""
        return self.message.reasoning_content or ""

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return self.message.tool_calls

    def __add__(self, other: LLMChunk) -> LLMChunk:
        """The two joined. Raises `ValueError` if both have content of different roles."""
        if not isinstance(other, LLMChunk):
            return NotImplemented
        return folding.joined(self, other)


def accumulate(chunks: Iterable[LLMChunk]) -> LLMChunk:
    """The sum of all chunks, in linear time. No chunks give `LLMChunk()`."""
    builder = folding.ChunkBuilder()
    for chunk in chunks:
        builder.add(chunk)
    return builder.result()


from . import folding  # noqa: E402 - it is made of what stands above
