"""Google's own client drives the server, at AI Studio's addresses and at Vertex AI's."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from llmwire.errors import AuthenticationError, BackendError, OverloadedError, RateLimitError
from llmwire.testing import Fault, LocalServer, Reply
from llmwire.types import LLMUsage, Native, StopInfo, TextPart

WEATHER_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
}
TOOLS: Any = [
    {
        "function_declarations": [
            {"name": "get_weather", "description": "W", "parameters_json_schema": WEATHER_SCHEMA}
        ]
    }
]
ASK = "Call get_weather for Paris, 3 days"
ARGUMENTS = {"city": "Paris", "days": 3}
MODEL = "gemini-3.5-flash"


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


def client_of(server: LocalServer, place: str, **options: Any) -> genai.Client:
    """A client for one of the places that the server answers at."""
    options.setdefault("retry_options", types.HttpRetryOptions(attempts=1))
    http = types.HttpOptions(base_url=server.url + place, timeout=20_000, **options)
    return genai.Client(api_key="k", vertexai=place == "/vertex-gemini", http_options=http)


@pytest.fixture(params=["/gemini", "", "/vertex-gemini"])
def client(server: LocalServer, request: Any) -> Iterator[genai.Client]:
    with client_of(server, request.param) as made:
        yield made


def test_whole(client: genai.Client, server: LocalServer) -> None:
    usage = LLMUsage(input_total=10, output_total=5, cache_read=4, reasoning=2)
    server.reply(Reply("Hello!", model="gemini-x-1", response_id="r-7", usage=usage))
    answer = client.models.generate_content(
        model=MODEL,
        contents="hi",
        config={"temperature": 0.5, "max_output_tokens": 99, "system_instruction": "Be kind."},
    )
    assert (answer.text, answer.model_version, answer.response_id) == (
        "Hello!", "gemini-x-1", "r-7",
    )  # fmt: skip
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    told = answer.usage_metadata
    assert told is not None
    assert (told.prompt_token_count, told.cached_content_token_count) == (10, 4)
    assert (told.candidates_token_count, told.thoughts_token_count) == (3, 2)
    assert told.total_token_count == 15
    (heard,) = server.requests
    assert heard.headers["x-goog-api-key"] == "k" and "key" not in heard.query
    asked = heard.asked
    assert (asked.model.name, asked.temperature, asked.max_tokens) == (MODEL, 0.5, 99)
    assert [(str(m.role), m.text) for m in asked.messages] == [
        ("system", "Be kind."),
        ("user", "hi"),
    ]


def test_streamed(client: genai.Client, server: LocalServer) -> None:
    server.reply(Reply("Hello, you!", chunk_size=4, stop="length"))
    chunks = list(client.models.generate_content_stream(model=MODEL, contents="hi"))
    assert [c.text for c in chunks if c.text] == ["Hell", "o, y", "ou!"]
    assert chunks[-1].candidates is not None
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert chunks[-1].usage_metadata is not None
    assert chunks[-1].usage_metadata.candidates_token_count == 3
    assert len({c.response_id for c in chunks}) == 1
    assert server.requests[0].asked.stream


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_and_thoughts_in_a_chat(
    client: genai.Client, server: LocalServer, streamed: bool
) -> None:
    """The client keeps the history: our signatures come back in their places."""
    thinking: Any = {"include_thoughts": True, "thinking_level": "LOW"}
    calling: Any = {"function_calling_config": {"mode": "ANY"}}
    auto: Any = {"disable": True}
    chat = client.chats.create(
        model=MODEL,
        config={"tools": TOOLS, "thinking_config": thinking, "automatic_function_calling": auto},
    )

    def send(message: Any, **config: Any) -> list[types.Part]:
        given: Any = {"tools": TOOLS, "thinking_config": thinking,
                      "automatic_function_calling": auto, **config}  # fmt: skip
        answers = (
            chat.send_message_stream(message, config=given)
            if streamed
            else [chat.send_message(message, config=given)]
        )
        return [p for a in answers for c in a.candidates or () if c.content
                for p in c.content.parts or ()]  # fmt: skip

    signed = Native("gemini", payload={"thoughtSignature": "c2lnbmVk"})
    parts = send(ASK, tool_config=calling)
    assert parts[0].thought and "I call get_weather" in (parts[0].text or "")
    assert parts[0].thought_signature
    (calling_part,) = [p for p in parts if p.function_call is not None]
    call, signature = calling_part.function_call, calling_part.thought_signature
    assert call is not None and (call.name, call.args) == ("get_weather", ARGUMENTS)
    assert signature
    server.reply(Reply(parts=[TextPart("18 degrees.", native=signed)]))
    answered = types.Part.from_function_response(name=call.name, response={"output": "18"})
    assert answered.function_response is not None
    answered.function_response.id = call.id
    (said,) = [p for p in send(answered) if p.text]
    assert (said.text, said.thought_signature) == ("18 degrees.", b"signed")
    heard = server.requests[-1].asked.messages
    assert [str(m.role) for m in heard] == ["user", "assistant", "tool"]
    assert heard[1].tool_calls[0].parsed == ARGUMENTS
    assert heard[1].reasoning_signature is not None
    native = heard[1].tool_calls[0].native
    assert native is not None
    assert native.payload == {"thoughtSignature": base64.b64encode(signature).decode()}
    assert heard[2].text == "18"


def test_automatic_function_calling(server: LocalServer) -> None:
    def get_weather(city: str, days: int) -> str:
        """Weather."""
        return f"{days} days of sun in {city}"

    with client_of(server, "/gemini") as client:
        answer = client.models.generate_content(
            model="gemini-2.5-flash", contents=ASK, config={"tools": [get_weather]}
        )
    assert answer.text == 'get_weather answered: {"result":"3 days of sun in Paris"}'
    schema = server.requests[0].asked.tools[0].function.parameters
    assert schema["properties"]["city"]["type"] == "string"


def test_structured_output(client: genai.Client) -> None:
    for config in (
        {"response_mime_type": "application/json", "response_json_schema": WEATHER_SCHEMA},
        {"response_mime_type": "application/json", "response_schema": WEATHER_SCHEMA},
    ):
        given: Any = config
        answer = client.models.generate_content(
            model=MODEL, contents="city=Oslo days=2", config=given
        )
        assert json.loads(answer.text or "") == {"city": "Oslo", "days": 2}


def test_pictures_go_both_ways(client: genai.Client, server: LocalServer) -> None:
    png = b"\x89PNG\r\n\x1a\n\xff\xfe\xfd"
    picture: Any = types.Part.from_bytes(data=png, mime_type="image/png")
    client.models.generate_content(model=MODEL, contents=["What is this?", picture])
    heard = server.requests[0].asked.messages[0].parts
    assert heard[1].source.data == png  # type: ignore[union-attr]


def test_counts_tokens(client: genai.Client, server: LocalServer) -> None:
    assert client.models.count_tokens(model=MODEL, contents="hi").total_tokens == 3 + 1
    server.reply("not for counting")
    server.reply_count(1234)
    assert client.models.count_tokens(model=MODEL, contents="hi").total_tokens == 1234
    assert server.queued == 1


@pytest.mark.parametrize(
    ("place", "name"),
    [("/gemini", "models/offline"), ("/vertex-gemini", "publishers/google/models/offline")],
)
def test_models(server: LocalServer, place: str, name: str) -> None:
    with client_of(server, place) as client:
        assert [m.name for m in client.models.list()] == [name]
        assert client.models.get(model="offline").name == name
        with pytest.raises(errors.ClientError):
            client.models.get(model="other")


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (AuthenticationError("No luck"), 401, "UNAUTHENTICATED"),
        (RateLimitError("No luck", retry_after=3), 429, "RESOURCE_EXHAUSTED"),
        (OverloadedError("No luck"), 503, "UNAVAILABLE"),
        (Reply(status=500, message="No luck"), 500, "INTERNAL"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_errors(
    server: LocalServer, error: BackendError | Reply, status: int, word: str, streamed: bool
) -> None:
    server.reply(error)
    with client_of(server, "/gemini") as client:
        ask = client.models.generate_content_stream if streamed else client.models.generate_content
        with pytest.raises(errors.APIError, match="No luck") as caught:
            list(ask(model=MODEL, contents="hi"))
    assert (caught.value.code, caught.value.status) == (status, word)
    if status == 429:
        assert "'retryDelay': '3s'" in str(caught.value.details)


def test_mid_stream_error(server: LocalServer) -> None:
    error = RateLimitError("Slow down in the middle")
    server.reply(Reply("Hello, you!", chunk_size=4, fault=Fault("error", events=2, error=error)))
    texts = []
    with (
        client_of(server, "/gemini") as client,
        pytest.raises(errors.ClientError, match="Slow down in the middle"),
    ):
        for chunk in client.models.generate_content_stream(model=MODEL, contents="hi"):
            texts.append(chunk.text)
    assert texts == ["Hell", "o, y"]


def test_a_stream_that_goes_on_with_a_token(client: genai.Client, server: LocalServer) -> None:
    """The client itself asks again where the finish reason is CONTINUATION."""
    token = {"continuationToken": "dG9rZW4="}
    server.reply(Reply("One, ", stop=StopInfo("continuation", details=token)), Reply("two."))
    answer = client.models.generate_content(model="gemini-4-argon", contents="Count")
    assert answer.text == "One, two."
    assert server.requests[1].asked.extra_body["continuationToken"] == "dG9rZW4="


def test_refused_requests(server: LocalServer) -> None:
    server.require_key = "right"
    with client_of(server, "/gemini") as client, pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model=MODEL, contents="hi")
    assert caught.value.code == 401
    server.require_key = None
    wrong: Any = [{"role": "robot", "parts": [{"text": "hi"}]}]
    with client_of(server, "/gemini") as client, pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model=MODEL, contents=wrong)
    assert "valid role" in str(caught.value)


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")
def test_async_clients_share_the_server(server: LocalServer) -> None:
    async def main() -> list[str | None]:
        client = client_of(server, "/gemini").aio
        answers = await asyncio.gather(
            *(client.models.generate_content(model=MODEL, contents=f"no. {i}") for i in range(5))
        )
        await client.aclose()
        return [a.text for a in answers]

    texts = asyncio.run(main())
    assert all(f'"no. {i}"' in (text or "") for i, text in enumerate(texts))


@pytest.mark.parametrize("query", ["", "?alt=json", "?alt=sse"])
def test_both_forms_of_a_stream(server: LocalServer, query: str) -> None:
    """Without `alt=sse` a stream is one JSON array."""
    server.reply(Reply("Hello, you!", chunk_size=4))
    path = f"/gemini/v1beta/models/m:streamGenerateContent{query}"
    body = json.dumps({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("POST", path, body)
    response = connection.getresponse()
    got, kind = response.read(), response.headers["content-type"]
    connection.close()
    if query == "?alt=sse":
        assert kind.startswith("text/event-stream")
        events = [json.loads(e[6:]) for e in got.split(b"\n\n") if e]
    else:
        assert kind == "application/json"
        events = json.loads(got)
    parts = [e["candidates"][0].get("content", {}).get("parts", [{}])[0] for e in events]
    assert [p.get("text") for p in parts] == ["Hell", "o, y", "ou!", ""]
    assert events[-1]["candidates"][0]["finishReason"] == "STOP"
