"""The server's ear: from the body of a request to our values, with the real API's refusals.

Source: wire reference 1.2, 4; OpenAI's error texts as its service sends them (2026-11).
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from ...config import THINKING_LEVELS, ModelConfig, ThinkingLevel
from ...errors import HistoryRejectedError, InvalidRequestError
from ...request import LLMRequest, OutputFormat
from ...schema import OPENAI
from ...schema.faults import faults
from ...types import (
    JSON,
    AudioPart,
    AvailableTool,
    BytesSource,
    FilePart,
    FileSource,
    FunctionCall,
    ImagePart,
    LLMMessage,
    Native,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    Role,
    Source,
    TextPart,
    ToolCall,
    ToolResultPart,
    UrlSource,
    load_json,
    new_message,
)
from ..base import ServerRequest, canonical_json
from .models import traits_of
from .reply import from_data_uri
from .wire import KNOWN_REASONING

_READ = frozenset((
    "model", "messages", "tools", "tool_choice", "temperature", "top_p", "top_k", "max_tokens",
    "max_completion_tokens", "stop", "seed", "random_seed", "parallel_tool_calls", "metadata",
    "stream", "stream_options", "reasoning_effort", "reasoning", "thinking", "enable_thinking",
    "response_format", "prompt_cache_key", "store",
))  # fmt: skip


def refuse(
    message: str,
    param: str | None = None,
    code: str | None = None,
    *,
    status: int = 400,
    history: bool = False,
    type: str = "invalid_request_error",
) -> InvalidRequestError:
    """The error that the service answers with; `param` is the place it names."""
    kind = HistoryRejectedError if history else InvalidRequestError
    where = f" [{param}]" if param else ""
    return kind(
        message + where, status=status, type=type, code=code, provider_message=message,
        phase="response",
    )  # fmt: skip


def check_schema(schema: JSON, name: str, param: str) -> None:
    """Raises what the service answers to a schema that its strict mode does not take."""
    for place, what in faults(schema, OPENAI):
        message = f"Invalid schema for {param} '{name}': In context={place}, {what}"
        raise refuse(message, param, "invalid_json_schema")


class RequestReader:
    """Reads one request. The language's rules are methods, so that a variant can have others."""

    api = "openai"
    roles: tuple[str, ...] = ("system", "assistant", "user", "function", "tool", "developer")
    any_words: tuple[str, ...] = ("required",)

    def read(self, body: bytes) -> ServerRequest:
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
        model = value.get("model")
        if not isinstance(model, str) or not model:
            raise refuse("you must provide a model parameter")
        self.check(value)
        try:
            request = self._request(value, model)
        except (ValueError, TypeError, KeyError, AttributeError) as e:
            raise refuse(f"Invalid request: {e}") from None
        options = value.get("stream_options")
        usage = bool(options.get("include_usage")) if isinstance(options, dict) else False
        return ServerRequest(request, include_usage=usage, body=value)

    # --- the rules ---

    def check(self, body: dict[str, Any]) -> None:
        """The order of the messages, and settings that need one another."""
        messages = body.get("messages")
        if messages is None:
            code = "missing_required_parameter"
            raise refuse("Missing required parameter: 'messages'.", "messages", code)
        if not isinstance(messages, list):
            raise refuse(
                "Invalid type for 'messages': expected an array of objects.", "messages",
                "invalid_type",
            )  # fmt: skip
        if not messages:
            raise refuse(
                "Invalid 'messages': empty array. Expected an array with minimum length 1, "
                "but got an empty array instead.",
                "messages",
                "empty_array",
            )
        self.check_messages(messages, traits_of(body["model"]) is not None)
        self.check_settings(body)

    def check_messages(self, messages: list[Any], own: bool) -> None:
        """`own`: the model is OpenAI's, whose service is stricter than compatible ones."""
        waiting: list[str] = []
        for i, message in enumerate(messages):
            role = self.check_role(message, i)
            if role == "tool":
                call_id = message.get("tool_call_id")
                if not isinstance(call_id, str):
                    raise refuse(
                        f"Missing required parameter: 'messages[{i}].tool_call_id'.",
                        f"messages[{i}].tool_call_id",
                        "missing_required_parameter",
                    )
                if call_id not in waiting:
                    raise refuse(
                        "Invalid parameter: messages with role 'tool' must be a response to a "
                        "preceeding message with 'tool_calls'.",
                        f"messages.[{i}].role",
                        history=True,
                    )
                waiting.remove(call_id)
                continue
            if waiting:
                raise self._unanswered(waiting, i)
            if role == "assistant":
                waiting = self.check_assistant(message, i, own)
            elif message.get("content") is None:
                raise refuse(
                    "Invalid value for 'content': expected a string, got null.",
                    f"messages.[{i}].content",
                )
        if waiting:
            raise self._unanswered(waiting, len(messages))

    def check_role(self, message: Any, i: int) -> str:
        role = message.get("role") if isinstance(message, dict) else None
        if role in self.roles:
            return str(role)
        supported = ", ".join(f"'{r}'" for r in self.roles)
        raise refuse(
            f"Invalid value: {role!r}. Supported values are: {supported}.",
            f"messages[{i}].role",
            "invalid_value",
        )

    def check_assistant(self, message: dict[str, Any], i: int, own: bool) -> list[str]:
        """The ids of the turn's calls."""
        calls = message.get("tool_calls")
        if calls is not None and not isinstance(calls, list):
            raise refuse("Invalid type for 'tool_calls': expected an array.", code="invalid_type")
        if calls == []:
            raise refuse(
                f"Invalid 'messages[{i}].tool_calls': empty array. Expected an array with minimum "
                "length 1, but got an empty array instead.",
                f"messages[{i}].tool_calls",
                "empty_array",
            )
        if not calls and all(message.get(k) is None for k in ("content", "refusal", "audio")):
            raise refuse(
                "Invalid value for 'content': expected a string, got null.",
                f"messages.[{i}].content",
            )
        ids = []
        for j, call in enumerate(calls or ()):
            call_id = call.get("id") if isinstance(call, dict) else None
            if not isinstance(call_id, str):
                place = f"messages[{i}].tool_calls[{j}].id"
                raise refuse(
                    f"Missing required parameter: '{place}'.", place, "missing_required_parameter"
                )
            if own:
                self.check_id(call_id, f"messages[{i}].tool_calls[{j}].id")
            ids.append(call_id)
        return ids

    def check_id(self, call_id: str, place: str) -> None:
        if len(call_id) > 40:
            raise refuse(
                f"Invalid '{place}': string too long. Expected a string with maximum length 40, "
                f"but got a string with length {len(call_id)} instead.",
                place,
                "string_above_max_length",
                history=True,
            )

    def check_settings(self, body: dict[str, Any]) -> None:
        if body.get("stream_options") is not None and not body.get("stream"):
            raise refuse(
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
                "stream_options",
            )
        if not body.get("tools"):
            for name in ("tool_choice", "parallel_tool_calls"):
                if body.get(name) not in (None, "none"):
                    raise refuse(
                        f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are "
                        "specified.",
                        name,
                    )
        choice = body.get("tool_choice")
        if isinstance(choice, str) and choice not in ("none", "auto", *self.any_words):
            words = ", ".join(f"'{w}'" for w in ("none", "auto", *self.any_words))
            raise refuse(
                f"Invalid value: '{choice}'. Supported values are: {words}.", "tool_choice",
                "invalid_value",
            )  # fmt: skip
        traits = traits_of(body["model"])
        if traits is None:
            return
        if traits.max_tokens_field != "max_tokens" and body.get("max_tokens") is not None:
            raise refuse(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
                "max_tokens",
                "unsupported_parameter",
            )
        warm = body.get("temperature")
        if warm not in (None, 1) and not traits.samples(body.get("reasoning_effort")):
            raise refuse(
                f"Unsupported value: 'temperature' does not support {warm} with this model. Only "
                "the default (1) value is supported.",
                "temperature",
                "unsupported_value",
            )

    @staticmethod
    def _unanswered(waiting: list[str], i: int) -> InvalidRequestError:
        return refuse(
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(waiting),
            f"messages.[{i}].role",
            history=True,
        )

    # --- our values ---

    def _request(self, body: dict[str, Any], model: str) -> LLMRequest:
        tools = msgspec.convert(
            [t for t in body.get("tools") or () if t.get("type") == "function"],
            tuple[AvailableTool, ...],
        )
        stop = body.get("stop")
        limit = body.get("max_completion_tokens")
        names = {f: body.get(f) for f in ("temperature", "top_p", "top_k", "parallel_tool_calls")}
        seed = body.get("seed")
        rest = {k: v for k, v in body.items() if k not in _READ and v is not None}
        fields = {
            **names,
            "max_tokens": body.get("max_tokens") if limit is None else limit,
            "seed": body.get("random_seed") if seed is None else seed,
            "metadata": body.get("metadata") or {},
            "stream": bool(body.get("stream")),
            "cache_key": body.get("prompt_cache_key"),
            "store": body.get("store"),
        }
        checked = msgspec.convert(fields, _Settings)
        return LLMRequest(
            model=ModelConfig(model, temperature=None),
            messages=tuple(self._message(m) for m in body["messages"]),
            tools=tools,
            tool_choice=_choice(body.get("tool_choice"), tools),
            thinking=level_of(body),
            output=self._output(body.get("response_format")),
            stop=(stop,) if isinstance(stop, str) else tuple(str(s) for s in stop or ()),
            extra_body=rest,
            **msgspec.structs.asdict(checked),
        )

    def _output(self, form: JSON) -> OutputFormat | None:
        """The form of the reply; a schema may stand beside its name or in `json_schema`."""
        kind = form.get("type") if isinstance(form, dict) else None
        if kind in (None, "text"):
            return None
        if kind == "json_object":
            return OutputFormat()
        if kind != "json_schema":
            raise refuse(
                f"Invalid value: {kind!r}. Supported values are: 'json_object', 'json_schema', "
                "and 'text'.",
                "response_format.type",
                "invalid_value",
            )
        inner = form.get("json_schema", form)
        schema = inner.get("schema") if isinstance(inner, dict) else None
        if not isinstance(schema, dict):
            place = "response_format.json_schema.schema"
            code = "missing_required_parameter"
            raise refuse(f"Missing required parameter: '{place}'.", place, code)
        name, strict = str(inner.get("name") or "output"), bool(inner.get("strict"))
        if strict:
            self.check_schema(schema, name)
        return OutputFormat(schema, name, strict)

    def check_schema(self, schema: dict[str, Any], name: str) -> None:
        check_schema(schema, name, "response_format")

    def _message(self, message: dict[str, Any]) -> LLMMessage:
        role, content = message["role"], message.get("content")
        name = message.get("name") if isinstance(message.get("name"), str) else None
        if role in ("tool", "function"):
            result: Any = content
            if isinstance(content, list):
                parts = self._parts(content)
                texts = [p.text for p in parts if isinstance(p, TextPart)]
                result = "\n".join(texts) if len(texts) == len(parts) else tuple(parts)
            call_id = str(message.get("tool_call_id") or name or "")
            part = ToolResultPart(call_id, result if result is not None else "", name or "")
            return new_message(Role.tool, (part,))
        out: list[Part] = []
        if role == "assistant":
            out += self._reasoning(message)
        out += self._parts(content)
        if role == "assistant":
            if isinstance(message.get("refusal"), str):
                out.append(RefusalPart(message["refusal"]))
            audio = message.get("audio")
            if isinstance(audio, dict) and audio.get("id"):
                native = Native(self.api, payload={"id": audio["id"]})
                out.append(AudioPart(BytesSource(b"", "audio/wav"), native=native))
            if any(isinstance(p, TextPart) and p.text for p in out) or message.get("tool_calls"):
                out = [p for p in out if not (isinstance(p, TextPart) and not p.text)]
            out += [self._call(c) for c in message.get("tool_calls") or ()]
        return new_message(Role(role), tuple(out), name)

    def _reasoning(self, message: dict[str, Any]) -> list[Part]:
        details = message.get("reasoning_details")
        if isinstance(details, list) and details:
            texts = [e.get("text") or e.get("summary") for e in details if isinstance(e, dict)]
            native = Native(self.api, payload={"field": "reasoning_details", "details": details})
            return [ReasoningPart("".join(t for t in texts if isinstance(t, str)), native=native)]
        for name in KNOWN_REASONING:
            if isinstance(message.get(name), str) and message[name]:
                return [ReasoningPart(message[name])]
        return []

    def _parts(self, content: Any) -> list[Part]:
        if isinstance(content, str):
            return [TextPart(content)]
        return [self._part(block) for block in content or ()]

    def _part(self, block: Any) -> Part:
        if isinstance(block, str):
            return TextPart(block)
        part = self._unmarked(block)
        mark = block.get("prompt_cache_breakpoint")
        if isinstance(mark, dict) and isinstance(part, TextPart | ImagePart | FilePart):
            return msgspec.structs.replace(part, cache=mark.get("ttl") or "default")
        return part

    def _unmarked(self, block: dict[str, Any]) -> Part:
        kind: Any = block.get("type")
        value = block.get(kind)
        if kind == "text" and isinstance(value, str):
            return TextPart(value)
        if kind == "refusal" and isinstance(value, str):
            return RefusalPart(value)
        if kind == "image_url":
            url = value.get("url") if isinstance(value, dict) else value
            detail = value.get("detail") if isinstance(value, dict) else None
            return ImagePart(source_of(url), detail)
        if kind == "input_audio" and isinstance(value, dict):
            form = str(value.get("format") or "wav")
            return AudioPart(bytes_of(value.get("data"), f"audio/{form}"), form)
        if kind == "file" and isinstance(value, dict):
            if value.get("file_id"):
                return FilePart(FileSource(value["file_id"]), value.get("filename") or "")
            return FilePart(source_of(value.get("file_data")), value.get("filename") or "")
        return OpaquePart(str(kind or ""), canonical_json(block).decode())

    def _call(self, call: dict[str, Any]) -> ToolCall:
        extra = call.get("extra_content")
        native = Native(self.api, payload={"extra_content": extra}) if extra else None
        if call.get("type") == "custom":
            custom = FunctionCall(call["custom"]["name"], call["custom"].get("input") or "")
            return ToolCall(call.get("id"), custom, "custom", native)
        function = call["function"]
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            arguments = "{}" if arguments is None else canonical_json(arguments).decode()
        return ToolCall(call.get("id"), FunctionCall(function["name"], arguments), native=native)


