"""The server's ear: from the body of a request to our values, with the real server's refusals.

Source: wire reference 7; the texts are those of Ollama's server and of Go's JSON decoder.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any, Literal, cast

import msgspec
from msgspec import Raw, Struct

from ...config import THINKING_LEVELS, ModelConfig, ThinkingLevel
from ...errors import InvalidRequestError
from ...request import LLMRequest, OutputFormat
from ...types import (
    AvailableTool,
    BytesSource,
    FunctionCall,
    ImagePart,
    LLMMessage,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolResultPart,
    load_json,
    new_message,
)
from ..base import ServerRequest
from .wire import API, NOT_JSON, decode

_READ = frozenset(("model", "messages", "tools", "format", "think", "options", "stream"))
_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "num_predict": "max_tokens",
    "stop": "stop",
}
_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)


class _Function(Struct):
    name: str
    arguments: Raw = Raw(b"")


class _Call(Struct):
    function: _Function
    id: str | None = None


class _Message(Struct):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[_Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _Settings(Struct):
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None


class _Body(Struct):
    model: str = ""
    messages: list[_Message] | None = None
    tools: list[AvailableTool] | None = None
    format: dict[str, Any] | Literal["json", ""] | None = None
    think: bool | str | None = None
    options: dict[str, Any] | None = None
    stream: bool | None = None


_BODY = msgspec.json.Decoder(_Body)


def refuse(message: str, status: int = 400) -> InvalidRequestError:
    return InvalidRequestError(
        message, status=status, provider_message=message, api=API, phase="response"
    )


def read(body: bytes) -> ServerRequest:
    """Raises `InvalidRequestError` with status 400 for what the server refuses."""
    try:
        plain = load_json(body)
        heard = decode(_BODY, body)
        ours = {_OPTIONS[k]: v for k, v in (heard.options or {}).items() if k in _OPTIONS}
        settings = msgspec.structs.asdict(msgspec.convert(ours, _Settings))
        messages = tuple(_message(m) for m in heard.messages or ())
    except NOT_JSON as e:
        raise refuse(f"json: cannot unmarshal: {e}") from None
    if not heard.model:
        raise refuse("model is required")
    rest = {k: v for k, v in plain.items() if k not in _READ and v is not None}
    if more := {k: v for k, v in (heard.options or {}).items() if k not in _OPTIONS}:
        rest["options"] = more
    output = OutputFormat(heard.format or None) if isinstance(heard.format, dict) else None
    if heard.format == "json":
        output = OutputFormat()
    request = LLMRequest(
        model=ModelConfig(heard.model, temperature=None),
        messages=messages,
        tools=tuple(heard.tools or ()),
        thinking=_level(heard.think),
        output=output,
        stream=heard.stream is not False,
        stop=tuple(settings.pop("stop") or ()),
        extra_body=rest,
        **settings,
    )
    return ServerRequest(request, body=plain)


def _level(think: bool | str | None) -> ThinkingLevel:
    if isinstance(think, bool) or think is None:
        return "medium" if think else "off"
    if think not in THINKING_LEVELS or think == "off":
        raise refuse(
            f'invalid think value: "{think}" (must be "high", "medium", "low", true, or false)'
        )
    return cast(ThinkingLevel, think)


def _message(message: _Message) -> LLMMessage:
    content = message.content or ""
    if message.role == "tool":
        result = ToolResultPart(message.tool_call_id or "", content, message.tool_name or "")
        return new_message(Role.tool, (result,))
    parts: list[Part] = []
    if message.thinking:
        parts.append(ReasoningPart(message.thinking))
    parts += map(_image, message.images or ())
    if content or not (parts or message.tool_calls):
        parts.append(TextPart(content))
    parts += map(_call, message.tool_calls or ())
    return new_message(Role(message.role), tuple(parts))


def _image(data: str) -> ImagePart:
    try:
        content = b64decode(data, validate=True)
    except binascii.Error:
        raise refuse("illegal base64 data at input byte 0") from None
    kind = next((kind for magic, kind in _MAGIC if content.startswith(magic)), "image/png")
    return ImagePart(BytesSource(content, kind))


def _call(call: _Call) -> ToolCall:
    text = bytes(call.function.arguments).decode("utf-8")
    if text in ("", "null"):
        text = "{}"
    elif not text.startswith("{"):
        raise refuse(
            "json: cannot unmarshal into Go struct field ChatRequest.messages.tool_calls.function"
            ".arguments of type api.ToolCallFunctionArguments"
        )
    return ToolCall(call.id or None, FunctionCall(call.function.name, text))
