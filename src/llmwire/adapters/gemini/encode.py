"""Requests: from our values to the body of generateContent.

Keys stand in one order, the contents last, so that the next turn's body begins with this one's.
Wire reference 5.2, 5.5, 12.2 (2026-11-22).
"""

from __future__ import annotations

import re
from typing import Any

from ...caching import fit_marks
from ...config import THINKING_LEVELS, ProviderConfig
from ...errors import UnsupportedError
from ...history import Log
from ...output import plan_output
from ...providers import dialect_of
from ...request import LLMRequest
from ...schema import GEMINI
from ...types import JSON, AvailableTool, Native
from .contents import ContentWriter
from .models import ANSWER_ROOM, API, BUDGETS, ModelTraits, traits_of

MOST_STOPS = 5
HOTTEST = 2.0
_LABEL = re.compile(r"[\w-]{1,63}")
_MERGED = ("generationConfig", "toolConfig")
"""Objects in which extra_body's settings stand beside ours, as its tools (the service's own) stand
beside our functions; any other key of it replaces."""
_CACHED = ("systemInstruction", "tools", "toolConfig")
"""What a cached content holds already, so that a request with one must not say it."""


def prepare_body(
    request: LLMRequest, provider: ProviderConfig, log: Log, *, vertex: bool
) -> dict[str, Any]:
    """The body; what of the request it does not say is in the log.

    Raises `UnsupportedError` with a path for what this wire can't say.
    """
    request = fit_marks(request, (), log)
    traits = traits_of(request.model.name)
    issuer = Native(API, provider.name, request.model.name)
    body: dict[str, Any] = {}
    tools = _tools(request, log)
    if tools:
        body["tools"] = [{"functionDeclarations": tools}]
    if choice := _choice(request, provider, log, vertex):
        body["toolConfig"] = {"functionCallingConfig": choice}
    if config := _generation_config(request, traits, log):
        body["generationConfig"] = config
    _add_others(body, request, log, vertex)
    system, contents = ContentWriter(provider, issuer, traits, log).prepare(request.messages)
    if system:
        body = {"systemInstruction": {"parts": system}, **body}
    body["contents"] = contents
    for key, value in request.extra_body.items():
        ours = body.get(key)
        if key in _MERGED and isinstance(ours, dict) and isinstance(value, dict):
            value = {**ours, **value}
        elif key == "tools" and ours and isinstance(value, list):
            value = [*ours, *value]
        body[key] = value
    if body.get("cachedContent"):
        for key in _CACHED:
            if body.pop(key, None) is not None and key not in request.extra_body:
                log.add("dropped", key, "the cached content has it")
    body["contents"] = body.pop("contents")
    return body


# --- tools ---


def _tools(request: LLMRequest, log: Log) -> list[dict[str, JSON]]:
    out: list[dict[str, JSON]] = []
    for i, tool in enumerate(request.tools):
        function = tool.function
        entry: dict[str, JSON] = {"name": function.name}
        if function.description:
            entry["description"] = function.description
        schema = function.parameters
        if tool.type == "custom":
            log.add("substituted", f"tools[{i}]", "free text became an object with `input`")
            if function.format is not None:
                log.add("dropped", f"tools[{i}].format", "this wire has no grammars")
            text = {"type": "string"}
            schema = {"type": "object", "properties": {"input": text}, "required": ["input"]}
        if schema:
            entry["parametersJsonSchema"] = _schema(schema, f"tools[{i}]", log)
        out.append(entry)
    return out


def _choice(
    request: LLMRequest, provider: ProviderConfig, log: Log, vertex: bool
) -> dict[str, JSON]:
    """functionCallingConfig; empty where there is nothing to say."""
    asked, names = request.tool_choice, [t.function.name for t in request.tools]
    if request.parallel_tool_calls is False:
        log.add("dropped", "parallel_tool_calls", "this wire has no such switch", False)
    if not names:
        if asked not in (None, "auto", "none"):
            word = asked.function.name if isinstance(asked, AvailableTool) else asked
            log.add("dropped", "tool_choice", "there are no tools to choose from", word)
        return {}
    strict = [bool(t.function.strict) for t in request.tools]
    if any(strict) and not all(strict):
        log.add("substituted", "tools", "this wire is strict with all tools or with none")
    config: dict[str, JSON] = {}
    if isinstance(asked, AvailableTool):
        name = asked.function.name
        if name not in names:
            raise UnsupportedError(
                f"tool_choice: {name!r} is not among the tools of the call",
                path="tool_choice",
                phase="prepare",
            )
        config = {"mode": "ANY", "allowedFunctionNames": [name]}
    elif asked in ("any", "required"):
        config = {"mode": "ANY"}
    elif asked == "none":
        config = {"mode": "NONE"}
    elif any(strict):
        config = {"mode": "VALIDATED"}
    elif asked == "auto":
        config = {"mode": "AUTO"}
    if vertex and request.stream and dialect_of(provider).stream_tool_calls and asked != "none":
        config["streamFunctionCallArguments"] = True
    return config


_SCHEMAS_IN = ("properties", "$defs", "definitions", "patternProperties")
_SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_SCHEMA = ("items", "additionalProperties", "not", "contains", "if", "then", "else")


