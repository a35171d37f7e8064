"""What a request says: the server's ear. The inverse of `encode`, as far as the wire carries it."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from ...config import ModelConfig, ThinkingLevel
from ...errors import InvalidRequestError
from ...request import LLMRequest, OutputFormat
from ...types import (
    JSON,
    AvailableFunction,
    AvailableTool,
    BytesSource,
    CacheLifetime,
    FilePart,
    FileSource,
    ImagePart,
    LLMMessage,
    Native,
    OpaquePart,
    Part,
    Role,
    Source,
    StrToolChoice,
    TextPart,
    ToolResultPart,
    UrlSource,
    load_json,
    new_message,
)
from . import blocks
from .blocks import API
from .models import ModelTraits, level_of_budget

ISSUER = Native(API)
"""State in a request was issued on this wire; by whom, nobody says."""


class WireMessage(Struct):
    role: str
    content: Raw


class CacheControl(Struct):
    type: str = "ephemeral"
    ttl: CacheLifetime | None = None


class _Marked(Struct):
    cache_control: CacheControl | None = None


class WireTool(Struct):
    name: str
    description: str = ""
    input_schema: dict[str, JSON] | None = None
    strict: bool | None = None
    type: str | None = None
    cache_control: CacheControl | None = None


class Thinking(Struct):
    type: str
    budget_tokens: int | None = None


class ToolChoice(Struct):
    type: str
    name: str = ""
    disable_parallel_tool_use: bool | None = None


class Form(Struct):
    type: str
    schema: dict[str, JSON] | None = None


class OutputConfig(Struct):
    effort: str | None = None
    format: Form | None = None


class Metadata(Struct):
    user_id: str | None = None


class Body(Struct):
    """The fields of a request that we read."""

    messages: list[WireMessage]
    model: str = ""
    max_tokens: int | None = None
    system: Raw = Raw(b"")
    tools: list[WireTool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: Form | None = None
    """Where the form stood in the beta of 2025-11-13; LiteLLM 1.108 says it so."""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    metadata: Metadata | None = None
    anthropic_version: str | None = None

    @property
    def form(self) -> Form | None:
        """What the text is to be."""
        return (self.output_config and self.output_config.format) or self.output_format


class _ResultBlock(Struct):
    tool_use_id: str
    content: Raw = Raw(b"")
    is_error: bool | None = None


class _Source(Struct):
    type: str
    media_type: str = ""
    data: str = ""
    url: str = ""
    file_id: str = ""


class _Media(Struct):
    source: Raw
    title: str | None = None


_BODY = msgspec.json.Decoder(Body)
_BLOCKS = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)
_RESULT = msgspec.json.Decoder(_ResultBlock)
_MEDIA = msgspec.json.Decoder(_Media)
_SOURCE = msgspec.json.Decoder(_Source)
_MARKED = msgspec.json.Decoder(_Marked)


def refusal(message: str, kind: type[InvalidRequestError] = InvalidRequestError) -> Exception:
    """A 400 in the API's own words."""
    return kind(
        message,
        status=400,
        type="invalid_request_error",
        provider_message=message,
        api=API,
        phase="response",
        retryable=False,
    )


def read_body(data: bytes) -> Body:
    """Raises `InvalidRequestError` for what is no request at all."""
    try:
        load_json(data)  # blocks are looked into later: here it is settled that all of it is JSON
    except ValueError as e:
        raise refusal(f"The request body is not valid JSON: {e}") from None
    try:
        return _BODY.decode(data)
    except msgspec.ValidationError as e:
        text, _, path = str(e).partition(" - at `$")
        field = path.rstrip("`").lstrip(".")
        if text.startswith("Object missing required field"):
            name = text.split("`")[1]
            raise refusal(f"{field + '.' if field else ''}{name}: Field required") from None
        raise refusal(f"{field or 'body'}: {text}") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        raise refusal(f"The request body is not valid JSON: {e}") from None


def content_of(raw: Raw, path: str) -> list[tuple[str, Raw, Part | None]]:
    """The blocks of a message: type, JSON text, and the part each amounts to."""
    text = bytes(raw)
    if text[:1] == b'"':
        try:
            words = _TEXT.decode(raw)
        except (msgspec.DecodeError, UnicodeError) as e:
            raise refusal(f"{path}.content: {e}") from None
        block = Raw(msgspec.json.encode({"type": "text", "text": words}))
        return [("text", block, TextPart(words))]
    try:
        found = _BLOCKS.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise refusal(f"{path}.content: Input should be a valid list") from None
    return [_entry(block, f"{path}.content.{i}") for i, block in enumerate(found)]


