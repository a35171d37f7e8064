"""Chat Completions with thinking in the content, as Mistral speaks it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from llmwire.adapters.base import ServerRequest, chunk_of
from llmwire.adapters.openai import OpenAIAdapter
from llmwire.adapters.reasoning import ReasoningAdapter, ReasoningServer
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.errors import (
    AuthenticationError,
    HistoryRejectedError,
    IncompleteStreamError,
    InvalidRequestError,
    RateLimitError,
    StreamError,
)
from llmwire.history import BRIDGE
from llmwire.providers import PROVIDERS
from llmwire.request import LLMRequest
from llmwire.types import (
    AudioPart,
    AvailableFunction,
    AvailableTool,
    BytesSource,
    FilePart,
    FileSource,
    FunctionCall,
    ImagePart,
    LLMChunk,
    LLMMessage,
    LLMUsage,
    Native,
    OpaquePart,
    Part,
    ReasoningPart,
    StopInfo,
    TextPart,
    ToolCall,
    ToolResultPart,
    UrlSource,
    accumulate,
)

CLIENT, SERVER = ReasoningAdapter(), ReasoningServer()
PROVIDER = ProviderConfig("p", "http://127.0.0.1:1/v1", api_style="reasoning")
USER = LLMMessage("user", "q")
TOOL = AvailableTool(AvailableFunction("f", "does", {"type": "object", "properties": {}}))


def request(*messages: LLMMessage, **asked: Any) -> LLMRequest:
    model = ModelConfig(asked.pop("model", "m"), temperature=None)
    return LLMRequest(model=model, messages=messages or (USER,), **asked)


def body_of(
    *messages: LLMMessage, provider: ProviderConfig = PROVIDER, **asked: Any
) -> dict[str, Any]:
    made = CLIENT.prepare_request(request(*messages, **asked), provider)
    body: dict[str, Any] = json.loads(made.body)
    return body


def event(*content: Any, finish: str | None = None, **more: Any) -> bytes:
    delta = {"content": content[0] if content else ""}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    value = {"id": "r", "model": "m-1", "choices": [choice], **more}
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def thinking(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}], **more}


def read(*events: bytes) -> LLMChunk:
    decoder = CLIENT.stream_decoder(request(stream=True), PROVIDER)
    return accumulate([*decoder.feed(b"".join(events)), *decoder.finish()])


def whole(content: Any) -> LLMChunk:
    choice = {"index": 0, "message": {"role": "assistant", "content": content},
              "finish_reason": "stop"}  # fmt: skip
    return CLIENT.parse_response(json.dumps({"choices": [choice]}).encode(), request(), PROVIDER)


def native(payload: Any = None) -> Native:
    return Native("reasoning", "p", "m", payload)


END = event(finish="stop")

# --- requests ---


def test_a_request() -> None:
    body = body_of(
        LLMMessage("developer", "d"), LLMMessage("user", "q", name="ann"), stream=True, tools=(TOOL,),
        tool_choice="required", thinking="high", temperature=0.2, max_tokens=9, seed=7,
        metadata={"a": "b"},
    )  # fmt: skip
    assert body == {
        "model": "m",
        "tools": [{"type": "function", "function": {"name": "f", "description": "does",
                   "parameters": {"type": "object", "properties": {}}}}],
        "tool_choice": "any",
        "reasoning_effort": "high",
        "temperature": 1.0,
        "max_tokens": 9,
        "random_seed": 7,
        "metadata": {"a": "b"},
        "stream": True,
        "stream_options": {"stream_tool_calls": True},
        "messages": [{"role": "system", "content": "d"}, {"role": "user", "content": "q"}],
    }  # fmt: skip


def test_thinking_and_temperature() -> None:
    assert "reasoning_effort" not in body_of()
    assert body_of(temperature=0.2)["temperature"] == 0.2
    made = CLIENT.prepare_request(request(thinking="low", temperature=0.2), PROVIDER)
    assert [(r.path, r.before, r.after) for r in made.adaptations] == [("temperature", 0.2, 1.0)]
    ours = replace(PROVIDER, dialect=replace(PROVIDERS["mistral"].dialect, efforts=("off", "high")))
    assert body_of(provider=ours, thinking="medium")["reasoning_effort"] == "high"


def test_users_send_sound_and_documents_in_mistrals_form() -> None:
    body = body_of(
        LLMMessage(
            "user",
            [
                AudioPart(BytesSource(b"wav", "audio/wav")),
                AudioPart(UrlSource("https://h/a.mp3")),
                FilePart(UrlSource("https://h/a.pdf")),
                FilePart(BytesSource(b"pdf", "application/pdf")),
                FilePart(FileSource("f1")),
            ],
        )
    )
    assert body["messages"][0]["content"] == [
        {"type": "input_audio", "input_audio": "d2F2"},
        {"type": "input_audio", "input_audio": "https://h/a.mp3"},
        {"type": "document_url", "document_url": "https://h/a.pdf"},
        {"type": "document_url", "document_url": "data:application/pdf;base64,cGRm"},
        {"type": "file", "file_id": "f1"},
    ]


def test_a_round_of_tools() -> None:
    said = LLMMessage("assistant", [ToolCall("functions.f:0", FunctionCall("f", ""))])
    png = ImagePart(BytesSource(b"png", "image/png"))
    answer = LLMMessage("tool", parts=(ToolResultPart("functions.f:0", (TextPart("r"), png), "f"),))
    messages = body_of(USER, said, answer, USER)["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "assistant", "user"]
    (sent,) = messages[1]["tool_calls"]
    assert messages[1]["content"] == "" and sent["function"]["arguments"] == "{}"
    assert len(sent["id"]) == 9 and sent["id"].isalnum()
    assert messages[2]["tool_call_id"] == sent["id"] and messages[2]["name"] == "f"
    assert [b["type"] for b in messages[2]["content"]] == ["text", "image_url"]
    assert messages[3]["content"] == BRIDGE


# --- replies ---


def test_thinking_is_one_part_and_text_another() -> None:
    reply = read(
        event(""),
        event([thinking("Two ")]),
        event(""),
        event([thinking("and two.")]),
        event([{"type": "text", "text": "Fo"}]),
        event("ur", finish="stop", usage={"prompt_tokens": 3, "completion_tokens": 2,
                                          "num_cached_tokens": 1}),
    )  # fmt: skip
    assert reply.message.parts == (
        ReasoningPart("Two and two.", native=native()),
        TextPart("Four"),
    )
    assert reply.usage is not None and reply.usage.cache_read == 1
    assert (
        whole([thinking("Two and two."), {"type": "text", "text": "Four"}]).message == reply.message
    )


BLOCKS: list[list[dict[str, Any]]] = [
    [thinking("a", signature="s")],
    [thinking("a", closed=True)],
    [thinking("a", signature="s", closed=False)],
    [{"closed": True, "thinking": [{"text": "a", "type": "text"}], "type": "thinking"}],
    [
        {
            "type": "thinking",
            "thinking": [
                {"type": "text", "text": "a"},
                {"type": "tool_reference", "tool": "web", "title": "t"},
                {"type": "text", "text": "b"},
            ],
            "closed": True,
        }
    ],
    [thinking("a", signature="s"), thinking("b", signature="t")],
    [thinking("", signature="s")],
]


@pytest.mark.parametrize("blocks", BLOCKS)
def test_blocks_go_back_as_they_came(blocks: list[dict[str, Any]]) -> None:
    answer = [{"type": "text", "text": "x"}]
    reply = whole([*blocks, *answer])
    sent = body_of(USER, reply.message, USER, thinking="high")["messages"][1]["content"]
    assert sent == [*blocks, *answer]
    streamed = read(*(event([b]) for b in [*blocks, *answer]), END)
    assert streamed.message == reply.message


def test_pieces_of_a_block_are_joined_for_the_way_back() -> None:
    reply = read(
        event([thinking("a", closed=False)]),
        event([thinking("b", closed=True, signature="s")]),
        END,
    )
    (part,) = reply.message.parts
    assert isinstance(part, ReasoningPart) and (part.text, part.signature) == ("ab", "s")
    (sent,) = body_of(USER, reply.message, USER, thinking="high")["messages"][1]["content"]
    assert sent == thinking("ab", closed=True, signature="s")


def test_thoughts_go_to_their_issuer_only_and_while_thinking() -> None:
    reply = whole([thinking("hm", signature="s"), {"type": "text", "text": "a"}])
    history = (USER, reply.message, USER)
    assert body_of(*history)["messages"][1]["content"] == "a"
    assert body_of(*history, model="other", thinking="high")["messages"][1]["content"] == "a"
    elsewhere = replace(PROVIDER, name="elsewhere")
    sent = body_of(*history, provider=elsewhere, thinking="high")["messages"][1]
    assert sent == {"role": "assistant", "content": "a"}


def test_texts_and_references_keep_their_order() -> None:
    content = [
        {"type": "text", "text": "see "},
        {"type": "reference", "reference_ids": [1, 2]},
        {"type": "text", "text": " there"},
    ]
    reply = whole(content)
    kinds = [type(p) for p in reply.message.parts]
    assert kinds == [TextPart, OpaquePart, TextPart]
    assert body_of(USER, reply.message, USER)["messages"][1]["content"] == content


def test_thinking_in_odd_forms() -> None:
    reply = whole([{"type": "thinking", "thinking": ["a", {"type": "text", "text": None}, 7]}, "b"])
    assert reply.message.reasoning_content == "a" and reply.text == "b"
    assert whole([{"type": "thinking", "thinking": None}, "b"]).text == "b"


def test_the_stream_ends_with_a_finish_reason() -> None:
    assert read(event("a"), END).text == "a"
    with pytest.raises(IncompleteStreamError):
        read(event("a"))
    assert read(event("a", finish="model_length")).stop == StopInfo(
        "context_window", "model_length"
    )
    with pytest.raises(StreamError):
        read(event("a", finish="error"))


def test_mistrals_own_address_has_the_same_dialect_on_the_other_adapter() -> None:
    mistral = replace(PROVIDERS["mistral"], api_style="openai")
    made = OpenAIAdapter().prepare_request(request(seed=1), mistral)
    assert json.loads(made.body)["random_seed"] == 1


# --- the server's half ---


def hear(*messages: Any, **more: Any) -> ServerRequest:
    body = {"model": "m", "messages": list(messages), **more}
    return SERVER.parse_request("POST", "/v1/chat/completions", {}, json.dumps(body).encode())


ASK = {"role": "user", "content": "q"}
CALL = {"id": "abcDEF123", "function": {"name": "f", "arguments": "{}"}}
SAID = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "abcDEF123", "content": "r", "name": "f"}
REFUSED: list[tuple[list[Any], dict[str, Any], int, str]] = [
    ([ASK, SAID, RESULT, ASK], {}, 400, "Unexpected role 'user' after role 'tool'"),
    ([ASK, SAID, RESULT, {"role": "system", "content": "s"}], {}, 400, "Unexpected role 'system'"),
    ([ASK, SAID], {}, 400, "Not the same number of function calls and responses"),
    ([ASK, SAID, ASK], {}, 400, "Not the same number of function calls and responses"),
    ([ASK, RESULT], {}, 400, "Unexpected tool call id"),
    ([ASK, {**SAID, "tool_calls": [{**CALL, "id": "call_1"}]}], {}, 400, "length of 9"),
    ([ASK, {"role": "assistant", "content": ""}, ASK], {}, 400, "either content or tool_calls"),
    ([ASK, {"role": "assistant", "content": "a"}], {}, 400, "Expected last role User or Tool"),
    ([{"role": "developer", "content": "d"}], {}, 422, "does not match any of the expected tags"),
    ([ASK], {"seed": 1}, 422, "Extra inputs are not permitted"),
    ([ASK], {"max_completion_tokens": 1}, 422, "Extra inputs are not permitted"),
    ([], {}, 400, "empty array"),
]


@pytest.mark.parametrize(("messages", "more", "status", "words"), REFUSED)
def test_mistrals_rules(messages: list[Any], more: Any, status: int, words: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        hear(*messages, **more)
    assert words in (caught.value.provider_message or "")
    assert caught.value.status == status
    assert isinstance(caught.value, HistoryRejectedError) is (status == 400 and bool(messages))


def test_what_mistral_takes() -> None:
    assert len(hear(ASK, SAID, RESULT).request.messages) == 3
    prefill = {"role": "assistant", "content": "a", "prefix": True}
    assert hear(ASK, prefill).request.messages[1].text == "a"
    asked = hear(ASK, tools=[{"type": "function", "function": {"name": "f"}}], tool_choice="any")
    assert asked.request.tool_choice == "any"


def test_requests_are_heard_as_they_were_sent() -> None:
    messages = (
        LLMMessage("system", "s"),
        LLMMessage("user", [TextPart("q"), AudioPart(BytesSource(b"w", "audio/wav")),
                            FilePart(UrlSource("https://h/a.pdf")), FilePart(FileSource("f1"))]),
        LLMMessage("assistant", [ReasoningPart("hm", signature="s"), TextPart("a"),
                                 ToolCall("abcDEF123", FunctionCall("f", "{}"))]),
        LLMMessage("tool", parts=(ToolResultPart("abcDEF123", "r", "f"),)),
    )  # fmt: skip
    made = CLIENT.prepare_request(request(*messages, thinking="high", seed=3), PROVIDER)
    heard = SERVER.parse_request("POST", "/v1/chat/completions", {}, made.body).request
    assert heard.messages == messages
    assert (heard.thinking, heard.seed) == ("high", 3)


REPLIES: list[tuple[Part, ...]] = [
    (TextPart("a"),),
    (ReasoningPart("hm", native=native()), TextPart("a")),
    (ReasoningPart("hm", signature="s", native=native()), TextPart("a")),
    (
        ReasoningPart("hm", signature="s", native=native({"block": {
            "type": "thinking", "thinking": None, "signature": "s", "closed": True}})),
        TextPart("a"),
        ToolCall("abcDEF123", FunctionCall("f", '{"a": 1}')),
        ToolCall("abcDEF456", FunctionCall("g", "{}")),
    ),
]  # fmt: skip


@pytest.mark.parametrize("parts", REPLIES)
def test_what_is_said_is_heard(parts: tuple[Part, ...]) -> None:
    calls = any(isinstance(p, ToolCall) for p in parts)
    stop = StopInfo("tool_calls", "tool_calls") if calls else StopInfo("stop", "stop")
    raw = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    reply = LLMChunk(
        LLMMessage("assistant", parts=parts), LLMUsage(3, 2, raw=raw), stop, "r1", "m-1"
    )
    heard = hear(ASK, stream=True)
    told = SERVER.prepare_response(reply, heard)
    assert CLIENT.parse_response(told, heard.request, PROVIDER) == reply
    pieces = [chunk_of([p], response_id="r1", model="m-1") for p in parts]
    events = list(SERVER.prepare_stream([*pieces, chunk_of(stop=stop, usage=reply.usage)], heard))
    assert events[-1] == b"data: [DONE]\n\n" and b'"usage"' in events[-2]
    assert read(*events) == reply


def test_ids_are_made_to_mistrals_rule() -> None:
    reply = LLMChunk(
        LLMMessage("assistant", tool_calls=[ToolCall(None, FunctionCall("f", "{}")),
                                            ToolCall("toolu_1", FunctionCall("f", "{}"))])
    )  # fmt: skip
    told = json.loads(SERVER.prepare_response(reply, hear(ASK)))
    ids = [c["id"] for c in told["choices"][0]["message"]["tool_calls"]]
    assert all(len(i) == 9 and i.isalnum() for i in ids) and ids[0] != ids[1]


def test_errors_in_mistrals_form() -> None:
    said = RateLimitError("slow down", retry_after=2)
    status, headers, body = SERVER.prepare_error(said)
    assert status == 429 and json.loads(body)["object"] == "error"
    error = CLIENT.parse_error(status, headers, body, request(), PROVIDER)
    assert isinstance(error, RateLimitError) and error.provider_message == "slow down"
    decoder = CLIENT.stream_decoder(request(), PROVIDER)
    with pytest.raises(RateLimitError):
        list(decoder.feed(SERVER.prepare_stream_error(said)))
    gateway = CLIENT.parse_error(401, {}, b'{"detail":"Invalid API Key"}', request(), PROVIDER)
    assert isinstance(gateway, AuthenticationError)
    assert gateway.provider_message == "Invalid API Key" and gateway.api == "reasoning"


def test_a_dialect_of_its_own() -> None:
    ours = replace(PROVIDER, dialect=Dialect(reasoning_replay="content"))
    body = body_of(provider=ours, thinking="high", temperature=0.3, seed=1)
    assert (body["temperature"], body["seed"]) == (0.3, 1)


@pytest.mark.parametrize(
    ("model", "asked", "said", "records"),
    [
        ("mistral-large-4", "medium", "medium", 0),
        ("mistral-large-latest", "max", "high", 1),
        ("mistral-large-4", "off", None, 0),
        ("mistral-small-latest", "low", "high", 1),
        ("mistral-medium-2508", "high", "high", 0),
        ("mistral-medium-2508", "off", None, 0),
        ("zai-glm-5-3", "medium", "low", 1),
        ("magistral-medium-latest", "high", None, 1),  # always thinks
        ("devstral-latest", "xhigh", "xhigh", 0),  # its name does not say
    ],
)
def test_each_model_has_levels_of_its_own(
    model: str, asked: Any, said: str | None, records: int
) -> None:
    made = CLIENT.prepare_request(request(model=model, thinking=asked), PROVIDERS["mistral"])
    assert json.loads(made.body).get("reasoning_effort") == said
    assert [a.path for a in made.adaptations] == ["thinking"] * records


def test_a_last_message_of_the_assistants_begins_the_reply() -> None:
    begun = LLMMessage("assistant", "It is")
    for messages, marked in (((USER, begun), True), ((USER, begun, USER), False)):
        made = CLIENT.prepare_request(request(*messages), PROVIDERS["mistral"])
        said = json.loads(made.body)["messages"][1]
        assert said == {
            "role": "assistant",
            "content": "It is",
            **({"prefix": True} if marked else {}),
        }
        assert SERVER.parse_request("POST", "/v1/chat/completions", {}, made.body).request.messages
