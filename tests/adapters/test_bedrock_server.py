"""What the server's half of Converse hears and refuses."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from llmwire.adapters.bedrock import BedrockConverseAdapter, BedrockConverseServer
from llmwire.config import ModelConfig
from llmwire.errors import (
    AuthenticationError,
    BackendError,
    HistoryRejectedError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaError,
    RateLimitError,
    ServerError,
)
from llmwire.eventstream import BinaryFrameDecoder
from llmwire.request import LLMRequest, OutputFormat
from llmwire.types import (
    AudioPart,
    BytesSource,
    FilePart,
    ImagePart,
    LLMMessage,
    OpaquePart,
    ReasoningPart,
    TextPart,
    ToolCall,
    ToolResultPart,
    UrlSource,
)

SERVER = BedrockConverseServer()
CLAUDE = "anthropic.claude-sonnet-4-6-v1:0"
USER = {"role": "user", "content": [{"text": "hi"}]}
SCHEMA = {"type": "object"}
SPEC = {"toolSpec": {"name": "f", "inputSchema": {"json": SCHEMA}}}
TOOLS = {"tools": [SPEC]}
CALL = {"role": "assistant", "content": [{"toolUse": {"toolUseId": "c", "name": "f", "input": {}}}]}


def answer(*ids: str, **more: Any) -> dict[str, Any]:
    results = [{"toolResult": {"toolUseId": i, "content": [{"text": "r"}], **more}} for i in ids]
    return {"role": "user", "content": results}


def hear(*messages: Any, model: str = CLAUDE, **fields: Any) -> LLMRequest:
    body = json.dumps({"messages": messages or [USER], **fields}).encode()
    path = f"/model/{model}/converse"
    assert SERVER.matches("POST", path)
    return SERVER.parse_request("POST", path, {}, body).request


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/model/m/converse"),
        ("POST", "/model/m/converse-all"),
        ("POST", "/model/m/invoke"),
        ("POST", "/model//converse"),
        ("POST", "/v1/messages"),
        ("POST", "/model/m/converse/more"),
    ],
)
def test_paths_that_are_not_converses(method: str, path: str) -> None:
    assert not SERVER.matches(method, path)
    with pytest.raises(NotFoundError):
        SERVER.parse_request("POST", "/v1/messages", {}, b"{}")


@pytest.mark.parametrize(
    "path",
    [
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x.y/converse-stream",
        "/gateway/model/arn:aws:bedrock:us-east-1:1:inference-profile/us.x.y/converse-stream?a=b",
    ],
)
def test_the_model_and_the_form_stand_in_the_path(path: str) -> None:
    body = json.dumps({"messages": [USER]}).encode()
    heard = SERVER.parse_request("POST", path, {}, body).request
    assert heard.model.name == "arn:aws:bedrock:us-east-1:1:inference-profile/us.x.y"
    assert heard.stream


def test_all_kinds_of_content() -> None:
    source = {"bytes": "eA=="}
    heard = hear(
        user(
            {"text": "a"},
            {"image": {"format": "png", "source": source}},
            {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}}},
            {"document": {"format": "pdf", "name": "d", "source": source}},
            {"document": {"format": "txt", "name": "e", "source": {"text": "words"}}},
            {"document": {"format": "txt", "name": "f", "source": {"content": [{"text": "w"}]}}},
            {"video": {"format": "mp4", "source": source}},
            {"audio": {"format": "wav", "source": source}},
            {"guardContent": {"text": {"text": "g"}}},
            {"searchResult": {"source": "s", "title": "t", "content": []}},
        ),
        system=[{"text": "s"}, {"guardContent": {"text": {"text": "g"}}}],
    )
    system, message = heard.messages
    assert [type(p) for p in system.parts] == [TextPart, OpaquePart]
    png = BytesSource(b"x", "image/png")
    assert message.parts[:5] == (
        TextPart("a"),
        ImagePart(png),
        ImagePart(UrlSource("s3://b/k")),
        FilePart(BytesSource(b"x", "application/pdf"), "d"),
        FilePart(BytesSource(b"words", "text/plain"), "e"),
    )
    assert [p.kind for p in message.parts if isinstance(p, OpaquePart)] == [
        "document", "guardContent", "searchResult",
    ]  # fmt: skip
    assert FilePart(BytesSource(b"x", "video/mp4")) in message.parts
    assert AudioPart(BytesSource(b"x", "audio/wav"), "wav") in message.parts


def test_results_become_messages_of_their_own() -> None:
    second = {"role": "assistant", "content": [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"toolUse": {"toolUseId": "d", "name": "f", "input": {"a": 1}}}]}  # fmt: skip
    result = {
        "toolUseId": "d",
        "content": [{"json": {"a": 1}}, {"image": {"format": "png", "source": {"bytes": "eA=="}}}],
        "status": "error",
    }
    heard = hear(
        USER, CALL, answer("c"), second, user({"toolResult": result}, {"text": "and?"}),
        toolConfig=TOOLS,
    ).messages  # fmt: skip
    assert [m.role for m in heard] == ["user", "assistant", "tool", "assistant", "tool", "user"]
    assert heard[2].parts == (ToolResultPart("c", "r"),)
    assert type(heard[3].parts[0]) is ReasoningPart and type(heard[3].parts[1]) is ToolCall
    (failed,) = heard[4].parts
    assert isinstance(failed, ToolResultPart) and failed.is_error
    assert failed.content[0] == TextPart('{"a": 1}')


def test_cache_points_are_intents() -> None:
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    plain = {"cachePoint": {"type": "default"}}
    heard = hear(
        user({"text": "a"}, plain, {"text": "b"}),
        {**CALL, "content": [*CALL["content"], point]},
        answer("c"),
        system=[{"text": "s"}, point],
        toolConfig={"tools": [SPEC, plain]},
    )
    assert heard.messages[0].parts == (TextPart("s", cache="1h"),)
    assert heard.messages[1].parts == (TextPart("a", cache="default"), TextPart("b"))
    assert heard.messages[2].cache == "1h"
    assert heard.tools[0].cache == "default"


def test_settings() -> None:
    schema = json.dumps({"type": "object", "properties": {}})
    heard = hear(
        inferenceConfig={"maxTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["E"]},
        additionalModelRequestFields={
            "top_k": 4,
            "thinking": {"type": "adaptive"},
            "output_config": {"effort": "low"},
            "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        },
        toolConfig=TOOLS,
        requestMetadata={"user_id": "u"},
        outputConfig={
            "textFormat": {
                "type": "json_schema",
                "structure": {"jsonSchema": {"schema": schema, "name": "n"}},
            }
        },
    )
    assert heard == LLMRequest(
        model=ModelConfig(CLAUDE, temperature=None),
        messages=(LLMMessage("user", "hi"),),
        temperature=0.5,
        tools=heard.tools,
        max_tokens=9,
        tool_choice="required",
        thinking="low",
        top_p=0.9,
        top_k=4,
        stop=("E",),
        parallel_tool_calls=False,
        metadata={"user_id": "u"},
        output=OutputFormat({"type": "object", "properties": {}}, "n"),
    )


@pytest.mark.parametrize(
    ("model", "extra", "level"),
    [
        (CLAUDE, {}, "off"),
        (CLAUDE, {"thinking": {"type": "enabled", "budget_tokens": 5000}}, "low"),
        (CLAUDE, {"thinking": {"type": "adaptive"}}, "high"),
        (CLAUDE, {"thinking": "odd"}, "off"),
        ("anthropic.claude-opus-5-5-v1:0", {}, "medium"),
        (
            "amazon.nova-2-lite-v1:0",
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}},
            "low",
        ),
        ("openai.gpt-oss-20b-1:0", {"reasoning_effort": "high"}, "high"),
        ("openai.gpt-5.6", {"reasoning": {"effort": "medium"}}, "medium"),
        ("openai.gpt-5.6", {"reasoning": "odd"}, "off"),
        ("meta.llama-v1:0", {"reasoning_effort": "high"}, "off"),
    ],
)
def test_how_much_is_to_be_thought(model: str, extra: Any, level: str) -> None:
    assert hear(model=model, additionalModelRequestFields=extra).thinking == level


@pytest.mark.parametrize(
    ("choice", "heard"),
    [({"auto": {}}, "auto"), ({"any": {}}, "required"), ({"tool": {"name": "f"}}, "f")],
)
def test_choices(choice: Any, heard: Any) -> None:
    got = hear(toolConfig={**TOOLS, "toolChoice": choice}).tool_choice
    assert (got if isinstance(got, str) else got and got.function.name) == heard


REFUSED: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "no messages": ([], {}, "messages is empty"),
    "assistant first": ([CALL], {"toolConfig": TOOLS}, "start with a user message"),
    "no alternation": ([USER, USER], {}, "must alternate"),
    "no content": ([user()], {}, "messages.0 is empty"),
    "blank": ([user({"text": " "})], {}, "messages.0.content.0 is blank"),
    "unknown role": ([USER, {"role": "robot", "content": [{"text": "x"}]}], {}, "messages.1.role"),
    "no tools": ([USER, CALL, answer("c")], {}, "toolConfig field must be defined"),
    "no result": ([USER, CALL, USER], {"toolConfig": TOOLS}, "Expected toolResult blocks"),
    "stray result": ([answer("c")], {"toolConfig": TOOLS}, "exceeds the number of toolUse"),
    "wrong result": ([USER, CALL, answer("c", "d")], {"toolConfig": TOOLS}, "exceeds the number"),
    "result by the assistant": (
        [USER, {"role": "assistant", "content": answer("c")["content"]}, USER],
        {"toolConfig": TOOLS}, "only be in user messages",
    ),
    "call by the user": (
        [{"role": "user", "content": CALL["content"]}], {"toolConfig": TOOLS}, "only be in assistant",
    ),
    "thought by the user": (
        [user({"reasoningContent": {"reasoningText": {"text": "x"}}})], {}, "only be in assistant",
    ),
    "failed without words": (
        [USER, CALL, user({"toolResult": {"toolUseId": "c", "content": [], "status": "error"}})],
        {"toolConfig": TOOLS}, "cannot be empty when status value is error",
    ),
    "bad id": (
        [USER, {"role": "assistant", "content": [
            {"toolUse": {"toolUseId": "a b", "name": "f", "input": {}}}]}],
        {"toolConfig": TOOLS}, "does not fit the pattern",
    ),
    "input that is no object": (
        [USER, {"role": "assistant", "content": [
            {"toolUse": {"toolUseId": "a", "name": "f", "input": "{}"}}]}],
        {"toolConfig": TOOLS}, "toolUse.input is invalid",
    ),
    "document alone": (
        [user({"document": {"format": "pdf", "name": "d", "source": {"bytes": "eA=="}}})],
        {}, "must include a text block",
    ),
    "document name": (
        [user({"text": "a"}, {"document": {"format": "pdf", "name": "d.pdf",
                                           "source": {"bytes": "eA=="}}})],
        {}, "document file name can only contain",
    ),
    "document name twice": (
        [user({"text": "a"}, *[{"document": {"format": "pdf", "name": "d",
                                             "source": {"bytes": "eA=="}}}] * 2)],
        {}, "used twice",
    ),
    "no block": ([user({})], {}, "messages.0.content.0"),
    "odd format": ([user({"image": {"format": "bmp", "source": {"bytes": "eA=="}}})], {}, "'bmp'"),
    "odd base64": ([user({"image": {"format": "png", "source": {"bytes": "@"}}})], {}, "content.0"),
    "no source": ([user({"image": {"format": "png"}})], {}, "a source is missing"),
    "point first": ([user({"cachePoint": {"type": "default"}})], {}, "must follow the content"),
    "odd point": (
        [user({"text": "a"}, {"cachePoint": {"type": "default", "ttl": "2h"}})], {}, "not supported",
    ),
    "five points": (
        [user(*[{"text": "a"}, {"cachePoint": {"type": "default"}}] * 5)], {}, "A maximum of 4",
    ),
    "prefill": ([USER, {"role": "assistant", "content": [{"text": "x"}]}], {}, "prefill"),
    "hot": ([USER], {"inferenceConfig": {"temperature": 1.1}}, "inferenceConfig.temperature"),
    "nothing to write": ([USER], {"inferenceConfig": {"maxTokens": 0}}, "inferenceConfig.maxTokens"),
    "empty tools": ([USER], {"toolConfig": {"tools": []}}, "must not be empty"),
    "tool name": (
        [USER], {"toolConfig": {"tools": [
            {"toolSpec": {"name": "a.b", "inputSchema": {"json": SCHEMA}}}]}}, "regular expression",
    ),
    "tool twice": ([USER], {"toolConfig": {"tools": [SPEC, SPEC]}}, "two tools of one name"),
    "schema that is no object": (
        [USER], {"toolConfig": {"tools": [
            {"toolSpec": {"name": "a", "inputSchema": {"json": {}}}}]}}, "must be object",
    ),
    "choice of another tool": (
        [USER], {"toolConfig": {**TOOLS, "toolChoice": {"tool": {"name": "g"}}}}, "not among the tools",
    ),
    "picture in the prompt": (
        [USER], {"system": [{"image": {"format": "png", "source": {"bytes": "eA=="}}}]}, "system:",
    ),
    "schema that is no JSON": (
        [USER], {"outputConfig": {"textFormat": {"type": "json_schema", "structure": {
            "jsonSchema": {"schema": "{"}}}}}, "not valid JSON",
    ),
    "schema that is a list": (
        [USER], {"outputConfig": {"textFormat": {"type": "json_schema", "structure": {
            "jsonSchema": {"schema": "[]"}}}}}, "must be a JSON object",
    ),
    "messages that are no list": ([USER], {"messages": 3}, "validation error"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_requests_that_the_api_refuses(case: str) -> None:
    messages, fields, words = REFUSED[case]
    body = json.dumps({"messages": messages, **fields}).encode()
    with pytest.raises(InvalidRequestError) as caught:
        SERVER.parse_request("POST", f"/model/{CLAUDE}/converse", {}, body)
    assert words in caught.value.message
    assert (caught.value.status, caught.value.type) == (400, "ValidationException")
    history = case in (
        "assistant first",
        "no alternation",
        "no result",
        "stray result",
        "wrong result",
    )
    assert isinstance(caught.value, HistoryRejectedError) is history


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"messages":[3]}', b"\xff"])
def test_bodies_that_are_no_request(body: bytes) -> None:
    for verb in ("converse", "count-tokens"):
        with pytest.raises(InvalidRequestError):
            SERVER.parse_request("POST", f"/model/m/{verb}", {}, body)


def test_counting_both_kinds_of_request() -> None:
    path = f"/model/{CLAUDE}/count-tokens"
    heard = SERVER.parse_request(
        "POST", path, {}, json.dumps({"input": {"converse": {"messages": [USER]}}}).encode()
    )
    assert heard.count and heard.request.messages == (LLMMessage("user", "hi"),)
    inner = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "hi"}],
    }
    body = base64.b64encode(json.dumps(inner).encode()).decode()
    heard = SERVER.parse_request(
        "POST", path, {}, json.dumps({"input": {"invokeModel": {"body": body}}}).encode()
    )
    assert heard.count and heard.request.messages == (LLMMessage("user", "hi"),)


@pytest.mark.parametrize(
    ("error", "status", "kind", "in_stream"),
    [
        (AuthenticationError("x", status=401), 403, "UnrecognizedClientException", None),
        (PermissionDeniedError("x"), 403, "AccessDeniedException", None),
        (NotFoundError("x"), 404, "ResourceNotFoundException", None),
        (QuotaError("x"), 400, "ServiceQuotaExceededException", None),
        (RateLimitError("x"), 429, "ThrottlingException", "throttlingException"),
        (OverloadedError("x"), 503, "ServiceUnavailableException", "serviceUnavailableException"),
        (InvalidRequestError("x", status=422), 422, "ValidationException", "validationException"),
        (ServerError("x"), 500, "InternalServerException", "internalServerException"),
        (ServerError("x", status=424), 424, "ModelErrorException", "modelStreamErrorException"),
        (ServerError("x", type="ModelTimeoutException", status=408), 408,
         "ModelTimeoutException", "modelTimeoutException"),
    ],
)  # fmt: skip
def test_errors_are_said_and_heard(
    error: BackendError, status: int, kind: str, in_stream: str | None
) -> None:
    said = SERVER.prepare_error(error)
    assert said[0] == status and said[1]["x-amzn-errortype"] == kind
    assert json.loads(said[2]) == {"message": "x"}
    again = BedrockConverseAdapter().parse_error(*said)
    assert isinstance(again, type(error)) and again.provider_message == "x"
    (frame,) = BinaryFrameDecoder().feed(SERVER.prepare_stream_error(error))
    assert frame.kind == "exception"
    if in_stream is not None:
        assert frame.event == in_stream
