"""Forty-nine measured defects of the design this one grew out of. None may come back.

Each has a test named after its number, or a line in BY_CONSTRUCTION that says why it can't occur.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import inspect
import json
import os
import re
import ssl
import sys

import msgspec
import pytest

import llmwire
from llmwire import (
    AuthenticationError,
    AvailableFunction,
    AvailableTool,
    BackendError,
    ConfigError,
    DecodeError,
    GenericBackend,
    IncompleteStreamError,
    LLMChunk,
    LLMMessage,
    ModelConfig,
    OverloadedError,
    ProviderConfig,
    QuotaError,
    RateLimitError,
    RetryPolicy,
    StreamError,
    TextPart,
    TimeoutError_,
    Timeouts,
    TransportError,
    UnsupportedError,
    accumulate,
)
from llmwire.adapters import ADAPTERS
from llmwire.request import LLMRequest
from llmwire.testing import LocalServer, Reply
from llmwire.transport import foreign_error
from scripted import JSON, SSE, Answer, ScriptedTransport

BY_CONSTRUCTION = {
    45: "adapters have no attributes and each reply gets a decoder of its own; "
    "test_architecture.py refuses `self.x =` in an adapter",
    49: "test_architecture.py imports llmwire in a fresh process and refuses any HTTP library, "
    "vendor SDK or google-auth among the imported modules",
}

D = '{"choices":[{"delta":{"content":"hi"}}]}'
END = 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
HI = LLMMessage("user", "Hi")
PROVIDER = ProviderConfig("acme", "http://127.0.0.1:1/v1")
CLAUDE = ProviderConfig("anthropic", "http://127.0.0.1:1", api_style="anthropic")
ONCE = RetryPolicy(max_attempts=1)
NO_WAIT = RetryPolicy(base=0.0)
TOOL = AvailableTool(AvailableFunction("f", "does", {"type": "object", "properties": {}}))


def test_every_number_is_covered() -> None:
    tested = {
        int(n) for n in re.findall(r"def test_(\d\d)_", inspect.getsource(sys.modules[__name__]))
    }
    assert tested | set(BY_CONSTRUCTION) == set(range(1, 50))
    assert not tested & set(BY_CONSTRUCTION)


async def S(body: str | bytes, provider: ProviderConfig = PROVIDER, **headers: str) -> LLMChunk:  # noqa: N802
    """The sum of a stream with this body."""
    data = body.encode("utf-8") if isinstance(body, str) else body
    transport = ScriptedTransport(Answer([data], headers={**SSE, **headers}))
    backend = GenericBackend(provider=provider, client=transport, retry=ONCE)
    async with backend.complete_streaming(model="m", messages=[HI]) as stream:
        return accumulate([chunk async for chunk in stream])


async def J(value: object, status: int = 200, provider: ProviderConfig = PROVIDER) -> LLMChunk:  # noqa: N802
    """A whole answer with this JSON (or these bytes)."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    transport = ScriptedTransport(Answer([data], status=status, headers=JSON))
    backend = GenericBackend(provider=provider, client=transport, retry=ONCE)
    return await backend.complete(model="m", messages=[HI])


def whole(message: dict[str, object], **more: object) -> dict[str, object]:
    return {"choices": [{"message": message, "finish_reason": "stop", **more}]}


def body_of(
    provider: ProviderConfig = PROVIDER, name: str = "m", **options: object
) -> dict[str, object]:
    options.setdefault("messages", (HI,))
    request = LLMRequest(model=ModelConfig(name), **options)
    prepared = ADAPTERS[provider.api_style].prepare_request(request, provider)
    return json.loads(prepared.body)


# --- stream framing ---


@pytest.mark.parametrize("first", [f"data:{D}", 'data:{"choices":[{"delta":{"content": "hi"}}]}'])
async def test_01_no_space_after_the_colon(first: str) -> None:
    assert (await S(f"{first}\n\n{END}")).text == "hi"


