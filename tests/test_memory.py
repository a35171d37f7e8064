"""What a backend remembers of its requests: it is faster, and it never shows."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any, TypeAlias
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import strategies as some
from contract.cases import TOOLS, WIRES, model, provider
from llmwire import history, pairing
from llmwire.adapters import ADAPTERS
from llmwire.adapters.base import PreparedRequest, Remembering
from llmwire.adapters.openai.messages import MessageWriter
from llmwire.backend import GenericBackend
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.errors import UnsupportedError
from llmwire.fitting import ASSISTANT, TOOL, USER, Calls, Log
from llmwire.memory import START, Encoded, Memory, written
from llmwire.request import LLMRequest
from llmwire.types import (
    FunctionCall,
    IncompleteToolCall,
    LLMMessage,
    Native,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolResultPart,
    new_message,
)

Messages: TypeAlias = tuple[LLMMessage, ...]
REMEMBERING = [wire for wire in WIRES if isinstance(ADAPTERS[wire], Remembering)]

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


def spoken(role: Role) -> st.SearchStrategy[LLMMessage]:
    """A turn that says something in any case."""
    return st.builds(lambda text: LLMMessage(role, f"{text}."), some.texts)


def said_by(
    role: Role, parts: st.SearchStrategy[Any], most: int = 3
) -> st.SearchStrategy[LLMMessage]:
    names = st.sampled_from([None, None, None, "ann"])
    made = st.lists(parts, min_size=1, max_size=most).map(tuple)
    return st.builds(new_message, st.just(role), made, names)


users = said_by(USER, st.builds(TextPart, some.texts))
assistants = said_by(
    ASSISTANT,
    st.builds(TextPart, some.texts, native=natives) | thoughts | calls | calls,
)
odd = (
    said_by(TOOL, results, 2)
    | said_by(USER, some.images | some.files | results | some.text_parts)
    | said_by(Role.system, some.text_parts, 1)
    | said_by(ASSISTANT, some.said_parts | some.deltas)
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
                new_message(TOOL, (ToolResultPart(call.id or "", content, is_error=failed),))
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
MODELS = {
    "openai": ["m", "gpt-5"],
    "reasoning": ["mistral-medium-latest"],
    "anthropic": ["claude-sonnet-4-5", "claude-opus-4-7", "other"],
    "vertex-anthropic": ["claude-sonnet-4-5"],
    "bedrock-anthropic": ["claude-sonnet-4-5"],
}


def at(wire: str, dialect: Dialect | None = None) -> ProviderConfig:
    return replace(provider(wire, "p"), dialect=dialect)


Outcome: TypeAlias = tuple[Any, ...]


def request(name: str, messages: Messages, **fields: Any) -> LLMRequest:
    return LLMRequest(model=ModelConfig(name, temperature=None), messages=messages, **fields)


def outcome(
    wire: str, request: LLMRequest, theirs: ProviderConfig, memory: Memory | None
) -> Outcome:
    adapter: Any = ADAPTERS[wire]
    if memory is not None:  # as the backend does when it looks at what it was given
        memory.recognised(request.messages)
    try:
        made: PreparedRequest = adapter.prepare_next(request, theirs, memory)
    except UnsupportedError as e:
        return ("refused", str(e), e.path)
    return made.body, made.adaptations, made.headers.by_lower_name


# --- the laws ---------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", REMEMBERING)
@settings(max_examples=80, deadline=None)
@given(sent=lives(), dialect=dialects, step=st.sampled_from([1, 1, 3, 12]), data=st.data())
def test_remembering_never_shows(
    wire: str, sent: list[Messages], dialect: Dialect, step: int, data: st.DataObject
) -> None:
    """Whatever was sent before, the body, the records and the errors are those of a fresh start."""
    memory = Memory(most=4, step=step)
    theirs = at(wire, dialect)
    named = data.draw(st.sampled_from(MODELS[wire]))
    thinking = data.draw(st.sampled_from(["off", "high"]))
    for messages in sent:
        asked = request(named, messages, thinking=thinking)
        assert outcome(wire, asked, theirs, memory) == outcome(wire, asked, theirs, None)


@pytest.mark.parametrize("wire", REMEMBERING)
@settings(max_examples=60, deadline=None)
@given(sent=lives(), dialect=dialects, data=st.data())
def test_short_cuts_never_show(
    wire: str, sent: list[Messages], dialect: Dialect, data: st.DataObject
) -> None:
    """What is found to need no fitting is written as if it had been fitted."""
    asked = request(data.draw(st.sampled_from(MODELS[wire])), sent[-1])
    theirs = at(wire, dialect)
    with (
        patch.object(MessageWriter, "_is_simple", lambda *_: False),
        patch.object(history, "_UNFINISHED", _Nothing()),
        patch.object(pairing, "paired", lambda *_: None),
    ):
        fitted = outcome(wire, asked, theirs, None)
    assert outcome(wire, asked, theirs, None) == fitted


class _Nothing(frozenset[type]):
    """Holds the kinds of unfinished parts, and never says that there are none."""

    def __new__(cls) -> _Nothing:
        return super().__new__(cls, history._UNFINISHED)

    def isdisjoint(self, other: object) -> bool:
        return False


FIXED_TOOLS = (TOOLS[:1], TOOLS, TOOLS[::-1])
options = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0, 0.0, False, 1, 1.0, True, 0.5]),
        "tools": st.sampled_from(FIXED_TOOLS),
        "tool_choice": st.sampled_from(["auto", "none", "any", TOOLS[0]]),
        "max_tokens": st.sampled_from([100, 5000]),
        "stream": st.booleans(),
        "thinking": st.sampled_from(["off", "low", "high"]),
        "stop": st.sampled_from([("a",), ("a", "b"), ("b",)]),
        "seed": st.sampled_from([1, 2]),
        "parallel_tool_calls": st.booleans(),
        "metadata": st.sampled_from([{"user_id": "a"}, {"user_id": "b"}]),
        "extra_body": st.sampled_from([{"x": 1}, {"x": True}, {"messages": []}, {"model": "y"}]),
    },
)


@pytest.mark.parametrize("wire", REMEMBERING)
@settings(max_examples=50, deadline=None)
@given(
    asked=st.lists(st.tuples(options, st.integers(0, 2), st.integers(0, 2)), max_size=8),
    rounds=st.lists(rounds(), min_size=3, max_size=4),
)
def test_whatever_matters_is_told_apart(
    wire: str, asked: list[tuple[dict[str, Any], int, int]], rounds: list[list[LLMMessage]]
) -> None:
    """One conversation, asked with other settings, models, providers and dialects each time."""
    memory = Memory(step=1)
    whole = tuple(itertools.chain([LLMMessage("user", "hi")], *rounds))
    names = [*MODELS[wire], "m", "n", "o"]
    providers = [at(wire), replace(at(wire, Dialect(speaker_names=False)), name="q"),
                 replace(at(wire), reasoning_field_name="thoughts")]  # fmt: skip
    for number, (fields, which, who) in enumerate(asked):
        messages = whole[: len(whole) - number % 3]
        call = request(names[which], messages, **fields)
        theirs = providers[who]
        assert outcome(wire, call, theirs, memory) == outcome(wire, call, theirs, None)


@st.composite
def sound_conversations(draw: st.DrawFn) -> list[Messages]:
    """Turn after turn, everything answered before the next."""
    now: list[LLMMessage] = [LLMMessage("system", "Be brief."), draw(spoken(USER))]
    sent = [tuple(now)]
    for turn in range(draw(st.integers(1, 5))):
        made = [f"call{turn}{n:04}" for n in range(draw(st.integers(0, 3)))]
        calls = [ToolCall(i, draw(some.functions)) for i in made]
        thoughts_of_it = draw(st.lists(thoughts, max_size=1))
        now.append(
            new_message(ASSISTANT, (*thoughts_of_it, *draw(spoken(ASSISTANT)).parts, *calls))
        )
        for call_id in draw(st.permutations(made)):
            result = draw(
                st.builds(ToolResultPart, st.just(call_id), some.texts, is_error=st.booleans())
            )
            now.append(new_message(TOOL, (result,)))
        if not made or draw(st.booleans()):
            now.append(draw(spoken(USER)))
        sent.append(tuple(now))
    return sent


@pytest.mark.parametrize("wire", REMEMBERING)
@settings(max_examples=50, deadline=None)
@given(sent=sound_conversations(), dialect=dialects)
def test_each_turn_extends_the_last_byte_for_byte(
    wire: str, sent: list[Messages], dialect: Dialect
) -> None:
    """Providers' caches stay warm."""
    theirs = at(wire, replace(dialect, prompt_cache=False))
    adapter = ADAPTERS[wire]
    bodies = [
        adapter.prepare_request(request(MODELS[wire][0], messages), theirs).body
        for messages in sent
    ]
    for before, after in itertools.pairwise(bodies):
        assert before.endswith(b"]}")
        assert after.startswith(before.removesuffix(b"]}"))


