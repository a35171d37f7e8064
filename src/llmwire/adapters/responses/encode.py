"""Requests: from our values to the body of a Responses request.

Stateless unless told otherwise: nothing is stored, and encrypted reasoning comes along to be sent
back. Keys stand in one order, the input last. Wire reference 2.2, 2.4, 12.2 (2026-11-22).
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from ...caching import fit_marks
from ...config import Dialect, ProviderConfig
from ...history import Log
from ...output import OutputPlan, fit_tool
from ...providers import dialect_of
from ...request import LLMRequest
from ...schema import SchemaRules
from ...types import JSON, AvailableTool, Native
from ..openai.encode import (
    BREAKPOINTS,
    MOST_BREAKPOINTS,
    add_sampling,
    add_thinking,
    add_tools,
    planned_output,
    takes_developer,
)
from ..openai.models import traits_of
from .items import API
from .messages import InputWriter

MIN_OUTPUT_TOKENS: Final = 16
ENCRYPTED: Final = "reasoning.encrypted_content"


def prepare_body(request: LLMRequest, provider: ProviderConfig, log: Log) -> dict[str, JSON]:
    """The body; what of the request it does not say is in the log.

    Raises `UnsupportedError` with a path for content that this wire can't say.
    """
    dialect, traits = dialect_of(provider), traits_of(request.model.name)
    lifetimes = BREAKPOINTS if traits is not None and traits.breakpoints else ()
    request = fit_marks(
        request, lifetimes, log, most=MOST_BREAKPOINTS, tools=False, assistant=False
    )
    rule = dialect.tool_call_ids
    writer = InputWriter(
        Native(API, provider.name, request.model.name),
        log,
        call_ids="openai64" if rule == "any" and traits is not None else rule,
        developer=takes_developer(dialect, traits),
        plain_reasoning=dialect.reasoning_replay == "always",
        goes_on=request.previous_response_id is not None
        or any(request.extra_body.get(n) for n in ("previous_response_id", "conversation")),
        custom=[t.function.name for t in request.tools if t.type == "custom"],
    )
    instructions, items = writer.prepare_input(request.messages)
    plan = planned_output(request, dialect, traits, log)
    if plan is not None and plan.instruction:
        instructions = f"{instructions}\n\n{plan.instruction}" if instructions else plan.instruction
    body: dict[str, JSON] = {"model": request.model.name}
    if instructions is not None:
        body["instructions"] = instructions
    add_tools(body, request, dialect, log, tool_entry, named_choice)
    control = "none" if dialect.reasoning_control == "none" else "reasoning"
    level = add_thinking(body, request, dialect, traits, log, control)
    if level not in (None, "off") and dialect.reasoning_summary is not None:
        body["reasoning"]["summary"] = dialect.reasoning_summary
    add_sampling(body, request, replace(dialect, top_k=False), traits, level, log)
    _add_limit(body, request.max_tokens, log)
    if request.stop:
        log.add("dropped", "stop", "the wire has no stop sequences", list(request.stop))
    if request.seed is not None:
        log.add("dropped", "seed", "the wire has no seed", request.seed)
    if plan is not None and plan.mode != "text" and request.output is not None:
        body["text"] = {"format": output_entry(plan, request.output.name)}
    _add_identity(body, request, dialect, log)
    if request.previous_response_id is not None:
        body["previous_response_id"] = request.previous_response_id
    body["store"] = bool(request.store)
    # Models that do not reason refuse to be asked for it; others may need to be (reference 2.2).
    if dialect.encrypted_reasoning and (traits is None or traits.efforts):
        body["include"] = [ENCRYPTED]
    if request.stream:
        body["stream"] = True
    body.update(request.extra_body)
    body["input"] = body.pop("input", items)
    return body


def _add_limit(body: dict[str, JSON], limit: int | None, log: Log) -> None:
    if limit is None:
        return
    if limit < MIN_OUTPUT_TOKENS:
        reason = "the wire takes no lower limit"
        log.add("clamped", "max_tokens", reason, limit, MIN_OUTPUT_TOKENS)
    body["max_output_tokens"] = max(limit, MIN_OUTPUT_TOKENS)


def _add_identity(body: dict[str, JSON], request: LLMRequest, dialect: Dialect, log: Log) -> None:
    if request.metadata:
        if dialect.metadata:
            body["metadata"] = request.metadata
        else:
            log.add("dropped", "metadata", "the server takes none", request.metadata)
    if request.cache_key is not None:
        if dialect.prompt_cache_key:
            body["prompt_cache_key"] = request.cache_key
        else:
            log.add("dropped", "cache_key", "the server has no such key", request.cache_key)


def tool_entry(
    tool: AvailableTool, rules: SchemaRules | None, log: Log, path: str
) -> dict[str, JSON]:
    """A tool, flat. `strict` is always said: left out it means "if the schema allows it"."""
    function = tool.function
    out: dict[str, JSON] = {"type": tool.type, "name": function.name}
    if function.description:
        out["description"] = function.description
    if tool.type == "custom":
        if function.format is not None:
            grammar = function.format.get("grammar")  # nested in Chat Completions, flat here
            rest = {k: v for k, v in function.format.items() if k != "grammar"}
            out["format"] = rest | grammar if isinstance(grammar, dict) else function.format
        return out
    out["parameters"], strict = fit_tool(function, rules, log, f"{path}.function")
    out["strict"] = bool(strict)
    return out


def named_choice(tool: AvailableTool) -> dict[str, JSON]:
    return {"type": tool.type, "name": tool.function.name}


def output_entry(plan: OutputPlan, name: str) -> dict[str, JSON]:
    if plan.mode == "object":
        return {"type": "json_object"}
    return {"type": "json_schema", "name": name, "schema": plan.schema, "strict": plan.strict}
