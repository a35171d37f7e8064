"""What one half of generateContent says, the other hears; and what the server refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from llmwire.adapters.base import ServerRequest
from llmwire.adapters.gemini import (
    GeminiAdapter,
    GeminiServer,
    VertexGeminiAdapter,
    VertexGeminiServer,
)
from llmwire.adapters.gemini.contents import SENTINEL
from llmwire.config import THINKING_LEVELS, Dialect, ModelConfig, ProviderConfig
from llmwire.errors import (
    BackendError,
    ConflictError,
    HistoryRejectedError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaError,
    RateLimitError,
    ServerError,
    UnsupportedError,
)
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
    LLMChunk,
    LLMMessage,
    LLMUsage,
    Native,
    OpaquePart,
    PartDelta,
    ReasoningPart,
    RefusalPart,
    Role,
    StopInfo,
    TextPart,
    ToolCall,
    ToolResultPart,
    UrlSource,
    accumulate,
    new_message,
)

STUDIO = ProviderConfig("google", "https://g.example", "KEY", "gemini", dialect=Dialect())
CLOUD = ProviderConfig(
    "cloud", api_style="vertex-gemini", project_id="p", region="global", dialect=Dialect()
)
HALVES: dict[str, tuple[Any, Any]] = {
    "gemini": (GeminiAdapter(), GeminiServer()),
    "vertex-gemini": (VertexGeminiAdapter(), VertexGeminiServer()),
}
MODELS = (
    "gemini-2.0-flash", "gemini-2.5-pro", "gemini-2.5-flash", "gemini-3-pro-preview",
    "gemini-3.5-flash", "gemini-3.7-flash", "gemini-4-hydrogen", "gemini-9-novel", "gemma-3-4b-it",
    "tunedModels/mine", "offline",
)  # fmt: skip
TOOLS = tuple(
    AvailableTool(AvailableFunction(name, "does it", {"type": "object", "properties": {}}, strict))
    for name, strict in (("look", None), ("add", True))
)
OWN = Native("gemini", payload={"thoughtSignature": "c2ln"})
HI = (LLMMessage("user", "hi"),)
PNG = ImagePart(BytesSource(b"\x89PNG", "image/png"))


def hear(request: LLMRequest, provider: ProviderConfig = STUDIO) -> ServerRequest:
    client, server = HALVES[provider.api_style]
    prepared = client.prepare_request(request, provider)
    assert server.matches(prepared.method, prepared.endpoint)
    return server.parse_request(prepared.method, prepared.endpoint, prepared.headers, prepared.body)


def ask(*messages: LLMMessage, model: str = "gemini-3.5-flash", **fields: Any) -> LLMRequest:
    return LLMRequest(model=ModelConfig(model, temperature=None), messages=messages or HI, **fields)


# --- whatever is asked, nothing goes out that the service refuses ---------------------------------

words = st.sampled_from(["", " ", "hi", "ends in space ", "é\u2028", "\ud83d"])
ids = st.sampled_from(["a", "b", "call:1", "ü", "x" * 70, ""])
pdf = FilePart(BytesSource(b"%PDF", "application/pdf"), "a.pdf")
sound = AudioPart(UrlSource("gs://b/a.mp3"), "mp3")
issuers = [None, Native("gemini"), OWN, Native("openai", "openai", "gpt-6")]
natives = st.sampled_from(issuers)
texts = st.builds(TextPart, words, native=natives)
objects = st.sampled_from(["", "{}", '{"a": 1.50}', '{"a": "\\ud800"}', "[1]", '{"a"'])
calls = st.builds(
    ToolCall,
    ids | st.none(),
    st.builds(FunctionCall, st.sampled_from(["look", "add", "gone"]), objects),
    st.sampled_from(["function", "custom"]),
    native=natives,
)
thoughts = st.builds(
    ReasoningPart, words, signature=st.sampled_from([None, "sig"]),
    native=st.sampled_from([None, Native("gemini"), Native("openai", "openai", "gpt-6")]),
)  # fmt: skip
others = st.sampled_from(
    [
        RefusalPart("no"),
        IncompleteToolCall("z", "look", '{"a"'),
        PartDelta(0, "text", "cut off", True),
        OpaquePart("executableCode", '{"executableCode":{"code":"x"}}', Native("gemini")),
        OpaquePart("reasoning", '{"type":"reasoning"}', Native("openai", "openai", "gpt-6")),
        CompactionPart("so far", Native("anthropic", "other", "m")),
        PNG,
        sound,
    ]
)
results = st.builds(
    ToolResultPart,
    ids,
    st.one_of(words, st.lists(st.one_of(texts, st.just(PNG), st.just(pdf)), max_size=3).map(tuple)),
    is_error=st.booleans(),
)


def message(role: str, part: st.SearchStrategy[Any]) -> st.SearchStrategy[LLMMessage]:
    return st.lists(part, max_size=4).map(lambda ps: new_message(Role(role), tuple(ps)))


histories = st.lists(
    st.one_of(
        message("system", texts),
        message("developer", texts),
        message("user", st.one_of(texts, st.just(PNG), st.just(pdf), st.just(sound), results)),
        message("assistant", st.one_of(texts, calls, thoughts, others)),
        message("assistant", st.one_of(calls, thoughts)),
        message("tool", results),
    ),
    max_size=7,
)
asked = st.builds(
    LLMRequest,
    model=st.builds(ModelConfig, st.sampled_from(MODELS)),
    messages=histories.map(tuple),
    temperature=st.sampled_from([None, 0.0, 0.2, 2.7]),
    top_p=st.sampled_from([None, 0.5]),
    top_k=st.sampled_from([None, 5]),
    tools=st.sampled_from([(), TOOLS, TOOLS[:1], TOOLS[1:]]),
    tool_choice=st.sampled_from([None, "auto", "none", "any", "required"]),
    max_tokens=st.sampled_from([None, 16, 1025, 30_000]),
    stream=st.booleans(),
    thinking=st.sampled_from(THINKING_LEVELS),
    stop=st.sampled_from([(), ("END", " "), tuple("abcdefg")]),
    seed=st.sampled_from([None, 0, 7]),
    output=st.sampled_from([None, OutputFormat(), OutputFormat({"const": 1})]),
    metadata=st.just({"user_id": "u", "Trace": "t"}),
    store=st.sampled_from([None, False]),
)
providers = st.sampled_from([STUDIO, CLOUD])
thorough = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])


@thorough
@given(asked, providers)
def test_no_request_goes_out_that_the_service_refuses(
    request: LLMRequest, provider: ProviderConfig
) -> None:
    try:
        heard = hear(request, provider).request
    except UnsupportedError as e:
        assert e.path
        return
    assert heard.stream is request.stream
    assert (heard.max_tokens, heard.top_k) == (request.max_tokens, request.top_k)
    assert bool(heard.metadata) is (provider is CLOUD)


@thorough
@given(asked, providers)
def test_what_was_heard_can_be_said_again(request: LLMRequest, provider: ProviderConfig) -> None:
    """`parse_request` is the inverse of `prepare_request` on requests that are in normal form."""
    try:
        once = hear(request, provider).request
    except UnsupportedError:
        return
    assert hear(once, provider).request == once


@pytest.mark.parametrize("provider", [STUDIO, CLOUD])
def test_a_conversation_in_normal_form_is_heard_as_it_was_said(provider: ProviderConfig) -> None:
    messages = (
        new_message(Role.system, (TextPart("be brief"), TextPart("be kind"))),
        new_message(Role.user, (TextPart("look"), PNG, FilePart(UrlSource("gs://b/c.pdf")), sound)),
        new_message(
            Role.assistant,
            (
                ReasoningPart("hm"),
                ReasoningPart("ah", signature="c2ln"),
                TextPart("", native=OWN),
                OpaquePart("toolCall", '{"toolCall":{"id":"1"},"thoughtSignature":"eA=="}',
                           Native("gemini")),
                ToolCall("1", FunctionCall("look", '{"b":1,"a":[]}'), native=OWN),
                ToolCall(None, FunctionCall("add", "{}")),
            ),
        ),
        new_message(Role.tool, (ToolResultPart("1", (TextPart("see"), PNG), "look"),)),
        new_message(Role.tool, (ToolResultPart("", "3", "add", True),)),
        new_message(Role.user, (TextPart("and?"),)),
    )  # fmt: skip
    request = ask(
        *messages,
        temperature=0.5,
        tools=TOOLS[:1],
        tool_choice=TOOLS[0],
        max_tokens=50,
        thinking="low",
        top_p=0.9,
        top_k=3,
        stop=("END",),
        seed=1,
        output=OutputFormat({"type": "object"}),
        extra_body={"safetySettings": [], "generationConfig": {"responseModalities": ["TEXT"]}},
    )
    assert hear(request, provider).request == request


# --- what the server hears of others --------------------------------------------------------------


def parse(body: Any, path: str = "/v1/models/gemini-3.5-flash:generateContent") -> ServerRequest:
    return GeminiServer().parse_request("POST", path, {}, json.dumps(body).encode())


def test_both_spellings_of_keys_are_heard() -> None:
    snake = {
        "system_instruction": {"parts": {"text": "be"}},
        "contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "_-8="}}]}],
        "generation_config": {"max_output_tokens": 9, "response_mime_type": "application/json",
                              "response_schema": {"type": "OBJECT", "properties": {
                                  "snake_case": {"type": "ARRAY", "items": {"type": "STRING"}}}}},
        "tools": [{"function_declarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]},
                  {"google_search": {}}],
    }  # fmt: skip
    asked = parse(snake).request
    assert [m.role for m in asked.messages] == ["system", "user"]
    assert asked.messages[1].parts == (ImagePart(BytesSource(b"\xff\xef", "image/png")),)
    items = {"type": "array", "items": {"type": "string"}}
    schema = {"type": "object", "properties": {"snake_case": items}}
    assert asked.output == OutputFormat(schema)
    assert asked.tools[0].function.parameters == {"type": "object"}
    assert asked.extra_body == {"tools": [{"googleSearch": {}}]}


def test_a_reply_that_comes_back_in_pieces_is_one_turn() -> None:
    call = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"}
    result = {"functionResponse": {"name": "f", "response": {"x": 1}}}
    asked = parse({"contents": [
        {"role": "user", "parts": [{"text": "a"}]},
        {"role": "model", "parts": [{"text": "b"}]},
        {"role": "model", "parts": [call]},
        {"role": "model", "parts": [{"text": ""}]},
        {"role": "function", "parts": [result]},
    ]}).request  # fmt: skip
    assert [str(m.role) for m in asked.messages] == ["user", "assistant", "tool"]
    assert asked.messages[2].text == '{"x":1}'


CALL = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"}
RESULT = {"functionResponse": {"name": "f", "response": {}}}
TEXT = {"text": "a"}


def turns(*contents: tuple[str, Any]) -> dict[str, Any]:
    return {"contents": [{"role": r, "parts": p if isinstance(p, list) else [p]}
                         for r, p in contents]}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "contents is not specified"),
        ({"contents": []}, "contents is not specified"),
        ({"messages": []}, 'Unknown name "messages"'),
        (turns(("robot", TEXT)), "valid role: user, model"),
        (turns(("user", [])), "must not be empty"),
        ({"contents": ["a"]}, "valid role"),
        (
            {**turns(("user", TEXT)), "cachedContent": "c", "tools": [{}]},
            "CachedContent can not be used",
        ),
        (
            {**turns(("user", TEXT)),
             "generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 1}}},
            "only one of thinking budget and thinking level",
        ),
        ({**turns(("user", TEXT)), "generationConfig": 5}, "Invalid value"),
        ({**turns(("user", TEXT)), "tools": [{"functionDeclarations": [{}]}]}, "Invalid value"),
        (turns(("user", {"inlineData": {"mimeType": "image/png", "data": "?"}})), "Base64"),
    ],
)  # fmt: skip
def test_refusals(body: Any, said: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse(body)
    assert said in str(caught.value.provider_message)
    assert (caught.value.status, caught.value.type) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ((("user", TEXT), ("model", CALL), ("user", TEXT)), "number of function response parts"),
        ((("user", TEXT), ("model", CALL), ("user", [RESULT, RESULT])), "number of function resp"),
        ((("user", TEXT), ("user", RESULT)), "number of function response parts"),
        ((("user", TEXT), ("model", CALL), ("user", [RESULT, TEXT])), "ending with a model turn"),
        ((("model", CALL), ("user", RESULT)), "immediately after a user turn"),
        (
            (("user", TEXT), ("model", {"functionCall": CALL["functionCall"]}), ("user", RESULT)),
            "missing a thought_signature",
        ),
    ],
)
def test_refused_histories(contents: Any, said: str) -> None:
    with pytest.raises(HistoryRejectedError, match=said):
        parse(turns(*contents))


def test_signatures_are_asked_for_in_the_current_turn_and_by_gemini_3() -> None:
    bare = {"functionCall": CALL["functionCall"]}
    past = turns(("user", TEXT), ("model", bare), ("user", RESULT), ("model", TEXT), ("user", TEXT))
    assert parse(past).request.messages[1].tool_calls
    now = turns(("user", TEXT), ("model", bare), ("user", RESULT))
    for model in ("gemini-2.5-flash", "offline"):
        assert parse(now, f"/v1/models/{model}:generateContent").request.messages
    marked = turns(("user", TEXT), ("model", {**bare, "thoughtSignature": SENTINEL}),
                   ("user", RESULT))  # fmt: skip
    assert parse(marked).request.messages[1].tool_calls[0].native is None


def test_a_model_turn_at_the_end() -> None:
    body = turns(("user", TEXT), ("model", TEXT))
    assert parse(body).request.messages[-1].text == "a"
    with pytest.raises(InvalidRequestError, match="ending with a model turn"):
        parse(body, "/v1/models/gemini-3.6-flash:generateContent")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"5", b"null", b'{"a":' * 900 + b"1" + b"}" * 900]
)
def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="Invalid JSON payload"):
        GeminiServer().parse_request("POST", "/v1/models/m:generateContent", {}, body)


@pytest.mark.parametrize(
    ("path", "wires"),
    [
        ("/v1beta/models/m:generateContent", ["gemini"]),
        ("/gateway/v1/tunedModels/t:streamGenerateContent?alt=sse", ["gemini"]),
        ("/models/m:countTokens", ["gemini"]),
        ("/v1/projects/p/locations/l/publishers/google/models/m:generateContent",
         ["vertex-gemini"]),
        ("/v1beta1/publishers/google/models/m:streamGenerateContent", ["vertex-gemini"]),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/m:rawPredict", []),
        ("/v1/models/m:embedContent", []),
        ("/v1/models/m:generateContent/more", []),
        ("/v1/models/m", []),
    ],
)  # fmt: skip
def test_paths(path: str, wires: list[str]) -> None:
    assert [name for name, (_, server) in HALVES.items() if server.matches("POST", path)] == wires
    assert not any(server.matches("GET", path) for _, server in HALVES.values())


def test_an_address_of_no_model() -> None:
    for _, server in HALVES.values():
        with pytest.raises(NotFoundError):
            server.parse_request("POST", "/v1/chat/completions", {}, b"{}")


def test_counting_in_both_forms() -> None:
    inner = {"model": "models/m", "systemInstruction": {"parts": [{"text": "be"}]},
             **turns(("user", TEXT))}  # fmt: skip
    path = "/v1/models/m:countTokens"
    for body, count in ((turns(("user", TEXT)), 1), ({"generateContentRequest": inner}, 2)):
        heard = parse(body, path)
        assert heard.count and len(heard.request.messages) == count
    assert json.loads(GeminiServer().prepare_count(7, heard))["totalTokens"] == 7


# --- what the server says -------------------------------------------------------------------------


def both(reply: LLMChunk, model: str = "gemini-2.5-flash", query: str = "alt=sse") -> LLMChunk:
    """What the client hears of a reply, whole and streamed alike."""
    client, server = HALVES["gemini"]
    request = ask(model=model, stream=True)
    heard = hear(request)
    if query != "alt=sse":
        heard = replace(heard, framing="array")
    body = server.prepare_response(reply, heard)
    whole = client.parse_response(body, request, STUDIO)
    decoder = client.stream_decoder(request, STUDIO)
    chunks = [c for e in server.prepare_stream([reply], heard) for c in decoder.feed(e)]
    assert accumulate([*chunks, *decoder.finish()]) == whole
    return whole


def said(*parts: Any, stop: StopInfo | None = None, usage: LLMUsage | None = None) -> LLMChunk:
    return LLMChunk(LLMMessage("assistant", parts=parts), usage, stop or StopInfo("stop", "STOP"))


ISSUER = Native("gemini", "google", "gemini-2.5-flash")


@pytest.mark.parametrize("query", ["alt=sse", ""])
@pytest.mark.parametrize(
    "parts",
    [
        (TextPart("a"),),
        (TextPart("", native=replace(ISSUER, payload={"thoughtSignature": "eA=="})),),
        (ReasoningPart("a", native=ISSUER), ReasoningPart("b", signature="eA==", native=ISSUER)),
        (ImagePart(BytesSource(b"x", "image/png"), native=ISSUER),),
        (OpaquePart("executableCode", '{"executableCode":{"code":"1"}}', ISSUER), TextPart("b")),
        (TextPart("a", ({"uri": "u"}, {"groundingMetadata": {"x": 1}}), ISSUER),),
        (ToolCall("1", FunctionCall("f", '{"a":"é"}')),),
        (ToolCall(None, FunctionCall("f", "{}")), TextPart("a")),
        (),
    ],
)
def test_parts_are_heard_as_they_were_said(parts: tuple[Any, ...], query: str) -> None:
    got = both(said(*parts), query=query)
    assert got.message.parts == parts
    calls = any(isinstance(p, ToolCall) for p in parts)
    assert got.stop == StopInfo("tool_calls" if calls else "stop", "STOP")


def test_the_first_call_is_signed_where_the_service_signs() -> None:
    calls = [ToolCall(str(n), FunctionCall("f", "{}")) for n in range(2)]
    first, second = both(said(*calls), model="gemini-3.5-flash").tool_calls
    assert first.native is not None and list(first.native.payload) == ["thoughtSignature"]
    assert second.native is None
    assert [c.native for c in both(said(*calls), model="offline").tool_calls] == [None, None]


@pytest.mark.parametrize(
    ("reason", "heard", "word"),
    [
        ("length", "length", "MAX_TOKENS"), ("context_window", "length", "MAX_TOKENS"),
        ("stop_sequence", "stop", "STOP"), ("pause", "stop", "STOP"),
        ("content_filter", "content_filter", "SAFETY"),
        ("refusal", "content_filter", "PROHIBITED_CONTENT"),
        ("malformed_tool_call", "malformed_tool_call", "MALFORMED_FUNCTION_CALL"),
        ("error", "error", "OTHER"),
    ],
)  # fmt: skip
def test_stops(reason: Any, heard: str, word: str) -> None:
    assert both(said(TextPart("a"), stop=StopInfo(reason, "end_turn"))).stop == StopInfo(
        heard, word
    )


@pytest.mark.parametrize(
    "stop",
    [
        StopInfo("continuation", "CONTINUATION", {"continuationToken": "dG9r"}),
        StopInfo("malformed_tool_call", "UNEXPECTED_TOOL_CALL", {"finishMessage": "m"}),
        StopInfo("content_filter", "SAFETY", {"safetyRatings": [{"blocked": True}]}),
        StopInfo("other", "ESCALATION"),
    ],
)
def test_what_is_known_of_a_stop(stop: StopInfo) -> None:
    assert both(said(TextPart("a"), stop=stop)).stop == stop


def test_a_blocked_prompt() -> None:
    details = {"promptFeedback": {"blockReason": "SAFETY"}}
    stop = StopInfo("content_filter", "SAFETY", details)
    got = both(said(stop=stop, usage=LLMUsage(3, 0)))
    assert (got.stop, got.message.parts) == (stop, ())
    assert got.usage is not None and got.usage.input_total == 3


def test_calls_that_can_not_be_said() -> None:
    broken = both(said(ToolCall("1", FunctionCall("f", '{"a"'))))
    assert broken.message.parts == ()
    assert broken.stop == StopInfo(
        "malformed_tool_call", "MALFORMED_FUNCTION_CALL",
        {"finishMessage": 'Malformed function call: f({"a")'},
    )  # fmt: skip
    cut = both(said(IncompleteToolCall("1", "f", '{"a"', "length"), stop=StopInfo("length")))
    assert cut.message.parts == (IncompleteToolCall("1", "f", "", "length"),)
    with pytest.raises(UnsupportedError, match="can't hold CompactionPart"):
        both(said(CompactionPart("a")))


def test_usage_is_said_as_it_was_reported() -> None:
    usage = LLMUsage(111, 27, 51, 60, reasoning=20)
    got = both(said(TextPart("a"), usage=usage)).usage
    assert got is not None
    assert replace(got, raw=None) == usage
    assert both(said(TextPart("a"), usage=got)).usage == got
    assert both(said(TextPart("a"))).usage is None


def test_the_stream_of_a_slow_model_comes_as_it_is_made() -> None:
    """A text is said while it comes, what is signed when it has ended, all in order."""
    _, server = HALVES["gemini"]
    heard = hear(ask(stream=True))
    pieces = [
        PartDelta(0, "reasoning", "Hm", True), PartDelta(0, "reasoning", "!"),
        PartDelta(0, "reasoning", end=True, signature="c2ln"), PartDelta(1, "text", "a", True),
        PartDelta(2, "tool_call", '{"x"', True, id="1", name="f"), PartDelta(1, "text", "b"),
        PartDelta(1, "text", end=True), PartDelta(2, "tool_call", ":1}", end=True),
    ]  # fmt: skip
    taken: list[int] = []

    def chunks() -> Any:
        for n, piece in enumerate(pieces):
            taken.append(n)
            yield LLMChunk(LLMMessage("assistant", parts=(piece,)))

    events = []
    for event in server.prepare_stream(chunks(), heard):
        (part,) = json.loads(event[6:])["candidates"][0]["content"]["parts"]
        events.append((taken[-1], {k: v for k, v in part.items() if k != "functionCall"} or "call"))
    assert events[:3] == [
        (2, {"text": "Hm!", "thought": True, "thoughtSignature": "c2ln"}),
        (3, {"text": "a"}), (5, {"text": "b"}),
    ]  # fmt: skip
    assert events[3][0] == 7 and events[4] == (7, {"text": ""})


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "word", "kind"),
    [
        (ModelNotFoundError("m"), 404, "NOT_FOUND", NotFoundError),
        (PermissionDeniedError("m"), 403, "PERMISSION_DENIED", PermissionDeniedError),
        (ConflictError("m"), 409, "ABORTED", ConflictError),
        (RateLimitError("m", retry_after=2.5), 429, "RESOURCE_EXHAUSTED", RateLimitError),
        (QuotaError("m"), 429, "RESOURCE_EXHAUSTED", QuotaError),
        (OverloadedError("m", status=529), 529, "UNAVAILABLE", OverloadedError),
        (ServerError("m"), 500, "INTERNAL", ServerError),
        (InvalidRequestError("m", type="FAILED"), 400, "INVALID_ARGUMENT", InvalidRequestError),
        (InvalidRequestError("m", status=418), 418, "UNKNOWN", InvalidRequestError),
    ],
)
def test_errors(error: BackendError, status: int, word: str, kind: type[BackendError]) -> None:
    client, server = HALVES["gemini"]
    told, headers, body = server.prepare_error(error)
    assert (told, json.loads(body)["error"]["status"]) == (status, word)
    heard = client.parse_error(told, headers, body)
    assert isinstance(heard, kind) and heard.provider_message == "m"
    assert heard.retry_after == error.retry_after
    decoder = client.stream_decoder(ask(stream=True), STUDIO)
    with pytest.raises(kind):
        list(decoder.feed(server.prepare_stream_error(error)))
