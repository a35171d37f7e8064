"""The server's ear: from the body of a request to our values, with the real API's refusals.

Wire reference 5.2 to 5.6; texts of refusals as the service sends them (2026-11).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from ...config import THINKING_LEVELS, ModelConfig, ThinkingLevel
from ...errors import HistoryRejectedError, InvalidRequestError
from ...request import LLMRequest, OutputFormat
from ...types import (
    JSON,
    AudioPart,
    AvailableFunction,
    AvailableTool,
    BytesSource,
    FilePart,
    FunctionCall,
    ImagePart,
    LLMMessage,
    Native,
    OpaquePart,
    Part,
    ReasoningPart,
    Role,
    StrToolChoice,
    TextPart,
    ToolCall,
    ToolResultPart,
    UrlSource,
    load_json,
    new_message,
)
from ..base import canonical_json
from .contents import MEDIA_TYPES, SENTINEL
from .models import API, UNKNOWN, ModelTraits, level_of_budget, traits_of

_OPAQUE = frozenset((
    "args", "response", "parameters", "parametersJsonSchema", "responseSchema",
    "responseJsonSchema", "labels", "partMetadata", "toolCall", "toolResponse",
))  # fmt: skip
"""Keys whose values are the caller's own, not the wire's."""

_TOP = frozenset((
    "contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig",
    "cachedContent", "labels", "serviceTier", "continuationToken", "store", "model",
    "modelArmorConfig",
))  # fmt: skip
_READ = frozenset(("contents", "systemInstruction", "labels", "store", "model"))
_CONFIG_READ = frozenset((
    "temperature", "topP", "topK", "maxOutputTokens", "stopSequences", "seed", "responseMimeType",
    "responseSchema", "responseJsonSchema", "thinkingConfig",
))  # fmt: skip
_ISSUER = Native(API)
_MODES: dict[str, StrToolChoice] = {"AUTO": "auto", "NONE": "none", "ANY": "required"}


def refuse(message: str, *, history: bool = False) -> InvalidRequestError:
    """A 400 in the service's own form."""
    kind = HistoryRejectedError if history else InvalidRequestError
    return kind(
        message, status=400, type="INVALID_ARGUMENT", provider_message=message, api=API,
        phase="response",
    )  # fmt: skip


def read_body(data: bytes) -> dict[str, Any]:
    """The body with its keys in camel case, as the service takes both. Raises for what is none."""
    try:
        body = _camel(load_json(data))
    except (ValueError, RecursionError) as e:
        raise refuse(f"Invalid JSON payload received. {e}") from None
    if not isinstance(body, dict):
        raise refuse("Invalid JSON payload received. Root element must be a message.")
    return body


def _camel(value: JSON) -> JSON:
    if isinstance(value, list):
        return [_camel(v) for v in value]
    if not isinstance(value, dict):
        return value
    out = {}
    for key, inner in value.items():
        name = re.sub(r"_([a-z])", lambda m: m[1].upper(), key)
        out[name] = inner if name in _OPAQUE else _camel(inner)
    return out


def request_of(body: dict[str, Any], model: str, stream: bool) -> LLMRequest:
    """The request in our words. Raises `InvalidRequestError` for what the service refuses."""
    for key in body:
        if key not in _TOP:
            raise refuse(f'Invalid JSON payload received. Unknown name "{key}": Cannot find field.')
    traits = traits_of(model)
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise refuse("* GenerateContentRequest.contents: contents is not specified")
    if body.get("cachedContent") and (body.get("tools") or body.get("systemInstruction")):
        raise refuse(
            "CachedContent can not be used with GenerateContent request setting "
            "system_instruction, tools or tool_config."
        )
    contents = _joined(contents)
    check_contents(contents, traits)
    try:
        return _request(body, contents, model, stream)
    except (ValueError, TypeError, KeyError, AttributeError) as e:
        raise refuse(f"Invalid value: {e}") from None


# --- the rules ---


def _parts_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    parts = content.get("parts")
    return [p for p in parts if isinstance(p, dict)] if isinstance(parts, list) else []


def _joined(contents: list[Any]) -> list[Any]:
    """The contents with the model's neighbours as one: clients send a stream back piece by piece."""
    out: list[Any] = []
    for content in contents:
        last = out[-1] if out else None
        if _is_model(content) and last is not None and _is_model(last):
            out[-1] = {**last, "parts": [*_parts_of(last), *_parts_of(content)]}
        else:
            out.append(content)
    return out


def _is_model(content: Any) -> bool:
    return isinstance(content, dict) and content.get("role") == "model"