@pytest.mark.parametrize("noise", [":\n\n", ":keepalive\n\n", ": x\n", ":a:b\n\n"])
async def test_02_comments(noise: str) -> None:
    assert (await S(f"{noise}data: {D}\n\n{noise}{END}")).text == "hi"


@pytest.mark.parametrize("line", ["event:message", "id:1", "retry:1", "event", "data2: x", "what"])
async def test_03_other_fields(line: str) -> None:
    assert (await S(f"{line}\ndata: {D}\n\n{END}")).text == "hi"


@pytest.mark.parametrize("done", ["data: [DONE] ", "data:[DONE]", "data: [DONE]\n\ndata: [DONE]"])
async def test_04_done_in_every_spelling(done: str) -> None:
    assert (await S(f"data: {D}\n\n{END.replace('data: [DONE]', done)}")).text == "hi"


async def test_05_several_data_lines() -> None:
    two = 'data: {"choices":\ndata: [{"delta":{"content":"hi"}}]}'
    assert (await S(f"{two}\n\n{END}")).text == "hi"


async def test_06_empty_data() -> None:
    assert (await S(f"data: \n\ndata:\n\ndata\n\ndata: {D}\n\n{END}")).text == "hi"


async def test_07_a_bom() -> None:
    assert (await S(f"\ufeffdata: {D}\n\n{END}")).text == "hi"


@pytest.mark.parametrize("c", "\u2028\u2029\u0085\x0b\x0c\x1c\x1d\x1e")
async def test_08_unicode_line_separators(c: str) -> None:
    escaped = json.dumps({"choices": [{"delta": {"content": f"a{c}b"}}]}, ensure_ascii=False)
    raw = escaped.replace(json.dumps(c)[1:-1], c) if ord(c) > 0x7F else escaped
    assert (await S(f"data: {raw}\n\n{END}")).text == f"a{c}b"


async def test_09_a_server_that_ignores_stream() -> None:
    document = json.dumps(whole({"content": "hi"}))
    for body in (document, document.replace(" ", "")):
        assert (await S(body, **{"content-type": "application/json"})).text == "hi"
        assert (await S(body)).text == "hi"
    with pytest.raises(DecodeError, match="Welcome"):
        await S("<html><title>Welcome</title></html>", **{"content-type": "text/html"})


@pytest.mark.parametrize("before", ["", f"data: {D}\n\n"])
async def test_10_a_raw_json_error_line(before: str) -> None:
    with pytest.raises(BackendError, match="the model crashed"):
        await S(f'{before}{{"error":{{"message":"the model crashed"}}}}\n')


@pytest.mark.parametrize("event", ["", "event: error\n"])
@pytest.mark.parametrize("error", ['{"error":{"message":"boom","code":500}}', '{"error":"boom"}'])
async def test_11_errors_inside_the_stream(event: str, error: str) -> None:
    with pytest.raises(StreamError, match="boom") as caught:
        await S(f"data: {D}\n\n{event}data: {error}\n\n")
    assert caught.value.partial is not None and caught.value.partial.text == "hi"


@pytest.mark.parametrize("body", [f"data: {D}\n\n", f"data: {D}\n\ndata: {D[:9]}"])
async def test_12_a_stream_that_just_ends(body: str) -> None:
    with pytest.raises(BackendError) as caught:
        await S(body)
    assert isinstance(caught.value, IncompleteStreamError | DecodeError)
    assert caught.value.partial is not None and caught.value.partial.text == "hi"


async def test_13_each_wait_has_its_own_clock() -> None:
    transport = ScriptedTransport(Answer([f"data: {D}\n\n".encode(), 30.0]))
    backend = GenericBackend(provider=PROVIDER, client=transport, timeouts=Timeouts(idle=0.05))
    with pytest.raises(TimeoutError_) as caught:
        await backend.complete(model="m", messages=[HI])
    assert caught.value.clock == "idle"
    names = {f.name for f in msgspec.structs.fields(Timeouts)}
    assert names == {"connect", "headers", "first_content", "idle", "total"}


