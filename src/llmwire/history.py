"""Making a message list fit a target: what several wires need, as pure functions.

Each takes messages and a `Log`, and gives new messages; what changed is recorded in the log with
the path of the original. The caller's messages are never touched. Wire reference 12.1, 3.4, 8.2.
"""

from __future__ import annotations

import hashlib
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from itertools import groupby
from typing import cast

from msgspec.structs import replace

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
    """Adaptations in the order they were made.

    Paths name the places of the messages that the first function got, whatever earlier functions
    dropped, moved or added: a part is found by its identity, and `replaced` says what became what.
    """

    __slots__ = ("_before", "_original", "entries")

    def __init__(self) -> None:
        self.entries: list[Adaptation] = []
        self._original: Sequence[LLMMessage] | None = None
        self._before: dict[int, tuple[Part, Part]] = {}  # id(new) -> (new, old); keeps both alive

    def add(
        self, action: str, path: str, reason: str, before: JSON = None, after: JSON = None
    ) -> None:
        self.entries.append(Adaptation(path, action, reason, before, after))  # type: ignore[arg-type]

    def done(self) -> tuple[Adaptation, ...]:
        return tuple(self.entries)

    def reads(self, messages: Sequence[LLMMessage]) -> None:
        """Every function of this module says what it was given; the first one's paths count."""
        if self._original is None:
            self._original = messages

    def replaced(self, old: Part, new: Part) -> None:
        self._before[id(new)] = (new, old)

    def path(self, part: Part, i: int, j: int) -> str:
        """Where `part`, now part `j` of message `i`, stood at first."""
        while (pair := self._before.get(id(part))) is not None:
            part = pair[1]
        messages = self._original or ()
        if not (i < len(messages) and j < len(messages[i].parts) and messages[i].parts[j] is part):
            for a, message in enumerate(messages):
                for b, other in enumerate(message.parts):
                    if other is part:
                        return f"messages[{a}].parts[{b}]"
        return f"messages[{i}].parts[{j}]"

    def message_path(self, message: LLMMessage, i: int) -> str:
        """Where `message`, now the `i`th, stood at first."""
        for a, other in enumerate(self._original or ()):
            if other is message:
                return f"messages[{a}]"
        if message.parts:
            return self.path(message.parts[0], i, 0).partition(".")[0]
        return f"messages[{i}]"


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
    log.reads(messages)
    out: list[LLMMessage] = []
    for i, message in enumerate(messages):
        if not any(type(p) in (IncompleteToolCall, PartDelta) for p in message.parts):
            out.append(message)
            continue
        parts: list[Part] = []
        for j, part in enumerate(message.parts):
            path = log.path(part, i, j)
            if type(part) is IncompleteToolCall:
                log.add("dropped", path, f"a tool call that is not whole ({part.reason})")
            elif type(part) is PartDelta:
                if part.kind == "text" and part.text:
                    text = TextPart(part.text, native=part.native)
                    log.add("substituted", path, "a piece of a stream became a text")
                    log.replaced(part, text)
                    parts.append(text)
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
    `keep` says which foreign parts may stay after all. A turn that is left with nothing is dropped.
    """
    log.reads(messages)
    out: list[LLMMessage] = []
    for i, message in enumerate(messages):
        if message.role is not Role.assistant:
            out.append(message)
            continue
        parts: list[Part] = []
        for j, part in enumerate(message.parts):
            if issued_by(part.native, issuer) or keep(part):
                parts.append(part)
            elif (ours := _without_state(part, log, i, j)) is not None:
                log.replaced(part, ours)
                parts.append(ours)
        if parts or not message.parts:
            out.append(_with(message, parts))
    return out


def _without_state(part: Part, log: Log, i: int, j: int) -> Part | None:
    """What of a foreign part may be sent elsewhere."""
    path = log.path(part, i, j)
    native = part.native
    origin = f"{native.api} {native.provider} {native.model}".rstrip() if native else "another"
    if isinstance(part, CompactionPart) and part.summary:
        log.add("substituted", path, f"a summary by {origin} became a text")
        return TextPart(part.summary)
    if isinstance(part, ReasoningPart | OpaquePart | CompactionPart):
        log.add("dropped", path, f"state issued by {origin}")
        return None
    if isinstance(part, RefusalPart):
        log.add("substituted", path, f"a refusal by {origin} became a text")
        return TextPart(part.text)
    if isinstance(part, TextPart) and part.citations:
        log.add("dropped", f"{path}.citations", f"citations issued by {origin}")
        return TextPart(part.text)
    return replace(part, native=None)


def _with(message: LLMMessage, parts: list[Part]) -> LLMMessage:
    """The message with these parts: itself if they are its own."""
    if len(parts) == len(message.parts) and all(map(operator.is_, parts, message.parts)):
        return message
    return message.with_parts(parts)


# --- calls and results ------------------------------------------------------------------------


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
    """
    log.reads(messages)
    if not any(
        m.role is Role.tool or any(type(p) in (ToolCall, ToolResultPart) for p in m.parts)
        for m in messages
    ):
        return list(messages)
    turns: dict[int, _Turn] = {}
    waiting: dict[str, list[tuple[_Turn, str]]] = {}  # id as it came -> unanswered calls
    taken: set[str] = set()
    rest: list[list[Part]] = []  # per message, what of it is no result of any call
    strays: dict[int, list[Part]] = {}  # message -> results in it that no user or tool could give
    latest: _Turn | None = None  # the last turn, while nothing but results came after it
    for i, message in enumerate(messages):
        others: list[Part] = []
        rest.append(others)
        if message.role is Role.assistant:
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
                if message.role is Role.tool:
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
                theirs = (
                    others if message.role in (Role.user, Role.tool) else strays.setdefault(i, [])
                )
                theirs += _orphan(part, message.parts[j], i, j, log)
            if others and message.role is not Role.assistant:
                latest = None
    out: list[LLMMessage] = []
    for i, message in enumerate(messages):
        if message.role is Role.tool and rest[i]:
            out.append(new_message(Role.user, tuple(rest[i])))
        elif rest[i] or not message.parts:
            out.append(_with(message, rest[i]))
        if i in turns:
            out += _answers(turns[i], messages, i, log)
        if stray := strays.get(i):
            out.append(new_message(Role.user, tuple(stray)))
    return out


