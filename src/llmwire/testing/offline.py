"""The `offline` model: honest about being no language model, it answers from the request itself.

- It says what it was asked, how many messages there are, and which tools it could call.
- A tool that the choice forces or that the user's text names is called, with arguments that fit
  its schema and take from the text what is obvious (`schema`). Several names are several calls.
- After tool results it says what they were, unless the choice forces a call again.
- With thinking on it thinks first, and signs it.
- Asked for JSON, by the wire's own mode or in words of ours, it gives JSON that fits the schema.
- `stop` and `max_tokens` cut it, counted as `counting` says.

The same request gets the same reply.
"""

from __future__ import annotations

import base64
import hashlib
import re

from ..adapters.base import canonical_json
from ..output import instructed
from ..request import LLMRequest, OutputFormat
from ..types import (
    AvailableTool,
    FunctionCall,
    IncompleteToolCall,
    LLMMessage,
    Part,
    ReasoningPart,
    Role,
    StopInfo,
    TextPart,
    ToolCall,
    ToolResultPart,
)
from .counting import (
    CHARS_PER_TOKEN,
    estimate_tokens,
    estimate_usage,
    offline_count,
    part_tokens,
)
from .schema import Hints, sample
from .script import Reply

__all__ = ["estimate_tokens", "offline_count", "offline_reply"]

_MAX_QUOTE = 500  # characters of the user's text that are repeated
_NAME = "I am llmwire's offline model: no language model, I answer from the request itself."


def offline_reply(request: LLMRequest) -> Reply:
    """What the offline model answers to a request."""
    asked, results = _situation(request.messages)
    called = _tools_to_call(request, asked, bool(results))
    parts: list[Part] = []
    if request.thinking != "off":
        parts.append(_thought(request, asked, results, called))
    if called:
        parts += (_call(tool, asked) for tool in called)
    else:
        text = _json_answer(request, asked, results)
        parts.append(TextPart(_answer(request, asked, results) if text is None else text))
    parts = Reply(parts=parts).all_parts(request)
    stop = StopInfo("tool_calls" if called else "stop")
    parts, stop = _cut_at_stop(parts, request.stop, stop)
    parts, stop = _cut_at_limit(parts, request.max_tokens, stop)
    return Reply(parts=parts, usage=estimate_usage(request, parts), stop=stop)


def _situation(messages: tuple[LLMMessage, ...]) -> tuple[str, list[ToolResultPart]]:
    """The last text of the user's, and the tool results that came after the model spoke last."""
    results: list[ToolResultPart] = []
    asked = ""
    for message in reversed(messages):
        if message.role is Role.assistant:
            break
        texts = [p.text for p in message.parts if isinstance(p, TextPart)]
        if message.role is Role.user and any(texts):
            # Said after the results: the answer is to the user.
            asked = "\n".join(texts)
            if not any(isinstance(p, ToolResultPart) for p in message.parts):
                return asked, results
        results[:0] = [p for p in message.parts if isinstance(p, ToolResultPart)]
        if asked:
            return asked, results
    for message in reversed(messages):
        texts = [p.text for p in message.parts if isinstance(p, TextPart)]
        if message.role is Role.user and any(texts):
            return "\n".join(texts), results
    return asked, results


def _tools_to_call(request: LLMRequest, asked: str, answered: bool) -> list[AvailableTool]:
    choice = request.tool_choice
    if not request.tools or choice == "none":
        return []
    if isinstance(choice, AvailableTool):
        name = choice.function.name
        return [t for t in request.tools if t.function.name == name] or [choice]
    forced = choice in ("any", "required")
    if answered and not forced:
        return []
    places = [(_mention(t.function.name, asked), i, t) for i, t in enumerate(request.tools)]
    named = [t for _, _, t in sorted((p for p in places if p[0] >= 0), key=lambda p: p[:2])]
    if not named and forced:
        named = [request.tools[0]]
    return named[:1] if request.parallel_tool_calls is False else named


def _mention(name: str, text: str) -> int:
    """Where the text names the tool as a word; -1 if nowhere."""
    m = re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) if name else None
    return -1 if m is None else m.start()


def _call(tool: AvailableTool, asked: str) -> ToolCall:
    name = tool.function.name
    at = _mention(name, asked)
    if at >= 0:
        before, after = asked[:at], asked[at + len(name) :]
        hints = Hints(before + after)
        rest = re.match(r"[`'\"]?\s*(?:[:(]|with\b|on\b|for\b|about\b)\s*(.+)", after, re.DOTALL)
        if rest is not None and (tool.type == "custom" or len(_strings(tool)) == 1):
            hints.rest = rest[1].strip().rstrip(")")
    else:
        hints = Hints(asked)
    if tool.type == "custom":
        return ToolCall(None, FunctionCall(name, hints.rest or asked), "custom")
    value = sample(tool.function.parameters or {"type": "object"}, hints)
    arguments = canonical_json(value if isinstance(value, dict) else {}).decode()
    return ToolCall(None, FunctionCall(name, arguments))