# --- unmapped errors ---


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"[]", b"[1]", b"null", b"7", b'"x"'])
async def test_14_bodies_that_are_no_reply(body: bytes) -> None:
    with pytest.raises(BackendError):
        await J(body)


async def test_15_unknown_style_and_missing_project() -> None:
    with pytest.raises(ConfigError, match="'x'"):
        GenericBackend(provider=ProviderConfig("a", "http://h", api_style="x"))
    vertex = ProviderConfig("v", api_style="vertex-anthropic", region="global")
    with pytest.raises(ConfigError, match="project_id"):
        await GenericBackend(provider=vertex).complete(model="claude-x", messages=[HI])


@pytest.mark.parametrize("status", [520, 529, 599, 799, 418])
async def test_16_unknown_statuses(status: int) -> None:
    with pytest.raises(BackendError) as caught:
        await J({"error": {"message": "m"}}, status)
    assert caught.value.status == status and "m" in str(caught.value)


async def test_17_tls_and_bad_addresses() -> None:
    error = foreign_error(ssl.SSLError(1, "TLSV1_ALERT_INTERNAL_ERROR"), 5.0, "send")
    assert isinstance(error, TransportError) and error.kind == "tls"
    for bad in ("http://h:abc/v1", "http://xn--/v1", "h/v1", "ftp://h", "http://u:p@h/v1"):
        with pytest.raises(ConfigError, match="api_base"):
            ProviderConfig("a", bad)


async def test_18_a_lone_surrogate() -> None:
    transport = ScriptedTransport(
        Answer([json.dumps(whole({"content": "ok"})).encode()], headers=JSON)
    )
    backend = GenericBackend(provider=PROVIDER, client=transport)
    await backend.complete(model="m", messages=[LLMMessage("user", "a\ud800b")])
    assert json.loads(transport.sent[0].body)["messages"][0]["content"] == "a\ufffdb"


async def test_19_an_anthropic_error_event() -> None:
    told = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    good = (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message",'
        b'"role":"assistant","content":[],"model":"x","usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"ok"}}\n\n'
        b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}\n\n'
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )
    transport = ScriptedTransport(Answer([told]), Answer([good]))
    backend = GenericBackend(provider=CLAUDE, client=transport, retry=NO_WAIT)
    assert (await backend.complete(model="claude-x", messages=[HI])).text == "ok"
    with pytest.raises(OverloadedError) as caught:
        await S(told, CLAUDE)
    assert isinstance(caught.value, StreamError) and caught.value.status == 200


NULLS: list[dict[str, object]] = [
    {"choices": [{"finish_reason": "stop", "delta": None}]},
    {"choices": [{"delta": {"role": None, "content": "hi"}}]},
    {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "a", "type": None, "function": {"name": "f", "arguments": None}}]}}]},
    {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]}}]},
    {"choices": [], "usage": {"prompt_tokens": None, "completion_tokens": None}},
    {"choices": None},
]  # fmt: skip


@pytest.mark.parametrize("event", NULLS, ids=range(len(NULLS)))
async def test_20_nulls_and_odd_shapes(event: dict[str, object]) -> None:
    reply = await S(f"data: {D}\n\ndata: {json.dumps(event)}\n\n{END}")
    assert reply.text.startswith("hi")
    if "arguments" in json.dumps(event):
        (call,) = reply.tool_calls
        assert call.parsed in ({}, {"x": 1})


async def test_20_null_cache_fields_of_anthropic() -> None:
    reply = await J(
        {"id": "m", "type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn",
         "content": [{"type": "text", "text": "ok"}],
         "usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": None,
                   "cache_creation_input_tokens": None}},
        provider=CLAUDE,
    )  # fmt: skip
    assert reply.usage is not None and reply.usage.input_total == 3


# --- silent loss ---