def _named(call: ToolCall, i: int, j: int, taken: set[str], log: Log) -> ToolCall:
    """The call with an id that no earlier call has."""
    if call.id and call.id not in taken:
        return call
    n, fresh = 2, call.id or f"call_{i}_{j}"
    while fresh in taken:
        fresh = f"{call.id or f'call_{i}_{j}'}_{n}"
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
    if message.role is not Role.tool or any(type(p) is ToolResultPart for p in message.parts):
        return message.parts
    name = message.name or ""
    return tuple(
        ToolResultPart("", p.text, name) if type(p) is TextPart else p for p in message.parts
    )


def _orphan(result: ToolResultPart, original: Part, i: int, j: int, log: Log) -> list[Part]:
    """What the user says in place of a result that answers nothing."""
    content = (TextPart(result.content),) if isinstance(result.content, str) else result.content
    parts: list[Part] = [p for p in content if not (type(p) is TextPart and not p.text)]
    path = log.path(original, i, j)
    for part in parts:
        log.replaced(original, part)
    if not parts:
        log.add("dropped", path, "an empty tool result without its call")
        return []
    log.add("substituted", path, "a tool result without its call became a user text")
    return parts


def _answers(turn: _Turn, messages: Sequence[LLMMessage], i: int, log: Log) -> list[LLMMessage]:
    """The results of a turn, message by message as they came, and those that nobody gave."""
    out: list[LLMMessage] = []
    for at, parts in turn.results.items():
        message = messages[at]
        if message.role is Role.tool:
            out.append(_with(message, parts))
        else:
            out.append(new_message(Role.tool, tuple(parts)))
    for j, call in turn.calls.items():
        if call.id not in turn.answered:
            path = log.path(call, i, j)
            log.add("added", path, "a tool call had no result; one was made that says so")
            result = ToolResultPart(call.id or "", NO_RESULT, call.name, is_error=True)
            out.append(new_message(Role.tool, (result,)))
    return out


