"""From what a call asks for to what the model takes: limits, sampling, tools, thinking.

Each setting that is not sent as asked leaves a record. Wire reference 6.2.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from ...config import THINKING_LEVELS, Dialect, ThinkingLevel
from ...errors import UnsupportedError
from ...history import Log
from ...output import OutputPlan, fit_tool
from ...request import LLMRequest
from ...schema import ANTHROPIC
from ...types import JSON, AvailableFunction, AvailableTool
from ..anthropic import settings as claude
from ..anthropic.models import INTERLEAVED_BETA, ModelTraits
from ..base import canonical_json
from .blocks import API
from .encode import POINT, Entry, cache_point
from .models import Family

NO_TOOLS = "Do not call any tool now; answer in words."
"""Said to models for which the wire has no way to forbid it."""

_METADATA_KEY = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}")
_METADATA_VALUE = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}")
_MOST_METADATA = 16


class Settings(Struct):
    """The parts of the body besides the messages, while they are made."""

    inference: dict[str, JSON] = {}
    extra: dict[str, Any] = {}
    """additionalModelRequestFields."""

    def put(self, path: tuple[str, ...], value: JSON) -> None:
        """A value in the extra fields, at a path of keys."""
        holder = self.extra
        for key in path[:-1]:
            holder = holder.setdefault(key, {})
        holder[path[-1]] = value


def fields_of(request: LLMRequest, plan: OutputPlan | None, log: Log) -> dict[str, JSON]:
    """What stands at the body's top level; records of what this wire has no word for."""
    out: dict[str, JSON] = {}
    metadata: dict[str, str] = {}
    for name, value in request.metadata.items():
        if len(metadata) == _MOST_METADATA:
            log.add("dropped", f"metadata.{name}", f"this wire takes {_MOST_METADATA}", value)
        elif not (_METADATA_KEY.fullmatch(name) and _METADATA_VALUE.fullmatch(value)):
            log.add("dropped", f"metadata.{name}", "it has characters this wire refuses", value)
        else:
            metadata[name] = value
    if metadata:
        out["requestMetadata"] = metadata
    if plan is not None and plan.mode == "schema" and request.output is not None:
        schema = canonical_json(plan.schema).decode()
        structure = {"jsonSchema": {"schema": schema, "name": request.output.name}}
        out["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": structure}}
    unsayable = {
        "seed": request.seed,
        "cache_key": request.cache_key,
        "store": request.store or None,
    }
    for name, asked in unsayable.items():
        if asked is not None:
            log.add("dropped", name, "this wire has none", asked)
    if request.previous_response_id is not None:
        raise UnsupportedError(
            "previous_response_id: Converse stores no replies; send the whole history",
            path="previous_response_id",
            api=API,
            phase="prepare",
        )
    return out


# --- thinking and sampling --------------------------------------------------------------------


def of_claude(
    request: LLMRequest,
    dialect: Dialect,
    traits: ModelTraits,
    thinking: claude.Thinking,
    log: Log,
) -> Settings:
    """As the Messages API takes them, in Converse's places."""
    out = Settings(inference={}, extra={})
    given = request.max_tokens is not None or request.model.max_output_tokens is not None
    if given or thinking.budgeted:
        out.inference["maxTokens"] = thinking.max_tokens
    sampling = claude.sampling_of(request, dialect, traits, thinking, traits.version, log)
    for name, word in (("temperature", "temperature"), ("top_p", "topP")):
        if name in sampling:
            out.inference[word] = sampling[name]
    if "top_k" in sampling:
        out.extra["top_k"] = sampling["top_k"]
    if thinking.config is not None:
        out.extra["thinking"] = thinking.config
    if thinking.effort is not None:
        out.extra["output_config"] = {"effort": thinking.effort}
    betas = dialect.betas
    if thinking.budgeted and traits.interleaved_beta:
        betas = (INTERLEAVED_BETA, *betas)
    if betas:
        out.extra["anthropic_beta"] = list(dict.fromkeys(betas))
    return out


def of_others(request: LLMRequest, family: Family, log: Log) -> Settings:
    out = Settings(inference={}, extra={})
    asked: dict[str, Any] = {
        "max_tokens": request.max_tokens or request.model.max_output_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
    }
    most = request.model.max_output_tokens
    if most is not None and request.max_tokens is not None and request.max_tokens > most:
        why = "the model's max_output_tokens is lower"
        log.add("clamped", "max_tokens", why, request.max_tokens, most)
        asked["max_tokens"] = most
    if request.temperature is not None and request.temperature > 1:
        log.add("clamped", "temperature", "this wire's goes up to 1", request.temperature, 1.0)
        asked["temperature"] = 1.0
    if request.thinking != "off":
        effort = _effort(request.thinking, family, log)
        if effort is not None:
            out.put(family.reasoning, effort)
            if family.reasoning[0] == "reasoningConfig":
                out.extra["reasoningConfig"] = {"type": "enabled", **out.extra["reasoningConfig"]}
        if effort is not None and effort == family.bare_effort:
            for name, value in asked.items():
                if value is not None:
                    why = "this model takes no such setting beside its highest effort"
                    log.add("dropped", name, why, value)
                asked[name] = None
    for name, word in (
        ("max_tokens", "maxTokens"),
        ("temperature", "temperature"),
        ("top_p", "topP"),
    ):
        if asked[name] is not None:
            out.inference[word] = asked[name]
    if asked["top_k"] is not None and family.top_k:
        out.put(family.top_k, asked["top_k"])
    elif asked["top_k"] is not None:
        log.add("dropped", "top_k", "this model has none", asked["top_k"])
    return out