async def test_21_an_error_with_status_200() -> None:
    with pytest.raises(BackendError, match="No credits"):
        await J({"error": {"message": "No credits"}})


async def test_22_the_finish_reason_is_kept() -> None:
    for word, ours in (
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("odd", "other"),
    ):
        reply = await J(whole({"content": "x"}, finish_reason=word))
        assert reply.stop is not None and (reply.stop.reason, reply.stop.raw) == (ours, word)
    assert (await J(whole({"content": None, "refusal": "no"}))).message.refusal == "no"


async def test_23_usage_unknown_is_none_and_running_totals_do_not_add() -> None:
    assert (await S(f"data: {D}\n\n{END}")).usage is None
    details = {"cached_tokens": 4}, {"reasoning_tokens": 1}
    running = "".join(
        "data: "
        + json.dumps({
            "choices": [{"delta": {"content": "x"}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": n,
                      "prompt_tokens_details": details[0], "completion_tokens_details": details[1]},
        }) + "\n\n"
        for n in (1, 2)
    )  # fmt: skip
    usage = (await S(running + END)).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (10, 2)
    assert (usage.cache_read, usage.reasoning) == (4, 1)


async def test_24_content_as_a_list() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert (await J(whole({"content": content}))).text == "ab"
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}, *content]
    reply = await J(whole({"content": thinking}))
    assert (reply.text, reply.reasoning) == ("ab", "t")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, {"error": "text here"}, "text here"),
        (422, {"detail": [{"loc": ["body", "x"], "msg": "field required"}]}, "field required"),
        (400, {"error": {"type": "only_a_type"}}, "only_a_type"),
        (400, [{"error": {"message": "in a list"}}], "in a list"),
        (401, {"error": {"message": "org is gone"}}, "org is gone"),
        (429, {"error": {"message": "billing hard limit"}}, "billing hard limit"),
    ],
)
async def test_25_the_providers_words_are_kept(status: int, body: object, words: str) -> None:
    with pytest.raises(BackendError, match=words):
        await J(body, status)


async def test_26_metadata_headers_and_ids_are_used() -> None:
    mistral = llmwire.PROVIDERS["mistral"]
    body = body_of(mistral, metadata={"a": "b"})
    assert body["metadata"] == {"a": "b"}
    answer = Answer([json.dumps({"id": "r1", "model": "big", **whole({"content": "x"})}).encode()],
                    headers={**JSON, "x-request-id": "q1"})  # fmt: skip
    backend = GenericBackend(provider=PROVIDER, client=ScriptedTransport(answer))
    reply = await backend.complete(model="m", messages=[HI])
    assert (reply.response_id, reply.model, reply.correlation_id) == ("r1", "big", "q1")


def _calls(*deltas: dict[str, object]) -> str:
    return "".join(
        f"data: {json.dumps({'choices': [{'delta': {'tool_calls': [d]}}]})}\n\n" for d in deltas
    )


async def test_27_tool_call_ids_late_absent_and_changing() -> None:
    late = _calls({"index": 0, "function": {"name": "f", "arguments": "{"}},
                  {"index": 0, "id": "late", "function": {"arguments": "}"}})  # fmt: skip
    (call,) = (await S(late + END)).tool_calls
    assert (call.id, call.arguments) == ("late", "{}")
    absent = _calls({"id": "a", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "b", "function": {"name": "g", "arguments": "{}"}})  # fmt: skip
    assert [c.name for c in (await S(absent + END)).tool_calls] == ["f", "g"]
    same = _calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
                  {"index": 0, "id": "b", "function": {"name": "g", "arguments": "{}"}})  # fmt: skip
    assert [c.id for c in (await S(same + END)).tool_calls] == ["a", "b"]


