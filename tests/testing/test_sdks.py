"""The vendors' own clients drive the server: what it says is what they understand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pydantic
import pytest
from mistralai.client import Mistral
from mistralai.client.errors import MistralError

from llmwire.errors import AuthenticationError, BackendError, OverloadedError, RateLimitError
from llmwire.testing import Fault, LocalServer, Reply
from llmwire.types import LLMUsage

WEATHER_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
}
CLOSED_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}


class Weather(pydantic.BaseModel):
    """The weather in a city."""

    city: str
    days: int = pydantic.Field(ge=1, description="how many")


FUNCTION = {"name": "get_weather", "description": "Weather", "parameters": WEATHER_SCHEMA}
OPENAI_TOOLS: Any = [{"type": "function", "function": FUNCTION}]
CLAUDE_TOOLS: Any = [{"name": "get_weather", "input_schema": WEATHER_SCHEMA}]
ASK = "Call get_weather for Paris, 3 days"
ARGUMENTS = {"city": "Paris", "days": 3}
HI: Any = [{"role": "user", "content": "hi"}]
CLAUDE = "claude-sonnet-4-6"


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


@pytest.fixture(params=["/openai/v1", "/v1"])
def gpt(server: LocalServer, request: Any) -> Iterator[openai.OpenAI]:
    base = server.url + request.param
    with openai.OpenAI(base_url=base, api_key="k", max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture(params=["/anthropic", ""])
def claude(server: LocalServer, request: Any) -> Iterator[anthropic.Anthropic]:
    base = server.url + request.param
    with anthropic.Anthropic(base_url=base, api_key="k", max_retries=0, timeout=20) as client:
        yield client


# --- openai -------------------------------------------------------------------------------------


def test_openai_whole(gpt: openai.OpenAI, server: LocalServer) -> None:
    usage = LLMUsage(input_total=10, output_total=5, cache_read=4, reasoning=2)
    server.reply(Reply("Hello!", model="gpt-x-1", response_id="chatcmpl-7", usage=usage))
    answer = gpt.chat.completions.create(model="gpt-x", messages=HI)
    assert answer.choices[0].message.content == "Hello!"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.id, answer.model) == ("chatcmpl-7", "gpt-x-1")
    assert answer.usage is not None and answer.usage.prompt_tokens_details is not None
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (10, 15)
    assert answer.usage.prompt_tokens_details.cached_tokens == 4
    (heard,) = server.requests
    assert heard.headers["authorization"] == "Bearer k"
    assert heard.asked.model.name == "gpt-x" and heard.asked.messages[0].text == "hi"


def test_openai_streamed(gpt: openai.OpenAI, server: LocalServer) -> None:
    server.reply(Reply("Hello, you!", chunk_size=4, stop="length", pings=2))
    chunks = list(
        gpt.chat.completions.create(
            model="offline", messages=HI, stream=True, stream_options={"include_usage": True}
        )
    )
    texts = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert texts == ["Hell", "o, y", "ou!"]
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 3
    assert len({c.id for c in chunks}) == 1


def test_openai_usage_only_when_asked(gpt: openai.OpenAI) -> None:
    chunks = list(gpt.chat.completions.create(model="offline", messages=HI, stream=True))
    assert all(c.usage is None for c in chunks)


def test_openai_tools_whole(gpt: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": ASK}]
    answer = gpt.chat.completions.create(model="offline", messages=messages, tools=OPENAI_TOOLS)
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    assert call.type == "function" and call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == ARGUMENTS
    messages += [
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"},
    ]
    answer = gpt.chat.completions.create(model="offline", messages=messages, tools=OPENAI_TOOLS)
    assert answer.choices[0].message.content == "get_weather answered: 18 degrees"


def test_openai_tools_streamed(gpt: openai.OpenAI) -> None:
    with gpt.chat.completions.stream(
        model="offline",
        messages=[{"role": "user", "content": ASK}],
        tools=OPENAI_TOOLS,
        tool_choice="required",
    ) as stream:
        for _ in stream:
            pass
        answer = stream.get_final_completion()
    assert answer.choices[0].message.tool_calls is not None
    (call,) = answer.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == ARGUMENTS


def test_openai_structured_output(gpt: openai.OpenAI) -> None:
    form: Any = {
        "type": "json_schema",
        "json_schema": {"name": "weather", "schema": WEATHER_SCHEMA},
    }
    answer = gpt.chat.completions.create(
        model="offline",
        messages=[{"role": "user", "content": "city=Oslo days=2"}],
        response_format=form,
    )
    assert json.loads(answer.choices[0].message.content or "") == {"city": "Oslo", "days": 2}


def test_openai_parses_into_a_model(gpt: openai.OpenAI) -> None:
    ask: Any = [{"role": "user", "content": "city=Oslo days=2"}]
    answer = gpt.chat.completions.parse(model="offline", messages=ask, response_format=Weather)
    assert answer.choices[0].message.parsed == Weather(city="Oslo", days=2)


def test_openai_refuses_an_open_schema_in_strict_mode(gpt: openai.OpenAI) -> None:
    form: Any = {"name": "weather", "strict": True, "schema": WEATHER_SCHEMA}
    with pytest.raises(openai.BadRequestError, match="additionalProperties"):
        gpt.chat.completions.create(
            model="offline", messages=HI,
            response_format={"type": "json_schema", "json_schema": form},
        )  # fmt: skip


def test_openai_models(gpt: openai.OpenAI) -> None:
    assert [m.id for m in gpt.models.list()] == ["offline"]
    assert gpt.models.retrieve("offline").id == "offline"
    with pytest.raises(openai.NotFoundError):
        gpt.models.retrieve("other")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_openai_error_statuses(
    server: LocalServer, status: int, kind: type[openai.APIStatusError]
) -> None:
    server.reply(Reply(status=status, message="No luck", headers={"x-request-id": "r-1"}))
    with (
        openai.OpenAI(base_url=server.url + "/v1", api_key="k", max_retries=0) as client,
        pytest.raises(kind, match="No luck") as caught,
    ):
        client.chat.completions.create(model="offline", messages=HI)
    assert caught.value.status_code == status
    assert caught.value.request_id == "r-1"


def test_openai_retries_as_the_server_asks(server: LocalServer) -> None:
    server.reply(RateLimitError("Slow down", retry_after=0.01), "Now.")
    with openai.OpenAI(base_url=server.url + "/v1", api_key="k", max_retries=1) as client:
        answer = client.chat.completions.create(model="offline", messages=HI)
    assert answer.choices[0].message.content == "Now."
    assert len(server.requests) == 2


def test_openai_mid_stream_error(gpt: openai.OpenAI, server: LocalServer) -> None:
    error = RateLimitError("Slow down in the middle")
    server.reply(Reply("Hello, you!", chunk_size=4, fault=Fault("error", events=3, error=error)))
    texts = []
    with pytest.raises(openai.APIError, match="Slow down in the middle"):
        for chunk in gpt.chat.completions.create(model="offline", messages=HI, stream=True):
            texts.append(chunk.choices[0].delta.content)
    assert texts == ["", "Hell", "o, y"]


@pytest.mark.parametrize("kind", ["reset", "close"])
def test_openai_cut_stream(gpt: openai.OpenAI, server: LocalServer, kind: Any) -> None:
    server.reply(Reply("Hello, you!", chunk_size=4, fault=Fault(kind, events=2)))
    with pytest.raises(openai.APIConnectionError):
        list(gpt.chat.completions.create(model="offline", messages=HI, stream=True))


def test_openai_async_clients_share_the_server(server: LocalServer) -> None:
    async def main() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="k") as client:
            answers = await asyncio.gather(
                *(
                    client.chat.completions.create(
                        model="offline", messages=[{"role": "user", "content": f"number {i}"}]
                    )
                    for i in range(8)
                )
            )
        return [a.choices[0].message.content for a in answers]

    texts = asyncio.run(main())
    assert all(f'"number {i}"' in (text or "") for i, text in enumerate(texts))


def test_openai_wrong_key_and_bad_request(server: LocalServer) -> None:
    server.require_key = "right"
    with openai.OpenAI(base_url=server.url + "/v1", api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(model="offline", messages=HI)
        with pytest.raises(openai.BadRequestError):
            client.with_options(api_key="right").chat.completions.create(
                model="offline",
                messages=[{"role": "user"}],  # type: ignore[typeddict-item]
            )


# --- anthropic ----------------------------------------------------------------------------------


def test_claude_whole(claude: anthropic.Anthropic, server: LocalServer) -> None:
    usage = LLMUsage(input_total=10, input_uncached=6, cache_read=4, output_total=5)
    server.reply(Reply("Hello!", usage=usage))
    answer = claude.messages.create(model=CLAUDE, max_tokens=100, messages=HI)
    assert [b.type for b in answer.content] == ["text"]
    assert answer.content[0].text == "Hello!"  # type: ignore[union-attr]
    assert (answer.stop_reason, answer.model) == ("end_turn", CLAUDE)
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (6, 4)
    assert answer.usage.output_tokens == 5
    assert server.requests[0].asked.max_tokens == 100


def test_claude_knows_the_input_from_the_start(claude: anthropic.Anthropic) -> None:
    stream = claude.messages.create(model=CLAUDE, max_tokens=100, messages=HI, stream=True)
    with stream:
        first = next(iter(stream))
    assert first.type == "message_start"
    assert (first.message.usage.input_tokens, first.message.usage.output_tokens) == (4, 0)


def test_claude_streamed(claude: anthropic.Anthropic, server: LocalServer) -> None:
    server.reply(Reply("Hello, you!", chunk_size=4, pings=2))
    with claude.messages.stream(model=CLAUDE, max_tokens=100, messages=HI) as stream:
        texts = list(stream.text_stream)
        answer = stream.get_final_message()
    assert texts == ["Hell", "o, y", "ou!"]
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens == 3


@pytest.mark.parametrize("streamed", [False, True])
def test_claude_tools_and_thinking(claude: anthropic.Anthropic, streamed: bool) -> None:
    def ask(messages: Any) -> Any:
        asked: Any = {
            "model": CLAUDE,
            "max_tokens": 3000,
            "messages": messages,
            "tools": CLAUDE_TOOLS,
            "thinking": {"type": "adaptive"},
        }
        if not streamed:
            return claude.messages.create(**asked)
        with claude.messages.stream(**asked) as stream:
            return stream.get_final_message()

    messages: Any = [{"role": "user", "content": ASK}]
    answer = ask(messages)
    assert [b.type for b in answer.content] == ["thinking", "tool_use"]
    thought, call = answer.content
    assert "I call get_weather" in thought.thinking and thought.signature
    assert (call.name, call.input, answer.stop_reason) == ("get_weather", ARGUMENTS, "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "18 degrees"}
    messages += [
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": [result]},
    ]
    answer = ask(messages)
    assert [b.type for b in answer.content] == ["thinking", "text"]
    assert answer.content[1].text == "get_weather answered: 18 degrees"


def test_claude_scripted_thinking(claude: anthropic.Anthropic, server: LocalServer) -> None:
    server.reply(Reply("Yes.", reasoning="Hm, let me see.", signature="c2ln", chunk_size=5))
    with claude.messages.stream(
        model=CLAUDE,
        max_tokens=3000,
        messages=HI,
        thinking={"type": "adaptive"},
    ) as stream:
        answer = stream.get_final_message()
    thought: Any = answer.content[0]
    assert (thought.thinking, thought.signature) == ("Hm, let me see.", "c2ln")


def test_claude_structured_output(claude: anthropic.Anthropic) -> None:
    answer = claude.messages.create(
        model=CLAUDE,
        max_tokens=100,
        messages=[{"role": "user", "content": "city=Oslo days=2"}],
        output_config={"format": {"type": "json_schema", "schema": CLOSED_SCHEMA}},
    )
    block: Any = answer.content[0]
    assert json.loads(block.text) == {"city": "Oslo", "days": 2}


def test_claude_parses_into_a_model(claude: anthropic.Anthropic) -> None:
    ask: Any = [{"role": "user", "content": "city=Oslo days=2"}]
    answer = claude.messages.parse(
        model=CLAUDE, max_tokens=100, messages=ask, output_format=Weather
    )
    assert answer.parsed_output == Weather(city="Oslo", days=2)


def test_claude_refuses_an_open_schema(claude: anthropic.Anthropic) -> None:
    form: Any = {"type": "json_schema", "schema": WEATHER_SCHEMA}
    with pytest.raises(anthropic.BadRequestError, match="additionalProperties"):
        claude.messages.create(
            model=CLAUDE, max_tokens=100, messages=HI, output_config={"format": form}
        )


def test_claude_cut_by_max_tokens(claude: anthropic.Anthropic) -> None:
    answer = claude.messages.create(model=CLAUDE, max_tokens=2, messages=HI)
    block: Any = answer.content[0]
    assert (answer.stop_reason, block.text) == ("max_tokens", "You aske")
    assert answer.usage.output_tokens == 2


def test_claude_counts_tokens(claude: anthropic.Anthropic, server: LocalServer) -> None:
    server.reply("not for counting")
    counted = claude.messages.count_tokens(model=CLAUDE, messages=HI)
    assert counted.input_tokens == 3 + 1
    server.reply_count(1234)
    assert claude.messages.count_tokens(model=CLAUDE, messages=HI).input_tokens == 1234
    assert server.queued == 1


def test_claude_models(claude: anthropic.Anthropic) -> None:
    assert [m.id for m in claude.models.list()] == ["offline"]
    assert claude.models.retrieve("offline").display_name == "offline"


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (AuthenticationError("No luck"), anthropic.AuthenticationError, 401),
        (RateLimitError("No luck"), anthropic.RateLimitError, 429),
        (OverloadedError("No luck"), anthropic.OverloadedError, 529),
        (Reply(status=413, message="No luck"), anthropic.RequestTooLargeError, 413),
        (Reply(status=500, message="No luck"), anthropic.InternalServerError, 500),
    ],
)
def test_claude_errors(
    server: LocalServer,
    error: BackendError | Reply,
    kind: type[anthropic.APIStatusError],
    status: int,
) -> None:
    server.reply(error)
    with (
        anthropic.Anthropic(base_url=server.url, api_key="k", max_retries=0) as client,
        pytest.raises(kind, match="No luck") as caught,
    ):
        client.messages.create(model=CLAUDE, max_tokens=9, messages=HI)
    assert caught.value.status_code == status
    assert caught.value.request_id == "req_00000001"


def test_claude_mid_stream_error(claude: anthropic.Anthropic, server: LocalServer) -> None:
    server.reply(Reply("Hello, you!", chunk_size=4, fault=Fault("error", events=3)))
    with (
        claude.messages.stream(model=CLAUDE, max_tokens=9, messages=HI) as stream,
        pytest.raises(anthropic.APIStatusError, match="Overloaded") as caught,
    ):
        stream.get_final_message()
    body: Any = caught.value.body
    assert body["error"]["type"] == "overloaded_error"


def test_claude_refused_request_and_unknown_path(claude: anthropic.Anthropic) -> None:
    wrong: Any = [{"role": "robot", "content": "hi"}]
    with pytest.raises(anthropic.BadRequestError):
        claude.messages.create(model=CLAUDE, max_tokens=9, messages=wrong)
    with pytest.raises(anthropic.NotFoundError):
        claude.post("/v1/nothing", cast_to=object)


# --- mistral ------------------------------------------------------------------------------------


@pytest.fixture
def mistral(server: LocalServer) -> Iterator[Mistral]:
    with Mistral(api_key="k", server_url=server.url + "/reasoning") as client:
        yield client


def test_mistral_whole_streamed_and_tools(mistral: Mistral, server: LocalServer) -> None:
    server.reply("Hello!", Reply("Hello, you!", chunk_size=4))
    answer = mistral.chat.complete(model="m", messages=HI)
    assert answer.choices[0].message.content == "Hello!"
    with mistral.chat.stream(model="m", messages=HI) as stream:
        events = list(stream)
    assert "".join(str(e.data.choices[0].delta.content or "") for e in events) == "Hello, you!"
    assert events[-1].data.usage is not None
    messages: Any = [{"role": "user", "content": ASK}]
    answer = mistral.chat.complete(model="m", messages=messages, tools=OPENAI_TOOLS)
    (call,) = answer.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == ARGUMENTS
    messages += [
        answer.choices[0].message.model_dump(),
        {"role": "tool", "tool_call_id": call.id, "content": "18 degrees", "name": "get_weather"},
    ]
    answer = mistral.chat.complete(model="m", messages=messages, tools=OPENAI_TOOLS)
    assert answer.choices[0].message.content == "get_weather answered: 18 degrees"


def test_mistral_thinks_in_blocks(mistral: Mistral, server: LocalServer) -> None:
    server.reply(Reply("Yes.", reasoning="Hm."))
    answer = mistral.chat.complete(model="m", messages=HI)
    blocks = answer.choices[0].message.content
    assert [b.type for b in blocks] == ["thinking", "text"]
    assert blocks[0].thinking[0].text == "Hm."


def test_mistral_error(mistral: Mistral, server: LocalServer) -> None:
    server.reply(Reply(status=422, message="No luck"))
    with pytest.raises(MistralError, match="No luck") as caught:
        mistral.chat.complete(model="m", messages=HI)
    assert caught.value.status_code == 422
