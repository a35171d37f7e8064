"""Requests of generateContent: what a call becomes, what is adapted, what can't be said."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from msgspec.structs import replace

from llmwire.adapters.base import PreparedRequest
from llmwire.adapters.gemini import GeminiAdapter, VertexGeminiAdapter
from llmwire.adapters.gemini.contents import OPENING, SENTINEL
from llmwire.adapters.gemini.models import UNKNOWN, level_of_budget, traits_of
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.errors import ConfigError, UnsupportedError
from llmwire.history import NO_RESULT
from llmwire.request import LLMRequest, OutputFormat
from llmwire.types import (
    AudioPart,
    AvailableFunction,
    AvailableTool,
    BytesSource,
    CompactionPart,
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

CLIENT, VERTEX = GeminiAdapter(), VertexGeminiAdapter()
PROVIDER = ProviderConfig("google", "https://g.example", "KEY", "gemini", dialect=Dialect())
CLOUD = ProviderConfig(
    "cloud", api_style="vertex-gemini", project_id="proj", region="europe-west4", dialect=Dialect()
)
G25, G3, G4 = "gemini-2.5-flash", "gemini-3-flash-preview", "gemini-4-hydrogen"
PNG = BytesSource(b"\x89PNG\xff", "image/png")
INLINE = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG.data).decode()}}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = AvailableTool(AvailableFunction("weather", "W", CITY))
NOW = AvailableTool(AvailableFunction("now"))
HI = (LLMMessage("user", "hi"),)


def prepared(*messages: LLMMessage, model: str = G3, **fields: Any) -> PreparedRequest:
    provider = fields.pop("provider", PROVIDER)
    request = LLMRequest(model=ModelConfig(model), messages=messages or HI, **fields)
    adapter = VERTEX if provider.api_style == "vertex-gemini" else CLIENT
    return adapter.prepare_request(request, provider)


def body(*messages: LLMMessage, **fields: Any) -> dict[str, Any]:
    return json.loads(prepared(*messages, **fields).body)


def contents(*messages: LLMMessage, **fields: Any) -> list[dict[str, Any]]:
    return body(*messages, **fields)["contents"]


def config(**fields: Any) -> dict[str, Any]:
    return body(**fields).get("generationConfig", {})


def records(*messages: LLMMessage, **fields: Any) -> list[tuple[str, str]]:
    return [(a.path, a.action) for a in prepared(*messages, **fields).adaptations]


def call(
    call_id: str | None, name: str = "weather", arguments: str = "{}", **more: Any
) -> ToolCall:
    return ToolCall(call_id, FunctionCall(name, arguments), **more)


def own(payload: Any = None, model: str = G3) -> Native:
    return Native("gemini", "google", model, payload)


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "model", "url"),
    [
        ("https://g.example", "m-1", "https://g.example/v1beta/models/m-1"),
        ("https://g.example/", "models/m-1", "https://g.example/v1beta/models/m-1"),
        ("https://g.example/v1", "m-1", "https://g.example/v1/models/m-1"),
        ("https://g.example/a/v1beta/", "m-1", "https://g.example/a/v1beta/models/m-1"),
        ("https://g.example/v1alpha", "tunedModels/t", "https://g.example/v1alpha/tunedModels/t"),
        ("https://g.example", "a/../b:x?y#z", "https://g.example/v1beta/models/a/_/b%3Ax%3Fy%23z"),
    ],
)
def test_addresses_of_ai_studio(base: str, model: str, url: str) -> None:
    provider = replace(PROVIDER, api_base=base)
    whole = prepared(model=model, provider=provider)
    assert whole.url == f"{url}:generateContent"
    assert prepared(model=model, provider=provider, stream=True).url == (
        f"{url}:streamGenerateContent?alt=sse"
    )
    assert (whole.method, whole.auth) == ("POST", "x-goog-api-key")
    assert dict(whole.headers) == {"Content-Type": "application/json", "Accept": "application/json"}


def test_an_address_is_needed() -> None:
    with pytest.raises(ConfigError, match="no api_base"):
        prepared(provider=replace(PROVIDER, api_base=""))


PLACE = "/v1beta1/projects/proj/locations"
HOST = "https://europe-west4-aiplatform.googleapis.com"


@pytest.mark.parametrize(
    ("changes", "model", "url", "auth"),
    [
        ({}, "m", f"{HOST}{PLACE}/europe-west4/publishers/google/models/m", "google"),
        (
            {"region": "global"}, "models/m",
            f"https://aiplatform.googleapis.com{PLACE}/global/publishers/google/models/m", "google",
        ),
        (
            {"region": "eu"}, "meta/llama",
            f"https://aiplatform.eu.rep.googleapis.com{PLACE}/eu/publishers/meta/models/llama",
            "google",
        ),
        (
            {"region": "us"}, "publishers/google/models/m",
            f"https://aiplatform.us.rep.googleapis.com{PLACE}/us/publishers/google/models/m",
            "google",
        ),
        (
            {}, "projects/1/locations/europe-west4/endpoints/2",
            f"{HOST}/v1beta1/projects/1/locations/europe-west4/endpoints/2", "google",
        ),
        (  # express mode
            {"project_id": "", "api_key_env_var": "KEY"}, "m",
            "https://aiplatform.googleapis.com/v1beta1/publishers/google/models/m",
            "x-goog-api-key",
        ),
        (  # gateways get no Google token
            {"api_base": "https://gw.example/x/v1"}, "m",
            "https://gw.example/x/v1/projects/proj/locations/europe-west4/publishers/google/models/m",
            "none",
        ),
        (
            {"api_base": "https://gw.example", "project_id": "", "api_key_env_var": "KEY"}, "m",
            "https://gw.example/v1beta1/publishers/google/models/m", "x-goog-api-key",
        ),
    ],
)  # fmt: skip
def test_addresses_of_vertex(changes: dict[str, str], model: str, url: str, auth: str) -> None:
    made = prepared(model=model, provider=replace(CLOUD, **changes))
    assert (made.url, made.auth) == (f"{url}:generateContent", auth)


@pytest.mark.parametrize("changes", [{"project_id": ""}, {"region": ""}, {"region": "x/y"}])
def test_project_and_region_are_named_where_they_are_missing(changes: dict[str, str]) -> None:
    (name,) = changes
    with pytest.raises(ConfigError, match=name):
        prepared(provider=replace(CLOUD, **changes))


# --- models ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "thinking", "least", "off", "gemini3", "prefill"),
    [
        ("gemini-1.5-pro", "none", "minimal", "omit", False, True),
        ("gemini-2.0-flash-001", "none", "minimal", "omit", False, True),
        ("models/gemini-2.5-pro", "budget", 128, "least", False, True),
        ("gemini-2.5-flash-preview-09-2025", "budget", 0, "zero", False, True),
        ("gemini-2.5-flash-lite", "budget", 512, "zero", False, True),
        ("gemini-2.5-flash-image", "none", "minimal", "omit", False, True),
        ("gemini-3-pro-preview", "level", "low", "least", True, True),
        ("gemini-3-flash-preview", "level", "minimal", "least", True, True),
        ("gemini-3.5-flash", "level", "minimal", "least", True, True),
        ("gemini-3.5-flash-lite", "level", "minimal", "least", True, False),
        ("gemini-3.6-flash", "level", "minimal", "least", True, False),
        ("publishers/google/models/gemini-3.7-flash", "level", "low", "least", True, False),
        ("gemini-3.8-flash-lite", "level", "minimal", "least", True, False),
        ("gemini-4-argon", "level", "minimal", "least", True, False),
        ("gemini-4-hydrogen", "level", "low", "least", True, False),
        ("gemini-pro-latest", "level", "low", "least", True, False),
        ("gemini-flash-latest", "level", "low", "least", True, False),
        ("gemini-flash-lite-latest", "level", "minimal", "least", True, False),
        ("gemini-12-future", "level", "minimal", "least", True, False),
        ("gemini-3.1-flash-image-preview", "level", "minimal", "omit", True, True),
        ("gemma-3-27b-it", "none", "minimal", "omit", False, True),
    ],
)
def test_families(
    name: str, thinking: str, least: Any, off: str, gemini3: bool, prefill: bool
) -> None:
    traits = traits_of(name)
    assert (traits.thinking, traits.off) == (thinking, off)
    assert (traits.gemini3, traits.prefill) == (gemini3, prefill)
    assert (traits.budgets[0] if thinking == "budget" else traits.levels[0]) == least


def test_names_that_are_no_geminis() -> None:
    assert traits_of("tunedModels/mine") == traits_of("offline") == UNKNOWN
    assert not traits_of("gemma-3-4b-it").system
    assert traits_of(G4).levels[-1] == "xhigh"


# --- thinking -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "level", "wanted", "adapted"),
    [
        (G3, "off", {"thinkingLevel": "MINIMAL"}, "substituted"),
        (G3, "minimal", {"includeThoughts": True, "thinkingLevel": "MINIMAL"}, None),
        (G3, "high", {"includeThoughts": True, "thinkingLevel": "HIGH"}, None),
        (G3, "max", {"includeThoughts": True, "thinkingLevel": "HIGH"}, "clamped"),
        ("gemini-3-pro-preview", "off", {"thinkingLevel": "LOW"}, "substituted"),
        (
            "gemini-3-pro-preview", "minimal", {"includeThoughts": True, "thinkingLevel": "LOW"},
            "clamped",
        ),
        (G4, "max", {"includeThoughts": True, "thinkingLevel": "XHIGH"}, "clamped"),
        (G4, "xhigh", {"includeThoughts": True, "thinkingLevel": "XHIGH"}, None),
        (G25, "off", {"thinkingBudget": 0}, None),
        (G25, "low", {"includeThoughts": True, "thinkingBudget": 4096}, None),
        (G25, "xhigh", {"includeThoughts": True, "thinkingBudget": 24_576}, "clamped"),
        (G25, "max", {"includeThoughts": True, "thinkingBudget": 24_576}, None),
        ("gemini-2.5-pro", "off", {"thinkingBudget": 128}, "substituted"),
        ("gemini-2.5-pro", "max", {"includeThoughts": True, "thinkingBudget": 32_768}, None),
        ("gemini-2.0-flash", "off", None, None),
        ("gemini-2.0-flash", "high", None, "dropped"),
        ("offline", "off", None, None),
        ("offline", "low", {"includeThoughts": True, "thinkingLevel": "LOW"}, None),
    ],
)  # fmt: skip
def test_thinking(model: str, level: Any, wanted: Any, adapted: str | None) -> None:
    assert config(model=model, thinking=level).get("thinkingConfig") == wanted
    found = [action for path, action in records(model=model, thinking=level) if path == "thinking"]
    assert found == ([] if adapted is None else [adapted])


@pytest.mark.parametrize(
    ("model", "limit", "budget"),
    [(G25, 20_000, 10_240), (G25, 8000, 6976), (G25, 1500, 750), ("gemini-2.5-pro", 200, 128)],
)
def test_a_budget_leaves_room_for_the_answer(model: str, limit: int, budget: int) -> None:
    fields: dict[str, Any] = {"model": model, "thinking": "medium", "max_tokens": limit}
    assert config(**fields)["thinkingConfig"]["thinkingBudget"] == budget
    assert (("thinking", "clamped") in records(**fields)) == (budget != 10_240)


def test_levels_of_budgets() -> None:
    assert [level_of_budget(n) for n in (-1, 0, 200, 1024, 5000, 24_576, 99_999)] == [
        "medium", "off", "minimal", "minimal", "low", "high", "xhigh",
    ]  # fmt: skip


# --- settings -------------------------------------------------------------------------------------


def test_settings_stand_in_their_places() -> None:
    sent = body(
        LLMMessage("system", "Be brief."),
        *HI,
        model="offline",
        temperature=0.5,
        top_p=0.9,
        top_k=7,
        max_tokens=99,
        stop=("END",),
        seed=5,
    )
    assert sent == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 7,
            "maxOutputTokens": 99,
            "seed": 5,
            "stopSequences": ["END"],
        },
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
    }
    assert list(sent)[-1] == "contents"


def test_a_plain_call_says_nothing_else() -> None:
    assert list(body(model="offline")) == ["contents"]
    assert records(model="offline") == []


@pytest.mark.parametrize(
    ("fields", "record"),
    [
        ({"temperature": 3.0}, ("temperature", "clamped")),
        ({"stop": tuple("abcdef")}, ("stop", "dropped")),
        ({"metadata": {"user_id": "u"}}, ("metadata", "dropped")),
        ({"parallel_tool_calls": False, "tools": (TOOL,)}, ("parallel_tool_calls", "dropped")),
        ({"tool_choice": "required"}, ("tool_choice", "dropped")),
        ({"tool_choice": TOOL}, ("tool_choice", "dropped")),
        ({"cache_key": "k"}, ("cache_key", "dropped")),
        ({"store": True, "provider": CLOUD}, ("store", "dropped")),
        ({"metadata": {"User Id": "u"}, "provider": CLOUD}, ("metadata.User Id", "dropped")),
    ],
)
def test_what_is_not_said_as_asked_is_recorded(
    fields: dict[str, Any], record: tuple[str, str]
) -> None:
    assert record in records(**{"model": "offline", **fields})


def test_limits() -> None:
    assert config(model="offline", temperature=3.0)["temperature"] == 2.0
    assert config(model="offline", stop=tuple("abcdef"))["stopSequences"] == list("abcde")


def test_labels_are_vertexs_metadata() -> None:
    metadata = {"user_id": "u-1", "Team": "x", "long": "y" * 64}
    assert body(provider=CLOUD, metadata=metadata)["labels"] == {"user_id": "u-1"}


def test_store_is_said_where_it_was_asked_for() -> None:
    assert body(store=False)["store"] is False
    assert "store" not in body() and "store" not in body(provider=CLOUD, store=True)


def test_there_are_no_stored_replies() -> None:
    with pytest.raises(UnsupportedError, match="previous_response_id"):
        prepared(previous_response_id="r-1")


def test_output_is_json() -> None:
    assert config(output=OutputFormat(CITY))["responseJsonSchema"] == CITY
    assert config(output=OutputFormat(CITY), tools=(TOOL,))["responseMimeType"] == (
        "application/json"
    )
    anything = config(model="offline", output=OutputFormat())
    assert anything == {"responseMimeType": "application/json"}
    with pytest.raises(UnsupportedError) as caught:
        prepared(model=G25, output=OutputFormat(CITY), tools=(TOOL,))
    assert caught.value.path == "output"


def test_const_becomes_an_enum() -> None:
    schema = {
        "type": "object",
        "properties": {
            "const": {"const": "a"},
            "b": {"anyOf": [{"const": 1}, {"items": {"const": None}}]},
            "c": {"$ref": "#/$defs/d"},
        },
        "$defs": {"d": {"const": True, "default": {"const": 2}}},
    }
    said = config(model="offline", output=OutputFormat(schema))["responseJsonSchema"]
    assert said == {
        "type": "object",
        "properties": {
            "const": {"enum": ["a"]},
            "b": {"anyOf": [{"enum": [1]}, {"items": {"enum": [None]}}]},
            "c": {"$ref": "#/$defs/d"},
        },
        "$defs": {"d": {"enum": [True], "description": '(default: {"const":2})'}},
    }
    assert records(model="offline", output=OutputFormat(schema)) == [("output.schema", "moved")]
    assert schema["$defs"] == {"d": {"const": True, "default": {"const": 2}}}


def test_extra_body() -> None:
    """Settings stand beside ours, the service's tools beside our functions; the rest replaces."""
    search: Any = {"googleSearch": {}}
    extra = {
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "generationConfig": {"responseModalities": ["TEXT"], "topK": 9},
        "toolConfig": {"includeServerSideToolInvocations": True},
        "tools": [search],
        "continuationToken": "dG9rZW4=",
    }
    sent = body(
        model="offline", top_k=3, seed=1, tools=(TOOL,), tool_choice="auto", extra_body=extra
    )
    assert sent["safetySettings"] == extra["safetySettings"]
    assert sent["generationConfig"] == {"topK": 9, "seed": 1, "responseModalities": ["TEXT"]}
    assert sent["toolConfig"] == {
        "functionCallingConfig": {"mode": "AUTO"},
        "includeServerSideToolInvocations": True,
    }
    assert [list(tool) for tool in sent["tools"]] == [["functionDeclarations"], ["googleSearch"]]
    assert sent["continuationToken"] == "dG9rZW4="
    assert list(sent)[-1] == "contents"
    assert body(extra_body={"contents": []})["contents"] == []