def _effort(level: ThinkingLevel, family: Family, log: Log) -> str | None:
    if not family.reasoning:
        log.add("dropped", "thinking", "this model decides itself how much it thinks", level)
        return None
    if level in family.efforts:
        return level
    rank = THINKING_LEVELS.index
    lower = [e for e in family.efforts if rank(e) < rank(level)]
    effort = lower[-1] if lower else family.efforts[0]
    log.add("clamped", "thinking", "this model has no such level", level, effort)
    return effort


def stops_of(request: LLMRequest, log: Log) -> list[str]:
    out: list[str] = []
    for stop in request.stop:
        if stop.strip():
            out.append(stop)
        else:
            log.add("dropped", "stop", "a stop sequence must have more than white space", stop)
    return out


# --- tools ------------------------------------------------------------------------------------


class Tools(Struct):
    """What the body says about tools: their entries, and the choice if one is said."""

    entries: list[Entry]
    choice: dict[str, JSON] | None = None

    @property
    def config(self) -> dict[str, JSON] | None:
        if not self.entries:
            return None
        config: dict[str, JSON] = {"tools": [entry for _, entry in self.entries]}
        return config if self.choice is None else {**config, "toolChoice": self.choice}


def tools_of(
    request: LLMRequest,
    family: Family,
    forced_ok: bool,
    used: list[str],
    settings: Settings,
    system: list[Entry],
    log: Log,
) -> Tools:
    """The tools and the choice among them.

    `used` are the names of the calls in the history: where there are any, the API demands tools.
    What only Claude can say goes to `settings`, what has to be said in words to `system`.
    """
    asked = request.tool_choice
    tools = request.tools
    if "toolConfig" in request.extra_body:
        return Tools([])
    if not tools and asked not in (None, "auto", "none"):
        log.add("dropped", "tool_choice", "there are no tools", _named(asked))
    if not tools and used:
        why = "a history with calls needs their tools"
        log.add("added", "tools", why, None, sorted(set(used)))
        tools = tuple(AvailableTool(AvailableFunction(name)) for name in dict.fromkeys(used))
        asked = "none"
    if not tools:
        return Tools([])
    if asked == "none" and not used:
        log.add("substituted", "tool_choice", "this wire has no `none`: no tools are sent", "none")
        return Tools([])
    out = Tools(_entries(tools, family, log))
    single = request.parallel_tool_calls is False
    if asked == "none":
        if family.claude:
            settings.extra["tool_choice"] = {"type": "none"}
        else:
            why = "this wire has no `none`, and a history with calls needs the tools"
            log.add("substituted", "tool_choice", why, "none", NO_TOOLS)
            system.append(("text", {"text": NO_TOOLS}))
        return out
    out.choice = _choice(asked, tools, family, forced_ok, log)
    if single and family.claude:
        words = {"auto": "auto", "any": "any", "tool": "tool"}
        kind, inner = next(iter((out.choice or {"auto": {}}).items()))
        settings.extra["tool_choice"] = {
            "type": words[kind],
            **inner,
            "disable_parallel_tool_use": True,
        }
        out.choice = None
    elif single:
        log.add("dropped", "parallel_tool_calls", "this wire has no such switch", False)
    return out


def _entries(tools: tuple[AvailableTool, ...], family: Family, log: Log) -> list[Entry]:
    out: list[Entry] = []
    for i, tool in enumerate(tools):
        function, path = tool.function, f"tools[{i}]"
        schema, strict = fit_tool(function, ANTHROPIC, log, f"{path}.function")
        if tool.type == "custom":
            why = "this wire has no tools that take free text: it takes an object with `input`"
            log.add("substituted", path, why)
            schema = {
                "type": "object",
                "properties": {"input": {"type": "string"}},
                "required": ["input"],
            }
        spec: dict[str, JSON] = {"name": function.name}
        if function.description:
            spec["description"] = function.description
        spec["inputSchema"] = {"json": schema if "type" in schema else {"type": "object", **schema}}
        if strict is not None:
            spec["strict"] = strict
        out.append(("toolSpec", {"toolSpec": spec}))
        if tool.cache is None:
            continue
        if "tools" in family.cache:
            out.append((POINT, cache_point(tool.cache)))
        else:
            why = "this model takes no cache points in tools"
            log.add("dropped", f"{path}.cache", why, tool.cache)
    return out


def _choice(
    asked: Any, tools: tuple[AvailableTool, ...], family: Family, forced_ok: bool, log: Log
) -> dict[str, JSON] | None:
    choice: dict[str, JSON]
    if asked is None:
        return None
    if isinstance(asked, AvailableTool):
        name = asked.function.name
        if all(tool.function.name != name for tool in tools):
            raise UnsupportedError(
                f"tool_choice: {name!r} is not among the tools of the call",
                path="tool_choice",
                api=API,
                phase="prepare",
            )
        choice = {"tool": {"name": name}}
        if not family.named_tool:
            why = "this model can be made to call some tool, not a certain one"
            log.add("substituted", "tool_choice", why, name, "any")
            choice = {"any": {}}
    else:
        choice = {"any" if asked in ("any", "required") else "auto": {}}
    if "auto" not in choice and not forced_ok:
        why = "this model can't be forced to call a tool"
        log.add("substituted", "tool_choice", why, _named(asked), "auto")
        choice = {"auto": {}}
    return choice


def _named(choice: Any) -> JSON:
    return choice.function.name if isinstance(choice, AvailableTool) else choice