# --- cases ------------------------------------------------------------------------------------


def user(text: str = "go on") -> LLMMessage:
    return LLMMessage("user", text)


def said(text: str = "ok") -> LLMMessage:
    return LLMMessage("assistant", text)


def conversation(count: int, word: str = "a") -> list[LLMMessage]:
    return [user(f"{word}{i}") if i % 2 == 0 else said(f"{word}{i}") for i in range(count)]


def check(
    sent: list[list[LLMMessage]],
    wire: str = "openai",
    dialect: Dialect | None = None,
    step: int = 1,
) -> None:
    memory = Memory(step=step)
    theirs = at(wire, dialect)
    for messages in sent:
        asked = request("m", tuple(messages))
        assert outcome(wire, asked, theirs, memory) == outcome(wire, asked, theirs, None)


def test_equal_is_not_the_same() -> None:
    """1 == True in Python, and not in JSON."""
    one, true = (
        LLMMessage(
            "assistant", [TextPart("x"), ToolCall("c", FunctionCall("f", "{}"), native=native)]
        )
        for native in (Native("openai", "p", "m", {"extra_content": {"n": n}}) for n in (1, True))
    )
    assert one == true
    answer, thanks = LLMMessage("tool", "r", tool_call_id="c"), user("thanks")
    check([[user(), m, answer, said(), thanks, said(), thanks] for m in (one, true, one)])


