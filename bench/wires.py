"""The streams, answers and conversations that are measured, in the form that the vendors send.

Only the standard library: every driver imports this, in whatever environment it runs.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NamedTuple

_WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "rain")
SMALL_WORDS = 20
KINDS = ("text", "tools", "reasoning")


class Stream(NamedTuple):
    """A streamed reply, event by event; `text` is all that a reader must get out of it."""

    text: str
    events: tuple[bytes, ...]


def words(count: int) -> list[str]:
    return [_WORDS[i % len(_WORDS)] + " " for i in range(count)]


def _dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@lru_cache(maxsize=32)
def stream(style: str, kind: str, count: int) -> Stream:
    """A stream of `count` deltas of one kind."""
    makers = {"openai": _openai, "anthropic": _anthropic, "openai-responses": _responses}
    return makers[style](kind, count)


@lru_cache(maxsize=32)
def answer(style: str, count: int) -> bytes:
    """A whole answer of so many words."""
    return (_openai_answer if style == "openai" else _anthropic_answer)(count)


def _pieces(kind: str, count: int) -> list[str]:
    if kind == "tools":  # fragments of a JSON object
        return ['{"text":"', *words(count - 2), '"}']
    return words(count)


# --- Chat Completions ---------------------------------------------------------------------------

_OPENAI_HEAD = {
    "id": "chatcmpl-CWbQ1x2y3z4A5B6C7D8E9F0G1H2I3",
    "object": "chat.completion.chunk",
    "created": 1764000000,
    "model": "gpt-5-mini-2025-08-07",
    "service_tier": "default",
    "system_fingerprint": None,
}


def _openai_usage(count: int) -> dict[str, Any]:
    return {
        "prompt_tokens": 20,
        "completion_tokens": count,
        "total_tokens": 20 + count,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _openai_event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    tail = {"usage": None, "obfuscation": "aB3dE5fG"}
    return b"data: " + _dumps({**_OPENAI_HEAD, "choices": [choice], **tail}) + b"\n\n"


def _openai(kind: str, count: int) -> Stream:
    pieces = _pieces(kind, count)
    events = [_openai_event({"role": "assistant", "content": "", "refusal": None})]
    if kind == "tools":
        function = {"name": "write", "arguments": ""}
        call = {"index": 0, "id": "call_1a2b3c", "type": "function", "function": function}
        events[0] = _openai_event({"role": "assistant", "content": None, "tool_calls": [call]})
        for piece in pieces:
            delta = {"index": 0, "function": {"arguments": piece}}
            events.append(_openai_event({"tool_calls": [delta]}))
    elif kind == "reasoning":
        events += [_openai_event({"content": None, "reasoning_content": p}) for p in pieces]
        events.append(_openai_event({"content": "Yes."}))
    else:
        events += [_openai_event({"content": piece}) for piece in pieces]
    events.append(_openai_event({}, "tool_calls" if kind == "tools" else "stop"))
    last = {**_OPENAI_HEAD, "choices": [], "usage": _openai_usage(count)}
    events += [b"data: " + _dumps(last) + b"\n\n", b"data: [DONE]\n\n"]
    return Stream("".join(pieces) + ("Yes." if kind == "reasoning" else ""), tuple(events))


def _openai_answer(count: int) -> bytes:
    message = {"role": "assistant", "content": "".join(words(count)), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    head = {**_OPENAI_HEAD, "object": "chat.completion"}
    return _dumps({**head, "choices": [choice], "usage": _openai_usage(count)})


# --- Anthropic Messages -------------------------------------------------------------------------


def _anthropic_message(count: int) -> dict[str, Any]:
    return {
        "model": "claude-sonnet-4-5-20250929",
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 20,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": count,
            "service_tier": "standard",
        },
    }


def _anthropic_event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _dumps({"type": kind, **fields}) + b"\n\n"


def _anthropic(kind: str, count: int) -> Stream:
    pieces = _pieces(kind, count)
    start: dict[str, Any]
    if kind == "tools":
        start = {"type": "tool_use", "id": "toolu_01A", "name": "write", "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    elif kind == "reasoning":
        start = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
        deltas.append({"type": "signature_delta", "signature": "RXBtQkNrZ0lDQg=="})
    else:
        start = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
    end = {"stop_reason": "tool_use" if kind == "tools" else "end_turn", "stop_sequence": None}
    events = [
        _anthropic_event("message_start", message=_anthropic_message(1)),
        _anthropic_event("content_block_start", index=0, content_block=start),
        _anthropic_event("ping"),
        *(_anthropic_event("content_block_delta", index=0, delta=delta) for delta in deltas),
        _anthropic_event("content_block_stop", index=0),
        _anthropic_event("message_delta", delta=end, usage=_anthropic_message(count)["usage"]),
        _anthropic_event("message_stop"),
    ]
    return Stream("".join(pieces), tuple(events))


def _anthropic_answer(count: int) -> bytes:
    block = {"type": "text", "text": "".join(words(count))}
    return _dumps({**_anthropic_message(count), "content": [block], "stop_reason": "end_turn"})


# --- Responses ----------------------------------------------------------------------------------


def _responses(kind: str, count: int) -> Stream:
    """Text only."""
    pieces = words(count)
    name, number = "msg_0c982bd78405099400692a3a0d87c48194a89d4075db43cff9", iter(range(count + 9))
    text = {"type": "output_text", "text": "".join(pieces), "annotations": [], "logprobs": []}
    item = {"id": name, "type": "message", "status": "completed", "role": "assistant"}
    whole = {**item, "content": [text]}
    response = {"id": "resp_0c982bd784050994", "object": "response", "model": "gpt-6-luna"}
    last = {**response, "status": "completed", "output": [whole]}
    at = {"item_id": name, "output_index": 0, "content_index": 0}

    def event(kind: str, **fields: Any) -> bytes:
        return _anthropic_event(kind, sequence_number=next(number), **fields)

    events = [
        event("response.created", response={**response, "status": "in_progress", "output": []}),
        event("response.output_item.added", output_index=0, item={**item, "content": []}),
        *(
            event("response.output_text.delta", **at, delta=p, logprobs=[], obfuscation="aB3dE5fG")
            for p in pieces
        ),
        event("response.output_text.done", **at, text=text["text"], logprobs=[]),
        event("response.output_item.done", output_index=0, item=whole),
        event("response.completed", response=last),
    ]
    return Stream("".join(pieces), tuple(events))


# --- conversations ------------------------------------------------------------------------------


class Turn(NamedTuple):
    """One turn in words of no wire: what a driver turns into its library's own values."""

    role: str
    """`user`, `assistant` or `tool`."""
    text: str
    call: tuple[str, str] | None = None
    """On an assistant's turn: the id and arguments of its call of `search`; on a tool's, which."""


