"""What a backend remembers of histories: it is faster, and it never shows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import strategies as some
from contract.cases import WIRES, provider
from llmwire.adapters import ADAPTERS
from llmwire.adapters.base import PreparedRequest
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.errors import UnsupportedError
from llmwire.memory import Memory
from llmwire.request import LLMRequest
from llmwire.types import (
    LLMMessage,
    Native,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolResultPart,
    new_message,
)

# --- histories of every kind ------------------------------------------------------------------

natives = st.sampled_from(
    [None, Native("openai", "p"), Native("openai", "p", "m", {"field": "thoughts"}),
     Native("anthropic", "p"), Native("reasoning", "p"), Native("openai", "else")]
)  # fmt: skip
ids = st.sampled_from(["c1", "c2", "c3", "not legal", "", None])
calls = st.builds(ToolCall, ids, some.functions, native=natives)
results = st.builds(
    ToolResultPart,
    st.sampled_from(["c1", "c2", "c3", "not legal", ""]),
    some.texts | st.lists(some.text_parts | some.images, max_size=2).map(tuple),
    is_error=st.booleans(),
)
thoughts = st.builds(
    ReasoningPart, some.texts, signature=st.sampled_from([None, "s"]), native=natives
)


def said_by(
    role: Role, parts: st.SearchStrategy[Any], most: int = 3
) -> st.SearchStrategy[LLMMessage]:
    names = st.sampled_from([None, None, None, "ann"])
    made = st.lists(parts, min_size=1, max_size=most).map(tuple)
    return st.builds(new_message, st.just(role), made, names)


users = said_by(Role.user, st.builds(TextPart, some.texts))
assistants = said_by(
    Role.assistant,
    st.builds(TextPart, some.texts, native=natives) | thoughts | calls | calls,
)
odd = (
    said_by(Role.tool, results, 2)
    | said_by(Role.user, some.images | some.files | results | some.text_parts)
    | said_by(Role.system, some.text_parts, 1)
    | said_by(Role.assistant, some.said_parts | some.deltas)
)


@st.composite
def rounds(draw: st.DrawFn) -> list[LLMMessage]:
    """A round as agents have them: an answer, perhaps with calls and their results in any state."""
    answer = draw(assistants)
    out = [answer]
    for call in answer.tool_calls:
        fate = draw(st.integers(0, 9))
        if fate > 1:
            content = draw(some.texts)
            failed = fate == 2
            out.append(
                new_message(Role.tool, (ToolResultPart(call.id or "", content, is_error=failed),))
            )
    if draw(st.booleans()) or not answer.tool_calls:
        out.append(draw(users))
    if draw(st.integers(0, 5)) == 0:
        out.append(draw(odd))
    return out


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[LLMMessage, ...]]:
    """A conversation as it is sent again and again: growing, cut, edited, branching."""
    now: list[LLMMessage] = [draw(users | said_by(Role.system, some.text_parts, 1)), draw(users)]
    sent = [tuple(now)]
    for _ in range(draw(st.integers(1, 8))):
        what = draw(st.sampled_from("ggggggcebr"))
        at = draw(st.integers(0, len(now) - 1))
        if what == "g":
            now = [*now, *draw(rounds())]
        elif what == "c":
            now = now[: max(1, at)]
        elif what == "e":  # another object in its place, equal or not
            now[at] = draw(
                st.sampled_from([now[at].with_parts(now[at].parts), draw(users), draw(assistants)])
            )
        elif what == "b":
            now = [*draw(st.sampled_from(sent)), *draw(rounds())]
        else:  # an object that the history has already
            now = [*now, now[at]]
        sent.append(tuple(now))
    return sent


dialects = st.builds(
    Dialect,
    developer_role=st.booleans(),
    reasoning_replay=st.sampled_from(["issuer", "none", "tool_turns", "always", "content"]),
    merge_user_messages=st.booleans(),
    assistant_after_tool=st.booleans(),
    tool_call_ids=st.sampled_from(["any", "openai40", "mistral9", "anthropic64"]),
    empty_content=st.sampled_from(["null", "empty"]),
    speaker_names=st.booleans(),
    content_parts=st.sampled_from(["openai", "mistral"]),
    tool_name_on_result=st.booleans(),
    tool_result_images=st.booleans(),
    prompt_cache=st.booleans(),
    replay_unsigned_thinking=st.booleans(),
)
models = {
    "openai": ["m", "gpt-5"],
    "reasoning": ["mistral-medium-latest"],
    "anthropic": ["claude-sonnet-4-5", "claude-opus-4-7", "other"],
    "vertex-anthropic": ["claude-sonnet-4-5"],
}


def at(wire: str, dialect: Dialect | None = None) -> ProviderConfig:
    return replace(provider(wire, "p"), dialect=dialect)


Outcome = tuple[Any, ...]


def outcome(
    wire: str, request: LLMRequest, theirs: ProviderConfig, memory: Memory | None
) -> Outcome:
    adapter: Any = ADAPTERS[wire]
    try:
        made: PreparedRequest = adapter.prepare_next(request, theirs, memory)
    except UnsupportedError as e:
        return ("refused", str(e), e.path)
    return made.body, made.adaptations, made.headers.by_lower_name


# --- the law ----------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
@settings(max_examples=150, deadline=None)
@given(data=st.data(), sent=lives(), dialect=dialects, step=st.sampled_from([1, 1, 3, 8]))
def test_remembering_never_shows(
    wire: str, data: st.DataObject, sent: list[tuple[LLMMessage, ...]], dialect: Dialect, step: int
) -> None:
    """Whatever was sent before, the body, the records and the errors are those of a fresh start."""
    memory = Memory(most=4, step=step)
    theirs = at(wire, dialect)
    named = data.draw(st.sampled_from(models[wire]))
    thinking = data.draw(st.sampled_from(["off", "high"]))
    for messages in sent:
        request = LLMRequest(
            model=ModelConfig(named, temperature=None), messages=messages, thinking=thinking
        )
        assert outcome(wire, request, theirs, memory) == outcome(wire, request, theirs, None)
