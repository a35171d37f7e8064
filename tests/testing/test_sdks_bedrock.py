"""AWS's and Anthropic's own clients for Bedrock drive the server: what it says they understand."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from llmwire.errors import BackendError, OverloadedError, RateLimitError
from llmwire.testing import Fault, LocalServer, Reply
from llmwire.types import LLMUsage, ReasoningPart, TextPart

WEATHER_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
}
TOOL_CONFIG: Any = {
    "tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": WEATHER_SCHEMA}}}]
}
CLAUDE_TOOLS: Any = [{"name": "get_weather", "input_schema": WEATHER_SCHEMA}]
ASK = "Call get_weather for Paris, 3 days"
ARGUMENTS = {"city": "Paris", "days": 3}
MODEL = "us.anthropic.claude-sonnet-4-6-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4-6-v1"
HI: Any = [{"role": "user", "content": [{"text": "hi"}]}]


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


@pytest.fixture(params=["", "/bedrock"])
def runtime(server: LocalServer, request: Any) -> Iterator[Any]:
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=server.url + request.param,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
    )
    yield client
    client.close()


def test_the_lists_of_the_control_plane() -> None:
    with LocalServer(models=("one", "two")) as server:
        client = boto3.client(
            "bedrock",
            region_name="us-east-1",
            endpoint_url=server.url + "/bedrock",
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        )
        models = client.list_foundation_models(byOutputModality="TEXT")["modelSummaries"]
        assert [m["modelId"] for m in models] == ["one", "two"]
        assert client.list_inference_profiles()["inferenceProfileSummaries"] == []
        client.close()


# --- boto3, Converse ----------------------------------------------------------------------------


def test_whole(runtime: Any, server: LocalServer) -> None:
    usage = LLMUsage(10, 5, 6, cache_read=4, cache_write=0)
    server.reply(Reply("Hello!", usage=usage))
    answer = runtime.converse(
        modelId=PROFILE,
        messages=HI,
        system=[{"text": "Be brief."}],
        inferenceConfig={"maxTokens": 100, "temperature": 0.5},
        requestMetadata={"team": "blue"},
    )
    assert answer["output"]["message"] == {"role": "assistant", "content": [{"text": "Hello!"}]}
    assert answer["stopReason"] == "end_turn"
    assert answer["usage"] == {
        "inputTokens": 6,
        "outputTokens": 5,
        "totalTokens": 15,
        "cacheReadInputTokens": 4,
        "cacheWriteInputTokens": 0,
    }
    (heard,) = server.requests
    assert heard.style == "bedrock-converse"
    assert heard.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert heard.asked.model.name == PROFILE
    assert (heard.asked.max_tokens, heard.asked.temperature) == (100, 0.5)
    assert [m.text for m in heard.asked.messages] == ["Be brief.", "hi"]
    assert heard.asked.metadata == {"team": "blue"}


def events_of(answer: Any) -> list[tuple[str, Any]]:
    return [next(iter(event.items())) for event in answer["stream"]]


def test_streamed(runtime: Any, server: LocalServer) -> None:
    server.reply(Reply("Hello, you!", chunk_size=4, stop="length"))
    events = events_of(runtime.converse_stream(modelId=MODEL, messages=HI))
    texts = [e["delta"]["text"] for kind, e in events if kind == "contentBlockDelta"]
    assert texts == ["Hell", "o, y", "ou!"]
    kinds = [kind for kind, _ in events]
    assert kinds[0] == "messageStart" and kinds[-2:] == ["messageStop", "metadata"]
    assert dict(events)["messageStop"]["stopReason"] == "max_tokens"
    assert dict(events)["metadata"]["usage"]["outputTokens"] == 3


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_and_thinking(runtime: Any, streamed: bool) -> None:
    def ask(messages: Any) -> tuple[list[Any], str]:
        asked: Any = {
            "modelId": MODEL,
            "messages": messages,
            "toolConfig": TOOL_CONFIG,
            "additionalModelRequestFields": {"thinking": {"type": "adaptive"}},
        }
        if not streamed:
            answer = runtime.converse(**asked)
            return answer["output"]["message"]["content"], answer["stopReason"]
        return joined(events_of(runtime.converse_stream(**asked)))

    messages: Any = [{"role": "user", "content": [{"text": ASK}]}]
    content, reason = ask(messages)
    assert [next(iter(block)) for block in content] == ["reasoningContent", "toolUse"]
    thought = content[0]["reasoningContent"]["reasoningText"]
    assert "I call get_weather" in thought["text"] and thought["signature"]
    call = content[1]["toolUse"]
    assert (call["name"], call["input"], reason) == ("get_weather", ARGUMENTS, "tool_use")
    result = {"toolUseId": call["toolUseId"], "content": [{"json": {"degrees": 18}}]}
    messages += [
        {"role": "assistant", "content": content},
        {"role": "user", "content": [{"toolResult": result}]},
    ]
    content, reason = ask(messages)
    assert content[-1] == {"text": 'get_weather answered: {"degrees": 18}'}
    assert reason == "end_turn"


def joined(events: list[tuple[str, Any]]) -> tuple[list[Any], str]:
    """The content blocks that a stream's events amount to, and the stop reason."""
    blocks: dict[int, Any] = {}
    for kind, event in events:
        at = event.get("contentBlockIndex")
        if kind == "contentBlockStart":
            blocks[at] = {"toolUse": {**event["start"]["toolUse"], "input": ""}}
        elif kind == "contentBlockDelta":
            delta = event["delta"]
            if "toolUse" in delta:
                blocks[at]["toolUse"]["input"] += delta["toolUse"]["input"]
            elif "reasoningContent" in delta:
                empty = {"reasoningContent": {"reasoningText": {"text": ""}}}
                text = blocks.setdefault(at, empty)["reasoningContent"]["reasoningText"]
                for name, piece in delta["reasoningContent"].items():
                    text[name] = text.get(name, "") + piece
            else:
                block = blocks.setdefault(at, {"text": ""})
                block["text"] += delta["text"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return list(blocks.values()), dict(events)["messageStop"]["stopReason"]


def test_structured_output(runtime: Any) -> None:
    schema = {"jsonSchema": {"schema": json.dumps(WEATHER_SCHEMA), "name": "weather"}}
    answer = runtime.converse(
        modelId=MODEL,
        messages=[{"role": "user", "content": [{"text": "city=Oslo days=2"}]}],
        outputConfig={"textFormat": {"type": "json_schema", "structure": schema}},
    )
    (block,) = answer["output"]["message"]["content"]
    assert json.loads(block["text"]) == {"city": "Oslo", "days": 2}


def test_redacted_reasoning_citations_and_unknown_events(runtime: Any, server: LocalServer) -> None:
    citation = {"title": "t", "location": {"web": {"url": "https://a.example"}}}
    parts = [
        ReasoningPart(kind="redacted", data="c2VjcmV0"),
        TextPart("See there.", (citation,)),
    ]
    server.reply(Reply(parts=parts), Reply(parts=parts, pings=2))
    content = runtime.converse(modelId=MODEL, messages=HI)["output"]["message"]["content"]
    assert content == [
        {"reasoningContent": {"redactedContent": b"secret"}},
        {"citationsContent": {"citations": [citation], "content": [{"text": "See there."}]}},
    ]
    answer = runtime.converse_stream(modelId=MODEL, messages=HI)
    deltas = [
        event["contentBlockDelta"]["delta"]
        for event in answer["stream"]
        if "contentBlockDelta" in event
    ]
    assert deltas == [
        {"reasoningContent": {"redactedContent": b"secret"}},
        {"text": "See there."},
        {"citation": citation},
    ]


def test_documents_pictures_and_cache_points_are_heard(runtime: Any, server: LocalServer) -> None:
    document = {"format": "pdf", "name": "report", "source": {"bytes": b"%PDF"}}
    picture = {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/a.png"}}}
    content = [{"text": "Read."}, {"document": document}, {"image": picture}]
    cached = {"cachePoint": {"type": "default", "ttl": "1h"}}
    messages: Any = [{"role": "user", "content": [*content, cached]}]
    runtime.converse(modelId=MODEL, messages=messages)
    text, file, image = server.requests[0].asked.messages[0].parts
    assert text == TextPart("Read.")
    assert (file.filename, file.source.data) == ("report", b"%PDF")
    assert (image.source.url, image.cache) == ("s3://bucket/a.png", "1h")


def test_counting(runtime: Any, server: LocalServer) -> None:
    server.reply_count(77)
    counted = runtime.count_tokens(
        modelId="anthropic.claude-sonnet-4-6-v1:0", input={"converse": {"messages": HI}}
    )
    assert counted["inputTokens"] == 77


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (RateLimitError("No luck"), "ThrottlingException", 429),
        (OverloadedError("No luck"), "ServiceUnavailableException", 503),
        (Reply(status=400, message="No luck"), "ValidationException", 400),
        (Reply(status=404, message="No luck"), "ResourceNotFoundException", 404),
        (Reply(status=500, message="No luck"), "InternalServerException", 500),
    ],
)
def test_errors(
    runtime: Any, server: LocalServer, error: BackendError | Reply, code: str, status: int
) -> None:
    server.reply(error)
    with pytest.raises(ClientError, match="No luck") as caught:
        runtime.converse(modelId=MODEL, messages=HI)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_error_inside_a_stream(runtime: Any, server: LocalServer) -> None:
    error = RateLimitError("Slow down in the middle")
    server.reply(Reply("Hello, you!", chunk_size=4, fault=Fault("error", events=3, error=error)))
    seen = []
    stream = runtime.converse_stream(modelId=MODEL, messages=HI)["stream"]
    with (
        contextlib.closing(stream),
        pytest.raises(EventStreamError, match=r"throttlingException.*Slow down in the middle"),
    ):
        seen.extend(stream)  # keeps what came before the error
    assert len(seen) == 3


