"""Requests: from our values to the body of a chat request.

Keys stand in one order, the messages last, so that the next turn's body begins with this one's.
Source: wire reference 7 (2026-11-22).
"""

from __future__ import annotations

from typing import Any

from ...caching import fit_marks
from ...config import Dialect, ProviderConfig
from ...errors import UnsupportedError
from ...history import Log
from ...providers import dialect_of
from ...request import LLMRequest
from ...types import JSON, AvailableTool, Native
from ..openai.encode import clamp_level
from .messages import MessageWriter
from .wire import API, levels_of

EMPTY_SCHEMA: dict[str, JSON] = {"type": "object", "properties": {}}
_FREE_TEXT: dict[str, JSON] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}


def prepare_body(request: LLMRequest, provider: ProviderConfig, log: Log) -> dict[str, Any]:
    """The body; what of the request it does not say is in the log.

    `extra_body` is merged over it; its `options` (num_ctx, min_p, ...) stand beside ours. Raises
    `UnsupportedError` with a path for what this wire can't say.
    """
    if request.previous_response_id is not None:
        raise UnsupportedError(
            "previous_response_id: Ollama stores no replies; send the whole history",
            path="previous_response_id",
            phase="prepare",
        )
    request = fit_marks(request, (), log)
    dialect = dialect_of(provider)
    body: dict[str, Any] = {"model": request.model.name}
    _add_tools(body, request, log)
    if request.output is not None:
        body["format"] = "json" if request.output.schema is None else request.output.schema
    think = _think(request, dialect, log)
    if think is not None:
        body["think"] = think
    if options := _options(request):
        body["options"] = options
    body["stream"] = request.stream  # the service streams unless told not to
    if request.metadata:
        log.add("dropped", "metadata", "the wire has no place for it", request.metadata)
    if request.store:
        log.add("dropped", "store", "Ollama stores no replies", True)
    if request.cache_key is not None:
        log.add("dropped", "cache_key", "the server caches by itself", request.cache_key)
    issuer = Native(API, provider.name, request.model.name)
    messages = MessageWriter(dialect, issuer, log).prepare_messages(request.messages)
    for key, value in request.extra_body.items():
        if key == "options" and isinstance(value, dict):
            value = {**body.get("options", {}), **value}
        body[key] = value
    body["messages"] = body.pop("messages", messages)
    return body


def _add_tools(body: dict[str, Any], request: LLMRequest, log: Log) -> None:
    choice = request.tool_choice
    word = choice.function.name if isinstance(choice, AvailableTool) else choice
    if request.parallel_tool_calls is not None:
        reason = "the wire has no word for it"
        log.add("dropped", "parallel_tool_calls", reason, request.parallel_tool_calls)
    if not request.tools:
        if word not in (None, "auto", "none"):
            log.add("dropped", "tool_choice", "there are no tools to choose from", word)
        return
    if word == "none":
        log.add("dropped", "tools", "the server can't be told not to call one")
        return
    if word not in (None, "auto"):
        log.add("clamped", "tool_choice", "the wire has no word for it", word, "auto")
    body["tools"] = [_tool(t, f"tools[{i}]", log) for i, t in enumerate(request.tools)]


def _tool(tool: AvailableTool, path: str, log: Log) -> dict[str, JSON]:
    function: dict[str, JSON] = {"name": tool.function.name}
    if tool.function.description:
        function["description"] = tool.function.description
    function["parameters"] = tool.function.parameters or EMPTY_SCHEMA
    if tool.type == "custom":
        log.add("substituted", path, "free text became an object with `input`")
        function["parameters"] = _FREE_TEXT
    if tool.function.strict:
        log.add("dropped", f"{path}.strict", "the wire has no word for it", True)
    return {"type": "function", "function": function}


def _think(request: LLMRequest, dialect: Dialect, log: Log) -> bool | str | None:
    """What `think` says; None: nothing.

    Models that can think do so unless told not to, so `off` is said in so many words.
    """
    asked = request.thinking
    levels = dialect.efforts if dialect.efforts is not None else levels_of(request.model.name)
    if dialect.reasoning_control == "none" or levels == ():
        if asked != "off":
            log.add("dropped", "thinking", "the model or server has no levels to choose", asked)
        return None
    if asked == "off":
        if levels is None or "off" in levels:
            return False
        log.add("substituted", "thinking", "this model always thinks", "off", levels[0])
        return levels[0]
    if levels is None:
        log.add("substituted", "thinking", "the model takes on or off only", asked, "enabled")
        return True
    level = clamp_level(asked, levels)
    if level != asked:
        log.add("clamped", "thinking", "the model has no such level", asked, level)
    return level


def _options(request: LLMRequest) -> dict[str, JSON]:
    settings = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "seed": request.seed,
        "num_predict": request.max_tokens,
        "stop": list(request.stop) or None,
    }
    return {name: value for name, value in settings.items() if value is not None}
