"""What a Converse request says: the server's ear. The inverse of `encode` and `settings`."""

from __future__ import annotations

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
    CacheLifetime,
    FilePart,
    ImagePart,
    LLMMessage,
    Native,
    OpaquePart,
    Part,
    Role,
    StrToolChoice,
    TextPart,
    ToolResultPart,
    load_json,
    new_message,
)
from ..anthropic.models import ModelTraits, level_of_budget, traits_of
from . import blocks, media
from .blocks import API
from .models import family_of

ISSUER = Native(API)
"""State in a request was issued on this wire; by whom, nobody says."""

_MEDIA = ("image", "document", "video", "audio")


class WireMessage(Struct):
    role: str
    content: list[Raw]


class ToolSchema(Struct):
    json: dict[str, JSON] | None = None


class ToolSpec(Struct, rename="camel"):
    name: str
    input_schema: ToolSchema
    description: str = ""
    strict: bool | None = None


class CachePoint(Struct):
    type: str
    ttl: str | None = None


class Tool(Struct, rename="camel"):
    tool_spec: ToolSpec | None = None
    cache_point: CachePoint | None = None


class ToolConfig(Struct, rename="camel"):
    tools: list[Tool]
    tool_choice: dict[str, dict[str, JSON]] | None = None


class Inference(Struct, rename="camel"):
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] | None = None


class JsonSchema(Struct):
    schema: str
    name: str | None = None


class Structure(Struct, rename="camel"):
    json_schema: JsonSchema


class TextFormat(Struct):
    type: str
    structure: Structure


class OutputConfig(Struct, rename="camel"):
    text_format: TextFormat | None = None


class Body(Struct, rename="camel"):
    """The fields of a request that we read."""

    messages: list[WireMessage] = []
    system: list[Raw] | None = None
    inference_config: Inference | None = None
    tool_config: ToolConfig | None = None
    additional_model_request_fields: dict[str, Any] | None = None
    request_metadata: dict[str, str] | None = None
    output_config: OutputConfig | None = None


class ResultBlock(Struct, rename="camel"):
    tool_use_id: str
    content: list[Raw]
    status: str | None = None
    type: str | None = None


BODY = msgspec.json.Decoder(Body)
_RESULT = msgspec.json.Decoder(ResultBlock)
_POINT = msgspec.json.Decoder(CachePoint)


class Entry(Struct):
    """A block that was heard: its kind, what stands under it, the part it amounts to."""

    kind: str
    inner: Raw
    part: Part | None


def refusal(message: str, kind: type[InvalidRequestError] = InvalidRequestError) -> Exception:
    """A 400 in the API's own words."""
    return kind(
        message,
        status=400,
        type="ValidationException",
        provider_message=message,
        api=API,
        phase="response",
        retryable=False,
    )


def plain_body(data: bytes) -> JSON:
    """The request as JSON. Raises `InvalidRequestError` for what is none."""
    try:
        return load_json(data)
    except ValueError as e:
        raise refusal(f"The request body is not valid JSON: {e}") from None


def read_body(data: bytes) -> Body:
    """Raises `InvalidRequestError` for what is no request."""
    try:
        return BODY.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        raise refusal(f"1 validation error detected: {e}") from None


def content_of(content: list[Raw], path: str) -> list[Entry]:
    """The blocks of a message; cache points become intents of the parts before them."""
    out: list[Entry] = []
    for i, raw in enumerate(content):
        try:
            kind, inner = blocks.read_block(raw)
            if kind == "cachePoint":
                _cache(out, lifetime_of(_POINT.decode(inner)), f"{path}.content.{i}")
            else:
                out.append(Entry(kind, inner, _part(kind, inner, raw)))
        except (msgspec.DecodeError, UnicodeError, ValueError, RecursionError) as e:
            raise refusal(f"{path}.content.{i}: {e}") from None
    return out


def lifetime_of(point: CachePoint) -> CacheLifetime:
    if point.type != "default" or point.ttl not in (None, "5m", "1h"):
        raise refusal("The cachePoint field holds a type or ttl that is not supported.")
    return point.ttl or "default"  # type: ignore[return-value]  # one of the two, as was checked


def _cache(out: list[Entry], lifetime: CacheLifetime, path: str) -> None:
    if not out:
        raise refusal(f"{path}: a cachePoint must follow the content that it caches.")
    part = out[-1].part
    if isinstance(part, TextPart | ImagePart | FilePart | ToolResultPart):
        out[-1].part = replace(part, cache=lifetime)
    else:
        out.append(Entry("cachePoint", Raw(msgspec.json.encode(lifetime)), None))


def _part(kind: str, inner: Raw, raw: Raw) -> Part | None:
    if kind == "toolResult":
        return _result(inner, raw)
    if kind in _MEDIA:
        found = media.part_of(kind, msgspec.json.decode(inner))
        return OpaquePart(kind, bytes(raw).decode(), ISSUER) if found is None else found
    return blocks.part_of(raw, ISSUER)


def _result(inner: Raw, raw: Raw) -> Part:
    block = _RESULT.decode(inner)
    if block.type is not None:  # of a tool that AWS ran
        return OpaquePart("toolResult", bytes(raw).decode(), ISSUER)
    content: list[Any] = []
    for piece in block.content:
        kind, value = blocks.read_block(piece)
        if kind == "text":
            content.append(TextPart(msgspec.json.decode(value, type=str)))
        elif kind == "json":
            content.append(TextPart(bytes(value).decode()))
        elif kind in _MEDIA and (found := media.part_of(kind, msgspec.json.decode(value))):
            content.append(found)
        else:
            content.append(OpaquePart(kind, bytes(piece).decode(), ISSUER))
    said: Any = tuple(content)
    if all(type(piece) is TextPart for piece in content) and len(content) < 2:
        said = content[0].text if content else ""
    return ToolResultPart(block.tool_use_id, said, is_error=block.status == "error")