def test_a_result_that_comes_late_is_moved_all_the_same() -> None:
    call = LLMMessage("assistant", tool_calls=[ToolCall("c", FunctionCall("f", "{}"))])
    begun = [user(), call, user("are you there?")]
    late = LLMMessage("tool", "at last", tool_call_id="c")
    for wire in REMEMBERING:
        check([begun, [*begun, said(), user()], [*begun, said(), late, said(), user()]], wire)


def test_a_turn_that_is_left_out_joins_its_neighbours() -> None:
    """What the wire leaves out on both sides of a cut decides what is one turn."""
    thought = LLMMessage("assistant", [ReasoningPart("", signature="s")])
    call = LLMMessage("assistant", tool_calls=[ToolCall("c1", FunctionCall("f", "{}"))])
    begun = [user("0"), user(""), thought, user("")]
    for wire in REMEMBERING:
        replaying = Dialect(replay_unsigned_thinking=True, merge_user_messages=True)
        check([begun, [*begun, call], [*begun, call, user("0")]], wire, replaying)


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("nothing", [TextPart(""), IncompleteToolCall("c", "f", "{")])
def test_a_turn_that_is_left_out_at_a_cut(step: int, nothing: Part) -> None:
    begun = [user("0"), said(), user("1"), new_message(ASSISTANT, (nothing,)), user(" ")]
    for wire in REMEMBERING:
        check([begun, [*begun, said("x"), user("2")]], wire, step=step)


def test_an_answer_that_was_dropped_does_not_stop_remembering() -> None:
    """After a turn that leaves nothing, what is known ends at a place that is no cut any more."""
    memory = Memory(step=1)
    cut_off = new_message(ASSISTANT, (IncompleteToolCall("c", "f", "{"),))
    messages = [user(), said(), user(), cut_off, user("again")]
    for _ in range(3):
        asked = request("m", tuple(messages))
        assert outcome("openai", asked, at("openai"), memory) == outcome(
            "openai", asked, at("openai"), None
        )
        messages += [said(), user()]
    known = memory.find(next(iter(memory._histories)).key, tuple(messages))
    assert known.count == len(messages) - 4


