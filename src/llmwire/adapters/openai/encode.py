"""Requests: from our values to the body of a Chat Completions request.

Keys stand in one order, the messages last, so that the next turn's body begins with this one's.
Source: wire reference 1.2, 4, 8.1, 8.2, 12.2 (2026-11-22).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias

from msgspec import Raw, Struct

from ...caching import fit_marks
from ...config import THINKING_LEVELS, Dialect, ProviderConfig, ThinkingLevel
from ...errors import UnsupportedError
from ...fitting import Log
from ...memory import Memory
from ...output import OutputPlan, fit_tool, plan_output
from ...providers import dialect_of
from ...request import LLMRequest
from ...schema import MISTRAL, OPENAI, PLAIN, SchemaRules
from ...types import JSON, Adaptation, AvailableTool, CacheLifetime, Native
from ..base import Pieces, canonical_body, canonical_json
from .families import traits_at
from .messages import Manner, MessageWriter
from .models import ModelTraits

SCHEMA_RULES: dict[str, SchemaRules] = {"strict": OPENAI, "closed": MISTRAL, "plain": PLAIN}
"""The rules behind the words of `Dialect.json_schema`; the others name no schema mode."""


class Settings(Struct, frozen=True):
    """All that a request says beside its messages."""

    body: dict[str, JSON]
    head: bytes
    """The body as JSON, up to the messages."""
    adaptations: tuple[Adaptation, ...]
    manner: Manner


def prepare_body(
    request: LLMRequest, provider: ProviderConfig, api: str, memory: Memory | None = None
) -> tuple[bytes, tuple[Adaptation, ...]]:
    """The body, and what of the request it does not say.

    Raises `UnsupportedError` with a path for content that this wire can't say.
    """
    log = Log()
    marks = _marks_of(request, dialect_of(provider))
    request = fit_marks(
        request,
        _LIFETIMES[marks],
        log,
        most=_MOST_MARKS[marks],
        tools=False,
        unmarked=0 if memory is None else memory.unmarked(request.messages),
    )
    if memory is None:
        settings = prepare_settings(request, provider, api)
    else:
        settings = memory.settings(request, provider, partial(prepare_settings, api=api))
    messages = MessageWriter(settings.manner).prepare_messages(request.messages, memory)
    adaptations = log.done() + settings.adaptations + messages.adaptations
    pieces = Pieces(messages.pieces)
    if not request.extra_body:
        return pieces.between(settings.head, b"}"), adaptations
    body = settings.body | request.extra_body
    body["messages"] = body.pop("messages", pieces)
    return canonical_body(body), adaptations


def prepare_settings(request: LLMRequest, provider: ProviderConfig, api: str) -> Settings:
    log = Log()
    dialect = dialect_of(provider)
    traits = traits_at(dialect, request.model.name)
    body: dict[str, JSON] = {"model": request.model.name}
    _add_stored(body, request, dialect, log)
    add_tools(body, request, dialect, log)
    level = add_thinking(body, request, dialect, traits, log)
    add_sampling(body, request, dialect, traits, level, log)
    if request.max_tokens is not None:
        field = dialect.max_tokens_field
        body[field or (traits.max_tokens_field if traits else "max_tokens")] = request.max_tokens
    if request.stop:
        if traits is not None and not traits.stop and dialect.sampling is None:
            log.add("dropped", "stop", "the model takes no stop sequences", list(request.stop))
        else:
            body["stop"] = list(request.stop)
    if request.seed is not None:
        body[dialect.seed_field] = request.seed
    if request.metadata:
        if dialect.metadata:
            body["metadata"] = request.metadata
        else:
            log.add("dropped", "metadata", "the server takes none", request.metadata)
    plan = _add_output(body, request, dialect, traits, log)
    if request.stream:
        body["stream"] = True
        options: dict[str, JSON] = {}
        if dialect.stream_usage:
            options["include_usage"] = True
        if dialect.stream_tool_calls is not None:
            options["stream_tool_calls"] = dialect.stream_tool_calls
        if options:
            body["stream_options"] = options
    said_off = request.thinking == "off" and level == "off"
    manner = Manner(
        dialect,
        Native(api, provider.name, request.model.name),
        provider.reasoning_field_name,
        takes_developer(dialect, traits),
        not (said_off or (dialect.reasoning_replay == "content" and level in (None, "off"))),
        _marks_of(request, dialect),
        "" if plan is None else plan.instruction,
    )
    body.update(dialect.body)
    head = canonical_json(body)[:-1] + b',"messages":'
    return Settings(body, head, log.done(), manner)


BREAKPOINTS: tuple[CacheLifetime, ...] = ("30m", "12h")
MOST_BREAKPOINTS = 80
"""OpenAI considers the latest 80 and writes the latest 4 (openai 3.57, PromptCacheOptions)."""

_LIFETIMES: dict[str, tuple[CacheLifetime, ...]] = {
    "breakpoint": BREAKPOINTS,
    "cache_control": ("5m", "1h"),
    "": (),
}
_MOST_MARKS = {"breakpoint": MOST_BREAKPOINTS, "cache_control": 4, "": 0}


def _marks_of(request: LLMRequest, dialect: Dialect) -> str:
    """The word of `Dialect.cache_marks`; "" where nothing can be marked."""
    traits = traits_at(dialect, request.model.name)
    return dialect.cache_marks or ("breakpoint" if traits and traits.breakpoints else "")


def _add_stored(body: dict[str, JSON], request: LLMRequest, dialect: Dialect, log: Log) -> None:
    """What concerns earlier calls: the cache's key, and replies that the provider keeps."""
    if request.cache_key is not None:
        if dialect.prompt_cache_key:
            body["prompt_cache_key"] = request.cache_key
        else:
            log.add("dropped", "cache_key", "the server takes none", request.cache_key)
    if request.store:
        if dialect.store:
            body["store"] = True
        else:
            log.add("dropped", "store", "the server stores no replies", True)
    if request.previous_response_id is not None:
        raise UnsupportedError(
            "previous_response_id: Chat Completions can't go on from a stored reply",
            path="previous_response_id",
            phase="prepare",
        )


