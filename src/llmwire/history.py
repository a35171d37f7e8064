"""Making a message list fit a target: what several wires need, as pure functions.

Each takes messages and a `Log`, and gives new messages; what changed is recorded in the log with
the path of the original. The caller's messages are never touched. Wire reference 12.1, 3.4, 8.2.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence

from .types import (
    JSON,
    Adaptation,
    CompactionPart,
    IncompleteToolCall,
    LLMMessage,
    Native,
    OpaquePart,
    Part,
    PartDelta,
    ReasoningPart,
    RefusalPart,
    Role,
    TextPart,
    ToolCall,
    ToolResultPart,
    new_message,
)

NO_RESULT = "The call was not answered: it was interrupted before it ran."
BRIDGE = "Understood."


class Log:
    """Adaptations in the order they were made."""

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: list[Adaptation] = []

    def add(
        self, action: str, path: str, reason: str, before: JSON = None, after: JSON = None
    ) -> None:
        self.entries.append(Adaptation(path, action, reason, before, after))  # type: ignore[arg-type]

    def done(self) -> tuple[Adaptation, ...]:
        return tuple(self.entries)


def issued_by(native: Native | None, issuer: Native) -> bool:
    """Whether state may go to `issuer`: it is its own, or of unknown origin (built by hand)."""
    return native is None or (
        native.api == issuer.api
        and native.provider in ("", issuer.provider)
        and native.model in ("", issuer.model)
    )


def close_parts(messages: Sequence[LLMMessage], log: Log) -> list[LLMMessage]:
    """Drops what no wire can take back: incomplete calls and pieces of unfinished streams.

    The text of an unfinished piece stays. A turn that is left with nothing is dropped.
    """
    out: list[LLMMessage] = []
    for i, message in enumerate(messages):
        if not any(type(p) in (IncompleteToolCall, PartDelta) for p in message.parts):
            out.append(message)
            continue
        parts: list[Part] = []
        for j, part in enumerate(message.parts):
            path = f"messages[{i}].parts[{j}]"
            if type(part) is IncompleteToolCall:
                log.add("dropped", path, f"a tool call that is not whole ({part.reason})")
            elif type(part) is PartDelta:
                if part.kind == "text" and part.text:
                    parts.append(TextPart(part.text))
                    log.add("substituted", path, "a piece of a stream became a text")
                else:
                    log.add("dropped", path, f"a piece of an unfinished {part.kind}")
            else:
                parts.append(part)
        if parts:
            out.append(message.with_parts(parts))
    return out


def drop_foreign(
    messages: Sequence[LLMMessage],
    issuer: Native,
    log: Log,
    keep: Callable[[Part], bool] = lambda part: False,
) -> list[LLMMessage]:
    """Removes state that another API, provider or model issued.

    Foreign reasoning and opaque blocks go; texts lose foreign citations; a refusal becomes text.
    `keep` says which foreign parts may stay after all.
    """
    out: list[LLMMessage] = []
    for i, message in enumerate(messages):
        if message.role is not Role.assistant:
            out.append(message)
            continue
        parts: list[Part] = []
        changed = False
        for j, part in enumerate(message.parts):
            native: Native | None = part.native
            if native is None or issued_by(native, issuer) or keep(part):
                parts.append(part)
                continue
            path = f"messages[{i}].parts[{j}]"
            origin = f"{native.api} {native.provider} {native.model}".rstrip()
            changed = True
            if isinstance(part, ReasoningPart | OpaquePart | CompactionPart):
                summary = getattr(part, "summary", None)
                if summary:
                    parts.append(TextPart(summary))
                    log.add("substituted", path, f"a summary by {origin} became a text")
                else:
                    log.add("dropped", path, f"state issued by {origin}")
            elif type(part) is TextPart:
                parts.append(TextPart(part.text))
                if part.citations:
                    log.add("dropped", f"{path}.citations", f"citations issued by {origin}")
            elif type(part) is RefusalPart:
                parts.append(TextPart(part.text))
                log.add("substituted", path, f"a refusal by {origin} became a text")
            elif type(part) is ToolCall:
                parts.append(ToolCall(part.id, part.function, part.kind))
            else:
                parts.append(part)
        if not changed:
            out.append(message)
        elif parts:
            out.append(message.with_parts(parts))
    return out


def pair_tool_calls(messages: Sequence[LLMMessage], log: Log) -> list[LLMMessage]:
    """Every call answered right after its turn, every result with its call, ids on all calls.

    A call without a result gets one that says so; a result without a call becomes a user text;
    results are moved up to the call they answer. Calls without an id get one from their place.
    """
    out: list[LLMMessage] = []
    waiting: dict[str, tuple[str, ToolCall]] = {}  # id -> (path, call) of calls not answered yet
    seen: set[str] = set()

    def answer_rest() -> None:
        for call_id, (path, call) in waiting.items():
            log.add("added", path, "a tool call had no result; one was made that says so")
            result = ToolResultPart(call_id, NO_RESULT, call.name, is_error=True)
            out.append(new_message(Role.tool, (result,)))
        waiting.clear()

    for i, message in enumerate(messages):
        if message.role is Role.assistant:
            answer_rest()
            calls = [p for p in message.parts if type(p) is ToolCall]
            if calls:
                message, ids = _with_ids(message, i, seen, log)
                for j, part in enumerate(message.parts):
                    if type(part) is ToolCall:
                        waiting[ids[j]] = (f"messages[{i}].parts[{j}]", part)
            out.append(message)
            continue
        results = [p for p in message.parts if type(p) is ToolResultPart]
        if not results:
            if message.role is Role.user:
                later = _results_ahead(messages[i + 1 :], waiting) if waiting else []
                for result in later:
                    path, _ = waiting.pop(result.call_id)
                    log.add("moved", path, "its result came later and was moved up to the call")
                    out.append(new_message(Role.tool, (result,)))
                answer_rest()
                seen.update(r.call_id for r in later)
            out.append(message)
            continue
        kept: list[Part] = []
        for j, part in enumerate(message.parts):
            if type(part) is not ToolResultPart:
                kept.append(part)
            elif part.call_id in waiting:
                del waiting[part.call_id]
                kept.append(part)
            elif part.call_id in seen and _moved(out, part):
                continue
            else:
                path = f"messages[{i}].parts[{j}]"
                log.add("substituted", path, "a tool result without its call became a user text")
                if kept:
                    out.append(message.with_parts(kept))
                    kept = []
                out.append(new_message(Role.user, (TextPart(part.text or NO_RESULT),)))
        if kept:
            out.append(message.with_parts(kept) if len(kept) < len(message.parts) else message)
    answer_rest_at_end = waiting and out and out[-1].role is not Role.assistant
    if answer_rest_at_end or waiting:
        answer_rest()
    return out


def _results_ahead(
    messages: Sequence[LLMMessage], waiting: dict[str, tuple[str, ToolCall]]
) -> list[ToolResultPart]:
    found: dict[str, ToolResultPart] = {}
    for message in messages:
        if message.role is Role.assistant:
            break
        for part in message.parts:
            if type(part) is ToolResultPart and part.call_id in waiting:
                found.setdefault(part.call_id, part)
    return list(found.values())


def _moved(out: Sequence[LLMMessage], result: ToolResultPart) -> bool:
    return any(result in message.parts for message in out if message.role is Role.tool)


def _with_ids(
    message: LLMMessage, i: int, seen: set[str], log: Log
) -> tuple[LLMMessage, dict[int, str]]:
    ids: dict[int, str] = {}
    parts: list[Part] = []
    changed = False
    for j, part in enumerate(message.parts):
        if type(part) is ToolCall:
            call_id = part.id
            if not call_id:
                call_id = f"call_{i}_{j}"
                log.add(
                    "added", f"messages[{i}].parts[{j}].id", "the call had no id", None, call_id
                )
                part = ToolCall(call_id, part.function, part.kind, part.native)
                changed = True
            ids[j] = call_id
            seen.add(call_id)
        parts.append(part)
    return (message.with_parts(parts) if changed else message), ids


_ID_RULES: dict[str, tuple[re.Pattern[str], int]] = {
    "openai40": (re.compile(r"[^\x21-\x7e]"), 40),
    "anthropic64": (re.compile(r"[^A-Za-z0-9_-]"), 64),
}


def fit_id(call_id: str, rule: str) -> str:
    """An id the target takes, the same for the same id; legal ids stay as they are.

    What has to change gets a hash, so that two ids never become one.
    """
    if rule == "mistral9":
        if re.fullmatch(r"[A-Za-z0-9]{9}", call_id):
            return call_id
        return hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:9]
    if rule not in _ID_RULES:
        return call_id
    bad, limit = _ID_RULES[rule]
    fitted = bad.sub("_", call_id)
    if fitted == call_id and 0 < len(call_id) <= limit:
        return call_id
    digest = hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{fitted[: limit - 9]}_{digest}"


def fit_ids(messages: Sequence[LLMMessage], rule: str, log: Log) -> list[LLMMessage]:
    """All call ids, on calls and on results, as the target takes them."""
    if rule == "any":
        return list(messages)
    out: list[LLMMessage] = []
    for i, message in enumerate(messages):
        parts: list[Part] = []
        changed = False
        for j, part in enumerate(message.parts):
            if type(part) is ToolCall and part.id is not None:
                fitted = fit_id(part.id, rule)
                if fitted != part.id:
                    log.add(
                        "substituted",
                        f"messages[{i}].parts[{j}].id",
                        "the target takes no such id",
                        part.id,
                        fitted,
                    )
                    part = ToolCall(fitted, part.function, part.kind, part.native)
                    changed = True
            elif type(part) is ToolResultPart:
                fitted = fit_id(part.call_id, rule)
                if fitted != part.call_id:
                    part = ToolResultPart(
                        fitted, part.content, part.name, part.is_error, part.native
                    )
                    changed = True
            parts.append(part)
        out.append(message.with_parts(parts) if changed else message)
    return out


def merge_consecutive_user_messages(messages: Iterable[LLMMessage]) -> list[LLMMessage]:
    """Neighbouring user messages folded into one, their texts joined by a blank line.

    Rewrites the prefix and so defeats prompt caches: only for servers that want alternation.
    """
    out: list[LLMMessage] = []
    for message in messages:
        if out and message.role is Role.user and out[-1].role is Role.user:
            out[-1] = new_message(Role.user, _joined(out[-1].parts, message.parts))
        else:
            out.append(message)
    return out


def _joined(a: tuple[Part, ...], b: tuple[Part, ...]) -> tuple[Part, ...]:
    if a and b and type(a[-1]) is TextPart and type(b[0]) is TextPart:
        text = f"{a[-1].text}\n\n{b[0].text}".strip()
        return (*a[:-1], TextPart(text), *b[1:])
    return a + b


def bridge_tool_to_user(messages: Sequence[LLMMessage], log: Log) -> list[LLMMessage]:
    """A short assistant turn between a tool result and a user message, for servers that need it."""
    out: list[LLMMessage] = []
    for i, message in enumerate(messages):
        if out and message.role is Role.user and out[-1].role is Role.tool:
            out.append(new_message(Role.assistant, (TextPart(BRIDGE),)))
            log.add("added", f"messages[{i}]", "the target takes no user turn after a tool result")
        out.append(message)
    return out