def test_a_cached_content_takes_the_place_of_what_it_holds() -> None:
    messages = (LLMMessage("system", "Be brief."), *HI)
    fields: dict[str, Any] = {
        "model": "offline", "tools": (TOOL,), "tool_choice": "auto",
        "extra_body": {"cachedContent": "cachedContents/1"},
    }  # fmt: skip
    assert list(body(*messages, **fields)) == ["cachedContent", "contents"]
    assert records(*messages, **fields) == [
        ("systemInstruction", "dropped"), ("tools", "dropped"), ("toolConfig", "dropped"),
    ]  # fmt: skip


# --- tools ----------------------------------------------------------------------------------------


def test_tools_are_declared() -> None:
    sent = body(tools=(TOOL, NOW))
    assert sent["tools"] == [
        {
            "functionDeclarations": [
                {"name": "weather", "description": "W", "parametersJsonSchema": CITY},
                {"name": "now"},
            ]
        }
    ]
    assert "toolConfig" not in sent


def strict(tool: AvailableTool) -> AvailableTool:
    return replace(tool, function=replace(tool.function, strict=True))


@pytest.mark.parametrize(
    ("tools", "choice", "wanted"),
    [
        ((TOOL,), None, None),
        ((TOOL,), "auto", {"mode": "AUTO"}),
        ((TOOL,), "none", {"mode": "NONE"}),
        ((TOOL,), "any", {"mode": "ANY"}),
        ((TOOL,), "required", {"mode": "ANY"}),
        ((TOOL, NOW), NOW, {"mode": "ANY", "allowedFunctionNames": ["now"]}),
        ((strict(TOOL),), None, {"mode": "VALIDATED"}),
        ((strict(TOOL),), "auto", {"mode": "VALIDATED"}),
        ((strict(TOOL),), "required", {"mode": "ANY"}),
        ((), "auto", None),
    ],
)
def test_tool_choice(tools: Any, choice: Any, wanted: Any) -> None:
    sent = body(tools=tools, tool_choice=choice)
    assert sent.get("toolConfig", {}).get("functionCallingConfig") == wanted