_ID_RULES: dict[str, tuple[re.Pattern[str], int]] = {
    "openai40": (re.compile(r"[^\x21-\x7e]"), 40),
    "openai64": (re.compile(r"[^\x21-\x7e]"), 64),
    "anthropic64": (re.compile(r"[^A-Za-z0-9_-]"), 64),
    "bedrock64": (re.compile(r"[^A-Za-z0-9_.:-]"), 64),
}


def fit_id(call_id: str, rule: str) -> str:
    """An id the target takes, the same for the same id; legal ids stay as they are.

    What has to change gets a hash, so that two ids never become one.
    """
    if rule == "mistral9":
        if re.fullmatch(r"[A-Za-z0-9]{9}", call_id):
            return call_id
        return hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:9]
    if rule not in _ID_RULES:
        return call_id
    bad, limit = _ID_RULES[rule]
    fitted = bad.sub("_", call_id)
    if fitted == call_id and 0 < len(call_id) <= limit:
        return call_id
    digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{fitted[: limit - 9]}_{digest}"


def fit_ids(messages: Sequence[LLMMessage], rule: str, log: Log) -> list[LLMMessage]:
    """All call ids, on calls and on results, as the target takes them."""
    log.reads(messages)
    if rule == "any":
        return list(messages)
    out: list[LLMMessage] = []
    for i, message in enumerate(messages):
        parts: list[Part] = []
        for j, part in enumerate(message.parts):
            fitted: Part = part
            if type(part) is ToolCall and part.id is not None:
                call_id = fit_id(part.id, rule)
                if call_id != part.id:
                    path, why = f"{log.path(part, i, j)}.id", "the target takes no such id"
                    log.add("substituted", path, why, part.id, call_id)
                    fitted = replace(part, id=call_id)
            elif type(part) is ToolResultPart:
                call_id = fit_id(part.call_id, rule)
                if call_id != part.call_id:
                    fitted = replace(part, call_id=call_id)
            if fitted is not part:
                log.replaced(part, fitted)
            parts.append(fitted)
        out.append(_with(message, parts))
    return out


# --- order of turns ---------------------------------------------------------------------------


def merge_consecutive_user_messages(messages: Iterable[LLMMessage]) -> list[LLMMessage]:
    """Neighbouring user messages folded into one, their texts joined by a blank line.

    The merged text loses white space at both ends, and the message its name. Rewrites the prefix
    and so defeats prompt caches: only for servers that want alternation.
    """
    out: list[LLMMessage] = []
    for is_user, run in groupby(messages, lambda m: m.role is Role.user):
        neighbours = list(run)
        if not is_user or len(neighbours) == 1:
            out += neighbours
        else:
            out.append(new_message(Role.user, _merged(neighbours)))
    return out


def _merged(messages: list[LLMMessage]) -> tuple[Part, ...]:
    parts: list[Part] = []
    texts: list[str] = []  # plain texts with nothing else between them

    def flush() -> None:
        text = reduce(lambda a, b: f"{a}\n\n{b}".strip(), texts) if texts else ""
        if text:
            parts.append(TextPart(text))
        texts.clear()

    for message in messages:
        plain = [
            type(p) is TextPart and not p.citations and p.native is None for p in message.parts
        ]
        if all(plain):
            texts.append(message.text)
            continue
        for part, is_plain in zip(message.parts, plain, strict=True):
            if is_plain:
                texts.append(cast(TextPart, part).text)
            else:
                flush()
                parts.append(part)
    flush()
    return tuple(parts) or (TextPart(""),)


def bridge_tool_to_user(messages: Sequence[LLMMessage], log: Log) -> list[LLMMessage]:
    """A short assistant turn between a tool result and a user message, for servers that need it."""
    log.reads(messages)
    out: list[LLMMessage] = []
    for i, message in enumerate(messages):
        if out and message.role is Role.user and out[-1].role is Role.tool:
            out.append(new_message(Role.assistant, (TextPart(BRIDGE),)))
            path = log.message_path(message, i)
            log.add("added", path, "the target takes no user turn after a tool result")
        out.append(message)
    return out