Heard = list[tuple[str, list[Entry]]]
"""The messages: role, and the entries of `content_of`."""


def messages_of(system: list[Entry], heard: Heard) -> tuple[LLMMessage, ...]:
    """Our messages: tool results stand in messages of their own, before what the user says."""
    out: list[LLMMessage] = []
    if system:
        out.append(_message(Role.system, system))
    for role, entries in heard:
        if role != "user":
            out.append(_message(Role(role), entries))
            continue
        others: list[Entry] = []
        for entry in entries:
            if type(entry.part) is ToolResultPart:
                out.append(new_message(Role.tool, (entry.part,)))
            else:
                others.append(entry)
        if any(entry.part is not None for entry in others):
            out.append(_message(Role.user, others))
    return tuple(out)


def _message(role: Role, entries: list[Entry]) -> LLMMessage:
    """A cache point after a part that has no such intent is the message's."""
    cache = None
    if entries and entries[-1].kind == "cachePoint":
        cache = msgspec.json.decode(entries[-1].inner)
    parts = tuple(entry.part for entry in entries if entry.part is not None)
    return new_message(role, parts, None, cache)


def request_of(
    model: str, body: Body, system: list[Entry], heard: Heard, stream: bool
) -> LLMRequest:
    """The request in our words; `body` has been checked."""
    family = family_of(model)
    extra = body.additional_model_request_fields or {}
    inference = body.inference_config or Inference()
    tools = _tools(body.tool_config)
    choice, single = _choice(body.tool_config, extra, tools)
    top_k: Any = extra
    for key in family.top_k or ("top_k",):
        top_k = top_k.get(key) if isinstance(top_k, dict) else None
    return LLMRequest(
        model=ModelConfig(model, temperature=None),
        messages=messages_of(system, heard),
        temperature=inference.temperature,
        tools=tools,
        max_tokens=inference.max_tokens,
        tool_choice=choice,
        stream=stream,
        thinking=_level(extra, model),
        top_p=inference.top_p,
        top_k=top_k if isinstance(top_k, int) else None,
        stop=tuple(inference.stop_sequences or ()),
        parallel_tool_calls=False if single else None,
        metadata=dict(body.request_metadata or {}),
        output=_output(body.output_config),
    )


def _tools(config: ToolConfig | None) -> tuple[AvailableTool, ...]:
    out: list[AvailableTool] = []
    for tool in config.tools if config is not None else ():
        spec = tool.tool_spec
        if spec is not None:
            schema = spec.input_schema.json or {}
            function = AvailableFunction(spec.name, spec.description, schema, spec.strict)
            out.append(AvailableTool(function))
        elif tool.cache_point is not None and out:
            out[-1] = replace(out[-1], cache=lifetime_of(tool.cache_point))
    return tuple(out)


def _choice(
    config: ToolConfig | None, extra: dict[str, Any], tools: tuple[AvailableTool, ...]
) -> tuple[StrToolChoice | AvailableTool | None, bool]:
    """The choice, and whether only one call is wanted: what Converse has no word for, Claude has
    in the extra fields."""
    said: dict[str, dict[str, JSON]] = (config.tool_choice if config else None) or {}
    single = False
    own = extra.get("tool_choice")
    if isinstance(own, dict):
        single = own.get("disable_parallel_tool_use") is True
        said = {str(own.get("type")): own}
    if "tool" in said:
        name = said["tool"].get("name")
        found = next((t for t in tools if t.function.name == name), None)
        if found is None:
            raise refusal(f"The tool {name!r} in toolChoice is not among the tools.")
        return found, single
    words: dict[str, StrToolChoice] = {"auto": "auto", "any": "required", "none": "none"}
    return next((words[kind] for kind in said if kind in words), None), single


def _level(extra: dict[str, Any], model: str) -> ThinkingLevel:
    family = family_of(model)
    if family.claude:
        return _claude_level(extra, traits_of(model))
    effort: Any = extra
    for key in family.reasoning:
        effort = effort.get(key) if isinstance(effort, dict) else None
    return effort if effort in family.efforts else "off"


def _claude_level(extra: dict[str, Any], traits: ModelTraits) -> ThinkingLevel:
    thinking = extra.get("thinking")
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    if kind is None:
        return traits.default_effort or "off"
    if kind in ("disabled", "between_tools"):
        return "off"
    if isinstance(thinking, dict) and kind == "enabled":
        budget = thinking.get("budget_tokens")
        return level_of_budget(budget if isinstance(budget, int) else 0)
    config = extra.get("output_config")
    effort = config.get("effort") if isinstance(config, dict) else None
    return effort if effort in traits.efforts else traits.default_effort or "high"


def _output(config: OutputConfig | None) -> OutputFormat | None:
    if config is None or config.text_format is None:
        return None
    schema = config.text_format.structure.json_schema
    try:
        wanted = load_json(schema.schema)
    except ValueError as e:
        raise refusal(f"The schema in outputConfig is not valid JSON: {e}") from None
    if not isinstance(wanted, dict):
        raise refusal("The schema in outputConfig must be a JSON object.")
    return OutputFormat(wanted, schema.name or "output")
