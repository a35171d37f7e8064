"""llmwire as the client of aimock, a mock server that speaks many wires."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llmwire import ADAPTERS, ProviderConfig, RateLimitError
from llmwire.types import StopReason

from .checks import Answers, Peer
from .install import FOLDER, free_port, node_modules, running

ARGUMENTS = {"city": "Oslo", "days": 7, "warm": True}
HELLO = "Hello from a mock, naïve ☃ and 𝄞."
THOUGHT = "Is 7 + 5 twelve? It is."

ANSWERS = Answers(
    hello=HELLO.replace(".", r"\."),
    call=ARGUMENTS,
    after_tool=r"It is cold in Oslo\.",
    thought=THOUGHT.replace("+", r"\+").replace("?", r"\?").replace(".", r"\."),
    cuts="Go on",
    fails=("Fail", RateLimitError, {"retry_after": 1.0}),
)

USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "input_tokens": 9,
    "output_tokens": 5,
    "promptTokenCount": 9,
    "candidatesTokenCount": 5,
}
"""Where nothing is said of it, some of its wires report 0."""

FIXTURES: list[dict[str, Any]] = [
    {"match": {"hasToolResult": True}, "response": {"content": "It is cold in Oslo."}},
    {
        "match": {"toolName": "get_weather"},
        "response": {
            "toolCalls": [{"name": "get_weather", "arguments": json.dumps(ARGUMENTS)}],
        },
    },
    {
        "match": {"toolName": "fill_in"},
        "response": {
            "toolCalls": [{"name": "fill_in", "arguments": '{"field_0": "cut o'}],
            "finishReason": "length",
        },
    },
    {
        "match": {"userMessage": "A trip"},
        "response": {"content": '{"city": "Oslo", "days": 7}'},
    },
    {"match": {"userMessage": "Think"}, "response": {"content": HELLO, "reasoning": THOUGHT}},
    {
        "match": {"userMessage": "Go on"},
        "response": {"content": "And so", "finishReason": "length"},
    },
    {
        "match": {"userMessage": "Fail"},
        "response": {
            "error": {"message": "Slow down", "type": "rate_limit_error"},
            "status": 429,
            "retryAfter": 1,
        },
    },
    {"match": {"userMessage": "Hi"}, "response": {"content": HELLO, "usage": USAGE}},
]

BASES = {
    "openai": "/v1",
    "openai-responses": "/v1",
    "anthropic": "",
    "gemini": "",
    "bedrock-converse": "",
    "bedrock-anthropic": "",
    "ollama": "",
}
MODELS = {
    "anthropic": "claude-sonnet-4-6",
    "bedrock-converse": "anthropic.claude-sonnet-4-6",
    "bedrock-anthropic": "anthropic.claude-sonnet-4-6",
}
NO_LIMITS = "a mock writes what its fixture says, whatever limits it is given"
LACKS = {
    "stop": NO_LIMITS,
    "cancel": "its replies are over at once",
    "counting": "it has no endpoint that counts, and its usage is the fixture's",
}
LACKS_BY_WIRE = {
    "openai-responses": {"length": "it says `incomplete` without incomplete_details"},
    "gemini": {"cut call": "it says {} in place of arguments that are no JSON"},
    "bedrock-anthropic": dict.fromkeys(
        ("streamed", "tools streamed", "thinking", "output", "length", "cut call"),
        "its frames hold the event itself, which Bedrock sends as base64 in `bytes`",
    ),
    "ollama": {
        "cut call": "it says {} in place of arguments that are no JSON",
        "length": "it says `stop` whatever its fixture says",
        "thinking": "it says `reasoning_content`, which is `thinking` at Ollama's",
    },
}


@contextmanager
def peers() -> Iterator[list[Peer]]:
    """Raises `NotHere` where it can't be installed."""
    fixtures = FOLDER / "fixtures.json"
    with serving(fixtures, "-c", "5", "--strict") as url:
        yield [
            Peer(
                "aimock",
                wire,
                ProviderConfig("aimock", url + BASES[wire], "", wire, region="us-east-1"),
                MODELS.get(wire, "mock"),
                ANSWERS,
                lacks=LACKS | LACKS_BY_WIRE.get(wire, {}),
                counts_by="probe",
                usage=wire != "ollama",
                stops_for_calls=stops_for_calls(wire),
            )
            for wire in BASES
            if wire in ADAPTERS
        ]


@contextmanager
def serving(fixtures: Path, *options: str) -> Iterator[str]:
    """The address of an aimock that says what the fixtures (a file or a folder) say."""
    folder = node_modules()
    if fixtures.suffix:
        fixtures.write_text(json.dumps({"fixtures": FIXTURES}))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    script = folder / "node_modules/@copilotkit/aimock/dist/cli.js"
    command = ["node", str(script), "-p", str(port), "-f", str(fixtures), *options]
    with running("aimock", command, f"{url}/health"):
        yield url


def stops_for_calls(wire: str) -> tuple[StopReason, ...]:
    """It says FUNCTION_CALL for Gemini: no word of Gemini's, which says STOP there."""
    return ("tool_calls", "other") if wire == "gemini" else ("tool_calls",)