def test_28_anthropic_histories_lose_nothing() -> None:
    native = llmwire.Native("anthropic", "anthropic", "claude-sonnet-4-6")
    thoughts = [
        llmwire.ReasoningPart("one", signature="s1", native=native),
        llmwire.ReasoningPart(kind="redacted", data="zzz", native=native),
        llmwire.ReasoningPart("two", signature="s2", native=native),
    ]
    call = llmwire.ToolCall("t1", llmwire.FunctionCall("f", '{"a": 1.0}'))
    history = (
        LLMMessage("system", "first"),
        LLMMessage("system", "second"),
        HI,
        LLMMessage("assistant", parts=[*thoughts, TextPart("so"), call]),
        LLMMessage("tool", "r", tool_call_id="t1"),
    )
    body = body_of(CLAUDE, "claude-sonnet-4-6", messages=history, tools=(TOOL,), thinking="high")
    assert [b["text"] for b in body["system"]] == ["first", "second"]
    blocks = body["messages"][1]["content"]
    assert [(b["type"], b.get("signature")) for b in blocks] == [
        ("thinking", "s1"), ("redacted_thinking", None), ("thinking", "s2"), ("text", None),
        ("tool_use", None),
    ]  # fmt: skip


async def test_28_initial_text_of_a_block_is_kept() -> None:
    start = (
        'data: {"type":"message_start","message":{"usage":{"input_tokens":1}}}\n\n'
        'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"He"}}\n\n'
        'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"llo"}}\n\n'
        'data: {"type":"content_block_stop","index":0}\n\n'
        'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\ndata: {"type":"message_stop"}\n\n'
    )
    assert (await S(start, CLAUDE)).text == "Hello"


# --- requests ---


def test_29_only_known_fields_go_out() -> None:
    call = llmwire.ToolCall("c1", llmwire.FunctionCall("f", "{}"))
    turn = LLMMessage(
        "assistant", "x", reasoning_content="r", reasoning_signature="s", tool_calls=[call]
    )
    openai = llmwire.PROVIDERS["openai"]
    body = body_of(
        openai, "gpt-4o", messages=(HI, turn, LLMMessage("tool", "r", tool_call_id="c1"))
    )
    sent = body["messages"][1]
    assert set(sent) == {"role", "content", "tool_calls"}
    assert set(sent["tool_calls"][0]) == {"id", "type", "function"}


def test_30_thinking_is_sent() -> None:
    assert (
        body_of(llmwire.PROVIDERS["openai"], "gpt-5", thinking="high")["reasoning_effort"] == "high"
    )
    assert body_of(thinking="low")["reasoning_effort"] == "low"


def test_31_tool_choice() -> None:
    assert "tool_choice" not in body_of(tool_choice="auto")
    assert body_of(tools=(TOOL,), tool_choice="any")["tool_choice"] == "required"
    assert body_of(tools=(TOOL,), tool_choice=TOOL)["tool_choice"] == {
        "type": "function", "function": {"name": "f"},
    }  # fmt: skip


def test_32_addresses_join_well() -> None:
    request = LLMRequest(model=ModelConfig("m"), messages=(HI,))
    for base in ("http://h/v1", "http://h/v1/"):
        prepared = ADAPTERS["openai"].prepare_request(request, ProviderConfig("a", base))
        assert prepared.url == "http://h/v1/chat/completions"
    for base in ("http://h", "http://h/", "http://h/v1", "http://h/v1/"):
        claude = ProviderConfig("a", base, api_style="anthropic")
        assert ADAPTERS["anthropic"].prepare_request(request, claude).url == "http://h/v1/messages"


async def test_33_one_header_whatever_its_case() -> None:
    transport = ScriptedTransport(
        Answer([json.dumps(whole({"content": "x"})).encode()], headers=JSON)
    )
    os.environ["ACME_KEY"] = "k"
    try:
        provider = msgspec.structs.replace(PROVIDER, api_key_env_var="ACME_KEY")
        backend = GenericBackend(provider=provider, client=transport)
        await backend.complete(
            model="m", messages=[HI], extra_headers={"authorization": "Bearer mine"}
        )
    finally:
        del os.environ["ACME_KEY"]
    sent = [(k, v) for k, v in transport.sent[0].headers.items() if k.lower() == "authorization"]
    assert sent == [("authorization", "Bearer mine")]


