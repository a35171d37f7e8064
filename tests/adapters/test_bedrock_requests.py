"""Requests to Converse: what each thing that a call can ask for becomes, and what is recorded."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from msgspec.structs import replace

from llmwire.adapters.bedrock import BedrockConverseAdapter, BedrockConverseServer
from llmwire.adapters.bedrock.models import family_of, foundation_id, model_path
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.errors import ConfigError, UnsupportedError
from llmwire.providers import PROVIDERS
from llmwire.request import LLMRequest, OutputFormat
from llmwire.types import (
    Adaptation,
    AudioPart,
    AvailableFunction,
    AvailableTool,
    BytesSource,
    FilePart,
    FileSource,
    FunctionCall,
    ImagePart,
    LLMMessage,
    Native,
    OpaquePart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolResultPart,
    UrlSource,
)

CLIENT, SERVER = BedrockConverseAdapter(), BedrockConverseServer()
PROVIDER = replace(PROVIDERS["bedrock"], region="us-east-1")
CLAUDE = "us.anthropic.claude-sonnet-4-6-v1:0"
OLD_CLAUDE = "anthropic.claude-3-7-sonnet-20250219-v1:0"
NEW_CLAUDE = "global.anthropic.claude-opus-5-5-v1:0"
NOVA = "us.amazon.nova-pro-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
OSS = "openai.gpt-oss-120b-1:0"
GPT = "us.openai.gpt-5.6-v1:0"
MISTRAL = "mistral.mistral-large-3-v1:0"
LLAMA = "us.meta.llama4-maverick-17b-instruct-v1:0"
UNKNOWN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
USER = LLMMessage("user", "hi")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = AvailableTool(AvailableFunction("weather", "The weather", SCHEMA))
OTHER = AvailableTool(AvailableFunction("now"))
PNG = BytesSource(b"\x89PNG", "image/png")
PDF = BytesSource(b"%PDF", "application/pdf")


def prepare(
    *messages: LLMMessage, model: str = CLAUDE, provider: ProviderConfig = PROVIDER, **fields: Any
) -> tuple[dict[str, Any], tuple[Adaptation, ...]]:
    asked = LLMRequest(model=ModelConfig(model), messages=messages or (USER,), **fields)
    made = CLIENT.prepare_request(asked, provider)
    # whatever is said, the server's half takes it
    SERVER.parse_request("POST", made.endpoint, made.headers, made.body)
    return json.loads(made.body), made.adaptations


def noted(adaptations: tuple[Adaptation, ...]) -> list[tuple[str, str]]:
    return [(a.action, a.path) for a in adaptations]


def content(*messages: LLMMessage, **options: Any) -> list[Any]:
    return prepare(*messages, **options)[0]["messages"][0]["content"]


# --- address ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("anthropic.claude-v2:1", "/model/anthropic.claude-v2%3A1/converse"),
        (NOVA, "/model/us.amazon.nova-pro-v1%3A0/converse"),
        (
            UNKNOWN,
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile"
            "%2Fabc123/converse",
        ),
        ("a/../b?c#d e", "/model/a%2F..%2Fb%3Fc%23d%20e/converse"),
        ("\ud83d", "/model/%3F/converse"),
    ],
)
def test_the_model_stands_in_the_path(model: str, path: str) -> None:
    made = CLIENT.prepare_request(LLMRequest(model=ModelConfig(model), messages=(USER,)), PROVIDER)
    assert made.url == f"https://bedrock-runtime.us-east-1.amazonaws.com{path}"
    assert made.auth == "aws" and "model" not in json.loads(made.body)


@pytest.mark.parametrize("model", [".", ".."])
def test_a_model_can_not_leave_its_place(model: str) -> None:
    with pytest.raises(UnsupportedError, match="no model of Bedrock") as caught:
        model_path(model, "converse")
    assert caught.value.path == "model"


def test_streams_have_a_verb_and_headers_of_their_own() -> None:
    asked = LLMRequest(model=ModelConfig(NOVA), messages=(USER,), stream=True)
    made = CLIENT.prepare_request(asked, PROVIDER)
    assert made.endpoint.endswith("/converse-stream")
    assert dict(made.headers) == {
        "content-type": "application/json",
        "accept": "application/vnd.amazon.eventstream",
        "accept-encoding": "identity",
    }
    assert "stream" not in json.loads(made.body)


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-central-1", "bedrock-runtime.eu-central-1.amazonaws.com"),
        ("us-gov-west-1", "bedrock-runtime.us-gov-west-1.amazonaws.com"),
        ("cn-northwest-1", "bedrock-runtime.cn-northwest-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "bedrock-runtime.eusc-de-east-1.amazonaws.eu"),
        ("us-iso-east-1", "bedrock-runtime.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1", "bedrock-runtime.us-isob-east-1.sc2s.sgov.gov"),
        ("eu-isoe-west-1", "bedrock-runtime.eu-isoe-west-1.cloud.adc-e.uk"),
        ("us-isof-south-1", "bedrock-runtime.us-isof-south-1.csp.hci.ic.gov"),
    ],
)
def test_each_region_has_its_host(region: str, host: str) -> None:
    asked = LLMRequest(model=ModelConfig(NOVA), messages=(USER,))
    made = CLIENT.prepare_request(asked, replace(PROVIDER, region=region))
    assert made.base_url == f"https://{host}" and made.auth == "aws"


def test_an_address_is_needed() -> None:
    with pytest.raises(ConfigError, match="has no api_base"):
        prepare(provider=ProviderConfig("b", api_style="bedrock-converse"))


# --- content ------------------------------------------------------------------------------------


def test_text_system_and_alternation() -> None:
    body, notes = prepare(
        LLMMessage("system", "Be brief."),
        LLMMessage("developer", "Be kind."),
        LLMMessage("user", "One"),
        LLMMessage("user", "Two"),
        LLMMessage("assistant", "Three"),
        LLMMessage("system", "Now be loud."),
        LLMMessage("user", "Four"),
    )
    assert body["system"] == [{"text": "Be brief."}, {"text": "Be kind."}]
    assert body["messages"] == [
        {"role": "user", "content": [{"text": "One"}, {"text": "Two"}]},
        {"role": "assistant", "content": [{"text": "Three"}]},
        {"role": "user", "content": [
            {"text": "<system>\nNow be loud.\n</system>"}, {"text": "Four"}]},
    ]  # fmt: skip
    assert noted(notes) == [("substituted", "messages[5]")]


def test_blank_texts_are_left_out() -> None:
    body, notes = prepare(
        LLMMessage("system", " "),
        LLMMessage("user", [TextPart(""), TextPart(" \n"), TextPart("x")]),
        LLMMessage("assistant", " "),
        LLMMessage("user", "y"),
    )
    assert "system" not in body
    assert body["messages"] == [{"role": "user", "content": [{"text": "x"}, {"text": "y"}]}]
    assert noted(notes) == [
        ("dropped", "messages[1].parts[1]"),
        ("dropped", "messages[2].parts[0]"),
        ("dropped", "messages[2]"),
    ]


def test_nothing_to_say_is_an_error() -> None:
    with pytest.raises(UnsupportedError, match="no message with content"):
        prepare(LLMMessage("system", "x"), LLMMessage("user", " "))


def test_an_assistant_who_begins_is_given_an_opening() -> None:
    body, notes = prepare(LLMMessage("assistant", "Hello!"), LLMMessage("user", "Hi"))
    assert body["messages"][0] == {"role": "user", "content": [{"text": "Begin."}]}
    assert ("added", "messages[0]") in noted(notes)


B64 = {"bytes": base64.b64encode(b"x").decode()}


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (ImagePart(BytesSource(b"x", "image/webp")), {"image": {"format": "webp", "source": B64}}),
        (ImagePart(BytesSource(b"x", "image/jpg")), {"image": {"format": "jpeg", "source": B64}}),
        (
            ImagePart(UrlSource("data:image/gif;base64,eA==")),
            {"image": {"format": "gif", "source": B64}},
        ),
        (
            ImagePart(UrlSource("s3://b/dir/a.JPG")),
            {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://b/dir/a.JPG"}}}},
        ),
        (
            ImagePart(FileSource("s3://b/a.png")),
            {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/a.png"}}}},
        ),
        (
            FilePart(BytesSource(b"x", "video/mp4")),
            {"video": {"format": "mp4", "source": B64}},
        ),
        (
            FilePart(UrlSource("s3://b/film.3gp")),
            {"video": {"format": "three_gp", "source": {"s3Location": {"uri": "s3://b/film.3gp"}}}},
        ),
        (AudioPart(BytesSource(b"x", "audio/wav"), "wav"), {"audio": {"format": "wav", "source": B64}}),
        (
            FilePart(BytesSource(b"x", "audio/x-flac")),
            {"audio": {"format": "flac", "source": B64}},
        ),
        (
            OpaquePart("guardContent", '{"guardContent":{"text":{"text":"a"}}}'),
            {"guardContent": {"text": {"text": "a"}}},
        ),
    ],
)  # fmt: skip
def test_media(part: Any, block: Any) -> None:
    assert content(LLMMessage("user", [TextPart("see"), part])) == [{"text": "see"}, block]


@pytest.mark.parametrize(
    ("media_type", "word"),
    [
        ("application/pdf", "pdf"),
        ("text/csv", "csv"),
        ("text/markdown", "md"),
        ("text/html", "html"),
        ("text/plain", "txt"),
        ("application/msword", "doc"),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ],
)
def test_documents(media_type: str, word: str) -> None:
    file = FilePart(BytesSource(b"x", media_type))
    blocks = content(LLMMessage("user", [TextPart("read"), file]))
    assert blocks[1] == {"document": {"format": word, "name": "document", "source": B64}}


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("report.pdf", "report"),
        ("My  report (v2) [final].PDF", "My report (v2) [final]"),
        ("../etc/passwd_2026.pdf", "etc passwd 2026"),
        ("Übersicht.pdf", "bersicht"),
        ("日本.pdf", "document"),
        ("x" * 300, "x" * 200),
        ("notes", "notes"),
    ],
)
def test_document_names_are_made_legal_with_a_record(filename: str, name: str) -> None:
    body, notes = prepare(LLMMessage("user", [TextPart("read"), FilePart(PDF, filename)]))
    assert body["messages"][0]["content"][1]["document"]["name"] == name
    wanted = [] if filename == name else [("substituted", "messages[0].parts[1].filename")]
    assert noted(notes) == wanted


def test_document_names_are_used_once() -> None:
    files = [FilePart(PDF, "a"), FilePart(PDF, "a"), FilePart(PDF), FilePart(PDF)]
    blocks = content(LLMMessage("user", [TextPart("read"), *files]))
    names = [b["document"]["name"] for b in blocks[1:]]
    assert names == ["a", "a 2", "document", "document 2"]


def test_documents_have_a_text_beside_them() -> None:
    body, notes = prepare(LLMMessage("user", [FilePart(PDF, "a")]))
    assert body["messages"][0]["content"][1] == {"text": "See the document."}
    assert noted(notes) == [("added", "messages[0]")]


def test_unknown_kinds_of_text_are_plain_text() -> None:
    body, notes = prepare(
        LLMMessage("user", [TextPart("read"), FilePart(BytesSource(b"x", "text/x-python"), "a")])
    )
    assert body["messages"][0]["content"][1]["document"]["format"] == "txt"
    assert noted(notes) == [("substituted", "messages[0].parts[1].source.media_type")]


@pytest.mark.parametrize(
    ("part", "what"),
    [
        (ImagePart(BytesSource(b"x", "image/bmp")), "an image of type image/bmp"),
        (ImagePart(UrlSource("https://a.example/b.png")), "an address other than s3://"),
        (ImagePart(UrlSource("s3://b/picture")), "no known ending"),
        (ImagePart(UrlSource("data:image/png,abc")), "not base64"),
        (ImagePart(UrlSource("data:image/png;base64,@@@")), "not base64"),
        (ImagePart(FileSource("file-1")), "an address other than s3://"),
        (FilePart(BytesSource(b"x", "application/zip")), "a file of type application/zip"),
        (FilePart(BytesSource(b"x", "video/ogg")), "a film of type video/ogg"),
        (AudioPart(BytesSource(b"x", "audio/x"), "midi"), "sound of format midi"),
        (ReasoningPart("hm"), "reasoning in a user message"),
        (OpaquePart("guardContent", "no json"), "no JSON object"),
    ],
)
def test_what_can_not_be_said_is_an_error_with_a_path(part: Any, what: str) -> None:
    with pytest.raises(UnsupportedError, match=what) as caught:
        prepare(USER, LLMMessage("user", [TextPart("see"), part]))
    assert caught.value.path == "messages[1].parts[1]"


def test_what_an_assistant_can_not_have_said() -> None:
    with pytest.raises(UnsupportedError, match="an image in an assistant message"):
        prepare(USER, LLMMessage("assistant", [ImagePart(PNG)]), USER)
    with pytest.raises(UnsupportedError, match="an image in a system message"):
        prepare(LLMMessage("system", [ImagePart(PNG)]), USER)


def test_the_path_of_an_error_is_the_callers() -> None:
    """Fitting takes the second message away; the error names the fourth all the same."""
    unfinished = LLMMessage("assistant", [ToolCall("c", FunctionCall("f", "{}"))])
    with pytest.raises(UnsupportedError) as caught:
        prepare(USER, unfinished, USER, LLMMessage("user", [ImagePart(UrlSource("http://x"))]))
    assert caught.value.path == "messages[3].parts[0]"


# --- an assistant's turn ------------------------------------------------------------------------

OWN = Native("bedrock-converse", "bedrock", CLAUDE)


def replayed(*parts: Any, model: str = CLAUDE, **options: Any) -> tuple[list[Any], Any]:
    body, notes = prepare(
        USER, LLMMessage("assistant", parts=parts), LLMMessage("user", "go on"), model=model,
        **options,
    )  # fmt: skip
    found = [m["content"] for m in body["messages"] if m["role"] == "assistant"]
    return (found or [[]])[0], noted(notes)


def test_own_reasoning_goes_back_in_order() -> None:
    blocks, notes = replayed(
        ReasoningPart("first", signature="c2ln", native=OWN),
        ReasoningPart(kind="redacted", data="aGlkZGVu", native=OWN),
        TextPart("so"),
        ReasoningPart("", signature="b25seQ==", native=OWN),
        TextPart("then"),
        thinking="high",
    )
    assert blocks == [
        {"reasoningContent": {"reasoningText": {"text": "first", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "aGlkZGVu"}},
        {"text": "so"},
        {"reasoningContent": {"reasoningText": {"text": "", "signature": "b25seQ=="}}},
        {"text": "then"},
    ]
    assert notes == []


def test_reasoning_that_claude_would_refuse_stays_here() -> None:
    blocks, notes = replayed(
        ReasoningPart("unsigned", native=OWN), TextPart("a"),
        ReasoningPart("last", signature="c2ln", native=OWN), thinking="high",
    )  # fmt: skip
    assert blocks == [{"text": "a"}]
    assert notes == [("dropped", "messages[1].parts[0]"), ("dropped", "messages[1]")]
    blocks, notes = replayed(ReasoningPart("x", signature="c2ln", native=OWN), TextPart("a"))
    assert blocks == [{"text": "a"}]
    assert notes == [("dropped", "messages[1].parts[0]")]  # this call does not think


def test_reasoning_of_other_models_goes_back_without_a_signature() -> None:
    native = Native("bedrock-converse", "bedrock", OSS)
    blocks, notes = replayed(ReasoningPart("hm", native=native), TextPart("a"), model=OSS)
    assert blocks[0] == {"reasoningContent": {"reasoningText": {"text": "hm"}}}
    assert notes == []
    blocks, notes = replayed(ReasoningPart("hm", signature="c2ln"), TextPart("a"), model=OSS)
    assert blocks[0] == {"reasoningContent": {"reasoningText": {"text": "hm"}}}
    assert notes == [("dropped", "messages[1].parts[0].signature")]
    blocks, notes = replayed(ReasoningPart("", signature="c2ln"), TextPart("a"), model=OSS)
    assert blocks == [{"text": "a"}]  # a block of nothing would come back as no part at all
    assert notes == [("dropped", "messages[1].parts[0].signature")]


@pytest.mark.parametrize(
    "native",
    [
        Native("anthropic", "bedrock", CLAUDE),
        Native("bedrock-converse", "elsewhere", CLAUDE),
        Native("bedrock-converse", "bedrock", NOVA),
    ],
)
def test_foreign_state_is_never_sent(native: Native) -> None:
    blocks, notes = replayed(
        ReasoningPart("hm", signature="c2ln", native=native),
        OpaquePart("toolUse", '{"toolUse":{}}', native),
        TextPart("cited", ({"title": "t"},), native),
        thinking="high",
    )
    assert blocks == [{"text": "cited"}]
    assert len(notes) == 3


def test_citations_calls_refusals_and_server_blocks_go_back() -> None:
    server = '{"toolUse":{"input":{"q" : 1.50},"name":"nova_grounding","toolUseId":"t","type":"server_tool_use"}}'
    body, notes = prepare(
        USER,
        LLMMessage(
            "assistant",
            parts=[
                OpaquePart("toolUse", server, OWN),
                TextPart("Ruby.", ({"title": "facts"},), OWN),
                TextPart("", ({"title": "bare"},), OWN),
                RefusalPart("no"),
                ToolCall("a.b:1", FunctionCall("weather", '{ "city" : "Z\\u00fc" }')),
                ToolCall("c2", FunctionCall("now", "")),
                ToolCall("c3", FunctionCall("now", "[1]")),
            ],
        ),
        tools=(TOOL, OTHER),
    )
    blocks = body["messages"][1]["content"]
    assert blocks[1:4] == [
        {"citationsContent": {"citations": [{"title": "facts"}], "content": [{"text": "Ruby."}]}},
        {"citationsContent": {"citations": [{"title": "bare"}]}},
        {"text": "no"},
    ]
    assert [b["toolUse"]["toolUseId"] for b in blocks[4:]] == ["a.b:1", "c2", "c3"]
    assert blocks[5]["toolUse"]["input"] == {}
    assert blocks[6]["toolUse"]["input"] == {"INVALID_JSON": "[1]"}
    asked = LLMRequest(
        model=ModelConfig(CLAUDE),
        messages=(USER, LLMMessage("assistant", parts=[OpaquePart("toolUse", server, OWN)]), USER),
    )
    made = CLIENT.prepare_request(asked, PROVIDER)
    assert server.encode() in made.body  # byte for byte
    assert ("substituted", "messages[1].parts[3]") in noted(notes)
    assert ("substituted", "messages[1].parts[6]") in noted(notes)


def test_ids_are_made_legal_by_family() -> None:
    history = (
        USER,
        LLMMessage("assistant", parts=[ToolCall("functions.weather:0", FunctionCall("weather", "{}"))]),
        LLMMessage("tool", "sun", tool_call_id="functions.weather:0"),
    )  # fmt: skip
    for model, legal in ((CLAUDE, "functions.weather:0"), (MISTRAL, "b7a4b3")):
        body, notes = prepare(*history, model=model, tools=(TOOL,))
        call = body["messages"][1]["content"][0]["toolUse"]["toolUseId"]
        assert body["messages"][2]["content"][0]["toolResult"]["toolUseId"] == call
        assert (call == legal) is (model == CLAUDE)
        assert len(call) == (19 if model == CLAUDE else 9)
        assert bool(notes) is (model == MISTRAL)


# --- tool results -------------------------------------------------------------------------------

CALLED = LLMMessage("assistant", parts=[ToolCall("c1", FunctionCall("weather", "{}"))])


def result(part: ToolResultPart, model: str = CLAUDE) -> tuple[list[Any], list[Any]]:
    body, notes = prepare(
        USER, CALLED, LLMMessage("tool", parts=[part]), tools=(TOOL,), model=model
    )
    return body["messages"][2]["content"], noted(notes)


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (ToolResultPart("c1", "sun"), {"content": [{"text": "sun"}]}),
        (ToolResultPart("c1", ""), {"content": []}),
        (ToolResultPart("c1", " "), {"content": []}),
        (
            ToolResultPart("c1", "bad", is_error=True),
            {"content": [{"text": "bad"}], "status": "error"},
        ),
        (
            ToolResultPart(
                "c1",
                (
                    TextPart("see"),
                    ImagePart(BytesSource(b"x", "image/png")),
                    FilePart(BytesSource(b"x", "application/pdf"), "a"),
                    OpaquePart("json", '{"json":{"a" :1}}'),
                ),
            ),
            {
                "content": [
                    {"text": "see"},
                    {"image": {"format": "png", "source": B64}},
                    {"document": {"format": "pdf", "name": "a", "source": B64}},
                    {"json": {"a": 1}},
                ]
            },
        ),
    ],
)
def test_tool_results(part: ToolResultPart, block: Any) -> None:
    blocks, notes = result(part)
    assert blocks == [{"toolResult": {"toolUseId": "c1", **block}}]
    assert notes == []


def test_a_failed_result_says_something() -> None:
    blocks, notes = result(ToolResultPart("c1", "", is_error=True))
    assert blocks[0]["toolResult"]["content"] == [{"text": "The tool failed and said nothing."}]
    assert notes == [("added", "messages[2].parts[0]")]


def test_a_failed_result_of_claudes_holds_text_only() -> None:
    part = ToolResultPart("c1", (TextPart("bad"), ImagePart(PNG)), is_error=True)
    blocks, notes = result(part)
    assert [next(iter(b)) for b in blocks] == ["toolResult", "image"]
    assert notes == [("moved", "messages[2].parts[0].content[1]")]
    blocks, notes = result(part, NOVA)
    assert len(blocks) == 1 and len(blocks[0]["toolResult"]["content"]) == 2
    assert notes == []


def test_all_results_of_a_turn_stand_first_in_one_message() -> None:
    calls = [ToolCall(f"c{i}", FunctionCall("weather", "{}")) for i in range(2)]
    body, _ = prepare(
        USER,
        LLMMessage("assistant", parts=calls),
        LLMMessage("tool", "a", tool_call_id="c0"),
        LLMMessage("tool", "b", tool_call_id="c1"),
        LLMMessage("user", "and?"),
        tools=(TOOL,),
    )
    kinds = [next(iter(b)) for b in body["messages"][2]["content"]]
    assert kinds == ["toolResult", "toolResult", "text"]


# --- settings -----------------------------------------------------------------------------------


def test_inference_config() -> None:
    body, notes = prepare(
        max_tokens=100, temperature=0.5, stop=("END", " "), model=NOVA, top_p=0.9, top_k=20
    )
    assert body["inferenceConfig"] == {
        "maxTokens": 100,
        "temperature": 0.5,
        "topP": 0.9,
        "stopSequences": ["END"],
    }
    assert body["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 20}}
    assert noted(notes) == [("dropped", "stop")]


@pytest.mark.parametrize(
    ("model", "extra"),
    [
        (OLD_CLAUDE, {"top_k": 5}),
        (NOVA, {"inferenceConfig": {"topK": 5}}),
        (MISTRAL, {"top_k": 5}),
        ("cohere.command-r-v1:0", {"k": 5}),
        (LLAMA, None),
        (UNKNOWN, None),
    ],
)
def test_top_k(model: str, extra: Any) -> None:
    body, notes = prepare(model=model, top_k=5)
    assert body.get("additionalModelRequestFields") == extra
    assert noted(notes) == ([] if extra else [("dropped", "top_k")])


def test_settings_that_can_not_be_said_are_recorded() -> None:
    _, notes = prepare(
        model=NOVA, seed=0, cache_key="k", store=True, temperature=1.5, parallel_tool_calls=False,
        tools=(TOOL,), output=OutputFormat(),
    )  # fmt: skip
    assert sorted(noted(notes)) == [
        ("clamped", "temperature"),
        ("dropped", "cache_key"),
        ("dropped", "parallel_tool_calls"),
        ("dropped", "seed"),
        ("dropped", "store"),
        ("substituted", "output"),
    ]
    assert prepare(store=False)[1] == ()
    with pytest.raises(UnsupportedError, match="stores no replies") as caught:
        prepare(previous_response_id="r")
    assert caught.value.path == "previous_response_id"


def test_the_models_own_limit() -> None:
    model = ModelConfig(NOVA, max_output_tokens=50)
    made = CLIENT.prepare_request(
        LLMRequest(model=model, messages=(USER,), max_tokens=100), PROVIDER
    )
    assert json.loads(made.body)["inferenceConfig"] == {"maxTokens": 50}
    assert noted(made.adaptations) == [("clamped", "max_tokens")]


def test_metadata() -> None:
    metadata = {"user_id": "u-1", "bad!": "x", "also": "ü", **{f"k{i}": "v" for i in range(17)}}
    body, notes = prepare(metadata=metadata)
    assert body["requestMetadata"]["user_id"] == "u-1" and len(body["requestMetadata"]) == 16
    assert {path for _, path in noted(notes)} == {
        "metadata.bad!", "metadata.also", "metadata.k15", "metadata.k16",
    }  # fmt: skip


def test_output_format() -> None:
    body, notes = prepare(output=OutputFormat(SCHEMA, "city"))
    form = body["outputConfig"]["textFormat"]
    assert form["type"] == "json_schema"
    assert form["structure"]["jsonSchema"]["name"] == "city"
    closed = {**SCHEMA, "additionalProperties": False}
    assert json.loads(form["structure"]["jsonSchema"]["schema"]) == closed
    assert noted(notes) == [("substituted", "output.schema")]
    assert prepare(output=OutputFormat(closed))[1] == ()


@pytest.mark.parametrize(
    ("model", "dialect", "schema"),
    [
        (OLD_CLAUDE, Dialect(), SCHEMA),
        (CLAUDE, Dialect(json_schema="prompt"), SCHEMA),
        (NOVA, Dialect(), None),
    ],
)
def test_where_there_is_no_mode_for_it_the_prompt_asks(
    model: str, dialect: Dialect, schema: Any
) -> None:
    body, notes = prepare(
        LLMMessage("system", "Be brief."),
        USER,
        model=model,
        output=OutputFormat(schema),
        provider=replace(PROVIDER, dialect=dialect),
    )
    assert "outputConfig" not in body
    first, second = [block["text"] for block in body["system"]]
    assert first == "Be brief." and second.startswith("Answer with one JSON object")
    assert [action for action, _ in noted(notes)] == ["substituted"]


def test_extra_body_replaces_ours_at_the_top_level() -> None:
    body, _ = prepare(
        temperature=0.5,
        tools=(TOOL,),
        extra_body={
            "inferenceConfig": {"maxTokens": 5},
            "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        },
    )
    assert body["inferenceConfig"] == {"maxTokens": 5}
    assert body["guardrailConfig"]["guardrailIdentifier"] == "g"


# --- thinking -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "level", "extra", "recorded"),
    [
        (
            CLAUDE,
            "high",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
            False,
        ),
        (CLAUDE, "off", {"thinking": {"type": "disabled"}}, False),
        (
            OLD_CLAUDE,
            "low",
            {"thinking": {"type": "enabled", "budget_tokens": 4096}},
            False,
        ),
        (
            NEW_CLAUDE,
            "off",
            {
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {"effort": "low"},
            },
            True,
        ),
        (
            NOVA_2,
            "medium",
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}},
            False,
        ),
        (
            NOVA_2,
            "max",
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
            True,
        ),
        (NOVA_2, "off", None, False),
        (NOVA, "high", None, True),
        (OSS, "low", {"reasoning_effort": "low"}, False),
        (OSS, "xhigh", {"reasoning_effort": "high"}, True),
        (GPT, "minimal", {"reasoning": {"effort": "low"}}, True),
        (GPT, "xhigh", {"reasoning": {"effort": "xhigh"}}, False),
        (LLAMA, "high", None, True),
        ("deepseek.v3-v1:0", "low", None, True),
    ],
)
def test_thinking(model: str, level: Any, extra: Any, recorded: bool) -> None:
    body, notes = prepare(model=model, thinking=level)
    assert body.get("additionalModelRequestFields") == extra
    assert ("thinking" in {path for _, path in noted(notes)}) is recorded


def test_a_budget_stays_below_the_limit() -> None:
    body, _ = prepare(model=OLD_CLAUDE, thinking="low")
    assert body["inferenceConfig"]["maxTokens"] > 4096
    body, notes = prepare(model=OLD_CLAUDE, thinking="high", max_tokens=3000)
    assert body["additionalModelRequestFields"]["thinking"]["budget_tokens"] < 3000
    assert noted(notes) == [("clamped", "thinking")]


def test_a_tool_loop_without_thinking_goes_on_without() -> None:
    history = (USER, CALLED, LLMMessage("tool", "sun", tool_call_id="c1"))
    body, notes = prepare(*history, model=OLD_CLAUDE, thinking="high", tools=(TOOL,))
    assert "additionalModelRequestFields" not in body
    assert noted(notes) == [("substituted", "thinking")]


def test_govcloud_takes_no_display() -> None:
    gov = replace(PROVIDER, region="us-gov-west-1")
    body, _ = prepare(model=NEW_CLAUDE, thinking="high", provider=gov)
    assert body["additionalModelRequestFields"]["thinking"] == {"type": "adaptive"}


def test_betas() -> None:
    beta = replace(PROVIDER, dialect=Dialect(betas=("b-1",)))
    body, _ = prepare(
        model="anthropic.claude-sonnet-4-20250514-v1:0", thinking="low", provider=beta
    )
    assert body["additionalModelRequestFields"]["anthropic_beta"] == [
        "interleaved-thinking-2025-05-14",
        "b-1",
    ]


def test_sampling_that_claude_refuses() -> None:
    body, notes = prepare(model=NEW_CLAUDE, temperature=0.5, top_p=0.5, top_k=5)
    assert "inferenceConfig" not in body
    assert {path for _, path in noted(notes)} >= {"temperature", "top_p", "top_k"}


def test_novas_highest_effort_stands_alone() -> None:
    body, notes = prepare(
        model=NOVA_2, thinking="high", temperature=0.5, top_p=0.5, top_k=5, max_tokens=100,
        stop=("E",),
    )  # fmt: skip
    assert body["inferenceConfig"] == {"stopSequences": ["E"]}
    assert sorted(path for _, path in noted(notes)) == [
        "max_tokens", "temperature", "top_k", "top_p",
    ]  # fmt: skip


def test_a_prefill_is_refused_where_claude_refuses_it() -> None:
    end = LLMMessage("assistant", "Once upon  ")
    body, notes = prepare(USER, end, model=OLD_CLAUDE)
    assert body["messages"][-1]["content"] == [{"text": "Once upon"}]
    assert noted(notes) == [("substituted", "messages[1]")]
    with pytest.raises(UnsupportedError, match="does not continue"):
        prepare(USER, end, model=CLAUDE)
    assert prepare(USER, end, model=NOVA)[0]["messages"][-1]["content"] == [{"text": "Once upon  "}]


# --- tools --------------------------------------------------------------------------------------


def test_tools() -> None:
    strict = AvailableTool(AvailableFunction("now", strict=True))
    body, notes = prepare(tools=(TOOL, strict))
    assert body["toolConfig"] == {
        "tools": [
            {"toolSpec": {"name": "weather", "description": "The weather",
                          "inputSchema": {"json": SCHEMA}}},
            {"toolSpec": {"name": "now", "strict": True, "inputSchema": {"json": {
                "type": "object", "properties": {}, "additionalProperties": False}}}},
        ]
    }  # fmt: skip
    assert noted(notes) == [("substituted", "tools[1].function.parameters")]


def test_a_custom_tool_takes_an_object() -> None:
    custom = AvailableTool(AvailableFunction("sql", "Runs it"), "custom")
    body, notes = prepare(tools=(custom,))
    schema = body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]
    assert schema["required"] == ["input"]
    assert noted(notes) == [("substituted", "tools[0]")]


@pytest.mark.parametrize(
    ("asked", "model", "choice", "recorded"),
    [
        (None, CLAUDE, None, False),
        ("auto", CLAUDE, {"auto": {}}, False),
        ("any", CLAUDE, {"any": {}}, False),
        ("required", NOVA, {"any": {}}, False),
        (OTHER, NOVA, {"tool": {"name": "now"}}, False),
        (OTHER, UNKNOWN, {"tool": {"name": "now"}}, False),
        (OTHER, MISTRAL, {"any": {}}, True),
        (OTHER, LLAMA, {"any": {}}, True),
        ("any", NEW_CLAUDE, {"auto": {}}, True),
        (OTHER, NEW_CLAUDE, {"auto": {}}, True),
    ],
)
def test_tool_choice(asked: Any, model: str, choice: Any, recorded: bool) -> None:
    body, notes = prepare(tools=(TOOL, OTHER), tool_choice=asked, model=model, thinking="off")
    assert body["toolConfig"].get("toolChoice") == choice
    assert (("substituted", "tool_choice") in noted(notes)) is recorded


def test_a_choice_may_be_forced_by_the_dialect() -> None:
    never = replace(PROVIDER, dialect=Dialect(forced_tool_choice=False))
    body, _ = prepare(tools=(TOOL,), tool_choice="any", model=NOVA, provider=never)
    assert body["toolConfig"]["toolChoice"] == {"auto": {}}


def test_a_choice_that_is_no_tool() -> None:
    with pytest.raises(UnsupportedError, match="'now' is not among the tools"):
        prepare(tools=(TOOL,), tool_choice=OTHER)
    _, notes = prepare(tool_choice="any")
    assert noted(notes) == [("dropped", "tool_choice")]


HISTORY = (USER, CALLED, LLMMessage("tool", "sun", tool_call_id="c1"))


def test_no_tools_wanted_in_a_history_without_calls() -> None:
    body, notes = prepare(tools=(TOOL,), tool_choice="none")
    assert "toolConfig" not in body
    assert noted(notes) == [("substituted", "tool_choice")]


def test_no_tools_wanted_in_a_history_with_calls() -> None:
    body, notes = prepare(*HISTORY, tools=(TOOL,), tool_choice="none", thinking="off")
    assert body["toolConfig"]["tools"] and "toolChoice" not in body["toolConfig"]
    assert body["additionalModelRequestFields"]["tool_choice"] == {"type": "none"}
    assert notes == ()
    body, notes = prepare(*HISTORY, tools=(TOOL,), tool_choice="none", model=NOVA)
    assert body["system"] == [{"text": "Do not call any tool now; answer in words."}]
    assert noted(notes) == [("substituted", "tool_choice")]


def test_a_history_with_calls_has_their_tools() -> None:
    body, notes = prepare(*HISTORY, model=NOVA)
    assert [t["toolSpec"]["name"] for t in body["toolConfig"]["tools"]] == ["weather"]
    assert noted(notes) == [("added", "tools"), ("substituted", "tool_choice")]
    own = {
        "toolConfig": {"tools": [{"toolSpec": {"name": "mine", "inputSchema": {"json": SCHEMA}}}]}
    }
    body, notes = prepare(*HISTORY, model=NOVA, extra_body=own)
    assert body["toolConfig"] == own["toolConfig"] and notes == ()


def test_one_call_at_a_time() -> None:
    body, notes = prepare(tools=(TOOL,), parallel_tool_calls=False, tool_choice=TOOL)
    assert "toolChoice" not in body["toolConfig"]
    assert body["additionalModelRequestFields"]["tool_choice"] == {
        "type": "tool",
        "name": "weather",
        "disable_parallel_tool_use": True,
    }
    assert notes == ()


# --- cache --------------------------------------------------------------------------------------

POINT = {"cachePoint": {"type": "default"}}
HOUR = {"cachePoint": {"type": "default", "ttl": "1h"}}


def test_cache_points_follow_what_they_cache() -> None:
    cached = replace(TOOL, cache="1h")
    body, notes = prepare(
        LLMMessage("system", [TextPart("a", cache="1h"), TextPart("b")]),
        LLMMessage("user", [TextPart("c", cache="5m"), TextPart("d")]),
        LLMMessage("assistant", parts=[TextPart("e")]),
        LLMMessage("user", [TextPart("f"), ImagePart(PNG, cache="default")]),
        tools=(cached, OTHER),
    )
    assert [next(iter(t)) for t in body["toolConfig"]["tools"]] == [
        "toolSpec", "cachePoint", "toolSpec",
    ]  # fmt: skip
    assert body["toolConfig"]["tools"][1] == HOUR
    assert body["system"] == [
        {"text": "a"}, HOUR, {"text": "b"},
    ]  # fmt: skip
    minutes = {"cachePoint": {"type": "default", "ttl": "5m"}}
    assert body["messages"][0]["content"] == [{"text": "c"}, minutes, {"text": "d"}]
    assert body["messages"][2]["content"][2] == POINT
    assert notes == ()


def test_cache_points_of_messages_and_results() -> None:
    body, _ = prepare(
        LLMMessage("system", "a", cache="default"),
        LLMMessage("user", "b", cache="1h"),
        CALLED,
        LLMMessage("tool", parts=[ToolResultPart("c1", "sun", cache="default")]),
        LLMMessage("user", [TextPart("c", cache="default")], cache="1h"),
        tools=(TOOL,),
    )
    assert body["system"] == [{"text": "a"}, HOUR]  # none may end before a later one
    assert body["messages"][0]["content"] == [{"text": "b"}, HOUR]
    last = body["messages"][2]["content"]
    assert [next(iter(b)) for b in last] == ["toolResult", "cachePoint", "text", "cachePoint"]
    assert last[3] == POINT  # the message's means the same place, and the part's is nearer
    called = LLMMessage("assistant", parts=CALLED.parts, cache="1h")
    body, _ = prepare(USER, called, LLMMessage("tool", "sun", tool_call_id="c1"), tools=(TOOL,))
    assert body["messages"][1]["content"][-1] == HOUR


@pytest.mark.parametrize(
    ("asked", "ttl"), [("default", None), ("5m", "5m"), ("30m", "1h"), ("1h", "1h"), ("24h", "1h")]
)
def test_lifetimes(asked: Any, ttl: str | None) -> None:
    body, notes = prepare(LLMMessage("user", [TextPart("a", cache=asked)]))
    assert body["messages"][0]["content"][1]["cachePoint"].get("ttl") == ttl
    changed = asked not in ("default", ttl)
    assert noted(notes) == ([("clamped", "messages[0].parts[0].cache")] if changed else [])


def test_no_more_than_four_points_those_in_the_middle_go() -> None:
    turns = [LLMMessage("user", [TextPart(str(i), cache="default")]) for i in range(4)]
    body, notes = prepare(
        LLMMessage("system", "s", cache="default"), *turns, tools=(replace(TOOL, cache="default"),)
    )
    assert body["toolConfig"]["tools"][1] == POINT and body["system"][1] == POINT
    texts = [next(iter(b)) for b in body["messages"][0]["content"]]
    assert texts == ["text", "text", "text", "cachePoint", "text", "cachePoint"]
    assert noted(notes) == [("dropped", f"messages[{i}].parts[0].cache") for i in (1, 2)]


def test_models_without_a_cache_get_no_points() -> None:
    asked = (
        LLMMessage("system", "s", cache="default"),
        LLMMessage("user", [TextPart("a", cache="default")]),
    )
    body, notes = prepare(*asked, tools=(replace(TOOL, cache="default"),), model=LLAMA)
    assert b"cachePoint" not in json.dumps(body).encode()
    assert len(notes) == 3
    body, notes = prepare(*asked, tools=(replace(TOOL, cache="default"),), model=NOVA)
    assert body["system"][1] == POINT and len(body["toolConfig"]["tools"]) == 1
    assert noted(notes) == [("dropped", "tools[0].cache")]


def test_a_point_needs_something_before_it() -> None:
    _, notes = prepare(LLMMessage("user", [TextPart("", cache="default"), TextPart("a")]))
    assert notes == ()  # an empty text is no content, and has no place to cache
    _, notes = prepare(
        USER,
        LLMMessage("assistant", parts=[ReasoningPart("x", signature="s", native=OWN)], cache="1h"),
        USER,
        thinking="high",
    )
    assert ("dropped", "messages[1].cache") in noted(notes)


# --- counting and ids ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("anthropic.claude-sonnet-4-6-v1:0", "anthropic.claude-sonnet-4-6-v1:0"),
        ("us.anthropic.claude-sonnet-4-6-v1:0", "anthropic.claude-sonnet-4-6-v1:0"),
        ("us-gov.anthropic.claude-3-haiku-v1:0", "anthropic.claude-3-haiku-v1:0"),
        ("global.amazon.nova-2-lite-v1:0", "amazon.nova-2-lite-v1:0"),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2:1",
            "anthropic.claude-v2:1",
        ),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/eu.anthropic.claude-x-v1:0",
            "anthropic.claude-x-v1:0",
        ),
        (UNKNOWN, None),
    ],
)
def test_profiles_name_their_model(model: str, found: str | None) -> None:
    assert foundation_id(model) == found


def test_counting() -> None:
    asked = LLMRequest(
        model=ModelConfig(CLAUDE),
        messages=(LLMMessage("system", "s"), USER),
        tools=(TOOL,),
        max_tokens=5,
        metadata={"a": "b"},
    )
    made = CLIENT.prepare_count(asked, PROVIDER)
    assert made is not None
    assert made.endpoint == "/model/anthropic.claude-sonnet-4-6-v1%3A0/count-tokens"
    inner = json.loads(made.body)["input"]["converse"]
    assert set(inner) == {"messages", "system", "toolConfig", "additionalModelRequestFields"}
    heard = SERVER.parse_request("POST", made.endpoint, made.headers, made.body)
    assert heard.count and heard.request.messages == asked.messages
    assert CLIENT.parse_count(SERVER.prepare_count(7, heard), asked) == 7


def test_models_that_are_not_counted() -> None:
    def counted(model: str, **dialect: Any) -> Any:
        provider = replace(PROVIDER, dialect=Dialect(**dialect))
        return CLIENT.prepare_count(
            LLMRequest(model=ModelConfig(model), messages=(USER,)), provider
        )

    assert counted(NOVA) is None and counted(UNKNOWN) is None
    assert counted(CLAUDE, count_endpoint=False) is None


def test_families() -> None:
    assert family_of(CLAUDE).claude and family_of("claude-opus-5").claude
    assert family_of(NOVA_2).reasoning and not family_of(NOVA).reasoning
    assert family_of(MISTRAL).ids == "mistral9"
    assert not family_of(LLAMA).named_tool and family_of(UNKNOWN).named_tool
