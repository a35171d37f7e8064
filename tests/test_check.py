"""What does not fit in a history is found before sending, exactly as sending would change it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.cases import HISTORIES, WIRES, model, provider
from llmwire import (
    PROVIDERS,
    Adaptation,
    AudioPart,
    BytesSource,
    CompactionPart,
    ConfigError,
    FileSource,
    Finding,
    FunctionCall,
    GenericBackend,
    ImagePart,
    IncompleteToolCall,
    LLMMessage,
    LLMRequest,
    ModelConfig,
    Native,
    OpaquePart,
    Part,
    ProviderConfig,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolResultPart,
    UnsupportedError,
    check_history,
)
from llmwire.adapters import ADAPTERS
from llmwire.check import GO_ON
from llmwire.config import ThinkingLevel
from llmwire.testing import LocalServer
from strategies import histories

Target = tuple[ProviderConfig, ModelConfig]

OPENAI = PROVIDERS["openai"], ModelConfig("gpt-6-luna")
CLAUDE = PROVIDERS["anthropic"], ModelConfig("claude-opus-5-5")
RESPONSES = PROVIDERS["openai-responses"], ModelConfig("gpt-6-luna")
OLD_CLAUDE = PROVIDERS["anthropic"], ModelConfig("claude-opus-4-5")
MISTRAL = PROVIDERS["mistral"], ModelConfig("mistral-small-latest")
PERPLEXITY = PROVIDERS["perplexity"], ModelConfig("sonar")
TARGETS: list[Target] = [
    *((provider(wire), model(wire)) for wire in WIRES),
    OPENAI, RESPONSES, CLAUDE, OLD_CLAUDE, MISTRAL, PERPLEXITY,
    (PROVIDERS["deepseek"], ModelConfig("deepseek-v4-pro")),
    (PROVIDERS["moonshot"], ModelConfig("kimi-k3", vision=False)),
]  # fmt: skip


def user(*parts: Part | str) -> LLMMessage:
    return LLMMessage("user", [TextPart(p) if isinstance(p, str) else p for p in parts])


def says(*parts: Part | str) -> LLMMessage:
    return LLMMessage("assistant", [TextPart(p) if isinstance(p, str) else p for p in parts])


def call(call_id: str | None, arguments: str = "{}", kind: Any = "function") -> ToolCall:
    return ToolCall(call_id, FunctionCall("f", arguments), kind)


def result(call_id: str, content: Any = "ok", **more: Any) -> LLMMessage:
    return LLMMessage("tool", [ToolResultPart(call_id, content, **more)])


HI, NEXT = user("Hi"), user("Next")
PNG = BytesSource(b"png", "image/png")
ID_ONLY = ReasoningPart(
    "Hm.",
    "summary",
    native=Native("openai-responses", "openai-responses", "gpt-6-luna", {"item": {"id": "rs_1"}}),
)
SIGNED = ReasoningPart("Hm.", signature="c2ln", native=Native("anthropic", "anthropic", "claude-x"))


def changes(messages: Sequence[LLMMessage], target: Target, thinking: ThinkingLevel) -> list[Any]:
    """What sending changes in a history."""
    where, what = target
    request = LLMRequest(model=what, messages=tuple(messages), thinking=thinking)
    adaptations = ADAPTERS[where.api_style].prepare_request(request, where).adaptations
    return [a for a in adaptations if a.changes_history]


# Ollama's own chat puts images before texts, Gemini results in the order of their calls, and Converse
# what it calls documents by names of their own: the check tells of it and does not do it.
UNMENDED = ("ollama", "gemini", "vertex-gemini", "bedrock-converse")
MENDED = [t for t in TARGETS if t[0].api_style not in UNMENDED]


@settings(max_examples=150)
@given(histories, st.sampled_from(MENDED), st.sampled_from(["off", "low", "max"]))
def test_after_the_edits_sending_changes_nothing(
    history: list[LLMMessage], target: Target, thinking: ThinkingLevel
) -> None:
    check = check_history(history, *target, thinking=thinking)
    if any(f.edit is None and f.severity == "error" for f in check.findings):
        return  # nothing was said but a system prompt
    assert changes(check.messages, target, thinking) == []
    again = check_history(check.messages, *target, thinking=thinking)
    assert [f for f in again.findings if f.edit is not None] == []
    assert again.messages == check.messages


@settings(max_examples=150)
@given(histories, st.sampled_from(TARGETS), st.sampled_from(["off", "low"]))
def test_it_finds_what_sending_changes_or_refuses(
    history: list[LLMMessage], target: Target, thinking: ThinkingLevel
) -> None:
    check = check_history(history, *target, thinking=thinking)
    own = [f for f in check.findings if "alternate" in f.what or "see images" in f.what]
    try:
        changed = changes(history, target, thinking)
    except UnsupportedError as e:
        assert own or "error" in [f.severity for f in check.findings], e
        return
    found = [f for f in check.findings if f.edit is not None and f not in own]
    assert bool(changed) == bool(found)
    if len(changed) == 1 and not own:
        assert (changed[0].path, changed[0].reason) in [(f.path, f.what) for f in found]
    places = [f"messages[{i}]" for i in range(len(history))]
    assert {f.path.partition(".")[0] for f in found} <= set(places)


@pytest.mark.parametrize("name", HISTORIES)
@pytest.mark.parametrize("target", TARGETS[: len(WIRES)], ids=WIRES)
def test_a_sound_history_is_left_alone(name: str, target: Target) -> None:
    history = HISTORIES[name]
    check = check_history(history, *target)
    assert check.ok is (changes(history, target, "off") == [])
    if check.ok:
        assert check.messages == history


CASES: dict[str, tuple[Target, list[LLMMessage], list[tuple[str, str, str]], list[LLMMessage]]] = {
    "a call without a result": (
        CLAUDE,
        [HI, says(call("a")), user("Go")],
        [("pairing", "messages[1].parts[0]", "warning")],
        [],
    ),
    "a result that has to be made up is no finding of its own": (
        OPENAI,  # which has no word for its being a failure
        [HI, says(call("a")), NEXT],
        [("pairing", "messages[1].parts[0]", "warning")],
        [],
    ),
    "a result without a call": (
        OPENAI,
        [HI, result("a", "18 degrees")],
        [("pairing", "messages[1].parts[0]", "warning")],
        [HI, user("18 degrees")],
    ),
    "a result in the wrong place": (
        CLAUDE,
        [HI, says(call("a")), user("Wait"), result("a")],
        [("pairing", "messages[3].parts[0]", "warning")],
        [HI, says(call("a")), result("a"), user("Wait")],
    ),
    "an id used twice": (
        CLAUDE,
        [HI, says(call("a")), result("a"), says(call("a")), result("a"), HI],
        [("id", "messages[3].parts[0].id", "note")],
        [HI, says(call("a")), result("a"), says(call("a_2")), result("a_2"), HI],
    ),
    "no id": (
        OPENAI,
        [HI, says(call(None)), result("")],
        [("id", "messages[1].parts[0].id", "note")],
        [HI, says(call("call_1_0")), result("call_1_0")],
    ),
    "an id with other characters": (
        CLAUDE,
        [HI, says(call("functions.f:0")), result("functions.f:0"), HI],
        [("id", "messages[1].parts[0].id", "note")],
        [],
    ),
    "an id too long": (
        OPENAI,
        [HI, says(call("x" * 41)), result("x" * 41)],
        [("id", "messages[1].parts[0].id", "note")],
        [],
    ),
    "the signature of another": (
        CLAUDE,
        [HI, says(SIGNED, "Yes."), HI],
        [("foreign", "messages[1].parts[0]", "note")],
        [HI, says("Yes."), HI],
    ),
    "an opaque block of another": (
        OPENAI,
        [HI, says(OpaquePart("x", "{}", Native("anthropic")), "Yes."), HI],
        [("foreign", "messages[1].parts[0]", "note")],
        [HI, says("Yes."), HI],
    ),
    "a compaction of another": (
        OPENAI,
        [HI, says(CompactionPart("They met.", Native("anthropic"))), HI],
        [("foreign", "messages[1].parts[0]", "warning")],
        [HI, says("They met."), HI],
    ),
    "thinking without a signature": (
        CLAUDE,
        [HI, says(ReasoningPart("Hm."), "Yes."), HI],
        [("thinking", "messages[1].parts[0]", "note")],
        [HI, says("Yes."), HI],
    ),
    "reasoning that does not go back": (
        OPENAI,
        [HI, says(ReasoningPart("Hm."), "Yes."), HI],
        [("thinking", "messages[1].parts[0]", "note")],
        [HI, says("Yes."), HI],
    ),
    "two of a kind in one turn": (
        OPENAI,
        [HI, says(ReasoningPart("a"), "Well:", ReasoningPart("b"), "Yes.", "No."), NEXT],
        [("thinking", "messages[1].parts[0]", "note"), ("thinking", "messages[1].parts[2]", "note")],
        [HI, says("Well:", "Yes.", "No."), NEXT],
    ),
    "reasoning of which there is only the id": (
        RESPONSES,
        [HI, says(ID_ONLY, "Yes."), NEXT],
        [("thinking", "messages[1].parts[0]", "note")],
        [HI, says("Yes."), NEXT],
    ),
    "empty texts": (
        CLAUDE,
        [HI, says(" ", call("a")), result("a"), says(""), HI],
        [("empty", "messages[1]", "note"), ("empty", "messages[3]", "note")],
        [HI, says(call("a")), result("a"), HI],
    ),
    "an incomplete call": (
        OPENAI,
        [HI, says("Let me", IncompleteToolCall("a", "f", '{"x')), HI],
        [("incomplete", "messages[1].parts[1]", "warning")],
        [HI, says("Let me"), HI],
    ),
    "a later system message": (
        CLAUDE,
        [HI, says("Yes."), LLMMessage("system", "Be brief."), HI],
        [("order", "messages[2]", "note")],
        [HI, says("Yes."), user("<system>\nBe brief.\n</system>"), HI],
    ),
    "the assistant begins": (
        CLAUDE,
        [LLMMessage("system", "Be brief."), says("Yes?"), HI],
        [("order", "messages[1]", "note")],
        [LLMMessage("system", "Be brief."), user("Begin."), says("Yes?"), HI],
    ),
    "a prefill that is refused": (
        CLAUDE,
        [HI, says("The answer is")],
        [("order", "messages[1]", "error")],
        [HI, says("The answer is"), user(GO_ON)],
    ),
    "a prefill that ends in a space": (
        OLD_CLAUDE,
        [HI, says("The answer is ")],
        [("order", "messages[1]", "note")],
        [HI, says("The answer is")],
    ),
    "a user right after a tool": (
        MISTRAL,
        [HI, says(call("abcdefghi")), result("abcdefghi"), NEXT],
        [("order", "messages[3]", "note")],
        [HI, says(call("abcdefghi")), result("abcdefghi"), says("Understood."), NEXT],
    ),
    "two users in a row": (
        PERPLEXITY,
        [HI, user("Hello?"), says("Yes."), HI],
        [("order", "messages[1]", "note")],
        [user("Hi\n\nHello?"), says("Yes."), HI],
    ),
    "a custom call": (
        CLAUDE,
        [HI, says(call("a", "print(1)", "custom")), result("a"), HI],
        [("content", "messages[1].parts[0]", "warning")],
        [HI, says(call("a", '{"input":"print(1)"}')), result("a"), HI],
    ),
    "arguments that are no object": (
        CLAUDE,
        [HI, says(call("a", "[1]")), result("a"), HI],
        [("content", "messages[1].parts[0]", "warning")],
        [HI, says(call("a", '{"INVALID_JSON":"[1]"}')), result("a"), HI],
    ),
    "a refusal": (
        CLAUDE,
        [HI, says(RefusalPart("I can't.")), HI],
        [("content", "messages[1].parts[0]", "warning")],
        [HI, says("I can't."), HI],
    ),
    "words that were spoken": (
        CLAUDE,
        [HI, says(AudioPart(PNG, transcript="Yes.")), HI],
        [("media", "messages[1].parts[0]", "warning")],
        [HI, says("Yes."), HI],
    ),
    "sound that can't be said": (
        CLAUDE,
        [user("Listen", AudioPart(PNG))],
        [("media", "messages[0].parts[1]", "error")],
        [user("Listen", "(a sound was left out here)")],
    ),
    "an image by its id": (
        OPENAI,
        [user("Look", ImagePart(FileSource("f")))],
        [("media", "messages[0].parts[1]", "error")],
        [user("Look", "(an image was left out here)")],
    ),
    "images for a model without eyes": (
        (OPENAI[0], ModelConfig("gpt-6-luna", vision=False)),
        [user("Look", ImagePart(PNG)), says(call("a")), result("a", (ImagePart(PNG),))],
        [("media", "messages[0].parts[1]", "warning"), ("media", "messages[2].parts[0]", "warning")],
        [
            user("Look", "(an image was left out here)"),
            says(call("a")),
            result("a", (TextPart("(an image was left out here)"),)),
        ],
    ),
    "an image in a failed result": (
        CLAUDE,
        [HI, says(call("a")), result("a", (TextPart("no"), ImagePart(PNG)), is_error=True), HI],
        [("media", "messages[2].parts[0].content[1]", "warning")],
        [HI, says(call("a")), result("a", (TextPart("no"),), is_error=True), user(ImagePart(PNG)),
         HI],
    ),
    "a speaker's name": (
        MISTRAL,
        [LLMMessage("user", "Hi", name="Ada")],
        [("order", "messages[0].name", "note")],
        [HI],
    ),
    "a developer": (
        MISTRAL,
        [LLMMessage("developer", "Be brief."), HI],
        [("order", "messages[0].role", "note")],
        [LLMMessage("system", "Be brief."), HI],
    ),
    "a failure that the wire has no word for": (
        OPENAI,
        [HI, says(call("a")), result("a", "no", is_error=True)],
        [("content", "messages[2].parts[0].is_error", "warning")],
        [HI, says(call("a")), result("a", "no")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_found_and_what_goes_instead(name: str) -> None:
    target, history, findings, mended = CASES[name]
    thinking: ThinkingLevel = "off" if target is OLD_CLAUDE else "low"
    check = check_history(history, *target, thinking=thinking)
    assert [(f.kind, f.path, f.severity) for f in check.findings] == findings
    assert all(f.edit is not None and f.what for f in check.findings)
    if mended:
        assert list(check.messages) == mended


def test_a_setting_that_gives_way_is_found_too() -> None:
    """Thinking can't be put in front of a call that was made without it (wire reference 3.4)."""
    history = [HI, says(call("a")), result("a")]
    check = check_history(history, *OLD_CLAUDE, thinking="high")
    assert [(f.kind, f.path, f.edit) for f in check.findings] == [("thinking", "thinking", None)]
    assert list(check.messages) == history
    assert check_history(history, *OLD_CLAUDE).ok