async def test_34_a_missing_key_is_named() -> None:
    provider = msgspec.structs.replace(PROVIDER, api_key_env_var="ACME_KEY")
    with pytest.raises(ConfigError, match="ACME_KEY"):
        await GenericBackend(provider=provider).complete(model="m", messages=[HI])


async def test_35_a_bad_key_does_not_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", "sk-canary\n")
    provider = msgspec.structs.replace(PROVIDER, api_key_env_var="ACME_KEY")
    with pytest.raises(ConfigError, match="ACME_KEY") as caught:
        await GenericBackend(provider=provider).complete(model="m", messages=[HI])
    e: BaseException | None = caught.value
    while e is not None:
        assert "canary" not in str(e) + repr(e) + repr(vars(e))
        e = e.__cause__ or e.__context__


@pytest.mark.parametrize("limit", [1, 16, 1024, 9000])
def test_36_the_budget_is_below_the_limit(limit: int) -> None:
    body = body_of(CLAUDE, "claude-sonnet-4-5", thinking="high", max_tokens=limit)
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled":
        assert 1024 <= thinking["budget_tokens"] < body["max_tokens"]
    assert body["max_tokens"] >= limit


async def test_37_counting_is_honest() -> None:
    transport = ScriptedTransport(Answer([b'{"input_tokens":7}'], headers=JSON))
    backend = GenericBackend(provider=CLAUDE, client=transport)
    count = await backend.count_tokens(model="claude-x", messages=[HI])
    assert (count, count.method) == (7, "endpoint")
    assert transport.sent[0].url.endswith("count_tokens")
    assert len(json.loads(transport.sent[0].body)["messages"]) == 1


def test_38_nothing_empty_goes_to_anthropic() -> None:
    call = llmwire.ToolCall("t1", llmwire.FunctionCall("f", "{}"))
    history = (
        HI, LLMMessage("assistant", ""), LLMMessage("user", ""), LLMMessage("user", "x"),
        LLMMessage("assistant", "", tool_calls=[call]), LLMMessage("tool", "", tool_call_id="t1"),
    )  # fmt: skip
    body = body_of(CLAUDE, "claude-x", messages=history, tools=(TOOL,))
    for message in body["messages"]:
        assert message["content"]
        for block in message["content"]:
            assert block.get("text") != ""


async def test_39_headers_and_guessing() -> None:
    transport = ScriptedTransport(
        Answer([json.dumps(whole({"content": "x"})).encode()], headers=JSON)
    )
    await GenericBackend(provider=PROVIDER, client=transport).complete(model="m", messages=[HI])
    assert transport.sent[0].headers["user-agent"].startswith("llmwire/")
    assert "accept" in transport.sent[0].headers
    assert "stream_options" not in body_of()
    assert "stream_tool_calls" not in json.dumps(
        body_of(ProviderConfig("mistral", "http://127.0.0.1:1/v1"), stream=True)
    )


def test_40_switches() -> None:
    body = body_of(top_p=0.5, stop=("x",), seed=1, extra_body={"k": 1}, max_tokens=9)
    assert (body["top_p"], body["stop"], body["seed"], body["k"]) == (0.5, ["x"], 1, 1)
    assert body_of(llmwire.PROVIDERS["openai"], "gpt-5", max_tokens=9)["max_completion_tokens"] == 9
    dialect = llmwire.Dialect(max_tokens_field="max_completion_tokens", stream_usage=False)
    own = msgspec.structs.replace(PROVIDER, dialect=dialect)
    body = body_of(own, max_tokens=9, stream=True)
    assert body["max_completion_tokens"] == 9 and "stream_options" not in body


# --- retry and lifetime ---