def _schema(schema: dict[str, JSON], path: str, log: Log) -> JSON:
    """The schema without `const`, which the API ignores: an enum of one value says the same."""
    plain = _without_const(schema)
    if plain != schema:
        log.add("substituted", path, "`const`, which the API ignores, became an `enum`")
    return plain


def _without_const(schema: JSON) -> JSON:
    if not isinstance(schema, dict):
        return schema
    out: dict[str, JSON] = {}
    for key, value in schema.items():
        if key == "const":
            out["enum"] = [value]
        elif key in _SCHEMAS_IN and isinstance(value, dict):
            out[key] = {name: _without_const(inner) for name, inner in value.items()}
        elif key in _SCHEMA_LISTS and isinstance(value, list):
            out[key] = [_without_const(inner) for inner in value]
        elif key in _SCHEMA:
            out[key] = _without_const(value)
        else:
            out[key] = value
    return out


# --- generation ---


def _generation_config(request: LLMRequest, traits: ModelTraits, log: Log) -> dict[str, JSON]:
    config: dict[str, JSON] = {}
    if request.temperature is not None:
        config["temperature"] = min(request.temperature, HOTTEST)
        if request.temperature > HOTTEST:
            why = f"this wire's goes up to {HOTTEST:g}"
            log.add("clamped", "temperature", why, request.temperature, HOTTEST)
    asked = {
        "topP": request.top_p,
        "topK": request.top_k,
        "maxOutputTokens": request.max_tokens,
        "seed": request.seed,
    }
    config |= {name: value for name, value in asked.items() if value is not None}
    if request.stop:
        config["stopSequences"] = list(request.stop[:MOST_STOPS])
        if len(request.stop) > MOST_STOPS:
            why = f"the API takes up to {MOST_STOPS}"
            log.add("dropped", "stop", why, list(request.stop[MOST_STOPS:]))
    if request.output is not None:
        if request.tools and not traits.gemini3:
            raise UnsupportedError(
                "output: this model gives JSON only without tools; leave one of them out",
                path="output",
                phase="prepare",
            )
        config["responseMimeType"] = "application/json"
        if request.output.schema is not None:
            plan = plan_output(request.output, GEMINI, log)
            config["responseJsonSchema"] = plan.schema if plan is not None else None
    thinking = _thinking(request, traits, log)
    if thinking:
        config["thinkingConfig"] = thinking
    return config


def _thinking(request: LLMRequest, traits: ModelTraits, log: Log) -> dict[str, JSON]:
    """thinkingConfig; empty where the model's own way is left to it."""
    asked = request.thinking
    least, most = traits.budgets
    if asked == "off":
        if traits.off == "omit":
            return {}
        if traits.off == "zero":
            return {"thinkingBudget": 0}
        said = traits.levels[0] if traits.thinking == "level" else least
        log.add("substituted", "thinking", "this model always thinks", "off", said)
        if traits.thinking == "level":
            return {"thinkingLevel": traits.levels[0].upper()}
        return {"thinkingBudget": least}
    if traits.thinking == "none":
        log.add("dropped", "thinking", "this model does not think", asked)
        return {}
    if traits.thinking == "level":
        rank = THINKING_LEVELS.index
        lower = [level for level in traits.levels if rank(level) <= rank(asked)]
        level = lower[-1] if lower else traits.levels[0]
        if level != asked:
            log.add("clamped", "thinking", "this model has no such level", asked, level)
        return {"includeThoughts": True, "thinkingLevel": level.upper()}
    wanted = BUDGETS.get(asked, most)
    budget = max(least, min(wanted, most))
    why = "this model's budget ends there"
    limit = request.max_tokens
    if limit is not None and budget + ANSWER_ROOM > limit:
        room = limit - ANSWER_ROOM if limit > 2 * ANSWER_ROOM else limit // 2
        budget = max(least, min(budget, room))
        why = "max_tokens counts thoughts too"
    if budget != wanted:
        log.add("clamped", "thinking", why, wanted, budget)
    return {"includeThoughts": True, "thinkingBudget": budget}


# --- the rest ---


def _add_others(body: dict[str, Any], request: LLMRequest, log: Log, vertex: bool) -> None:
    if request.previous_response_id is not None:
        raise UnsupportedError(
            "previous_response_id: this wire stores no replies; send the whole history",
            path="previous_response_id",
            phase="prepare",
        )
    if request.cache_key is not None:
        log.add("dropped", "cache_key", "this wire caches by itself", request.cache_key)
    if request.store is not None:
        if vertex:
            log.add("dropped", "store", "Vertex AI takes no such setting", request.store)
        else:  # None leaves it to the project's setting: it is about logs, not about replies
            body["store"] = request.store
    if not request.metadata:
        return
    if not vertex:
        log.add("dropped", "metadata", "AI Studio takes none", request.metadata)
        return
    labels = {}
    for name, value in request.metadata.items():
        if all(_LABEL.fullmatch(t) and t == t.lower() for t in (name, value)):
            labels[name] = value
        else:
            why = "a label has up to 63 lower-case letters, digits, _ and -"
            log.add("dropped", f"metadata.{name}", why, value)
    if labels:
        body["labels"] = labels