def history(count: int) -> list[Turn]:
    """So many turns of an agent at work; always ends with a user's or a tool's turn."""
    turns: list[Turn] = []
    for i in range(0, count, 4):
        call = (f"call_{i:06d}", json.dumps({"query": f"what about {i}", "limit": 10}))
        turns += [
            Turn("user", f"Question {i}: " + "".join(words(30))),
            Turn("assistant", "I look it up.", call),
            Turn("tool", f"Found {i}: " + "".join(words(60)), call),
            Turn("assistant", f"Answer {i}: " + "".join(words(40))),
        ]
    return [*turns[: count - 1], Turn("user", "And then?")]


def next_turns() -> list[Turn]:
    """What a conversation grows by from one call to the next."""
    return [Turn("assistant", "".join(words(40))), Turn("user", "And what follows?")]


def result(size: int) -> list[Turn]:
    """A conversation whose tool returned a text of so many bytes."""
    call = ("call_000001", '{"query":"everything"}')
    line = "".join(words(12)) + '"quoted" and \\ too\n'
    text = (line * (size // len(line) + 1))[:size]
    return [Turn("user", "Get it."), Turn("assistant", "", call), Turn("tool", text, call)]


def tools(count: int = 20) -> list[dict[str, Any]]:
    """Tools as Chat Completions has them."""
    return [
        {
            "type": "function",
            "function": {
                "name": "search" if i == 0 else f"tool_{i}",
                "description": "Does one of the things that agents do. " + "".join(words(20)),
                "parameters": {
                    "type": "object",
                    "properties": {
                        "query": {"type": "string", "description": "What to look for."},
                        "limit": {"type": "integer", "minimum": 1, "maximum": 100},
                        "tags": {"type": "array", "items": {"type": "string"}},
                    },
                    "required": ["query"],
                },
            },
        }
        for i in range(count)
    ]


def chat_messages(turns: list[Turn]) -> list[dict[str, Any]]:
    """The turns as Chat Completions has them."""
    out: list[dict[str, Any]] = []
    for turn in turns:
        if turn.role == "tool" and turn.call:
            out.append({"role": "tool", "tool_call_id": turn.call[0], "content": turn.text})
        elif turn.call:
            function = {"name": "search", "arguments": turn.call[1]}
            call = {"id": turn.call[0], "type": "function", "function": function}
            out.append({"role": "assistant", "content": turn.text, "tool_calls": [call]})
        else:
            out.append({"role": turn.role, "content": turn.text})
    return out


def messages_api(turns: list[Turn]) -> list[dict[str, Any]]:
    """The turns as Anthropic's Messages has them."""
    out: list[dict[str, Any]] = []
    for turn in turns:
        if turn.role == "tool" and turn.call:
            block = {"type": "tool_result", "tool_use_id": turn.call[0], "content": turn.text}
            out.append({"role": "user", "content": [block]})
        elif turn.call:
            use = {"type": "tool_use", "id": turn.call[0], "name": "search"}
            blocks: list[dict[str, Any]] = [{**use, "input": json.loads(turn.call[1])}]
            if turn.text:
                blocks.insert(0, {"type": "text", "text": turn.text})
            out.append({"role": "assistant", "content": blocks})
        else:
            out.append({"role": turn.role, "content": turn.text})
    return out


def messages_tools(chat_tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tools as Anthropic's Messages has them."""
    functions = [tool["function"] for tool in chat_tools]
    return [
        {"name": f["name"], "description": f["description"], "input_schema": f["parameters"]}
        for f in functions
    ]