# --- what it saves ----------------------------------------------------------------------------


def count_written(turns: int, step: int = 12) -> list[int]:
    """How many messages are written in each turn of a conversation."""
    memory = Memory(step=step)
    log: list[int] = []

    def write(messages: Messages, before: Encoded) -> Encoded:
        log[-1] += len(messages)
        return before.after(len(messages), b"[1]", Log())

    messages: list[LLMMessage] = []
    for _ in range(turns):
        messages += conversation(2)[::-1] if messages else [user()]
        log.append(0)
        written(tuple(messages), "key", memory, write, write)
    return log


@pytest.mark.parametrize("step", [1, 12])
def test_a_turn_costs_what_is_new_in_it(step: int) -> None:
    per_turn = count_written(200, step)
    assert max(per_turn) <= step + 4
    assert per_turn[-1] <= step + 4


def test_long_messages_are_remembered_at_once() -> None:
    memory = Memory(step=100)
    long = user("x" * 10_000)
    for messages in ([user(), said(), user()], [long, said(), user()]):
        written(tuple(messages), "key", memory, one_each, len_of)
    assert len(memory) == 1


def one_each(messages: Messages, before: Encoded) -> Encoded:
    return before.after(len(messages), b"[1]", Log())


def len_of(messages: Messages, before: Encoded) -> int:
    return len(messages)


def test_pieces_stay_few() -> None:
    encoded = START
    for i in range(1000):
        encoded = encoded.after(1, b'["%d"]' % i, Log())
    assert len(encoded.pieces) < 16
    assert b",".join(encoded.pieces) == b",".join(b'"%d"' % i for i in range(1000))


def test_taken_ids_stay_few_sets() -> None:
    calls = Calls()
    for i in range(1000):
        calls = calls.after({f"c{i}"})
    assert len(calls.ids) < 16
    assert all(f"c{i}" in calls for i in range(1000))
    assert "c1000" not in calls


def test_another_key_is_another_history() -> None:
    memory = Memory(step=1)
    messages = tuple(conversation(5))
    written(messages, "key", memory, one_each, len_of)
    assert memory.find("key", messages).count == 3
    assert memory.find("other", messages) is START
    assert memory.find("key", (*messages[:3], user())) is START  # no assistant's turn follows


# --- bounds, threads, the backend -------------------------------------------------------------


def remember(memory: Memory, count: int, size: int, word: str) -> Messages:
    messages = tuple(conversation(count, word))
    piece = b"[%b]" % (b"1" * size)
    written(messages, "key", memory, lambda m, b: b.after(len(m), piece, Log()), len_of)
    return messages


def test_few_histories_are_kept_and_few_bytes() -> None:
    memory = Memory(most=3, most_bytes=1000, step=1)
    held = [remember(memory, 5, 100, word) for word in "abcd"]
    assert len(memory) == 3
    assert memory.find("key", held[0]) is START
    assert all(memory.find("key", messages).count == 3 for messages in held[1:])
    remember(memory, 5, 750, "e")
    assert (len(memory), memory.size) == (3, 950)
    remember(memory, 5, 2000, "too long")
    assert (len(memory), memory.size) == (2, 850)


def test_the_last_used_is_kept() -> None:
    memory = Memory(most=2, step=1)
    first = remember(memory, 5, 10, "a")
    remember(memory, 5, 10, "b")
    written((*first, said(), user()), "key", memory, one_each, len_of)
    remember(memory, 5, 10, "c")
    assert memory.recognised((*first, said(), user(), said())) == 5


def test_a_conversation_is_kept_once() -> None:
    memory = Memory(step=1)
    messages = list(remember(memory, 5, 10, "a"))
    for _ in range(20):
        messages += [said(), user()]
        written(tuple(messages), "key", memory, one_each, len_of)
    assert len(memory) == 1