def test_strict_is_for_all_tools_or_none() -> None:
    assert ("tools", "substituted") in records(tools=(strict(TOOL), NOW))
    assert ("tools", "substituted") not in records(tools=(strict(TOOL),))


def test_a_choice_of_no_tool_of_ours_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="'now' is not among the tools"):
        prepared(tools=(TOOL,), tool_choice=NOW)


def test_streamed_arguments_are_vertexs() -> None:
    dialect = Dialect(stream_tool_calls=True)
    cloud, studio = replace(CLOUD, dialect=dialect), replace(PROVIDER, dialect=dialect)
    sent = body(provider=cloud, tools=(TOOL,), stream=True)
    assert sent["toolConfig"] == {"functionCallingConfig": {"streamFunctionCallArguments": True}}
    assert "toolConfig" not in body(provider=cloud, tools=(TOOL,))
    assert "toolConfig" not in body(provider=studio, tools=(TOOL,), stream=True)


def test_custom_tools_become_functions_of_a_text() -> None:
    free = AvailableTool(AvailableFunction("sql", "Runs SQL", format={"type": "grammar"}), "custom")
    (entry,) = body(tools=(free,))["tools"][0]["functionDeclarations"]
    assert entry["parametersJsonSchema"]["required"] == ["input"]
    assert ("tools[0]", "substituted") in records(tools=(free,))
    assert ("tools[0].format", "dropped") in records(tools=(free,))
    said = LLMMessage("assistant", parts=[ToolCall("1", FunctionCall("sql", "SELECT"), "custom")])
    (part,) = contents(*HI, said, LLMMessage("tool", "ok", tool_call_id="1"))[1]["parts"]
    assert part["functionCall"]["args"] == {"input": "SELECT"}