def test_what_can_not_be_cured_has_no_edit() -> None:
    (finding,) = check_history([LLMMessage("system", "Be brief.")], *CLAUDE).findings
    assert (finding.severity, finding.edit) == ("error", None)


def test_many_findings_take_few_rounds() -> None:
    turns = [[HI, says(call(f"bad.{i}")), result(f"bad.{i}")] for i in range(300)]
    check = check_history([m for turn in turns for m in turn], *CLAUDE)
    assert len(check.findings) == 300
    assert check.findings[299] == Finding(
        "id", "messages[898].parts[0].id", "the target takes no such id", "note",
        Adaptation("messages[898].parts[0].id", "substituted", "the target takes no such id",
                   "bad.299", check.messages[898].tool_calls[0].id),
    )  # fmt: skip
    assert changes(check.messages, CLAUDE, "off") == []


def test_a_provider_that_is_none() -> None:
    with pytest.raises(ConfigError, match="api_style"):
        check_history([HI], ProviderConfig("p", "https://x.example.com", api_style="morse"), "m")
    with pytest.raises(ConfigError, match="api_base"):
        check_history([HI], ProviderConfig("p"), "m")


# --- the policy -------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
async def test_refusing_names_the_first_place_before_anything_is_sent(wire: str) -> None:
    with LocalServer() as server:
        strict = GenericBackend(provider=server.provider(wire), history="refuse")
        async with strict as backend:
            with pytest.raises(UnsupportedError, match=r"^messages\[1\]\.parts\[0\]: ") as caught:
                await backend.complete(model="m", messages=[HI, says(call("abcdefghi")), HI])
            assert caught.value.path == "messages[1].parts[0]"
            assert server.requests == []
            mended = check_history([HI, says(call("abcdefghi")), HI], backend.provider, "m")
            reply = await backend.complete(model="m", messages=mended.messages)
            assert [a for a in reply.adaptations if a.changes_history] == []
        assert len(server.requests) == 1


def test_a_policy_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match="repair"):
        GenericBackend(provider=OPENAI[0], history="ignore")  # type: ignore[arg-type]
