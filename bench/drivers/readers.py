"""The least that turns bytes into text: right for these bytes only. It checks nothing."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from ..wires import Turn, chat_messages, messages_api, messages_tools


class Reader(Protocol):
    """Puts each piece of text into `texts` as it comes."""

    texts: list[str]
    done: bool

    def feed(self, data: bytes) -> None: ...


class _Function(msgspec.Struct):
    arguments: str = ""


class _Call(msgspec.Struct):
    function: _Function


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta


class _Chunk(msgspec.Struct):
    choices: list[_Choice]


class OpenAIReader:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.done = False
        self._rest = b""
        self._decode = msgspec.json.Decoder(_Chunk).decode

    def feed(self, data: bytes) -> None:
        # Each event is one HTTP chunk, so the lines with chunk sizes are merely other lines.
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line.startswith(b"data: "):
                if line.startswith(b"data: [DONE]"):
                    self.done = True
                    return
                for choice in self._decode(line[6:]).choices:
                    delta = choice.delta
                    if delta.content:
                        self.texts.append(delta.content)
                    elif delta.tool_calls:
                        self.texts.append(delta.tool_calls[0].function.arguments)
                    elif delta.reasoning_content:
                        self.texts.append(delta.reasoning_content)


class _BlockDelta(msgspec.Struct):
    text: str = ""
    partial_json: str = ""
    thinking: str = ""


class _Event(msgspec.Struct):
    type: str
    delta: _BlockDelta | None = None


class AnthropicReader:
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
                if event.type == "content_block_delta" and event.delta is not None:
                    delta = event.delta
                    self.texts.append(delta.text or delta.partial_json or delta.thinking)
                elif event.type == "message_stop":
                    self.done = True


class _Piece(msgspec.Struct):
    type: str
    delta: str = ""


class ResponsesReader:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.done = False
        self._rest = b""
        self._decode = msgspec.json.Decoder(_Piece).decode

    def feed(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line.startswith(b"data: "):
                event = self._decode(line[6:])
                if event.type == "response.output_text.delta":
                    self.texts.append(event.delta)
                elif event.type == "response.completed":
                    self.done = True


def reader(style: str) -> Reader:
    if style == "openai-responses":
        return ResponsesReader()
    return OpenAIReader() if style == "openai" else AnthropicReader()


class _Message(msgspec.Struct):
    content: str


class _AnswerChoice(msgspec.Struct):
    message: _Message


class _Answer(msgspec.Struct):
    choices: list[_AnswerChoice]


class _Block(msgspec.Struct):
    text: str


class _Reply(msgspec.Struct):
    content: list[_Block]


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_reply = msgspec.json.Decoder(_Reply).decode


def text_of(style: str, body: bytes) -> str:
    """The text of a whole answer."""
    if style == "openai":
        return _decode_answer(body).choices[0].message.content
    return "".join(block.text for block in _decode_reply(body).content)


# --- requests -----------------------------------------------------------------------------------


class Asked(msgspec.Struct):
    """A conversation as plain data, which is written afresh for every call."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]


def asked(style: str, turns: list[Turn], tools: list[dict[str, Any]]) -> Asked:
    if style == "openai":
        return Asked(chat_messages(turns), tools)
    return Asked(messages_api(turns), messages_tools(tools))


def longer(before: Asked, style: str, turns: list[Turn]) -> Asked:
    return Asked(before.messages + asked(style, turns, []).messages, before.tools)


def body_of(style: str, what: Asked, stream: bool) -> bytes:
    body: dict[str, Any] = {"model": "bench-1", "messages": what.messages}
    if what.tools:
        body["tools"] = what.tools
    if style != "openai":
        body["max_tokens"] = 4096
    if stream:
        body["stream"] = True
    return msgspec.json.encode(body)