# --- histories ------------------------------------------------------------------------------------


def test_neighbours_of_one_role_are_one_content() -> None:
    said = contents(
        LLMMessage("user", "a"),
        LLMMessage("user", "b"),
        LLMMessage("assistant", "c"),
        LLMMessage("assistant", "d"),
        LLMMessage("user", "e"),
    )
    assert said == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}, {"text": "d"}]},
        {"role": "user", "parts": [{"text": "e"}]},
    ]


def test_system_messages() -> None:
    history = (
        LLMMessage("system", "one"),
        LLMMessage("developer", "two"),
        *HI,
        LLMMessage("system", "three"),
    )
    sent = body(*history)
    assert sent["systemInstruction"] == {"parts": [{"text": "one"}, {"text": "two"}]}
    assert sent["contents"][0]["parts"][1] == {"text": "<system>\nthree\n</system>"}
    assert ("messages[3]", "substituted") in records(*history)


def test_gemma_has_no_system_instruction() -> None:
    history = (LLMMessage("system", "one"), *HI)
    sent = body(*history, model="gemma-3-4b-it")
    assert "systemInstruction" not in sent
    assert sent["contents"][0]["parts"][0] == {"text": "<system>\none\n</system>"}
    assert ("messages[0]", "substituted") in records(*history, model="gemma-3-4b-it")