def affinity(request: LLMRequest, provider: ProviderConfig) -> dict[str, str]:
    """The header that brings calls with one cache key together, if the server has one.

    A key that no header can hold stands in the body only.
    """
    key = request.cache_key
    name = dialect_of(provider).affinity_header if key else ""
    return {name: key} if name and key and key.isascii() and key.isprintable() else {}


def takes_developer(dialect: Dialect, traits: ModelTraits | None) -> bool:
    if dialect.developer_role is not None:
        return dialect.developer_role
    return traits is not None and traits.developer


# --- the form of the reply ---


def planned_output(
    request: LLMRequest, dialect: Dialect, traits: ModelTraits | None, log: Log
) -> OutputPlan | None:
    """How to ask for the form of the reply; None if the request asks for none."""
    by_model = "json_object" if traits is not None and not traits.schema else "strict"
    word = dialect.json_schema or by_model
    return plan_output(request.output, SCHEMA_RULES.get(word), log, object_mode=word != "prompt")


def _add_output(
    body: dict[str, JSON],
    request: LLMRequest,
    dialect: Dialect,
    traits: ModelTraits | None,
    log: Log,
) -> OutputPlan | None:
    plan = planned_output(request, dialect, traits, log)
    if plan is None or request.output is None or plan.mode == "text":
        return plan
    if plan.mode == "object":
        body["response_format"] = {"type": "json_object"}
        return plan
    form = {"name": request.output.name, "schema": plan.schema, "strict": plan.strict}
    body["response_format"] = {"type": "json_schema", "json_schema": form}
    return plan


# --- tools ---


ToolWriter: TypeAlias = Callable[[AvailableTool, SchemaRules | None, Log, str], JSON]
"""Says a tool in a wire's words: the tool, the rules of strict tools there, the log, its path."""


def tool_entry(
    tool: AvailableTool, rules: SchemaRules | None, log: Log, path: str
) -> dict[str, JSON]:
    function: dict[str, JSON] = {"name": tool.function.name}
    if tool.function.description:
        function["description"] = tool.function.description
    function["parameters"], strict = fit_tool(tool.function, rules, log, f"{path}.function")
    if strict is not None:
        function["strict"] = strict
    return {"type": "function", "function": function}


def named_choice(tool: AvailableTool) -> dict[str, JSON]:
    return {"type": "function", "function": {"name": tool.function.name}}


def add_tools(
    body: dict[str, JSON],
    request: LLMRequest,
    dialect: Dialect,
    log: Log,
    entry: ToolWriter = tool_entry,
    named: Callable[[AvailableTool], JSON] = named_choice,
) -> None:
    """The tools, the choice among them, and whether several may be called at once.

    `entry` and `named` say a tool, and the choice of it, in the wire's words.
    """
    choice = request.tool_choice
    if not request.tools:
        if choice is not None and choice not in ("auto", "none"):
            log.add("dropped", "tool_choice", "there are no tools to choose from", _word(choice))
        if request.parallel_tool_calls is not None:
            log.add("dropped", "parallel_tool_calls", "there are no tools")
        return
    if choice == "none" and "none" not in dialect.tool_choices:
        log.add("dropped", "tools", "the server can't be told not to call one")
        return
    rules = SCHEMA_RULES.get(dialect.json_schema or "strict")
    entries = [entry(t, rules, log, f"tools[{i}]") for i, t in enumerate(request.tools)]
    body["tools"] = Raw(canonical_json(entries))
    if choice is not None:
        body["tool_choice"] = _tool_choice(choice, dialect, log, named)
    if request.parallel_tool_calls is not None:
        if dialect.parallel_tool_calls:
            body["parallel_tool_calls"] = request.parallel_tool_calls
        else:
            reason = "the server does not take it"
            log.add("dropped", "parallel_tool_calls", reason, request.parallel_tool_calls)


