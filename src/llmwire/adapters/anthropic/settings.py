"""From what a call asks for to what the model takes: thinking, limits, sampling, tools.

Each setting that is not sent as asked leaves a record. Wire reference 3.1 to 3.3.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ...config import THINKING_LEVELS, Dialect, ThinkingLevel
from ...errors import UnsupportedError
from ...history import Log
from ...output import fit_tool
from ...request import LLMRequest
from ...schema import ANTHROPIC
from ...types import JSON, AvailableTool
from .encode import marked
from .models import ANSWER_ROOM, BUDGETS, MIN_BUDGET, ModelTraits, takes_sampling


class Thinking(Struct, frozen=True):
    """What the body says about thinking."""

    config: dict[str, JSON] | None = None
    effort: str | None = None
    max_tokens: int = 0

    @property
    def on(self) -> bool:
        return self.config is not None and self.config["type"] != "disabled"

    @property
    def budgeted(self) -> bool:
        return self.config is not None and self.config["type"] == "enabled"


def plan_thinking(
    request: LLMRequest, dialect: Dialect, traits: ModelTraits, level: ThinkingLevel, log: Log
) -> Thinking:
    """Thinking at `level`, or at what the model has next to it, with max_tokens to match.

    The budget stays below max_tokens, which counts thinking too: it is the budget that gives way.
    """
    limit = _given_limit(request, log)
    default = min(traits.default_max_tokens, traits.max_output)
    if level == "off":
        return _off(dialect, traits, default if limit is None else limit, log)
    form = dialect.anthropic_thinking
    if form is None:
        form = "adaptive" if traits.adaptive else "enabled" if traits.enabled else None
    if form is None:
        log.add("dropped", "thinking", "this model does not think", level)
        return Thinking(max_tokens=default if limit is None else limit)
    if form == "adaptive":
        config: dict[str, JSON] = {"type": "adaptive", **_display(dialect, traits)}
        effort = _effort(level, traits, log)
        return Thinking(config, effort, default if limit is None else limit)
    return _budgeted(traits, level, limit, default, log)


def _given_limit(request: LLMRequest, log: Log) -> int | None:
    most = request.model.max_output_tokens
    asked = request.max_tokens
    if asked is None:
        return most
    if asked < 0:
        raise UnsupportedError(
            f"max_tokens: {asked} is less than none", path="max_tokens", phase="prepare"
        )
    if most is not None and asked > most:
        log.add("clamped", "max_tokens", "the model's max_output_tokens is lower", asked, most)
        return most
    return asked


def _display(dialect: Dialect, traits: ModelTraits) -> dict[str, JSON]:
    if traits.display and dialect.thinking_display is not None:
        return {"display": dialect.thinking_display}
    return {}


def _off(dialect: Dialect, traits: ModelTraits, max_tokens: int, log: Log) -> Thinking:
    if traits.off == "omit":
        return Thinking(max_tokens=max_tokens)
    if traits.off == "disabled":
        return Thinking({"type": "disabled"}, max_tokens=max_tokens)
    if traits.off == "between_tools":
        log.add(
            "substituted", "thinking", "this model always thinks between tools",
            "off", "between_tools",
        )  # fmt: skip
        return Thinking({"type": "between_tools"}, max_tokens=max_tokens)
    least = traits.efforts[0]
    log.add("substituted", "thinking", "this model always thinks", "off", least)
    return Thinking({"type": "adaptive", **_display(dialect, traits)}, least, max_tokens)


def _effort(level: ThinkingLevel, traits: ModelTraits, log: Log) -> str:
    if level in traits.efforts:
        return level
    rank = THINKING_LEVELS.index
    lower = [e for e in traits.efforts if rank(e) < rank(level)]
    effort = lower[-1] if lower else traits.efforts[0]
    log.add("clamped", "thinking", "this model has no such level", level, effort)
    return effort


def _budgeted(
    traits: ModelTraits, level: ThinkingLevel, limit: int | None, default: int, log: Log
) -> Thinking:
    wanted = BUDGETS.get(level)
    if limit is None:
        limit = traits.max_output
        if wanted is not None:
            limit = min(limit, max(default, wanted + default // 2))
    if limit <= MIN_BUDGET:
        log.add(
            "dropped", "thinking", f"max_tokens leaves no room for the least, {MIN_BUDGET} tokens",
            level,
        )  # fmt: skip
        return Thinking(max_tokens=limit)
    room = max(MIN_BUDGET, limit - ANSWER_ROOM)
    budget = room if wanted is None else min(wanted, room)
    if wanted is not None and budget < wanted:
        log.add("clamped", "thinking", "the budget must be below max_tokens", wanted, budget)
    return Thinking({"type": "enabled", "budget_tokens": budget}, None, limit)


def allowed(when: str, thinking: Thinking) -> bool:
    """Whether what a model takes `when` may be said now."""
    return when == "always" or (when == "not_thinking" and not thinking.on)


def sampling_of(
    request: LLMRequest,
    dialect: Dialect,
    traits: ModelTraits,
    thinking: Thinking,
    version: str,
    log: Log,
) -> dict[str, JSON]:
    """temperature, top_p and top_k where they are no 400; `dialect.sampling` decides if set."""
    asked = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    ok = dialect.sampling
    if ok is None:
        ok = takes_sampling(version) and allowed(traits.sampling, thinking)
    if ok:
        if traits.sampling == "not_thinking":
            _fit_sampling(asked, log)
        return dict(asked)
    if traits.sampling == "not_thinking" and takes_sampling(version):
        why = "this model takes no sampling settings while it thinks"
    else:
        why = "this model takes no sampling settings"
    for name, value in asked.items():
        log.add("dropped", name, why, value)
    return {}


def _fit_sampling(asked: dict[str, Any], log: Log) -> None:
    """Claude's ranges: temperature up to 1, and not together with top_p (from 4.1 on)."""
    if asked.get("temperature", 0) > 1:
        log.add("clamped", "temperature", "this wire's goes up to 1", asked["temperature"], 1.0)
        asked["temperature"] = 1.0
    if "temperature" in asked and "top_p" in asked:
        log.add("dropped", "top_p", "not both temperature and top_p", asked.pop("top_p"))


