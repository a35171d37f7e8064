"""The server's ear: from the body of a request to our values, with the real API's refusals.

Source: wire reference 2.2, 2.4; OpenAI's error texts as its service sends them (2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from ...config import ModelConfig
from ...errors import InvalidRequestError
from ...request import LLMRequest, OutputFormat
from ...types import (
    JSON,
    AudioPart,
    AvailableFunction,
    AvailableTool,
    FilePart,
    FileSource,
    ImagePart,
    LLMMessage,
    Native,
    OpaquePart,
    Part,
    RefusalPart,
    Role,
    TextPart,
    ToolResultPart,
    load_json,
    new_message,
)
from ..base import ServerRequest, canonical_json
from ..openai.hear import bytes_of, check_schema, level_of, refuse, source_of
from ..openai.models import traits_of
from .encode import MIN_OUTPUT_TOKENS
from .items import API, CALLS, entries_of, is_understood, item_id, kept_part, parts_of
from .messages import CONTENT

_ROLES = ("assistant", "system", "developer", "user")
_OUTPUTS = tuple(f"{call}_output" for call in CALLS)
_CLIENTS = frozenset((
    "additional_tools", "apply_patch_call_output", "compaction_trigger", "computer_call_output",
    "configuration_update", "local_shell_call_output", "mcp_approval_response",
))  # fmt: skip
"""Items that a client writes, besides messages and results; all others a reply can have."""
_MOVED = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
}
_UNKNOWN = ("stop", "seed", "top_k", "n", "logit_bias")
_READ = frozenset((
    "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning",
    "temperature", "top_p", "max_output_tokens", "text", "metadata", "prompt_cache_key",
    "previous_response_id", "store", "include", "stream", "stream_options",
))  # fmt: skip
_PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}


def read(body: bytes, count: bool = False) -> ServerRequest:
    """Raises `InvalidRequestError` with status 400 for what the service refuses."""
    try:
        value = load_json(body)
    except ValueError as e:
        raise refuse(
            "We could not parse the JSON body of your request. (HINT: This likely means you "
            f"aren't using your HTTP library correctly. {e})"
        ) from None
    if not isinstance(value, dict):
        raise refuse("Invalid body: expected an object.")
    if not isinstance(value.get("model"), str) or not value["model"]:
        raise _missing("model")
    _check_settings(value)
    items = _items(value)
    _check_items(items, traits_of(value["model"]) is not None)
    try:
        request = _request(value, items)
    except (ValueError, TypeError, KeyError, AttributeError) as e:
        raise refuse(f"Invalid request: {e}") from None
    return ServerRequest(request, count=count, body=value)


def _missing(param: str) -> InvalidRequestError:
    code = "missing_required_parameter"
    return refuse(f"Missing required parameter: '{param}'.", param, code)


# --- the rules ----------------------------------------------------------------------------------


def _check_settings(body: dict[str, Any]) -> None:
    for name, place in _MOVED.items():
        if body.get(name) is not None:
            raise refuse(
                f"Unsupported parameter: '{name}'. In the Responses API, this parameter has moved "
                f"to '{place}'. Try again with the new parameter.",
                name,
                "unsupported_parameter",
            )
    for name in _UNKNOWN:
        if body.get(name) is not None:
            raise refuse(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    limit = body.get("max_output_tokens")
    if isinstance(limit, int) and limit < MIN_OUTPUT_TOKENS:
        raise refuse(
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= "
            f"{MIN_OUTPUT_TOKENS}, but got {limit} instead.",
            "max_output_tokens",
            "integer_below_min_value",
        )
    reasoning, traits = body.get("reasoning"), traits_of(body["model"])
    effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
    for name in ("temperature", "top_p"):
        sampled = traits is None or traits.samples(effort)
        if body.get(name) not in (None, 1) and not sampled:
            raise refuse(
                f"Unsupported parameter: '{name}' is not supported with this model.",
                name,
                "unsupported_parameter",
            )
    for i, tool in enumerate(_dicts(body.get("tools"))):
        if tool.get("type") in ("function", "custom") and not isinstance(tool.get("name"), str):
            raise _missing(f"tools[{i}].name")
    choice = body.get("tool_choice")
    if isinstance(choice, str) and choice not in ("none", "auto", "required"):
        raise refuse(
            f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'.",
            "tool_choice",
            "invalid_value",
        )
    form = (body.get("text") or {}).get("format") if isinstance(body.get("text"), dict) else None
    if isinstance(form, dict) and form.get("type") == "json_schema":
        for name in ("name", "schema"):
            if form.get(name) is None:
                raise _missing(f"text.format.{name}")


def _items(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The input as items, each with its type."""
    given = body.get("input")
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    elsewhere = ("previous_response_id", "prompt", "conversation")
    if given is None or given == []:
        if any(body.get(name) for name in elsewhere):
            return []
        raise refuse(
            'One of "input" or "previous_response_id" or "prompt" or "conversation" must be '
            "provided.",
            "input",
            "missing_required_parameter",
        )
    if not isinstance(given, list):
        raise refuse(
            "Invalid type for 'input': expected one of a string or an array of input items.",
            "input",
            "invalid_type",
        )
    items = []
    for i, item in enumerate(given):
        if not isinstance(item, dict):
            raise refuse(
                f"Invalid type for 'input[{i}]': expected an input item.",
                f"input[{i}]",
                "invalid_type",
            )
        if item.get("type") is None:
            item = {"type": "message" if "role" in item else "item_reference", **item}
        items.append(item)
    return items


