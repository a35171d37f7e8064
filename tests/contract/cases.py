"""The table: what a model may say and what a caller may ask, once for every wire.

Adding a case tests all wires; adding a wire runs all cases.
"""

from __future__ import annotations

from llmwire.config import ModelConfig, ProviderConfig
from llmwire.request import LLMRequest
from llmwire.types import (
    AvailableFunction,
    AvailableTool,
    BytesSource,
    FunctionCall,
    ImagePart,
    LLMChunk,
    LLMMessage,
    LLMUsage,
    ReasoningPart,
    StopInfo,
    TextPart,
    ToolCall,
    ToolResultPart,
)

BINARY = ("bedrock-converse", "bedrock-anthropic")
"""Wires whose streams are AWS's binary frames."""
WIRES = (
    "openai",
    "openai-responses",
    "anthropic",
    "vertex-anthropic",
    "reasoning",
    "gemini",
    "vertex-gemini",
    "ollama",
    *BINARY,
)
SIGNING = ("anthropic", "vertex-anthropic", "reasoning", "gemini", "vertex-gemini", *BINARY)
"""Wires on which reasoning carries a signature."""
ENDING = (
    "openai-responses", "anthropic", "vertex-anthropic", "gemini", "vertex-gemini", "ollama", *BINARY,
)  # fmt: skip
"""Wires that say of each tool call when it has ended."""
OBJECTS = ("anthropic", "vertex-anthropic", "gemini", "vertex-gemini", "ollama", *BINARY)
"""Wires whose calls have objects for arguments."""
CACHELESS = ("ollama",)
"""Wires that say nothing of caches."""
WHOLE_CALLS = ("ollama",)
"""Wires on which a call comes in one piece, or not at all."""
CONTENT_FIRST = ("ollama",)
"""Wires whose first event has content in it."""

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"
    b"\x1f\x15\xc4\x89\x00\x00\x00\nIDATx\x9cc\x00\x01\x00\x00\x05\x00\x01\r\n-\xb4\x00\x00"
    b"\x00\x00IEND\xaeB`\x82"
)
ODD_TEXT = 'a\u2028b\u2029c\u0085d\x0be \U0001f600 "q" \\ é\nlast'
ODD_ARGUMENTS = '{ "city" : "Z\\u00fcrich", "n": 1.50, "deep": {"a":[1, 2,3]} }'


def provider(wire: str, name: str = "") -> ProviderConfig:
    return ProviderConfig(
        name or f"{wire}-provider",
        "http://127.0.0.1:1/v1"
        if wire in ("openai", "openai-responses", "reasoning")
        else "http://127.0.0.1:1",
        api_style=wire,
        project_id="project",
        region="global",
    )


def model(wire: str) -> ModelConfig:
    names = {
        "openai": "local-model",
        "openai-responses": "gpt-6-luna",
        "reasoning": "mistral-medium-latest",
        "gemini": "gemini-3.1-pro-preview",
        "vertex-gemini": "gemini-3.5-flash",
        "ollama": "gpt-oss:20b",
    }
    return ModelConfig(names.get(wire, "claude-sonnet-4-6"), temperature=None)


def call(call_id: str, name: str, arguments: str) -> ToolCall:
    return ToolCall(call_id, FunctionCall(name, arguments))


def _reply(*parts: object, stop: str = "stop", usage: LLMUsage | None = None) -> LLMChunk:
    return LLMChunk(
        LLMMessage("assistant", parts=parts),
        usage or LLMUsage(12, 7, 12),
        StopInfo(stop),
    )