def _word(choice: AvailableTool | str) -> str:
    return choice if isinstance(choice, str) else choice.function.name


def _tool_choice(
    choice: AvailableTool | str,
    dialect: Dialect,
    log: Log,
    named: Callable[[AvailableTool], JSON],
) -> JSON:
    if isinstance(choice, AvailableTool):
        if "named" in dialect.tool_choices:
            return named(choice)
        wanted = ["required", "auto"]
    elif choice in ("any", "required"):
        if "required" in dialect.tool_choices:
            return dialect.any_word
        wanted = ["auto"]
    else:
        return choice
    word = next(w for w in wanted if w in dialect.tool_choices or w == "auto")
    word = dialect.any_word if word == "required" else word
    log.add("clamped", "tool_choice", "the server can't be told that", _word(choice), word)
    return word


# --- thinking ---


def clamp_level(level: ThinkingLevel, levels: Iterable[ThinkingLevel]) -> ThinkingLevel | None:
    """The nearest lower level there is, else the lowest; None if there is none to think at."""
    order = THINKING_LEVELS.index
    thinking = sorted((x for x in levels if x != "off"), key=order)
    lower = [x for x in thinking if order(x) <= order(level)]
    return lower[-1] if lower else (thinking[0] if thinking else None)


def add_thinking(
    body: dict[str, JSON],
    request: LLMRequest,
    dialect: Dialect,
    traits: ModelTraits | None,
    log: Log,
    control: str | None = None,
) -> ThinkingLevel | None:
    """The level that the request says; None if it says nothing about thinking.

    `control` is how the wire asks for it, if not as the dialect says.
    """
    asked, control = request.thinking, control or dialect.reasoning_control
    by_model = dialect.efforts is None and traits is not None
    levels = (
        dialect.efforts if dialect.efforts is not None else (traits.efforts if traits else None)
    )
    if asked == "off":
        # OpenAI's models default to levels of their own, so "none" is said where it exists.
        can_say = dialect.thinking_default or (by_model and "off" in (levels or ()))
        if control == "none" or not can_say:
            return None
        _say_level(body, "off", control, levels)
        return "off"
    level: ThinkingLevel | None = asked
    if control == "none" or levels == ():
        level = None
    elif levels is not None:
        level = clamp_level(asked, levels)
    if level is None:
        log.add("dropped", "thinking", "the model or server has no levels to choose", asked)
        return None
    if (
        by_model
        and traits is not None
        and not traits.tools_while_reasoning
        and control == "effort"
        and "tools" in body
    ):
        reason = "the model takes function tools on this wire only without reasoning"
        log.add("substituted", "thinking", reason, asked, "off")
        level = "off"
    elif level != asked:
        log.add("clamped", "thinking", "the model has no such level", asked, level)
    said = _say_level(body, level, control, levels)
    if level != "off" and dialect.thinking_extra:
        place = body["thinking"] if control in ("thinking_type", "adaptive") else body
        place.update(dialect.thinking_extra)
    if said is not None:
        log.add("substituted", "thinking", "the server takes on or off only", asked, said)
    return level


def _say_level(
    body: dict[str, JSON],
    level: ThinkingLevel,
    control: str,
    levels: tuple[ThinkingLevel, ...] | None,
) -> str | None:
    """Writes the level; returns the word that stands for it where the level itself has none."""
    word = "none" if level == "off" else level
    on = level != "off"
    if control == "effort":
        body["reasoning_effort"] = word
    elif control == "reasoning":
        body["reasoning"] = {"effort": word}
    elif control == "enable_thinking":
        body["enable_thinking"] = on
        return "enabled" if on else None
    elif control == "adaptive":
        body["thinking"] = {"type": "adaptive" if on else "disabled"}
        return "adaptive" if on else None
    elif control == "thinking_type":
        body["thinking"] = {"type": "enabled" if on else "disabled"}
        if on and levels is None:
            return "enabled"
        if on:
            body["reasoning_effort"] = word
    return None


# --- sampling ---


def add_sampling(
    body: dict[str, JSON],
    request: LLMRequest,
    dialect: Dialect,
    traits: ModelTraits | None,
    level: ThinkingLevel | None,
    log: Log,
) -> None:
    taken = dialect.sampling
    if taken is None:
        rule = traits.sampling if traits is not None else "yes"
        taken = rule == "yes" or (rule == "effort_none" and level == "off")
    thinking = level not in (None, "off")
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(request, name)
        if value is None:
            continue
        if not taken:
            log.add("dropped", name, "the model samples as it likes", value)
        elif name == "top_k" and not dialect.top_k:
            log.add("dropped", name, "the server does not take it", value)
        elif name == "temperature" and thinking and dialect.temperature_with_thinking is not None:
            fixed = dialect.temperature_with_thinking
            if value != fixed:
                log.add("substituted", name, "the model wants it so while thinking", value, fixed)
            body[name] = fixed
        else:
            body[name] = value
