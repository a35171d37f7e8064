"""OpenAI's own client drives the server through the Responses API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pydantic
import pytest

from llmwire.errors import BackendError, ContextTooLongError, RateLimitError
from llmwire.testing import Fault, LocalServer, Reply
from llmwire.types import (
    CompactionPart,
    FunctionCall,
    IncompleteToolCall,
    LLMUsage,
    Native,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
)

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: Any = [
    {"type": "function", "name": "get_weather", "description": "Weather", "parameters": SCHEMA,
     "strict": True}
]  # fmt: skip
ASK = "Call get_weather for Paris, 3 days"
ARGUMENTS = {"city": "Paris", "days": 3}
CITATION = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0,
            "end_index": 2}  # fmt: skip


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


@pytest.fixture(params=["/openai/v1", "/v1"])
def gpt(server: LocalServer, request: Any) -> Iterator[openai.OpenAI]:
    base = server.url + request.param
    with openai.OpenAI(base_url=base, api_key="k", max_retries=0, timeout=20) as client:
        yield client


def test_whole(gpt: openai.OpenAI, server: LocalServer) -> None:
    usage = LLMUsage(input_total=10, output_total=5, cache_read=4, reasoning=2)
    server.reply(Reply("Hello!", model="gpt-x-1", response_id="resp_7", usage=usage))
    answer = gpt.responses.create(model="gpt-x", input="hi", instructions="Be brief.")
    assert answer.output_text == "Hello!"
    assert (answer.id, answer.model, answer.status) == ("resp_7", "gpt-x-1", "completed")
    assert (answer.object, answer.instructions) == ("response", "Be brief.")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.total_tokens) == (10, 15)
    assert answer.usage.input_tokens_details.cached_tokens == 4
    assert answer.usage.output_tokens_details.reasoning_tokens == 2
    (item,) = answer.output
    assert item.type == "message" and item.id.startswith("msg_") and item.status == "completed"
    (heard,) = server.requests
    assert heard.style == "openai-responses"
    assert [(m.role, m.text) for m in heard.asked.messages] == [
        ("system", "Be brief."), ("user", "hi")
    ]  # fmt: skip


def test_streamed(gpt: openai.OpenAI, server: LocalServer) -> None:
    server.reply(Reply("Hello, you!", reasoning="Hm, well.", signature="c2ln", chunk_size=4))
    events = list(gpt.responses.create(model="offline", input="hi", stream=True))
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert [e.type for e in events] == [
        "response.created", "response.in_progress",
        "response.output_item.added", "response.content_part.added",
        *["response.reasoning_text.delta"] * 3,
        "response.reasoning_text.done", "response.content_part.done", "response.output_item.done",
        "response.output_item.added", "response.content_part.added",
        *["response.output_text.delta"] * 3,
        "response.output_text.done", "response.content_part.done", "response.output_item.done",
        "response.completed",
    ]  # fmt: skip
    last: Any = events[-1]
    thought, message = last.response.output
    assert (thought.content[0].text, thought.encrypted_content) == ("Hm, well.", "c2ln")
    assert message.content[0].text == "Hello, you!"
    assert last.response.usage.output_tokens > 0


def test_the_sdk_puts_a_stream_together(gpt: openai.OpenAI, server: LocalServer) -> None:
    parts: list[Part] = [
        ReasoningPart("A summary.", "encrypted", data="gAAA"),
        TextPart("So: 4.", ({**CITATION},)),
        RefusalPart("Not that."),
        ToolCall("call_1", FunctionCall("get_weather", '{"city": "Rome", "days": 1}')),
        ToolCall("call_2", FunctionCall("maths", "4 + 4"), "custom"),
    ]
    server.reply(Reply(parts=parts, chunk_size=3))
    with gpt.responses.stream(model="offline", input="hi", tools=TOOLS) as stream:
        seen = [event.type for event in stream]
        answer = stream.get_final_response()
    thought, text, refusal, call, custom = answer.output
    assert thought.type == "reasoning" and thought.summary[0].text == "A summary."
    assert thought.encrypted_content == "gAAA"
    assert text.type == "message" and text.content[0].type == "output_text"
    assert text.content[0].annotations[0].type == "url_citation"
    assert refusal.type == "message" and refusal.content[0].type == "refusal"
    assert refusal.content[0].refusal == "Not that."
    assert call.type == "function_call"
    assert (call.call_id, call.name) == ("call_1", "get_weather")
    assert call.parsed_arguments == {"city": "Rome", "days": 1}
    assert custom.type == "custom_tool_call" and custom.input == "4 + 4"
    assert "response.reasoning_summary_text.delta" in seen
    assert seen.index("response.reasoning_summary_part.added") < seen.index(
        "response.reasoning_summary_text.delta"
    )
    assert "response.output_text.annotation.added" in seen and "response.refusal.done" in seen
    assert "response.custom_tool_call_input.done" in seen


@pytest.mark.parametrize("streamed", [False, True])
def test_a_round_of_tools(gpt: openai.OpenAI, streamed: bool) -> None:
    def ask(items: Any) -> Any:
        asked: Any = {
            "model": "gpt-6-luna",
            "input": items,
            "tools": TOOLS,
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "reasoning": {"effort": "low"},
        }
        if not streamed:
            return gpt.responses.create(**asked)
        with gpt.responses.stream(**asked) as stream:
            return stream.until_done().get_final_response()

    items: Any = [{"role": "user", "content": ASK}]
    answer = ask(items)
    thought, call = answer.output
    assert (thought.type, call.type) == ("reasoning", "function_call")
    assert json.loads(call.arguments) == ARGUMENTS
    items += [item.model_dump(exclude_none=True) for item in answer.output]
    for item in items:
        item.pop("parsed_arguments", None)
    items += [{"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"}]
    assert ask(items).output_text == "get_weather answered: 18 degrees"


def test_the_offline_model_calls_custom_tools(gpt: openai.OpenAI) -> None:
    tools: Any = [{"type": "custom", "name": "calculate", "description": "Maths"}]
    answer = gpt.responses.create(
        model="offline",
        input="calculate: 4 + 4",
        tools=tools,
        tool_choice={"type": "custom", "name": "calculate"},
    )
    (call,) = answer.output
    assert call.type == "custom_tool_call" and (call.name, call.input) == ("calculate", "4 + 4")


class Weather(pydantic.BaseModel):
    city: str
    days: int


@pytest.mark.parametrize("streamed", [False, True])
def test_structured_output(gpt: openai.OpenAI, streamed: bool) -> None:
    asked: Any = {"model": "offline", "input": "city=Oslo days=2", "text_format": Weather}
    if streamed:
        with gpt.responses.stream(**asked) as stream:
            answer = stream.until_done().get_final_response()
    else:
        answer = gpt.responses.parse(**asked)
    assert answer.output_parsed == Weather(city="Oslo", days=2)


def test_an_incomplete_reply(gpt: openai.OpenAI, server: LocalServer) -> None:
    cut = IncompleteToolCall("call_1", "get_weather", '{"city": "Ro', "length")
    server.reply(Reply(parts=[cut], stop="length"))
    events = list(gpt.responses.create(model="offline", input="hi", stream=True))
    last: Any = events[-1]
    assert (last.type, last.response.status) == ("response.incomplete", "incomplete")
    assert last.response.incomplete_details.reason == "max_output_tokens"
    assert last.response.output[0].status == "incomplete"


def test_items_that_are_kept_come_as_they_are(gpt: openai.OpenAI, server: LocalServer) -> None:
    search = {"id": "ws_1", "type": "web_search_call", "status": "completed",
              "action": {"type": "search", "query": "weather"}}  # fmt: skip
    compaction = {"id": "cmp_1", "type": "compaction", "encrypted_content": "gBBB"}
    native = Native("openai-responses", payload=json.dumps(compaction))
    server.reply(
        Reply(parts=[OpaquePart("web_search_call", json.dumps(search)), TextPart("Rain."),
                     CompactionPart(native=native)])
    )  # fmt: skip
    answer = gpt.responses.create(model="offline", input="hi")
    found, text, kept = answer.output
    assert found.type == "web_search_call" and found.model_dump()["action"]["query"] == "weather"
    assert text.type == "message"
    assert kept.type == "compaction" and kept.encrypted_content == "gBBB"


def test_counting(gpt: openai.OpenAI, server: LocalServer) -> None:
    server.reply_count(1234)
    counted = gpt.responses.input_tokens.count(model="offline", input="hi")
    assert (counted.object, counted.input_tokens) == ("response.input_tokens", 1234)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (RateLimitError("No luck"), openai.RateLimitError, "rate_limit_exceeded"),
        (ContextTooLongError("No luck"), openai.BadRequestError, "context_length_exceeded"),
    ],
)
def test_errors(
    gpt: openai.OpenAI, server: LocalServer, error: BackendError, kind: Any, code: str
) -> None:
    server.reply(error)
    with pytest.raises(kind, match="No luck") as caught:
        gpt.responses.create(model="offline", input="hi")
    assert caught.value.code == code


def test_an_error_in_the_middle(gpt: openai.OpenAI, server: LocalServer) -> None:
    error = RateLimitError("Slow down in the middle")
    server.reply(Reply("Hello, you!", chunk_size=4, fault=Fault("error", events=5, error=error)))
    seen = []
    with pytest.raises(openai.APIError, match="Slow down in the middle"):
        for event in gpt.responses.create(model="offline", input="hi", stream=True):
            seen.append(event.type)
    assert seen[-1] == "response.output_text.delta"


def test_wrong_requests_are_refused(gpt: openai.OpenAI) -> None:
    def refusal(**fields: Any) -> str:
        with pytest.raises(openai.BadRequestError) as caught:
            gpt.responses.create(**{"model": "gpt-6-luna", "input": "hi", **fields})
        return str(caught.value)

    nested: Any = [{"type": "function", "function": {"name": "f"}}]
    assert "Missing required parameter: 'tools[0].name'" in refusal(tools=nested)
    assert "Expected a value >= 16" in refusal(max_output_tokens=5)
    assert "'temperature' is not supported" in refusal(temperature=0.5, reasoning={"effort": "low"})
    assert "moved to 'input'" in refusal(extra_body={"messages": []})
    assert "Invalid value: 'robot'" in refusal(input=[{"role": "robot", "content": "hi"}])
    call: Any = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    assert "No tool output found for function call c1." in refusal(input=[call])