async def test_41_retry_after_is_kept_to() -> None:
    ok = Answer([json.dumps(whole({"content": "x"})).encode()], headers=JSON)
    slow = Answer([b"{}"], status=429, headers={**JSON, "retry-after": "0.3"})
    backend = GenericBackend(
        provider=PROVIDER, client=ScriptedTransport(slow, ok), retry=RetryPolicy(base=0.0)
    )
    loop = asyncio.get_running_loop()
    start = loop.time()
    await backend.complete(model="m", messages=[HI])
    assert loop.time() - start >= 0.3
    with pytest.raises(RateLimitError):
        await J({}, 429)


async def test_42_network_errors_and_529_are_retried() -> None:
    ok = Answer([json.dumps(whole({"content": "x"})).encode()], headers=JSON)
    for first in (
        Answer(refuse=TransportError("reset", kind="connect")),
        Answer([b"{}"], status=529, headers=JSON),
    ):
        backend = GenericBackend(
            provider=PROVIDER, client=ScriptedTransport(first, ok), retry=NO_WAIT
        )
        assert (await backend.complete(model="m", messages=[HI])).text == "x"


async def test_43_nothing_is_repeated_after_content() -> None:
    cut = Answer([f"data: {D}\n\n".encode(), TransportError("reset", kind="read")])
    transport = ScriptedTransport(cut, cut)
    backend = GenericBackend(provider=PROVIDER, client=transport, retry=NO_WAIT)
    with pytest.raises(TransportError) as caught:
        await backend.complete(model="m", messages=[HI])
    assert len(transport.sent) == 1
    assert caught.value.partial is not None and caught.value.partial.text == "hi"


async def test_44_leaving_closes_the_response() -> None:
    transport = ScriptedTransport(*[Answer([f"data: {D}\n\n".encode(), 30.0])] * 2)
    backend = GenericBackend(provider=PROVIDER, client=transport)
    stream = backend.complete_streaming(model="m", messages=[HI])
    await anext(stream)
    await stream.aclose()
    assert transport.responses[0].closed
    stream = backend.complete_streaming(model="m", messages=[HI])
    await anext(stream)
    del stream
    gc.collect()
    assert transport.responses[1].closed


async def test_46_vertex_tokens_are_fetched_off_the_loop() -> None:
    from llmwire import auth

    source = inspect.getsource(auth)
    refreshes = [
        n
        for n in ast.walk(ast.parse(source))
        if isinstance(n, ast.AsyncFunctionDef)
        for call in ast.walk(n)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "refresh"
    ]
    assert refreshes == []  # never awaited around: refresh() runs in a thread


async def test_47_nested_and_reused_backends() -> None:
    def answer() -> Answer:
        return Answer([json.dumps(whole({"content": "x"})).encode()], headers=JSON)

    backend = GenericBackend(provider=PROVIDER, client=ScriptedTransport(answer(), answer()))
    async with backend:
        async with backend:
            await backend.complete(model="m", messages=[HI])
        await backend.complete(model="m", messages=[HI])


async def test_48_no_call_waits_for_another(llmwire_server: LocalServer) -> None:
    llmwire_server.default = Reply("x", delay=20)
    async with GenericBackend(provider=llmwire_server.provider("openai")) as backend:
        calls = [asyncio.create_task(backend.complete(model="m", messages=[HI])) for _ in range(24)]
        await asyncio.to_thread(llmwire_server.wait_for_requests, 24)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_quota_and_auth_are_told_apart() -> None:
    with pytest.raises(QuotaError):
        await J({"error": {"type": "insufficient_quota", "message": "x"}}, 429)
    with pytest.raises(AuthenticationError):
        await J({"error": {"message": "x"}}, 401)


async def test_unsupported_content_names_its_place() -> None:
    video = llmwire.AudioPart(llmwire.BytesSource(b"x", "audio/x"))
    with pytest.raises(UnsupportedError, match=r"messages\[0\]\.parts\[0\]"):
        await GenericBackend(provider=CLAUDE).complete(
            model="claude-x", messages=[LLMMessage("user", [video])]
        )