def test_the_user_speaks_first() -> None:
    said = contents(LLMMessage("assistant", "Hello!"), *HI)
    assert said[0] == {"role": "user", "parts": [{"text": OPENING}]}
    assert ("messages[0]", "added") in records(LLMMessage("assistant", "Hello!"), *HI)


def test_the_model_has_the_last_word_only_where_it_goes_on() -> None:
    history = (*HI, LLMMessage("assistant", "Once upon"))
    assert contents(*history, model=G25)[-1]["role"] == "model"
    with pytest.raises(UnsupportedError) as caught:
        prepared(*history, model="gemini-3.6-flash")
    assert caught.value.path == "messages[1]"


@pytest.mark.parametrize("messages", [(LLMMessage("system", "a"),), (LLMMessage("user", ""),)])
def test_something_must_be_asked(messages: tuple[LLMMessage, ...]) -> None:
    with pytest.raises(UnsupportedError, match="no message with content"):
        prepared(*messages)


def test_calls_and_results() -> None:
    """Results stand alone right after their turn, in the order of the calls; what the user says
    with them comes after."""
    first, second = call("a", arguments='{ "city": "Zürich" }'), call("b", "now")
    history = (
        *HI,
        LLMMessage("assistant", parts=[TextPart("Look:"), first, second]),
        LLMMessage("tool", "noon", tool_call_id="b"),
        LLMMessage("user", parts=[TextPart("And?"), ToolResultPart("a", "sun", is_error=True)]),
    )
    made = prepared(*history, model=G25)
    assert b'"args":{ "city": "Z\xc3\xbcrich" }' in made.body  # as it came
    assert json.loads(made.body)["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"text": "Look:"},
                {"functionCall": {"id": "a", "name": "weather", "args": {"city": "Zürich"}}},
                {"functionCall": {"id": "b", "name": "now", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "a", "name": "weather", "response": {"error": "sun"}}},
                {"functionResponse": {"id": "b", "name": "now", "response": {"output": "noon"}}},
            ],
        },
        {"role": "user", "parts": [{"text": "And?"}]},
    ]
    assert ("messages[2].parts[0]", "moved") in [(a.path, a.action) for a in made.adaptations]


