"""Whatever is asked of Converse, nothing goes out that the API refuses; and it is heard as said."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from llmwire.adapters.bedrock import BedrockConverseAdapter, BedrockConverseServer
from llmwire.adapters.bedrock.models import family_of
from llmwire.config import THINKING_LEVELS, ModelConfig
from llmwire.errors import UnsupportedError
from llmwire.providers import PROVIDERS
from llmwire.request import LLMRequest, OutputFormat
from llmwire.types import (
    AudioPart,
    AvailableFunction,
    AvailableTool,
    BytesSource,
    CompactionPart,
    FilePart,
    FunctionCall,
    ImagePart,
    IncompleteToolCall,
    LLMMessage,
    Native,
    OpaquePart,
    PartDelta,
    ReasoningPart,
    RefusalPart,
    Role,
    TextPart,
    ToolCall,
    ToolResultPart,
    UrlSource,
    new_message,
)

CLIENT, SERVER = BedrockConverseAdapter(), BedrockConverseServer()
PROVIDER = replace(PROVIDERS["bedrock"], region="us-east-1")
MODELS = (
    "global.anthropic.claude-opus-5-5-v1:0",
    "anthropic.claude-sonnet-5-5-v1:0",
    "anthropic.claude-haiku-5-5-v1:0",
    "anthropic.claude-opus-4-8-v1:0",
    "us.anthropic.claude-sonnet-4-6-v1:0",
    "anthropic.claude-opus-4-5-20251101-v1:0",
    "anthropic.claude-3-7-sonnet-20250219-v1:0",
    "amazon.nova-pro-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "openai.gpt-oss-120b-1:0",
    "mistral.mistral-large-3-v1:0",
    "meta.llama4-maverick-v1:0",
    "arn:aws:bedrock:us-east-1:1:application-inference-profile/x",
)
ISSUER = Native("bedrock-converse", "bedrock", MODELS[0])
FOREIGN = Native("openai", "openai", "gpt-6")
TOOLS = tuple(
    AvailableTool(AvailableFunction(name, "does it"), cache=cache)
    for name, cache in (("look", None), ("add", "default"))
)

words = st.sampled_from(["", " ", "\n", "hi", "what is it?", "ends in space ", "é\u2028", "\ud83d"])
ids = st.sampled_from(["a", "b", "tooluse_1", "call:1", "ü", "x" * 70, ""])
caches = st.sampled_from([None, None, "default", "5m", "30m", "24h"])
natives = st.sampled_from([None, ISSUER, FOREIGN])
texts = st.builds(TextPart, words, cache=caches)
pictures = st.sampled_from(
    [
        ImagePart(BytesSource(b"\x89PNG", "image/png"), cache="1h"),
        ImagePart(UrlSource("s3://bucket/a.jpeg")),
        FilePart(BytesSource(b"%PDF", "application/pdf"), "a.b_c.pdf"),
        FilePart(BytesSource(b"x", "text/x-log"), cache="default"),
        FilePart(BytesSource(b"x", "video/mp4")),
        AudioPart(BytesSource(b"x", "audio/wav")),
        OpaquePart("guardContent", '{"guardContent":{"text":{"text":"g"}}}'),
    ]
)
objects = st.sampled_from(["", "{}", '{"a": 1}', '{"a": "\\ud800"}', "[1]", '{"a"'])
calls = st.builds(
    ToolCall,
    ids,
    st.builds(FunctionCall, st.sampled_from(["look", "add", "gone"]), objects),
    native=natives,
)
thoughts = st.one_of(
    st.builds(ReasoningPart, words, signature=st.sampled_from([None, "", "sig"]), native=natives),
    st.builds(ReasoningPart, kind=st.just("redacted"), data=st.just("YmxvYg=="), native=natives),
)
others = st.sampled_from(
    [
        RefusalPart("no"),
        IncompleteToolCall("z", "look", '{"a"'),
        PartDelta(0, "text", "cut off", True),
        OpaquePart("hologram", '{"hologram":{"x" :1}}', ISSUER),
        OpaquePart("reasoning", '{"type":"reasoning"}', FOREIGN),
        TextPart("cited", ({"title": "t"},), ISSUER),
        TextPart("", ({"title": "t"},), ISSUER),
        CompactionPart("so far", Native("anthropic", "other", "m")),
    ]
)
results = st.builds(
    ToolResultPart,
    ids,
    st.one_of(words, st.lists(st.one_of(texts, pictures.filter(
        lambda p: isinstance(p, ImagePart | FilePart))), max_size=3).map(tuple)),
    is_error=st.booleans(),
    cache=caches,
)  # fmt: skip


def message(role: str, part: st.SearchStrategy[Any]) -> st.SearchStrategy[LLMMessage]:
    said = st.lists(part, max_size=4)
    return st.builds(lambda ps, c: new_message(Role(role), tuple(ps), None, c), said, caches)


histories = st.lists(
    st.one_of(
        message("system", texts),
        message("developer", texts),
        message("user", st.one_of(texts, pictures, results)),
        message("assistant", st.one_of(texts, calls, thoughts, others)),
        message("assistant", st.one_of(calls, thoughts)),
        message("tool", results),
    ),
    max_size=7,
)
asked = st.builds(
    LLMRequest,
    model=st.builds(
        ModelConfig, st.sampled_from(MODELS), max_output_tokens=st.sampled_from([None, 900, 6000])
    ),
    messages=histories.map(tuple),
    temperature=st.sampled_from([None, 0.2, 1.0, 1.7]),
    top_p=st.sampled_from([None, 0.5]),
    top_k=st.sampled_from([None, 5]),
    tools=st.sampled_from([(), TOOLS]),
    tool_choice=st.sampled_from([None, "auto", "none", "any", "required", TOOLS[0]]),
    max_tokens=st.sampled_from([None, 16, 1024, 1025, 2000, 30_000]),
    stream=st.booleans(),
    thinking=st.sampled_from(THINKING_LEVELS),
    stop=st.sampled_from([(), ("END", " ")]),
    parallel_tool_calls=st.sampled_from([None, True, False]),
    metadata=st.just({"user_id": "u", "trace!": "t"}),
    output=st.sampled_from([None, OutputFormat({"type": "object"}), OutputFormat()]),
)


def heard_by_server(request: LLMRequest) -> LLMRequest:
    prepared = CLIENT.prepare_request(request, PROVIDER)
    assert SERVER.matches(prepared.method, prepared.endpoint)
    return SERVER.parse_request(
        prepared.method, prepared.endpoint, prepared.headers, prepared.body
    ).request


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(asked)
def test_no_request_goes_out_that_the_api_refuses(request: LLMRequest) -> None:
    try:
        heard = heard_by_server(request)
    except UnsupportedError as e:
        assert e.path
        return
    assert heard.stream is request.stream
    assert heard.model.name == request.model.name
    if family_of(request.model.name).claude and request.thinking != "off":
        prepared = CLIENT.prepare_request(request, PROVIDER)
        changed = any(a.path == "thinking" for a in prepared.adaptations)
        # With a budget `max` is all the room there is, which may be the budget of another level.
        assert heard.thinking == request.thinking or changed or request.thinking == "max"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(asked)
def test_what_was_heard_can_be_said_again(request: LLMRequest) -> None:
    """`parse_request` is the inverse of `prepare_request` on requests that are in normal form."""
    try:
        once = heard_by_server(request)
    except UnsupportedError:
        return
    twice = heard_by_server(once)
    assert twice.messages == once.messages
    assert twice == once