def _strings(tool: AvailableTool) -> list[str]:
    """The string parameters that a call must have, or has at all."""
    parameters = tool.function.parameters
    properties = parameters.get("properties") or {}
    names = parameters.get("required", list(properties))
    schemas = {n: properties.get(n) for n in names}
    return [n for n, s in schemas.items() if isinstance(s, dict) and s.get("type") == "string"]


def _quote(text: str) -> str:
    if len(text) > _MAX_QUOTE:
        return f"{text[:_MAX_QUOTE]}… (and {len(text) - _MAX_QUOTE} characters more)"
    return text


def _answer(request: LLMRequest, asked: str, results: list[ToolResultPart]) -> str:
    if results:
        names = {c.id: c.name for m in request.messages for c in m.tool_calls}
        lines = []
        for result in results:
            name = result.name or names.get(result.call_id, "") or "the tool"
            text = result.text or f"content that is no text ({len(result.content)} parts)"
            lines.append(f"{name} {'failed' if result.is_error else 'answered'}: {text}")
        return "\n".join(lines)
    count = len(request.messages)
    said = f'You asked: "{_quote(asked)}"' if asked else "You asked nothing in words."
    messages = f"The request has {count} message{'' if count == 1 else 's'}"
    if not request.tools:
        return f"{said}\n{_NAME} {messages} and no tools."
    names_ = ", ".join(t.function.name for t in request.tools)
    return f"{said}\n{_NAME} {messages}. Name a tool and I call it: {names_}."


def _thought(
    request: LLMRequest, asked: str, results: list[ToolResultPart], called: list[AvailableTool]
) -> ReasoningPart:
    if called:
        plan = f"I call {', '.join(t.function.name for t in called)}."
    elif results:
        plan = "The tools have answered; I pass it on."
    else:
        plan = "No tool is named, so I answer from the request."
    text = f'The user says: "{_quote(asked)}". {plan}'
    seal = hashlib.sha256(f"{request.model.name}\n{text}".encode("utf-8", "replace")).digest()
    return ReasoningPart(text, signature=base64.b64encode(seal).decode())


def _json_answer(request: LLMRequest, asked: str, results: list[ToolResultPart]) -> str | None:
    """The answer as JSON; None if none was asked for."""
    form = request.output if request.output and request.output.schema else _in_words(request)
    form = form or request.output
    if form is None:
        return None
    if form.schema is None:
        return canonical_json({"answer": _answer(request, asked, results)}).decode()
    return canonical_json(sample(form.schema, Hints(asked))).decode()


def _in_words(request: LLMRequest) -> OutputFormat | None:
    """The form that the system prompt asks for, where the wire has no mode for it."""
    prompts = (m.text for m in request.messages if m.role in (Role.system, Role.developer))
    return next((form for text in prompts if (form := instructed(text))), None)


def _cut_at_stop(
    parts: list[Part], stops: tuple[str, ...], stop: StopInfo
) -> tuple[list[Part], StopInfo]:
    """What comes before the first stop sequence of the text."""
    out: list[Part] = []
    for part in parts:
        if isinstance(part, TextPart):
            found = [(at, s) for s in stops if s and (at := part.text.find(s)) >= 0]
            if found:
                at, word = min(found)
                if at:
                    out.append(TextPart(part.text[:at]))
                return out, StopInfo("stop_sequence", details={"stop_sequence": word})
        out.append(part)
    return out, stop


def _cut_at_limit(
    parts: list[Part], limit: int | None, stop: StopInfo
) -> tuple[list[Part], StopInfo]:
    """What fits into `limit` tokens; a call that does not is incomplete."""
    if limit is None:
        return parts, stop
    out: list[Part] = []
    for part in parts:
        cost = part_tokens(part)
        if cost <= limit:
            out.append(part)
            limit -= cost
            continue
        room = limit * CHARS_PER_TOKEN
        if isinstance(part, ToolCall):
            text = part.arguments[: max(0, room - len(part.name))]
            if limit > 0:
                out.append(IncompleteToolCall(part.id, part.name, text, "length"))
        elif isinstance(part, ReasoningPart) and room:
            # The signature comes last, so a cut thought has none.
            out.append(ReasoningPart(part.text[:room]))
        elif isinstance(part, TextPart) and room:
            out.append(TextPart(part.text[:room]))
        return out, StopInfo("length")
    return out, stop