class _Settings(msgspec.Struct):
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    seed: int | None = None
    metadata: dict[str, str] = {}
    stream: bool = False
    cache_key: str | None = None
    store: bool | None = None


def _choice(choice: Any, tools: tuple[AvailableTool, ...]) -> Any:
    if choice is None or choice in ("auto", "none", "any", "required"):
        return choice
    name = choice["function"]["name"] if isinstance(choice.get("function"), dict) else None
    for tool in tools:
        if tool.function.name == name:
            return tool
    raise refuse(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")


def level_of(body: Mapping[str, Any]) -> ThinkingLevel:
    reasoning, thinking = body.get("reasoning"), body.get("thinking")
    word = body.get("reasoning_effort")
    if word is None and isinstance(reasoning, dict):
        word = reasoning.get("effort")
    if word is None and (
        body.get("enable_thinking") is True
        or (isinstance(thinking, dict) and thinking.get("type") == "enabled")
    ):
        word = "medium"
    if word in (None, "none"):
        return "off"
    if word not in THINKING_LEVELS:
        raise refuse(
            f"Invalid value: {word!r}. Supported values are: 'none', 'minimal', 'low', 'medium', "
            "'high', 'xhigh', and 'max'.",
            "reasoning_effort",
            "invalid_value",
        )
    return cast(ThinkingLevel, word)


def source_of(address: JSON, param: str = "messages") -> Source:
    if not isinstance(address, str) or not re.match(r"(data:|https?://)", address):
        raise refuse(
            "Invalid image URL: expected a base64-encoded data URL or an http(s) address.",
            param,
            "invalid_value",
        )
    if address.startswith("data:"):
        found = from_data_uri(address)
        if found is None:
            raise refuse("Invalid base64 data.", param, "invalid_base64")
        return found
    return UrlSource(address)


def bytes_of(data: JSON, media_type: str, param: str = "messages") -> BytesSource:
    try:
        return BytesSource(b64decode(data or "", validate=True), media_type)
    except (binascii.Error, ValueError, TypeError):
        raise refuse("Invalid base64 data.", param, "invalid_base64") from None