def tool_choice_of(
    request: LLMRequest, dialect: Dialect, traits: ModelTraits, thinking: Thinking, log: Log
) -> dict[str, JSON] | None:
    """The choice in this wire's words; None where there is nothing to say."""
    asked = request.tool_choice
    single = request.parallel_tool_calls is False
    if not request.tools:
        if asked not in (None, "auto", "none"):
            log.add("dropped", "tool_choice", "there are no tools", _named(asked))
        return None
    if single and not dialect.parallel_tool_calls:
        log.add("dropped", "parallel_tool_calls", "the server does not take it", False)
        single = False
    choice: dict[str, JSON]
    if asked is None:
        if not single:
            return None
        choice = {"type": "auto"}
    elif isinstance(asked, AvailableTool):
        name = asked.function.name
        if all(tool.function.name != name for tool in request.tools):
            raise UnsupportedError(
                f"tool_choice: {name!r} is not among the tools of the call",
                path="tool_choice",
                phase="prepare",
            )
        choice = {"type": "tool", "name": name}
    else:
        choice = {"type": "any" if asked in ("any", "required") else asked}
    if choice["type"] in ("any", "tool"):
        ok = dialect.forced_tool_choice
        if ok is None:
            ok = allowed(traits.forced_tools, thinking)
        if not ok:
            forced = traits.forced_tools == "not_thinking"
            why = "a thinking model can't be forced" if forced else "this model can't be forced"
            log.add("substituted", "tool_choice", f"{why} to call a tool", _named(asked), "auto")
            choice = {"type": "auto"}
    if single and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return choice


def _named(choice: Any) -> JSON:
    return choice.function.name if isinstance(choice, AvailableTool) else choice


def other_fields(request: LLMRequest, log: Log) -> dict[str, JSON]:
    """stop_sequences and metadata; records of what this wire has no word for."""
    fields: dict[str, JSON] = {}
    stops = [s for s in request.stop if s.strip()]
    for s in request.stop:
        if not s.strip():
            log.add("dropped", "stop", "a stop sequence must have more than white space", s)
    if stops:
        fields["stop_sequences"] = stops
    for name, value in request.metadata.items():
        if name == "user_id":
            fields["metadata"] = {"user_id": value}
        else:
            log.add("dropped", f"metadata.{name}", "this wire has only user_id", value)
    if request.seed is not None:
        log.add("dropped", "seed", "this wire has none", request.seed)
    if request.cache_key is not None:
        log.add("dropped", "cache_key", "this wire has none: it finds prefixes by themselves")
    if request.store:
        log.add("dropped", "store", "this wire stores no replies", True)
    if request.previous_response_id is not None:
        raise UnsupportedError(
            "previous_response_id: the Messages API stores no replies to go on from",
            path="previous_response_id",
            phase="prepare",
        )
    return fields


def tools_of(request: LLMRequest, log: Log) -> list[dict[str, JSON]]:
    """The tools; a schema's root says that it is an object, which this wire demands."""
    out: list[dict[str, JSON]] = []
    for i, tool in enumerate(request.tools):
        function = tool.function
        entry: dict[str, JSON] = {"name": function.name}
        if function.description:
            entry["description"] = function.description
        schema, strict = fit_tool(function, ANTHROPIC, log, f"tools[{i}].function")
        entry["input_schema"] = schema if "type" in schema else {"type": "object", **schema}
        if strict is not None:
            entry["strict"] = strict
        out.append(marked(entry, tool.cache))
    return out
