"""The streams and answers that are measured, made here in the form that the vendors send."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

EVENTS = 2000
_WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "rain")


class Reader(Protocol):
    """The least that turns bytes of a stream into text."""

    texts: list[str]
    done: bool

    def feed(self, data: bytes) -> None: ...


class Wire(NamedTuple):
    """One wire format: its stream, event by event, a whole answer, and their least readers."""

    style: str
    path: str
    text: str
    events: tuple[bytes, ...]
    answer: bytes
    raw_reader: Callable[[], Reader]
    raw_answer: Callable[[bytes], str]
    raw_request: Callable[[str], dict[str, Any]]


def _dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# --- Chat Completions ---------------------------------------------------------------------------


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta


class _Chunk(msgspec.Struct):
    choices: list[_Choice]


class _OpenAIReader:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.done = False
        self._rest = b""
        self._decode = msgspec.json.Decoder(_Chunk).decode

    def feed(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line.startswith(b"data: "):
                if line.startswith(b"data: [DONE]"):
                    self.done = True
                    return
                for choice in self._decode(line[6:]).choices:
                    if choice.delta.content:
                        self.texts.append(choice.delta.content)


class _Message(msgspec.Struct):
    content: str


class _AnswerChoice(msgspec.Struct):
    message: _Message


class _Answer(msgspec.Struct):
    choices: list[_AnswerChoice]


_decode_answer = msgspec.json.Decoder(_Answer).decode


def openai(events: int = EVENTS) -> Wire:
    head = {
        "id": "chatcmpl-CWbQ1x2y3z4A5B6C7D8E9F0G1H2I3",
        "object": "chat.completion.chunk",
        "created": 1764000000,
        "model": "gpt-5-mini-2025-08-07",
        "service_tier": "default",
        "system_fingerprint": None,
    }
    usage = {
        "prompt_tokens": 20,
        "completion_tokens": events,
        "total_tokens": 20 + events,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }

    def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        tail = {"usage": None, "obfuscation": "aB3dE5fG"}
        return b"data: " + _dumps({**head, "choices": [choice], **tail}) + b"\n\n"

    pieces = [_WORDS[i % len(_WORDS)] + " " for i in range(events)]
    stream = [event({"role": "assistant", "content": "", "refusal": None})]
    stream += [event({"content": piece}) for piece in pieces]
    stream.append(event({}, "stop"))
    stream.append(b"data: " + _dumps({**head, "choices": [], "usage": usage}) + b"\n\n")
    stream.append(b"data: [DONE]\n\n")
    text = "".join(pieces)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text,
        "refusal": None,
        "annotations": [],
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    answer = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
    return Wire(
        "openai",
        "/v1/chat/completions",
        text,
        tuple(stream),
        _dumps(answer),
        _OpenAIReader,
        lambda body: _decode_answer(body).choices[0].message.content,
        lambda prompt: {
            "model": "bench",
            "messages": [{"role": "user", "content": prompt}],
            "stream": True,
        },
    )


# --- Anthropic Messages -------------------------------------------------------------------------


class _TextDelta(msgspec.Struct):
    text: str = ""


class _Event(msgspec.Struct):
    type: str
    delta: _TextDelta | None = None


class _AnthropicReader:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.done = False
        self._rest = b""
        self._decode = msgspec.json.Decoder(_Event).decode

    def feed(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line.startswith(b"data: "):
                event = self._decode(line[6:])
                if event.type == "content_block_delta":
                    assert event.delta is not None
                    self.texts.append(event.delta.text)
                elif event.type == "message_stop":
                    self.done = True


class _Block(msgspec.Struct):
    text: str


class _Reply(msgspec.Struct):
    content: list[_Block]


_decode_reply = msgspec.json.Decoder(_Reply).decode


def anthropic(events: int = EVENTS) -> Wire:
    usage = {
        "input_tokens": 20,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 1,
        "service_tier": "standard",
    }
    message: dict[str, Any] = {
        "model": "claude-sonnet-4-5-20250929",
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }

    def event(kind: str, **fields: Any) -> bytes:
        body = _dumps({"type": kind, **fields})
        return b"event: " + kind.encode() + b"\ndata: " + body + b"\n\n"

    pieces = [_WORDS[i % len(_WORDS)] + " " for i in range(events)]
    stream = [
        event("message_start", message=message),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
    ]
    stream += [
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        for piece in pieces
    ]
    stream += [
        event("content_block_stop", index=0),
        event(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={**usage, "output_tokens": events},
        ),
        event("message_stop"),
    ]
    text = "".join(pieces)
    answer = {
        **message,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "usage": {**usage, "output_tokens": events},
    }
    return Wire(
        "anthropic",
        "/v1/messages",
        text,
        tuple(stream),
        _dumps(answer),
        _AnthropicReader,
        lambda body: "".join(block.text for block in _decode_reply(body).content),
        lambda prompt: {
            "model": "bench",
            "max_tokens": 4096,
            "messages": [{"role": "user", "content": prompt}],
            "stream": True,
        },
    )