def _check_items(items: list[dict[str, Any]], own: bool) -> None:
    """`own`: the model is OpenAI's, whose service is stricter than compatible ones."""
    seen: set[str] = set()
    answered = {item.get("call_id") for item in items if item["type"] in _OUTPUTS}
    for i, item in enumerate(items):
        kind, name = item["type"], item_id(item)
        if kind == "message":
            _check_message(item, i)
        needed: tuple[str, ...] = ()
        if kind in CALLS:
            needed = ("call_id", "name", "arguments" if kind == "function_call" else "input")
        elif kind in _OUTPUTS:
            needed = ("call_id", "output")
        for field in needed:
            if item.get(field) is None:
                raise _missing(f"input[{i}].{field}")
        for field in ("id", "call_id"):
            found = item.get(field)
            if own and isinstance(found, str) and len(found) > 64:
                raise refuse(
                    f"Invalid 'input[{i}].{field}': string too long. Expected a string with "
                    f"maximum length 64, but got a string with length {len(found)} instead.",
                    f"input[{i}].{field}",
                    "string_above_max_length",
                    history=True,
                )
        prefix = _PREFIXES.get(kind)
        if name is None:
            continue
        if own and prefix and not name.startswith(prefix):
            raise refuse(
                f"Invalid 'input[{i}].id': '{name}'. Expected an ID that begins with '{prefix}'.",
                f"input[{i}].id",
                "invalid_value",
                history=True,
            )
        if name in seen:
            raise refuse(
                f"Duplicate item found with id {name}. Remove duplicate items from your input "
                "and try again.",
                "input",
                history=True,
            )
        seen.add(name)
    for item in items:
        if item["type"] in CALLS and item["call_id"] not in answered:
            what = "function" if item["type"] == "function_call" else "custom tool"
            raise refuse(
                f"No tool output found for {what} call {item['call_id']}.", "input", history=True
            )


def _check_message(item: dict[str, Any], i: int) -> None:
    role = item.get("role")
    if role not in _ROLES:
        raise refuse(
            f"Invalid value: {role!r}. Supported values are: 'assistant', 'system', 'developer', "
            "and 'user'.",
            f"input[{i}].role",
            "invalid_value",
        )
    blocks = item.get("content")
    if blocks is None:
        raise _missing(f"input[{i}].content")
    taken = ("output_text", "refusal") if role == "assistant" else CONTENT
    for j, block in enumerate(_dicts(blocks)):
        if block.get("type") not in taken:
            values = " and ".join(f"'{t}'" for t in taken)
            raise refuse(
                f"Invalid value: {block.get('type')!r}. Supported values are: {values}.",
                f"input[{i}].content[{j}]",
                "invalid_value",
            )


# --- our values ---------------------------------------------------------------------------------


class _Settings(msgspec.Struct):
    temperature: float | None = None
    top_p: float | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, str] | None = None
    stream: bool | None = None
    store: bool | None = None
    prompt_cache_key: str | None = None
    previous_response_id: str | None = None


def _request(body: dict[str, Any], items: list[dict[str, Any]]) -> LLMRequest:
    said = msgspec.convert(body, _Settings)
    tools = tuple(map(_tool, _dicts(body.get("tools"))))
    known = tuple(t for t in tools if t is not None)
    rest = {k: v for k, v in body.items() if k not in _READ and v is not None}
    for name, read in (("text", "format"), ("reasoning", "effort")):
        if isinstance(body.get(name), dict) and set(body[name]) - {read, "summary"}:
            rest[name] = body[name]
    return LLMRequest(
        model=ModelConfig(body["model"], temperature=None),
        messages=tuple(_messages(body.get("instructions"), items)),
        temperature=said.temperature,
        tools=known,
        max_tokens=said.max_output_tokens,
        tool_choice=_choice(body.get("tool_choice"), known),
        stream=bool(said.stream),
        thinking=level_of(body),
        top_p=said.top_p,
        parallel_tool_calls=said.parallel_tool_calls,
        metadata=said.metadata or {},
        output=_output(body.get("text")),
        cache_key=said.prompt_cache_key,
        previous_response_id=said.previous_response_id,
        store=True if said.store is None else said.store,
        extra_body=rest,
    )