def test_refused_request(runtime: Any) -> None:
    blank: Any = [{"role": "user", "content": [{"text": " "}]}]
    with pytest.raises(
        runtime.exceptions.ValidationException, match=r"messages\.0\.content\.0 is blank"
    ):
        runtime.converse(modelId=MODEL, messages=blank)


# --- anthropic, InvokeModel ---------------------------------------------------------------------


@pytest.fixture(params=["", "/bedrock-anthropic"])
def claude(server: LocalServer, request: Any) -> Iterator[anthropic.AnthropicBedrock]:
    with anthropic.AnthropicBedrock(
        aws_access_key="AKIDEXAMPLE",
        aws_secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        aws_region="us-east-1",
        base_url=server.url + request.param,
        max_retries=0,
        timeout=20,
    ) as client:
        yield client


CLAUDE_HI: Any = [{"role": "user", "content": "hi"}]


def test_claude_whole(claude: anthropic.AnthropicBedrock, server: LocalServer) -> None:
    server.reply(Reply("Hello!", usage=LLMUsage(10, 5, 6, cache_read=4)))
    answer = claude.messages.create(model=MODEL, max_tokens=100, messages=CLAUDE_HI)
    assert [b.type for b in answer.content] == ["text"]
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (6, 4)
    (heard,) = server.requests
    assert heard.style == "bedrock-anthropic"
    assert heard.asked.model.name == MODEL and heard.asked.max_tokens == 100