def test_settings_are_bounded_too() -> None:
    memory = Memory()
    made: list[str] = []

    def make(asked: LLMRequest, theirs: ProviderConfig) -> str:
        made.append(asked.model.name)
        return asked.model.name

    requests = [request(f"m{i}", (user(),)) for i in range(20)]
    for asked in (*requests, requests[-1], requests[0]):
        assert memory.settings(asked, at("openai"), make) == asked.model.name
    assert len(made) == 22
    theirs = at("openai")
    for _ in range(3):
        memory.settings(requests[0], theirs, make)
    assert len(made) == 23
    assert len(memory._settings) <= 8


def test_equal_settings_are_not_the_same() -> None:
    memory, theirs = Memory(), at("openai")
    asked = request("m", (user(),))
    for temperature in (1, True, 1.0, 1):
        asked = replace(asked, temperature=temperature)
        assert outcome("openai", asked, theirs, memory) == outcome("openai", asked, theirs, None)


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
def test_many_threads(wire: str) -> None:
    memory = Memory(most=3, step=1)
    wrong: list[Any] = []

    def talk(word: str) -> None:
        messages = conversation(3, word)
        for i in range(40):
            messages += [said(f"{word}{i}"), user(f"{word}{i}?")]
            asked = request("m", tuple(messages))
            got, wanted = (outcome(wire, asked, at(wire), m) for m in (memory, None))
            if got != wanted:
                wrong.append((got, wanted))

    threads = [threading.Thread(target=talk, args=(word,)) for word in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(memory) <= 3


@pytest.mark.parametrize("wire", REMEMBERING)
def test_backends_remember_until_they_are_closed(wire: str) -> None:
    async def main() -> None:
        backend = GenericBackend(provider=at(wire))
        messages = conversation(41)
        for _ in range(3):
            asked = backend._request(model(wire), messages, False, {"tools": TOOLS})
            assert (
                backend.prepare(asked).body == backend.adapter.prepare_request(asked, at(wire)).body
            )
            messages += [said(), user()]
        assert len(backend._memory) == 1
        await backend.close()
        assert len(backend._memory) == 0

    asyncio.run(main())


def test_what_is_no_message_is_refused_beside_what_is_known() -> None:
    backend = GenericBackend(provider=at("openai"))
    messages: list[Any] = conversation(41)
    backend.prepare(backend._request(model("openai"), messages, False, {}))
    for bad in (7, {"role": "nobody"}):
        with pytest.raises(UnsupportedError, match=r"messages\[42\]"):
            backend._request(model("openai"), [*messages, said(), bad], False, {})
    plain = backend._request(model("openai"), [*messages, said(), "text"], False, {})
    assert plain.messages[-1] == user("text")


@pytest.mark.parametrize("wire", REMEMBERING)
@pytest.mark.parametrize("place", ["a part", "a message", "a part inside a result", "none"])
@pytest.mark.parametrize("late", [False, True])
def test_marks_for_caching_in_what_is_remembered_still_count(
    wire: str, place: str, late: bool
) -> None:
    """Nothing of a remembered history is looked at again, but whether it had a mark is known."""
    marked = {
        "a part": LLMMessage("user", [TextPart("look", cache="5m")]),
        "a message": LLMMessage("user", "look", cache="5m"),
        "a part inside a result": LLMMessage(
            "tool", [TextPart("seen", cache="5m")], tool_call_id="call00001"
        ),
        "none": LLMMessage("user", "look"),
    }[place]
    asked = ToolCall("call00001", FunctionCall("weather", "{}"))
    turns = [LLMMessage("user", "hi"), LLMMessage("assistant", tool_calls=[asked]), marked]
    for i in range(40):
        turns += [LLMMessage("assistant", f"a{i}"), LLMMessage("user", f"q{i}")]
    if late:
        turns = turns[3:] + turns[:3] + turns[3:]
    memory, adapter, ours = Memory(), ADAPTERS[wire], provider(wire)
    assert isinstance(adapter, Remembering)
    for count in (len(turns) - 10, len(turns) - 8, len(turns) - 2, len(turns)):
        request = LLMRequest(model=model(wire), messages=tuple(turns[:count]), tools=TOOLS)
        fresh = adapter.prepare_request(request, ours)
        known = adapter.prepare_next(request, ours, memory)
        assert (known.body, known.adaptations) == (fresh.body, fresh.adaptations)
    assert len(memory)