def _tool(tool: dict[str, Any]) -> AvailableTool | None:
    """A tool for the client to run; a hosted one has no value here, and stands in the body."""
    if tool.get("type") not in ("function", "custom"):
        return None
    function = {**tool, "description": tool.get("description") or ""}
    function["parameters"] = tool.get("parameters") or {}
    function["strict"] = tool.get("strict") or None  # false is how "nobody asked" is said
    kind: Any = tool["type"]
    return AvailableTool(msgspec.convert(function, AvailableFunction), kind)


def _choice(choice: JSON, tools: tuple[AvailableTool, ...]) -> Any:
    if choice is None or isinstance(choice, str):
        return choice
    if choice.get("type") == "allowed_tools":
        return choice.get("mode")
    if choice.get("type") not in ("function", "custom"):
        return None
    for tool in tools:
        if tool.function.name == choice.get("name"):
            return tool
    raise refuse(
        f"Tool choice '{choice.get('name')}' not found in 'tools' parameter.", "tool_choice"
    )


def _output(text: JSON) -> OutputFormat | None:
    form = text.get("format") if isinstance(text, dict) else None
    if not isinstance(form, dict) or form.get("type") not in ("json_object", "json_schema"):
        return None
    if form["type"] == "json_object":
        return OutputFormat()
    strict = bool(form.get("strict"))
    if strict:
        check_schema(form["schema"], form["name"], "text.format")
    return OutputFormat(form["schema"], form["name"], strict)


def _messages(instructions: JSON, items: list[dict[str, Any]]) -> Iterator[LLMMessage]:
    if isinstance(instructions, str) and instructions:
        yield new_message(Role.system, (TextPart(instructions),))
    elif isinstance(instructions, list):
        items = [*_dicts(instructions), *items]
    turn: list[Part] = []
    after: str | None = None
    for item in items:
        kind = item["type"]
        if _is_said_to(item):
            if turn:
                yield new_message(Role.assistant, tuple(turn))
                turn, after = [], None
            yield _said(item)
            continue
        issuer = Native(API)
        if is_understood(item):
            turn += map(_plain, parts_of(entries_of(item, issuer, after)))
        else:
            turn.append(kept_part(item, canonical_json(item).decode(), issuer, after))
        if kind == "reasoning":
            after = item_id(item) or after
    if turn:
        yield new_message(Role.assistant, tuple(turn))


def _is_said_to(item: dict[str, Any]) -> bool:
    """Whether an item speaks to the model; all others are its own words."""
    kind = item["type"]
    if kind == "message":
        return item.get("role") != "assistant"
    return kind in _OUTPUTS or kind in _CLIENTS


def _said(item: dict[str, Any]) -> LLMMessage:
    kind = item["type"]
    if kind in _OUTPUTS:
        output = item["output"]
        content: Any = output if isinstance(output, str) else tuple(map(_block, output))
        return new_message(Role.tool, (ToolResultPart(item["call_id"], content),))
    if kind != "message":
        part = OpaquePart(kind, canonical_json(item).decode())
        return new_message(Role.user, (part,))
    blocks = item["content"]
    parts = (TextPart(blocks),) if isinstance(blocks, str) else tuple(map(_block, blocks))
    return new_message(Role(item["role"]), parts)


def _plain(part: Part) -> Part:
    """A text of a message that has nothing of its own is like one written by hand."""
    if isinstance(part, TextPart | RefusalPart) and part.native is not None:
        payload: Any = part.native.payload
        bare = payload == {"item": {"role": "assistant"}} and not getattr(part, "citations", ())
        return replace(part, native=None) if bare else part
    return part


def _block(block: Any) -> Any:
    part = _unmarked(block)
    mark = block.get("prompt_cache_breakpoint")
    if isinstance(mark, dict) and isinstance(part, TextPart | ImagePart | FilePart):
        return replace(part, cache=mark.get("ttl") or "default")
    return part


def _unmarked(block: Any) -> Any:
    kind = block.get("type")
    if kind in ("input_text", "output_text") and isinstance(block.get("text"), str):
        return TextPart(block["text"])
    if kind == "input_image":
        where = FileSource(block["file_id"]) if block.get("file_id") else None
        return ImagePart(where or source_of(block.get("image_url"), "input"), block.get("detail"))
    if kind == "input_audio" and isinstance(block.get("input_audio"), dict):
        sound = block["input_audio"]
        form = str(sound.get("format") or "wav")
        return AudioPart(bytes_of(sound.get("data"), f"audio/{form}", "input"), form)
    if kind == "input_file":
        name = block.get("filename") or ""
        if block.get("file_id"):
            return FilePart(FileSource(block["file_id"]), name)
        address = block.get("file_url") or block.get("file_data")
        if isinstance(address, str) and not re.match(r"(data:|https?://)", address):
            return FilePart(bytes_of(address, "application/octet-stream", "input"), name)
        return FilePart(source_of(address, "input"), name)
    return OpaquePart(str(kind or ""), canonical_json(block).decode())


def _dicts(value: JSON) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []
