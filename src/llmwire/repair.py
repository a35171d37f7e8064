"""A second try after a server rejected the history: what to leave out, read from its own words.

At most one such try is worth making for a call: see `GenericBackend.repaired`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from .errors import BackendError, HistoryRejectedError
from .history import (
    Log,
    bridge_tool_to_user,
    merge_consecutive_user_messages,
    pair_tool_calls,
)
from .request import LLMRequest
from .types import (
    Adaptation,
    LLMMessage,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
)


class Repaired(Struct, frozen=True):
    """The request to send instead, and what differs: it belongs on the reply."""

    request: LLMRequest
    adaptations: tuple[Adaptation, ...]


def repaired_after(request: LLMRequest, error: BackendError) -> Repaired | None:
    """The request without what the server rejected; None if that is not known or nothing is left.

    State (signatures, encrypted reasoning) that it can't verify is left out with the reasoning it
    belongs to; thinking that a tool loop lacks turns thinking off; an order of roles that it does
    not take is bridged or merged; calls and results are paired. Wordings: wire reference 2.4, 3.4,
    4, 5.4, 8.2.
    """
    if not isinstance(error, HistoryRejectedError):
        return None
    words = " ".join(w for w in (error.provider_message, error.message, error.code) if w)
    for pattern, cure in _CURES:
        if re.search(pattern, words, re.IGNORECASE):
            log = Log()
            repaired = cure(request, log)
            return Repaired(repaired, log.done()) if repaired != request else None
    return None


def _without_state(request: LLMRequest, log: Log) -> LLMRequest:
    """Without reasoning that carries state, and without the state of other parts."""
    messages: list[LLMMessage] = []
    for i, message in enumerate(request.messages):
        if message.role is not Role.assistant:
            messages.append(message)
            continue
        parts: list[Part] = []
        for j, part in enumerate(message.parts):
            path = f"messages[{i}].parts[{j}]"
            if isinstance(part, ReasoningPart) and _has_state(part):
                log.add("dropped", path, "the server rejected earlier reasoning")
            elif isinstance(part, TextPart | ToolCall) and part.native is not None:
                log.add("dropped", f"{path}.native", "the server rejected the state of a turn")
                parts.append(replace(part, native=None))
            else:
                parts.append(part)
        if parts or not message.parts:
            messages.append(message.with_parts(parts))
    return replace(request, messages=tuple(messages))


def _has_state(part: ReasoningPart) -> bool:
    return part.signature is not None or part.data is not None or part.native is not None


def _without_thinking(request: LLMRequest, log: Log) -> LLMRequest:
    if request.thinking == "off":
        return request
    reason = "the server wants thinking in front of the tool calls being answered; there is none"
    log.add("substituted", "thinking", reason, request.thinking, "off")
    return replace(_without_state(request, log), thinking="off")


def _paired(request: LLMRequest, log: Log) -> LLMRequest:
    return replace(request, messages=tuple(pair_tool_calls(request.messages, log)))


def _bridged(request: LLMRequest, log: Log) -> LLMRequest:
    messages = bridge_tool_to_user(pair_tool_calls(request.messages, log), log)
    return replace(request, messages=tuple(messages))


def _alternating(request: LLMRequest, log: Log) -> LLMRequest:
    """One user message in place of neighbours, and an assistant's between results and user."""
    for i, (before, message) in enumerate(
        zip(request.messages, request.messages[1:], strict=False), 1
    ):
        if before.role is Role.user and message.role is Role.user:
            log.add("moved", f"messages[{i}]", "joined to the user message before it")
    bridged = _bridged(request, log)
    return replace(bridged, messages=tuple(merge_consecutive_user_messages(bridged.messages)))


def _system_first(request: LLMRequest, log: Log) -> LLMRequest:
    """All system messages at the beginning."""
    head: list[LLMMessage] = []
    rest: list[LLMMessage] = []
    for i, message in enumerate(request.messages):
        if message.role not in (Role.system, Role.developer):
            rest.append(message)
            continue
        head.append(message)
        if rest:
            log.add("moved", f"messages[{i}]", "the server wants system messages first")
    return replace(request, messages=(*head, *rest))


_CURES: tuple[tuple[str, Callable[[LLMRequest, Log], LLMRequest]], ...] = (
    (r"expected .?thinking.? or .?redacted_thinking.?, but found", _without_thinking),
    (
        r"invalid .?signature|bound to a different conversation|cannot be modified|"
        r"cannot contain .?thinking|encrypted[ _]content|corrupted thought signature|"
        r"reasoningText\.signature|without its required",
        _without_state,
    ),
    (r"unexpected role .{1,20} after role", _bridged),
    (r"roles must alternate", _alternating),
    (r"system message must be at the beginning", _system_first),
    (
        r"tool_use|toolResult|no tool (?:output|call) found|tool_calls|tool_call_id|role .tool.|"
        r"number of function|function call turn",
        _paired,
    ),
)