def test_an_id_that_the_api_did_not_give_is_not_sent() -> None:
    """Three calls of one function without ids: order tells their results apart."""
    calls = [call(None, "f", f'{{"n":{n}}}') for n in range(3)]
    history = (
        *HI,
        LLMMessage("assistant", parts=[*calls, call("x", "g")]),
        *(LLMMessage("tool", f"r{n}", tool_call_id="") for n in range(2)),
        LLMMessage("tool", "rx", tool_call_id="x"),
    )
    said = contents(*history)
    assert [p["functionCall"].get("id") for p in said[1]["parts"]] == [None, None, None, "x"]
    results = [p["functionResponse"] for p in said[2]["parts"]]
    assert [r.get("id") for r in results] == [None, None, None, "x"]
    outputs = [r["response"].get("output") for r in results]
    assert outputs == ["r0", "r1", None, "rx"]
    assert results[2]["response"] == {"error": NO_RESULT}


def test_arguments_that_are_no_object_are_wrapped() -> None:
    history = (*HI, LLMMessage("assistant", parts=[call("a", arguments="[1]")]))
    (part,) = contents(*history)[1]["parts"]
    assert part["functionCall"]["args"] == {"INVALID_JSON": "[1]"}
    assert ("messages[1].parts[0]", "substituted") in records(*history)


# --- signatures -----------------------------------------------------------------------------------