def test_claude_streamed(claude: anthropic.AnthropicBedrock, server: LocalServer) -> None:
    server.reply(Reply("Hello, you!", chunk_size=4, pings=2))
    with claude.messages.stream(model=MODEL, max_tokens=100, messages=CLAUDE_HI) as stream:
        texts = list(stream.text_stream)
        answer = stream.get_final_message()
    assert texts == ["Hell", "o, y", "ou!"]
    assert answer.stop_reason == "end_turn" and answer.usage.output_tokens == 3


@pytest.mark.parametrize("streamed", [False, True])
def test_claude_tools_and_thinking(claude: anthropic.AnthropicBedrock, streamed: bool) -> None:
    def ask(messages: Any) -> Any:
        asked: Any = {
            "model": MODEL,
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
    call = answer.content[1]
    assert (call.name, call.input, answer.stop_reason) == ("get_weather", ARGUMENTS, "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "18 degrees"}
    messages += [
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": [result]},
    ]
    answer = ask(messages)
    assert answer.content[-1].text == "get_weather answered: 18 degrees"


def test_claude_errors(claude: anthropic.AnthropicBedrock, server: LocalServer) -> None:
    server.reply(RateLimitError("No luck"), Reply("Hello", fault=Fault("error", events=2)))
    with pytest.raises(anthropic.RateLimitError, match="No luck"):
        claude.messages.create(model=MODEL, max_tokens=9, messages=CLAUDE_HI)
    with (
        claude.messages.stream(model=MODEL, max_tokens=9, messages=CLAUDE_HI) as stream,
        pytest.raises(anthropic.APIStatusError, match="serviceUnavailableException"),
    ):
        stream.get_final_message()


def test_claude_with_a_bearer_token(server: LocalServer) -> None:
    server.require_key = "right"
    asked: Any = {"model": MODEL, "max_tokens": 9, "messages": CLAUDE_HI}
    for key, wrong in (("right", False), ("wrong", True)):
        with anthropic.AnthropicBedrock(
            api_key=key, aws_region="us-east-1", base_url=server.url, max_retries=0
        ) as client:
            if wrong:
                with pytest.raises(anthropic.PermissionDeniedError, match="missing or wrong"):
                    client.messages.create(**asked)
            else:
                assert client.messages.create(**asked).stop_reason == "max_tokens"


def test_claude_over_invoke_model_of_boto3(runtime: Any, server: LocalServer) -> None:
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "hi"}],
    }
    asked = {"modelId": MODEL, "body": json.dumps(body)}
    if runtime.meta.endpoint_url.endswith("/bedrock"):
        with pytest.raises(ClientError):  # that prefix is Converse's alone
            runtime.invoke_model(**asked)
        return
    server.reply("Hello!", "Hello!")
    whole = json.loads(runtime.invoke_model(**asked)["body"].read())
    assert whole["content"] == [{"type": "text", "text": "Hello!"}]
    events = [
        json.loads(event["chunk"]["bytes"])
        for event in runtime.invoke_model_with_response_stream(**asked)["body"]
    ]
    assert events[0]["type"] == "message_start" and events[-1]["type"] == "message_stop"