def check_contents(contents: list[Any], traits: ModelTraits) -> None:
    """Roles, and the order of calls and results."""
    calls: list[dict[str, Any]] = []
    current = max((i for i, c in enumerate(contents) if _is_question(c)), default=0)
    for i, content in enumerate(contents):
        role = content.get("role", "user") if isinstance(content, dict) else None
        if role not in ("user", "model", "function", "tool"):
            raise refuse("Please use a valid role: user, model.")
        parts = _parts_of(content)
        if not parts:
            raise refuse(
                f"* GenerateContentRequest.contents[{i}].parts: contents.parts must not be empty."
            )
        results = [p for p in parts if "functionResponse" in p]
        if len(results) != len(calls) and (calls or results):
            raise refuse(
                "Please ensure that the number of function response parts is equal to the number "
                "of function call parts of the function call turn.",
                history=True,
            )
        if results and "functionResponse" not in parts[-1]:
            raise refuse("Requests ending with a model turn are not supported.", history=True)
        calls = [p for p in parts if "functionCall" in p] if role == "model" else []
        if calls and i == 0:
            raise refuse(
                "Please ensure that function call turn comes immediately after a user turn or "
                "after a function response turn.",
                history=True,
            )
        signed = not calls or calls[0].get("thoughtSignature")
        if not signed and i > current and traits.gemini3 and traits is not UNKNOWN:
            name = calls[0]["functionCall"].get("name")
            raise refuse(
                "Function call is missing a thought_signature in functionCall parts. This is "
                f"required for tools to work correctly. Function call `{name}`, position {i}.",
                history=True,
            )
    if contents[-1].get("role") == "model" and not traits.prefill:
        raise refuse("Requests ending with a model turn are not supported.")


def _is_question(content: Any) -> bool:
    """Whether a content is the user's and no result: with it the current turn begins."""
    return (
        isinstance(content, dict)
        and content.get("role", "user") == "user"
        and not any("functionResponse" in p for p in _parts_of(content))
    )


# --- the request ---


def _request(
    body: dict[str, Any], contents: list[dict[str, Any]], model: str, stream: bool
) -> LLMRequest:
    config = body.get("generationConfig") or {}
    tools, others = _tools_of(body.get("tools") or [])
    choosing = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    mode = str(choosing.get("mode", "")).upper()
    if mode == "VALIDATED":
        tools = tuple(
            AvailableTool(AvailableFunction(f.name, f.description, f.parameters, True))
            for f in (t.function for t in tools)
        )
    extra: dict[str, JSON] = {k: v for k, v in body.items() if k not in _READ}
    for key, rest in (
        ("generationConfig", {k: v for k, v in config.items() if k not in _CONFIG_READ}),
        ("toolConfig", _without(body.get("toolConfig"), "functionCallingConfig")),
        ("tools", others),
    ):
        extra.pop(key, None)
        if rest:
            extra[key] = rest
    messages = [m for c in contents for m in _messages_of(c)]
    system = _system_of(body.get("systemInstruction"))
    if system:
        messages.insert(0, new_message(Role.system, tuple(TextPart(t) for t in system)))
    return LLMRequest(
        model=ModelConfig(model, temperature=None),
        messages=tuple(messages),
        temperature=config.get("temperature"),
        tools=tools,
        max_tokens=config.get("maxOutputTokens"),
        tool_choice=_choice_of(mode, choosing.get("allowedFunctionNames") or [], tools),
        stream=stream,
        thinking=_thinking_of(config.get("thinkingConfig") or {}),
        top_p=config.get("topP"),
        top_k=None if config.get("topK") is None else int(config["topK"]),
        stop=tuple(config.get("stopSequences") or ()),
        seed=config.get("seed"),
        metadata=dict(body.get("labels") or {}),
        output=_output_of(config),
        store=body.get("store"),
        extra_body=extra,
    )


def _without(value: JSON, key: str) -> dict[str, JSON]:
    return {k: v for k, v in value.items() if k != key} if isinstance(value, dict) else {}


def _system_of(value: JSON) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    parts = value.get("parts") if isinstance(value, dict) else None
    parts = parts if isinstance(parts, list) else [parts]
    return [p["text"] for p in parts if isinstance(p, dict) and p.get("text")]


def _tools_of(tools: list[dict[str, Any]]) -> tuple[tuple[AvailableTool, ...], list[JSON]]:
    """The functions on offer, and the service's own tools."""
    functions: list[AvailableTool] = []
    others: list[JSON] = []
    for tool in tools:
        for function in tool.get("functionDeclarations") or ():
            schema = function.get("parametersJsonSchema")
            if schema is None:
                schema = json_schema(function.get("parameters") or {})
            named = AvailableFunction(function["name"], function.get("description", ""), schema)
            functions.append(AvailableTool(named))
        if rest := _without(tool, "functionDeclarations"):
            others.append(rest)
    return tuple(functions), others