def _entry(raw: Raw, path: str) -> tuple[str, Raw, Part | None]:
    try:
        kind = blocks.read_block(raw).type
        if not kind:
            raise refusal(f"{path}.type: Field required")
        if kind == "tool_result":
            return kind, raw, _with_mark(_result(raw, path), raw)
        if kind in ("image", "document"):
            return kind, raw, _with_mark(_media(kind, raw, path), raw)
        return kind, raw, _with_mark(blocks.part_of(raw, ISSUER), raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        raise refusal(f"{path}: {e}") from None


def cache_of(control: CacheControl | None) -> CacheLifetime | None:
    return None if control is None else control.ttl or "default"


def _mark_of(raw: Raw) -> CacheLifetime | None:
    if b"cache_control" not in bytes(raw):
        return None
    return cache_of(_MARKED.decode(blocks.readable(raw)).cache_control)


def _with_mark(part: Part | None, raw: Raw) -> Part | None:
    """The part with the block's mark, if parts of its kind can have one."""
    if isinstance(part, TextPart | ImagePart | FilePart | ToolResultPart) and (m := _mark_of(raw)):
        return replace(part, cache=m)
    return part


def _result(raw: Raw, path: str) -> ToolResultPart:
    block = _RESULT.decode(raw)
    content: Any = ""
    if bytes(block.content)[:1] == b'"':
        content = _TEXT.decode(block.content)
    elif bytes(block.content) not in (b"", b"null"):
        entries = content_of(block.content, path)
        content = tuple(part for _, _, part in entries if part is not None)
    return ToolResultPart(block.tool_use_id, content, is_error=bool(block.is_error))


def _media(kind: str, raw: Raw, path: str) -> Part:
    media = _MEDIA.decode(raw)
    found = _SOURCE.decode(media.source)
    source: Source
    if found.type == "base64":
        try:
            source = BytesSource(base64.b64decode(found.data, validate=True), found.media_type)
        except binascii.Error:
            raise refusal(f"{path}.{kind}.source.base64: invalid base64 data") from None
    elif found.type == "url":
        source = UrlSource(found.url)
    elif found.type == "file":
        source = FileSource(found.file_id)
    elif found.type == "text" and kind == "document":
        source = BytesSource(found.data.encode(), found.media_type or "text/plain")
    else:
        return OpaquePart(kind, blocks.raw_text(raw), ISSUER)
    if kind == "image":
        return ImagePart(source)
    return FilePart(source, media.title or "")


Heard = list[tuple[str, list[tuple[str, Raw, Part | None]]]]
"""The messages: role, and the entries of `content_of`."""


def messages_of(system: Raw, heard: Heard) -> tuple[LLMMessage, ...]:
    """Our messages: tool results stand in messages of their own, before what the user says."""
    out: list[LLMMessage] = []
    prompt = content_of(system, "system") if system_of(system) else []
    if prompt:
        out.append(new_message(Role.system, tuple(part for _, _, part in prompt if part)))
    for role, entries in heard:
        parts = [part for _, _, part in entries if part is not None]
        if role != "user":
            # A call has no mark of its own: the message has it.
            calls = [_mark_of(raw) for kind, raw, _ in entries if kind == "tool_use"]
            mark = next((m for m in reversed(calls) if m), None)
            out.append(new_message(Role(role), tuple(parts), cache=mark))
            continue
        results = [p for p in parts if type(p) is ToolResultPart]
        others = [p for p in parts if type(p) is not ToolResultPart]
        out += [new_message(Role.tool, (result,)) for result in results]
        if others:
            out.append(new_message(Role.user, tuple(others)))
    return tuple(out)


def system_of(system: Raw) -> list[str]:
    """The texts of the system prompt, a string or a list of blocks."""
    text = bytes(system)
    if text in (b"", b"null"):
        return []
    entries = content_of(system, "system")
    if any(kind != "text" for kind, _, _ in entries):
        raise refusal("system: Input should be a list of text blocks")
    return [blocks.read_block(raw).text or "" for _, raw, _ in entries]


def request_of(body: Body, heard: Heard, traits: ModelTraits) -> LLMRequest:
    """The request in our words; `body` has been checked."""
    tools = tuple(
        AvailableTool(
            AvailableFunction(t.name, t.description, t.input_schema or {}, t.strict),
            cache=cache_of(t.cache_control),
        )
        for t in body.tools or ()
        if t.type in (None, "custom")
    )
    choice = body.tool_choice
    form = body.form
    metadata = {}
    if body.metadata is not None and body.metadata.user_id is not None:
        metadata["user_id"] = body.metadata.user_id
    return LLMRequest(
        model=ModelConfig(body.model, temperature=None),
        messages=messages_of(body.system, heard),
        temperature=body.temperature,
        tools=tools,
        max_tokens=body.max_tokens,
        tool_choice=_choice_of(choice, tools),
        stream=bool(body.stream),
        thinking=_level_of(body, traits),
        top_p=body.top_p,
        top_k=body.top_k,
        stop=tuple(body.stop_sequences or ()),
        parallel_tool_calls=False if choice and choice.disable_parallel_tool_use else None,
        metadata=metadata,
        output=OutputFormat(form.schema) if form else None,
    )


def _choice_of(
    choice: ToolChoice | None, tools: tuple[AvailableTool, ...]
) -> StrToolChoice | AvailableTool | None:
    if choice is None:
        return None
    if choice.type == "tool":
        return next(t for t in tools if t.function.name == choice.name)
    words: dict[str, StrToolChoice] = {"auto": "auto", "none": "none", "any": "required"}
    return words[choice.type]


def _level_of(body: Body, traits: ModelTraits) -> ThinkingLevel:
    thinking = body.thinking
    if thinking is None and traits.default_effort is None:
        return "off"
    if thinking is not None and thinking.type in ("disabled", "between_tools"):
        return "off"
    if thinking is not None and thinking.type == "enabled":
        return level_of_budget(thinking.budget_tokens or 0)
    effort = body.output_config.effort if body.output_config else None
    if effort is None:
        return traits.default_effort or "high"
    return effort  # type: ignore[return-value]  # one of the efforts, as was checked