def test_own_parts_go_back_as_they_came() -> None:
    """Each signature on its own part, in its place; the signed and the bare stay apart."""
    said = [
        ReasoningPart("Hm. ", native=own()),
        ReasoningPart("Ah.", signature="c2ln", native=own()),
        TextPart("a"),
        TextPart("b", native=own({"thoughtSignature": "dGV4dA=="})),
        TextPart("c"),
        OpaquePart("executableCode", '{"executableCode":{"code":"1.50"},"thoughtSignature":"eA=="}',
                   own()),
        ImagePart(PNG, native=own({"thoughtSignature": "aW1n"})),
        TextPart("", native=own({"thoughtSignature": "ZW1wdHk="})),
        call("1", native=own({"thoughtSignature": "Y2FsbA=="})),
        call("2"),
    ]  # fmt: skip
    history = (*HI, LLMMessage("assistant", parts=said))
    made = prepared(*history)
    assert b'{"executableCode":{"code":"1.50"},"thoughtSignature":"eA=="}' in made.body
    assert json.loads(made.body)["contents"][1]["parts"] == [
        {"text": "Hm. ", "thought": True},
        {"text": "Ah.", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "a"},
        {"text": "b", "thoughtSignature": "dGV4dA=="},
        {"text": "c"},
        {"executableCode": {"code": "1.50"}, "thoughtSignature": "eA=="},
        {**INLINE, "thoughtSignature": "aW1n"},
        {"text": "", "thoughtSignature": "ZW1wdHk="},
        {
            "functionCall": {"id": "1", "name": "weather", "args": {}},
            "thoughtSignature": "Y2FsbA==",
        },
        {"functionCall": {"id": "2", "name": "weather", "args": {}}},
    ]
    assert {action for _, action in records(*history, thinking="low")} == {"added"}  # results


def test_foreign_state_is_not_sent_and_its_calls_are_marked() -> None:
    other = Native("gemini", "google", "gemini-2.5-pro", {"thoughtSignature": "c2ln"})
    said = [
        ReasoningPart("Hm.", signature="c2ln", native=other),
        TextPart("a", native=other),
        call("1", native=other),
        call("2", native=other),
    ]
    history = (*HI, LLMMessage("assistant", parts=said))
    assert b"c2ln" not in prepared(*history).body
    parts = contents(*history)[1]["parts"]
    assert parts[0] == {"text": "a"}
    assert [p.get("thoughtSignature") for p in parts[1:]] == [SENTINEL, None]
    assert ("messages[1].parts[2]", "added") in records(*history)


def test_every_step_needs_a_signature_and_only_since_gemini_3() -> None:
    signed = call("1", native=own({"thoughtSignature": "c2ln"}))
    history = (
        *HI,
        LLMMessage("assistant", parts=[signed]),
        LLMMessage("tool", "a", tool_call_id="1"),
        LLMMessage("assistant", parts=[call("2"), call("3")]),
    )
    steps = [c["parts"] for c in contents(*history) if c["role"] == "model"]
    assert [[p.get("thoughtSignature") for p in s] for s in steps] == [["c2ln"], [SENTINEL, None]]
    assert SENTINEL not in prepared(*history, model=G25).body.decode()