REPLIES: dict[str, LLMChunk] = {
    "text": _reply(TextPart("Hello, world.")),
    "odd_text": _reply(TextPart(ODD_TEXT)),
    "long_text": _reply(TextPart("word " * 500)),
    "one_character": _reply(TextPart(".")),
    "reasoning_then_text": _reply(
        ReasoningPart("First this,\n\nthen that.", signature="c2lnbmF0dXJl+/=="),
        TextPart("So: 4."),
    ),
    "tool_call": _reply(call("call00001", "weather", '{"city":"Rome"}'), stop="tool_calls"),
    "tool_call_without_arguments": _reply(call("call00001", "now", "{}"), stop="tool_calls"),
    "odd_arguments": _reply(call("call00001", "weather", ODD_ARGUMENTS), stop="tool_calls"),
    "parallel_calls": _reply(
        TextPart("Both:"),
        call("call00001", "weather", '{"city":"Rome"}'),
        call("call00002", "weather", '{"city":"Oslo"}'),
        call("call00003", "now", "{}"),
        stop="tool_calls",
    ),
    "reasoning_and_calls": _reply(
        ReasoningPart("I need the weather.", signature="c2ln"),
        TextPart("Let me look."),
        call("call00001", "weather", '{"city":"Rome"}'),
        stop="tool_calls",
    ),
    "cut_by_length": _reply(TextPart("It was the best of ti"), stop="length"),
    "cached_usage": _reply(
        TextPart("ok"), usage=LLMUsage(100, 7, 40, cache_read=60, cache_write=0)
    ),
}

TOOLS = (
    AvailableTool(
        AvailableFunction(
            "weather",
            "The weather in a city",
            {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        )
    ),
    AvailableTool(AvailableFunction("now", "The time", {"type": "object", "properties": {}})),
)

QUESTION = LLMMessage("user", "What is the weather in Rome and Oslo?")


def answers_to(reply: LLMChunk) -> list[LLMMessage]:
    """A tool message for every call of a reply."""
    return [
        LLMMessage("tool", parts=(ToolResultPart(c.id or "", f"result of {c.name}", c.name),))
        for c in reply.tool_calls
    ]


HISTORIES: dict[str, tuple[LLMMessage, ...]] = {
    "one_question": (QUESTION,),
    "system_first": (LLMMessage("system", "Be brief."), QUESTION),
    "two_turns": (QUESTION, LLMMessage("assistant", "Sunny."), LLMMessage("user", "And Oslo?")),
    "two_users_in_a_row": (QUESTION, LLMMessage("user", "Hurry, please.")),
    "tool_round": (
        QUESTION,
        LLMMessage("assistant", parts=REPLIES["parallel_calls"].message.parts),
        *answers_to(REPLIES["parallel_calls"]),
    ),
    "tool_round_and_user": (
        QUESTION,
        LLMMessage("assistant", parts=REPLIES["tool_call"].message.parts),
        *answers_to(REPLIES["tool_call"]),
        LLMMessage("user", "Thanks. Again?"),
    ),
    "image": (
        LLMMessage("user", [TextPart("What is this?"), ImagePart(BytesSource(PNG, "image/png"))]),
    ),
    "image_in_result": (
        QUESTION,
        LLMMessage("assistant", parts=REPLIES["tool_call"].message.parts),
        LLMMessage(
            "tool",
            parts=(
                ToolResultPart(
                    "call00001", (TextPart("see:"), ImagePart(BytesSource(PNG, "image/png")))
                ),
            ),
        ),
    ),
    "developer": (LLMMessage("developer", "Be brief."), QUESTION),
    "unanswered_call": (
        QUESTION,
        LLMMessage("assistant", parts=REPLIES["tool_call"].message.parts),
        LLMMessage("user", "Never mind."),
    ),
    "stray_result": (QUESTION, LLMMessage("tool", "orphan", tool_call_id="nobody")),
    "odd_ids": (
        QUESTION,
        LLMMessage(
            "assistant",
            tool_calls=[
                call("functions.weather:0", "weather", '{"city":"Rome"}'),
                call("functions.weather:1" + "x" * 70, "now", ""),
            ],
        ),
        LLMMessage("tool", "sun", tool_call_id="functions.weather:0"),
        LLMMessage("tool", "noon", tool_call_id="functions.weather:1" + "x" * 70),
    ),
    "no_ids": (
        QUESTION,
        LLMMessage("assistant", tool_calls=[ToolCall(None, FunctionCall("now", "{}"))]),
        LLMMessage("user", "And?"),
    ),
    "surrogate": (LLMMessage("user", "half a pair: \ud83d, whole: \ud83d\ude00"),),
    "empty_turns": (
        QUESTION,
        LLMMessage("assistant", ""),
        LLMMessage("user", ""),
        LLMMessage("user", "Hello?"),
    ),
}


def request(
    wire: str, messages: tuple[LLMMessage, ...] = (QUESTION,), **options: object
) -> LLMRequest:
    options.setdefault("tools", TOOLS)
    return LLMRequest(model=model(wire), messages=messages, **options)