def json_schema(schema: JSON) -> JSON:
    """A JSON Schema from the API's own form, which writes its types in capitals."""
    if isinstance(schema, list):
        return [json_schema(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out: dict[str, JSON] = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, str):
            out[key] = value.lower()
        elif key == "properties" and isinstance(value, dict):
            out[key] = {name: json_schema(inner) for name, inner in value.items()}
        else:
            out[key] = json_schema(value) if key in ("items", "anyOf") else value
    return out


def _choice_of(
    mode: str, allowed: list[str], tools: tuple[AvailableTool, ...]
) -> StrToolChoice | AvailableTool | None:
    if mode == "ANY" and len(allowed) == 1:
        return next((t for t in tools if t.function.name == allowed[0]), "required")
    return _MODES.get(mode)


def _thinking_of(config: dict[str, Any]) -> ThinkingLevel:
    """How much it is to think for all to see: without includeThoughts no thoughts are told."""
    level, budget = str(config.get("thinkingLevel") or "").lower(), config.get("thinkingBudget")
    if level and budget is not None:
        raise refuse("You can only set only one of thinking budget and thinking level.")
    if not config.get("includeThoughts"):
        return "off"
    if level in THINKING_LEVELS:
        return level
    return "high" if budget is None else level_of_budget(int(budget))


def _output_of(config: dict[str, Any]) -> OutputFormat | None:
    schema = config.get("responseJsonSchema")
    if schema is None and config.get("responseSchema") is not None:
        schema = json_schema(config["responseSchema"])
    if config.get("responseMimeType") != "application/json":
        return None
    return OutputFormat(schema)


# --- messages ---


def _messages_of(content: dict[str, Any]) -> Iterator[LLMMessage]:
    """A content as messages: each result has one of its own, before what else is said."""
    parts = [part for p in _parts_of(content) if (part := part_of(p)) is not None]
    if content.get("role") == "model":
        yield new_message(Role.assistant, tuple(parts))
        return
    others = []
    for part in parts:
        if isinstance(part, ToolResultPart):
            yield new_message(Role.tool, (part,))
        else:
            others.append(part)
    if others:
        yield new_message(Role.user, tuple(others))


def part_of(part: dict[str, Any]) -> Part | None:
    """A part of the wire as one of ours."""
    extras = {k: v for k, v in part.items() if k in ("thoughtSignature", "partMetadata")}
    if extras.get("thoughtSignature") == SENTINEL:
        del extras["thoughtSignature"]
    native = Native(API, payload=extras) if extras else None
    if isinstance(part.get("text"), str):
        if not part.get("thought"):
            return TextPart(part["text"], native=native)
        signature = extras.pop("thoughtSignature", None)
        native = Native(API, payload=extras) if extras else None
        return ReasoningPart(part["text"], signature=signature, native=native)
    if isinstance(call := part.get("functionCall"), dict):
        arguments = canonical_json(call.get("args") or {}).decode()
        return ToolCall(call.get("id"), FunctionCall(call["name"], arguments), native=native)
    if isinstance(result := part.get("functionResponse"), dict):
        return _result_of(result)
    if part.get("inlineData") or part.get("fileData"):
        return _media_of(part, native)
    kind = next((k for k in part if k not in ("thought", "thoughtSignature")), "thoughtSignature")
    return OpaquePart(kind, canonical_json(part).decode(), _ISSUER) if part else None


def _media_of(part: dict[str, Any], native: Native | None = None) -> Part:
    source: BytesSource | UrlSource
    if blob := part.get("inlineData"):
        kind = blob.get("mimeType") or ""
        try:
            data = blob["data"].replace("-", "+").replace("_", "/")
            source = BytesSource(base64.b64decode(data, validate=True), kind)
        except binascii.Error:
            raise refuse("Invalid value at 'inline_data.data': Base64 decoding failed.") from None
    else:
        named = part["fileData"]
        source = UrlSource(named["fileUri"])
        ending = MEDIA_TYPES.get(source.url.rpartition(".")[2].lower(), "")
        kind = named.get("mimeType") or ending
    family, _, form = kind.partition("/")
    if family == "image":
        return ImagePart(source, native=native)
    if family == "audio":
        return AudioPart(source, re.split("[;,]", form)[0], native=native)
    return FilePart(source, native=native)


def _result_of(result: dict[str, Any]) -> ToolResultPart:
    response = result.get("response")
    response = response if isinstance(response, dict) else {}
    is_error = "error" in response and "output" not in response
    said = response.get("error" if is_error else "output", response)
    text = said if isinstance(said, str) else canonical_json(said).decode()
    media = [_media_of(p) for p in result.get("parts") or ()]
    content: Any = text
    if media:
        content = (*([TextPart(text)] if text else ()), *media)
    return ToolResultPart(result.get("id") or "", content, result.get("name") or "", is_error)