# --- media ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        (ImagePart(PNG), INLINE),
        (ImagePart(UrlSource("data:image/png;base64,eA==")),
         {"inlineData": {"mimeType": "image/png", "data": "eA=="}}),
        (ImagePart(UrlSource("https://h/a.JPG?x=1")),
         {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://h/a.JPG?x=1"}}),
        (FilePart(UrlSource("gs://b/c.pdf")),
         {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://b/c.pdf"}}),
        (FilePart(UrlSource("https://youtu.be/x")), {"fileData": {"fileUri": "https://youtu.be/x"}}),
        (FilePart(FileSource("files/1", "google"), "a.mp4"),
         {"fileData": {"mimeType": "video/mp4", "fileUri": "files/1"}}),
        (FilePart(BytesSource(b"%PDF", "application/pdf")),
         {"inlineData": {"mimeType": "application/pdf", "data": "JVBERg=="}}),
        (AudioPart(BytesSource(b"RIFF", "audio/wav")),
         {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}),
    ],
)  # fmt: skip
def test_media(part: Any, wanted: dict[str, Any]) -> None:
    said = contents(LLMMessage("user", parts=[TextPart("see"), part]))
    assert said[0]["parts"] == [{"text": "see"}, wanted]


def test_what_media_have_beside_is_recorded() -> None:
    history = (LLMMessage("user", parts=[ImagePart(PNG, "high"), FilePart(PNG, "a.png")]),)
    assert records(*history, model="offline") == [
        ("messages[0].parts[0].detail", "dropped"), ("messages[0].parts[1].filename", "dropped"),
    ]  # fmt: skip


def test_media_in_results() -> None:
    """In the result since Gemini 3; before, in a content after the results."""
    result = ToolResultPart("1", (TextPart("see:"), ImagePart(PNG)))
    empty = ToolResultPart("2", (ImagePart(PNG),))
    history = (
        *HI,
        LLMMessage("assistant", parts=[call("1"), call("2")]),
        LLMMessage("tool", parts=[result]),
        LLMMessage("tool", parts=[empty]),
        LLMMessage("user", "So?"),
    )
    new = [p["functionResponse"] for p in contents(*history)[2]["parts"]]
    assert [r["parts"] for r in new] == [[INLINE], [INLINE]]
    assert [r["response"] for r in new] == [{"output": "see:"}, {"output": ""}]
    old = contents(*history, model=G25)
    assert [c["role"] for c in old] == ["user", "model", "user", "user"]
    responses = [p["functionResponse"] for p in old[2]["parts"]]
    assert "parts" not in responses[0]
    assert responses[1]["response"] == {"output": "(attached to the next message)"}
    head = {"text": "From the result of weather:"}
    assert old[3]["parts"] == [head, INLINE, head, INLINE, {"text": "So?"}]
    assert ("messages[2].parts[0]", "moved") in records(*history, model=G25)


def test_what_an_assistant_of_another_wire_said() -> None:
    said = [
        RefusalPart("No."),
        AudioPart(BytesSource(b"x", "audio/wav"), transcript="Spoken."),
        CompactionPart("Earlier: x."),
        CompactionPart(),
        ReasoningPart(kind="encrypted", data="secret"),
        ReasoningPart("By hand."),
    ]
    history = (*HI, LLMMessage("assistant", parts=said))
    assert contents(*history)[1]["parts"] == [
        {"text": "No."}, {"text": "Spoken."}, {"text": "Earlier: x."},
        {"text": "By hand.", "thought": True},
    ]  # fmt: skip
    assert [r for r in records(*history) if r[0].startswith("messages")] == [
        ("messages[1].parts[0]", "substituted"), ("messages[1].parts[1]", "substituted"),
        ("messages[1].parts[2]", "substituted"), ("messages[1].parts[3]", "dropped"),
        ("messages[1].parts[4]", "dropped"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (LLMMessage("system", [ImagePart(PNG)]), "messages[1].parts[0]"),
        (LLMMessage("user", [TextPart("a"), call("1")]), "messages[1].parts[1]"),
        (LLMMessage("user", [ReasoningPart("a")]), "messages[1].parts[0]"),
        (LLMMessage("user", [ImagePart(FileSource("f", "openai"))]), "messages[1].parts[0]"),
        (LLMMessage("user", [ImagePart(UrlSource("data:text,x"))]), "messages[1].parts[0]"),
        (LLMMessage("user", [OpaquePart("x", "{}", Native("openai"))]), "messages[1].parts[0]"),
        (LLMMessage("assistant", [OpaquePart("x", "[1]", own())]), "messages[1].parts[0]"),
        (
            LLMMessage("tool", parts=[ToolResultPart("1", (ImagePart(FileSource("f", "o")),))]),
            "messages[1].parts[0].content[0]",
        ),
    ],
)
def test_what_can_not_be_said_is_named_by_its_place(message: LLMMessage, path: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        prepared(*HI, message)
    assert caught.value.path == path
    assert str(caught.value).startswith(path)


# --- counting -------------------------------------------------------------------------------------


def test_counting() -> None:
    history = (LLMMessage("system", "Be brief."), *HI)
    request = LLMRequest(
        model=ModelConfig("gemini-3-flash"), messages=history, tools=(TOOL,), tool_choice="auto",
        store=True, stream=True, extra_body={"safetySettings": []},
    )  # fmt: skip
    studio, cloud = CLIENT.prepare_count(request, PROVIDER), VERTEX.prepare_count(request, CLOUD)
    assert studio is not None and cloud is not None
    assert studio.endpoint == "/v1beta/models/gemini-3-flash:countTokens"
    assert studio.headers["accept"] == "application/json"
    inner = json.loads(studio.body)["generateContentRequest"]
    assert list(inner) == [
        "model", "systemInstruction", "tools", "toolConfig", "generationConfig", "contents",
    ]  # fmt: skip
    assert inner["model"] == "models/gemini-3-flash"
    assert cloud.endpoint.endswith("/models/gemini-3-flash:countTokens")
    assert list(json.loads(cloud.body)) == [
        "systemInstruction", "tools", "generationConfig", "contents",
    ]  # fmt: skip
    assert CLIENT.parse_count(b'{"totalTokens": 31, "news": 1}', request) == 31
    without = replace(PROVIDER, dialect=Dialect(count_endpoint=False))
    assert CLIENT.prepare_count(request, without) is None
