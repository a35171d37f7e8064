"""Calls and their results, as every wire wants them: side by side, each once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from .fitting import ASSISTANT, TOOL, USER, Calls, Log, ReachesBack, with_parts
from .types import LLMMessage, Part, TextPart, ToolCall, ToolResultPart, new_message

NO_RESULT = "The call was not answered: it was interrupted before it ran."


class _Turn:
    """An assistant turn with calls: the ids they have now, and the messages that answer them."""

    __slots__ = ("answered", "calls", "results")

    def __init__(self) -> None:
        self.calls: dict[int, ToolCall] = {}  # place in the message -> the call, id and all
        self.answered: set[str] = set()
        self.results: dict[int, list[Part]] = {}  # message -> its results for this turn


def pair_tool_calls(messages: Sequence[LLMMessage], log: Log) -> list[LLMMessage]:
    """Every call answered right after its turn, every result with its call, every id used once.

    A result answers the latest turn before it that has an unanswered call with its id; results
    that stand later are moved up. A call without a result gets one that says so. A result without
    a call becomes a user text. Calls without an id, or with one used before, get one from their
    place; a tool message without any call id answers the first call that had none.

    Raises `ReachesBack` for a result whose call stands before the log's start.
    """
    log.reads(messages)
    if (ids := paired(messages, log.calls)) is not None:
        log.calls = log.calls.after(ids)
        return log.same(messages)
    turns: dict[int, _Turn] = {}
    waiting: dict[str, list[tuple[_Turn, str]]] = {}  # id as it came -> unanswered calls
    taken: set[str] = set()
    rest: list[list[Part]] = []  # per message, what of it is no result of any call
    strays: dict[int, list[Part]] = {}  # message -> results in it that no user or tool could give
    latest: _Turn | None = None  # the last turn, while nothing but results came after it
    for i, message in enumerate(messages):
        others: list[Part] = []
        rest.append(others)
        if message.role is ASSISTANT:
            latest = turn = _Turn()
            mine: dict[str, list[tuple[_Turn, str]]] = {}
            for j, part in enumerate(message.parts):
                if type(part) is ToolCall:
                    call = turn.calls[j] = _named(part, i, j, taken, log)
                    taken.add(call.id or "")
                    mine.setdefault(part.id or "", []).append((turn, call.id or ""))
            waiting.update(mine)
            if turn.calls:
                turns[i] = turn
        for j, part in enumerate(_as_results(message)):
            if type(part) is ToolCall and i in turns:
                others.append(turns[i].calls[j])
                continue
            if type(part) is not ToolResultPart:
                if message.role is TOOL:
                    log.add("moved", log.path(part, i, j), "no tool result: a user message has it")
                others.append(part)
            elif unanswered := waiting.get(part.call_id):
                turn, call_id = unanswered.pop(0)
                turn.answered.add(call_id)
                if turn is not latest:
                    path = log.path(message.parts[j], i, j)
                    log.add("moved", path, "a tool result was moved up to its call")
                answer = part if call_id == part.call_id else replace(part, call_id=call_id)
                if answer is not message.parts[j]:
                    log.replaced(message.parts[j], answer)
                turn.results.setdefault(i, []).append(answer)
                continue
            else:
                if part.call_id not in waiting and part.call_id in log.calls.unanswered:
                    raise ReachesBack
                theirs = others if message.role in (USER, TOOL) else strays.setdefault(i, [])
                theirs += _orphan(part, message.parts[j], i, j, log)
            if others and message.role is not ASSISTANT:
                latest = None
    out: list[LLMMessage] = []
    origins: list[int] = []
    for i, message in enumerate(messages):
        if message.role is TOOL and rest[i]:
            out.append(new_message(USER, tuple(rest[i]), cache=message.cache))
        elif rest[i] or not message.parts:
            out.append(with_parts(message, rest[i]))
        origins += [i] * (len(out) - len(origins))
        if i in turns:
            for at, answers in _answers(turns[i], messages, i, log):
                out.append(answers)
                origins.append(at)
        if stray := strays.get(i):
            out.append(new_message(USER, tuple(stray)))
            origins.append(i)
    log.calls = log.calls.after(taken, {call_id: bool(calls) for call_id, calls in waiting.items()})
    return log.gives(out, origins)


def paired(messages: Sequence[LLMMessage], before: Calls) -> set[str] | None:
    """The ids of the calls, where each is new and answered at once by tool messages of its own;
    None where there is something to do."""
    taken: set[str] = set()
    waiting: set[str] = set()
    for message in messages:
        role, parts = message.role, message.parts
        if role is TOOL:
            if not parts:
                return None
            for part in parts:
                if type(part) is not ToolResultPart or part.call_id not in waiting:
                    return None
                waiting.remove(part.call_id)
            continue
        if waiting:
            return None
        for part in parts:
            if type(part) is ToolResultPart:
                return None
            if type(part) is ToolCall and role is ASSISTANT:
                call_id = part.id
                if not call_id or call_id in taken or call_id in before:
                    return None
                taken.add(call_id)
                waiting.add(call_id)
    return None if waiting else taken


def _named(call: ToolCall, i: int, j: int, taken: set[str], log: Log) -> ToolCall:
    """The call with an id that no earlier call has."""
    if call.id and call.id not in taken and call.id not in log.calls:
        return call
    fresh = wanted = call.id or f"call_{log.start + log.place(i)}_{j}"
    n = 2
    while fresh in taken or fresh in log.calls:
        fresh = f"{wanted}_{n}"
        n += 1
    path = f"{log.path(call, i, j)}.id"
    if call.id:
        log.add("substituted", path, "an earlier call has this id", call.id, fresh)
    else:
        log.add("added", path, "the call had no id", None, fresh)
    named = replace(call, id=fresh)
    log.replaced(call, named)
    return named


def _as_results(message: LLMMessage) -> Sequence[Part]:
    """The parts; the text of a tool message that names no call is a result for a call without id."""
    if message.role is not TOOL or any(type(p) is ToolResultPart for p in message.parts):
        return message.parts
    name = message.name or ""
    return tuple(
        ToolResultPart("", p.text, name) if type(p) is TextPart else p for p in message.parts
    )


def _orphan(result: ToolResultPart, original: Part, i: int, j: int, log: Log) -> list[Part]:
    """What the user says in place of a result that answers nothing."""
    content = (
        (TextPart(result.content, cache=result.cache),)
        if isinstance(result.content, str)
        else result.content
    )
    parts: list[Part] = [p for p in content if not (type(p) is TextPart and not p.text)]
    path = log.path(original, i, j)
    for part in parts:
        log.replaced(original, part)
    if not parts:
        log.add("dropped", path, "an empty tool result without its call")
        return []
    log.add("substituted", path, "a tool result without its call became a user text")
    return parts


def _answers(
    turn: _Turn, messages: Sequence[LLMMessage], i: int, log: Log
) -> Iterable[tuple[int, LLMMessage]]:
    """The results of a turn, message by message as they came, and those that nobody gave; each
    with the place of the message it is from."""
    for at, parts in turn.results.items():
        message = messages[at]
        if message.role is TOOL:
            yield at, with_parts(message, parts)
        else:
            yield at, new_message(TOOL, tuple(parts), cache=message.cache)
    for j, call in turn.calls.items():
        if call.id not in turn.answered:
            path = log.path(call, i, j)
            log.add("added", path, "a tool call had no result; one was made that says so")
            result = ToolResultPart(call.id or "", NO_RESULT, call.name, is_error=True)
            yield i, new_message(TOOL, (result,))
