"""Ollama's own client drives the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from llmwire.errors import OverloadedError, RateLimitError
from llmwire.testing import Fault, LocalServer, Reply
from llmwire.types import LLMUsage

ollama = pytest.importorskip("ollama")

HI = [{"role": "user", "content": "hi"}]
ASK = [{"role": "user", "content": "Call get_weather for Paris, 3 days"}]


def get_weather(city: str, days: int) -> str:
    """The weather."""
    return f"{days} days of sun in {city}"


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


@pytest.fixture(params=["/ollama", ""])
def client(server: LocalServer, request: Any) -> Iterator[Any]:
    with ollama.Client(host=server.url + request.param) as made:
        yield made


def test_whole(client: Any, server: LocalServer) -> None:
    server.reply(Reply("Hello!", reasoning="hm", usage=LLMUsage(10, 5)))
    answer = client.chat(model="m", messages=HI, think="low", options={"num_ctx": 4096, "seed": 7})
    assert (answer.message.content, answer.message.thinking) == ("Hello!", "hm")
    assert (answer.done, answer.done_reason) == (True, "stop")
    assert (answer.prompt_eval_count, answer.eval_count) == (10, 5)
    asked = server.requests[0].asked
    assert (asked.seed, asked.thinking, asked.stream) == (7, "low", False)
    assert asked.extra_body == {"options": {"num_ctx": 4096}}


def test_streamed(client: Any, server: LocalServer) -> None:
    server.reply(Reply("Hello, you!", chunk_size=4, stop="length", pings=2))
    parts = list(client.chat(model="m", messages=HI, stream=True))
    assert [p.message.content for p in parts if p.message.content] == ["Hell", "o, y", "ou!"]
    assert [p.done for p in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].done_reason == "length"


@pytest.mark.parametrize("streamed", [False, True])
def test_tools(client: Any, server: LocalServer, streamed: bool) -> None:
    answers = client.chat(model="m", messages=ASK, tools=[get_weather], stream=streamed)
    answers = list(answers) if streamed else [answers]
    (message,) = [a.message for a in answers if a.message.tool_calls]
    (call,) = message.tool_calls
    assert (call.function.name, call.function.arguments) == (
        "get_weather", {"city": "Paris", "days": 3},
    )  # fmt: skip
    result = {"role": "tool", "content": "18 degrees", "tool_name": "get_weather"}
    again = client.chat(model="m", messages=[*ASK, message, result], tools=[get_weather])
    assert again.message.content == "get_weather answered: 18 degrees"


def test_structured_output(client: Any) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    answer = client.chat(
        model="m", messages=[{"role": "user", "content": "city=Oslo"}], format=schema
    )
    assert answer.message.content == '{"city":"Oslo"}'


def test_models(client: Any) -> None:
    assert [m.model for m in client.list().models] == ["offline"]


def test_errors(client: Any, server: LocalServer) -> None:
    server.reply(
        RateLimitError("Slow down"),
        Reply("Hello", chunk_size=2, fault=Fault("error", events=2, error=OverloadedError("Busy"))),
    )
    with pytest.raises(ollama.ResponseError, match="Slow down") as caught:
        client.chat(model="m", messages=HI)
    assert caught.value.status_code == 429
    with pytest.raises(ollama.ResponseError, match="Busy"):
        list(client.chat(model="m", messages=HI, stream=True))
