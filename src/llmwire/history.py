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

from .fitting import ASSISTANT, TOOL, USER, parts_of, with_parts
from .fitting import Calls as Calls
from .fitting import Log as Log
from .fitting import ReachesBack as ReachesBack
from .pairing import NO_RESULT as NO_RESULT
from .pairing import pair_tool_calls as pair_tool_calls
from .pairing import paired as paired
from .types import (
    CompactionPart,
    IncompleteToolCall,
    LLMMessage,
    Native,
    OpaquePart,
    Part,
    PartDelta,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolResultPart,
    new_message,
)

BRIDGE = "Understood."

_NATIVE = operator.attrgetter("native")


def issued_by(native: Native | None, issuer: Native) -> bool:
    """Whether state may go to `issuer`: it is its own, or of unknown origin (built by hand)."""
    return native is None or (
        native.api == issuer.api
        and native.provider in ("", issuer.provider)
        and native.model in ("", issuer.model)
    )


def fit(
    messages: Sequence[LLMMessage], issuer: Native, rule: str, log: Log
) -> Sequence[LLMMessage]:
    """Parts closed, foreign state dropped, calls paired, ids as `rule` has them.

    Most histories need nothing of it, which is found out first.
    """
    parts = [*parts_of(messages)]
    natives = [part.native for part in parts if part.native is not None]
    if (
        _UNFINISHED.isdisjoint(map(type, parts))
        and all(issued_by(native, issuer) for native in natives)
        and (ids := paired(messages, log.calls)) is not None
        and are_legal(ids, rule)
    ):
        log.reads(messages)
        log.calls = log.calls.after(ids)
        return messages
    found = drop_foreign(close_parts(messages, log), issuer, log)
    return fit_ids(pair_tool_calls(found, log), rule, log)


def close_parts(messages: Sequence[LLMMessage], log: Log) -> list[LLMMessage]:
    """Drops what no wire can take back: incomplete calls and pieces of unfinished streams.

    The text of an unfinished piece stays. A turn that is left with nothing is dropped.
    """
    log.reads(messages)
    if _UNFINISHED.isdisjoint(map(type, parts_of(messages))):
        return log.same(messages)
    out: list[LLMMessage] = []
    origins: list[int] = []
    for i, message in enumerate(messages):
        if _UNFINISHED.isdisjoint(map(type, message.parts)):
            out.append(message)
            origins.append(i)
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
            origins.append(i)
    return log.gives(out, origins)


_UNFINISHED = frozenset((IncompleteToolCall, PartDelta))


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
    if not any(map(_NATIVE, parts_of(messages))):
        return log.same(messages)
    out: list[LLMMessage] = []
    origins: list[int] = []
    for i, message in enumerate(messages):
        if message.role is not ASSISTANT:
            out.append(message)
            origins.append(i)
            continue
        parts: list[Part] = []
        for j, part in enumerate(message.parts):
            if issued_by(part.native, issuer) or keep(part):
                parts.append(part)
            elif (ours := _without_state(part, log, i, j)) is not None:
                log.replaced(part, ours)
                parts.append(ours)
        if parts or not message.parts:
            out.append(with_parts(message, parts))
            origins.append(i)
    return log.gives(out, origins)


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
        return TextPart(part.text, cache=part.cache)
    return replace(part, native=None)


# --- ids -----------------------------------------------------------------------------------------

_ID_RULES = {
    "openai40": (r"\x21-\x7e", 1, 40),
    "openai64": (r"\x21-\x7e", 1, 64),
    "anthropic64": ("A-Za-z0-9_-", 1, 64),
    "bedrock64": ("A-Za-z0-9_.:-", 1, 64),
    "mistral9": ("A-Za-z0-9", 9, 9),
}
"""Which characters, how many at least and at most."""
_BAD = {rule: re.compile(f"[^{chars}]") for rule, (chars, _, _) in _ID_RULES.items()}
_LEGAL = {
    rule: re.compile(f"(?:[{chars}]{{{least},{most}}}\n)*")
    for rule, (chars, least, most) in _ID_RULES.items()
}
"""Any number of ids, each with a line end."""


def fit_id(call_id: str, rule: str) -> str:
    """An id the target takes, the same for the same id; legal ids stay as they are.

    What has to change gets a hash, so that two ids never become one.
    """
    if are_legal([call_id], rule):
        return call_id
    digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()
    _, least, most = _ID_RULES[rule]
    if least == most:
        return digest[:most]
    return f"{_BAD[rule].sub('_', call_id)[: most - 9]}_{digest[:8]}"


def are_legal(ids: Iterable[str], rule: str) -> bool:
    """Whether the target takes all of these ids as they are, found out in one go."""
    return rule not in _LEGAL or bool(_LEGAL[rule].fullmatch("".join([f"{i}\n" for i in ids])))


def fit_ids(messages: Sequence[LLMMessage], rule: str, log: Log) -> list[LLMMessage]:
    """All call ids, on calls and on results, as the target takes them."""
    log.reads(messages)
    if _fit(messages, rule):
        return log.same(messages)
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
        out.append(with_parts(message, parts))
    return log.gives(out, list(range(len(out))))


def _fit(messages: Sequence[LLMMessage], rule: str) -> bool:
    if rule == "any":
        return True
    calls = [p for p in parts_of(messages) if type(p) is ToolCall or type(p) is ToolResultPart]
    ids = [p.id if type(p) is ToolCall else cast(ToolResultPart, p).call_id for p in calls]
    return are_legal([i for i in ids if i is not None], rule)


# --- order of turns ---------------------------------------------------------------------------


def merge_consecutive_user_messages(
    messages: Iterable[LLMMessage], log: Log | None = None
) -> list[LLMMessage]:
    """Neighbouring user messages folded into one, their texts joined by a blank line.

    The merged text loses white space at both ends, and the message its name. Rewrites the prefix
    and so defeats prompt caches: only for servers that want alternation.
    """
    messages = messages if isinstance(messages, list | tuple) else list(messages)
    log = log or Log()
    log.reads(messages)
    out: list[LLMMessage] = []
    origins: list[int] = []
    at = 0
    for is_user, run in groupby(messages, lambda m: m.role is USER):
        neighbours = list(run)
        if not is_user or len(neighbours) == 1:
            out += neighbours
            origins += range(at, at + len(neighbours))
        else:
            out.append(new_message(USER, _merged(neighbours), cache=neighbours[-1].cache))
            origins.append(at)
        at += len(neighbours)
    return log.gives(out, origins)


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
            type(p) is TextPart and not (p.citations or p.native or p.cache) for p in message.parts
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
    origins: list[int] = []
    for i, message in enumerate(messages):
        if out and message.role is USER and out[-1].role is TOOL:
            out.append(new_message(ASSISTANT, (TextPart(BRIDGE),)))
            origins.append(i)
            reason = "the target takes no user turn after a tool result"
            log.add("added", log.at(i), reason)
        out.append(message)
        origins.append(i)
    return log.gives(out, origins)
