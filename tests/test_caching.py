"""Prompt caching: marks as each wire takes them, and why a prefix was not found."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contract.cases import PNG, QUESTION, TOOLS, WIRES, provider, request
from contract.support import heard
from llmwire import file, image
from llmwire.adapters import ADAPTERS
from llmwire.backend import GenericBackend
from llmwire.caching import CacheBreak, explain_cache, fit_marks, is_marked, marks_of
from llmwire.config import Dialect, ModelConfig
from llmwire.errors import UnsupportedError
from llmwire.history import (
    Log,
    drop_foreign,
    merge_consecutive_user_messages,
    pair_tool_calls,
)
from llmwire.output import output_format
from llmwire.providers import PROVIDERS
from llmwire.request import LLMRequest
from llmwire.testing import LocalServer
from llmwire.types import (
    FunctionCall,
    LLMMessage,
    Native,
    ReasoningPart,
    TextPart,
    ToolCall,
    ToolResultPart,
)

CALL = ToolCall("call00001", FunctionCall("weather", "{}"))
SYSTEM = LLMMessage("system", [TextPart("Be brief."), TextPart("Be kind.", cache="1h")])


def asked(*messages: LLMMessage, **fields: Any) -> LLMRequest:
    return LLMRequest(model=ModelConfig("m", temperature=None), messages=messages, **fields)


def text(words: str, cache: Any = None) -> LLMMessage:
    return LLMMessage("user", [TextPart(words, cache=cache)])


def body(wire: str, given_: LLMRequest, **dialect: Any) -> tuple[Any, list[tuple[str, str]]]:
    ours = provider(wire)
    if dialect:
        ours = replace(ours, dialect=Dialect(**dialect))
    prepared = ADAPTERS[wire].prepare_request(given_, ours)
    return json.loads(prepared.body), [(a.action, a.path) for a in prepared.adaptations]


def marked_blocks(tree: Any, key: str = "cache_control") -> list[Any]:
    if isinstance(tree, dict):
        own = [tree[key]] if key in tree else []
        return own + [m for v in tree.values() for m in marked_blocks(v, key)]
    return [m for v in tree for m in marked_blocks(v, key)] if isinstance(tree, list) else []


# --- fitting --------------------------------------------------------------------------------------


def test_marks_are_found_in_the_order_of_the_prefix() -> None:
    tools = (replace(TOOLS[0], cache="1h"), TOOLS[1])
    nested = ToolResultPart("c", (TextPart("a", cache="5m"), TextPart("b")))
    found = marks_of(
        asked(
            SYSTEM,
            LLMMessage("user", [TextPart("hi"), image(PNG, cache="default")]),
            LLMMessage("assistant", tool_calls=[CALL], cache="30m"),
            LLMMessage("tool", [nested]),
            LLMMessage("user", [TextPart("a", cache="5m")], cache="1h"),
            tools=tools,
        )
    )
    assert [(m.path, m.lifetime) for m in found] == [
        ("tools[0].cache", "1h"),
        ("messages[0].parts[1].cache", "1h"),
        ("messages[1].parts[1].cache", "default"),
        ("messages[2].cache", "30m"),
        ("messages[3].parts[0].cache", "5m"),
        ("messages[4].parts[0].cache", "5m"),
    ]


def test_without_marks_nothing_is_made() -> None:
    plain = asked(QUESTION, LLMMessage("assistant", tool_calls=[CALL]), tools=TOOLS)
    assert not is_marked(plain)
    assert fit_marks(plain, (), Log()) is plain
    fine = asked(text("a", "5m"), text("b", "1h"))
    assert is_marked(fine) and fit_marks(fine, ("5m", "1h"), Log()) is fine


LIFETIMES: list[tuple[Any, tuple[Any, ...], Any]] = [
    ("default", ("5m", "1h"), "default"),
    ("5m", ("5m", "1h"), "5m"),
    ("30m", ("5m", "1h"), "1h"),
    ("24h", ("5m", "1h"), "1h"),
    ("5m", ("30m", "12h"), "30m"),
    ("1h", ("30m", "12h"), "12h"),
    ("24h", ("30m", "12h"), "12h"),
]


@pytest.mark.parametrize(("lifetime", "known", "expected"), LIFETIMES)
def test_a_lifetime_becomes_the_next_longer_one(lifetime: Any, known: Any, expected: Any) -> None:
    log = Log()
    got = fit_marks(asked(text("a", lifetime)), known, log)
    assert marks_of(got)[0].lifetime == expected
    assert [(a.action, a.path, a.before, a.after) for a in log.entries] == (
        []
        if lifetime == expected
        else [("clamped", "messages[0].parts[0].cache", lifetime, expected)]
    )


def test_of_too_many_the_middle_goes() -> None:
    log = Log()
    before = asked(*(text(str(i), "5m") for i in range(7)))
    got = fit_marks(before, ("5m", "1h"), log)
    assert [m.path for m in marks_of(got)] == [
        f"messages[{i}].parts[0].cache" for i in (0, 1, 5, 6)
    ]
    assert [(a.action, a.path) for a in log.entries] == [
        ("dropped", f"messages[{i}].parts[0].cache") for i in (2, 3, 4)
    ]
    assert [a is b for a, b in zip(before.messages, got.messages, strict=True)] == [
        True, True, False, False, False, True, True,
    ]  # fmt: skip


def test_a_mark_does_not_end_before_a_later_one() -> None:
    log = Log()
    lifetimes: tuple[Any, ...] = ("default", "1h", "5m")
    given_ = asked(*(text(c, c) for c in lifetimes))
    got = fit_marks(given_, ("5m", "1h"), log, longest_first=True)
    assert [m.lifetime for m in marks_of(got)] == ["1h", "1h", "5m"]
    assert [(a.action, a.before, a.after) for a in log.entries] == [
        ("substituted", "default", "1h")
    ]
    assert [m.lifetime for m in marks_of(fit_marks(given_, ("5m", "1h"), Log()))] == list(lifetimes)


def test_a_wire_that_caches_by_itself_gets_none() -> None:
    log = Log()
    given_ = asked(
        SYSTEM, LLMMessage("user", "a", cache="5m"), tools=(replace(TOOLS[0], cache="5m"),)
    )
    got = fit_marks(given_, (), log)
    assert not is_marked(got)
    assert [(a.action, a.path) for a in log.entries] == [("dropped", "cache")]
    assert len(log.entries[0].before) == 3
    assert is_marked(given_), "the caller's request stays as it is"


def test_tools_where_they_can_not_be_marked() -> None:
    log = Log()
    given_ = asked(text("a", "5m"), tools=(replace(TOOLS[0], cache="5m"),))
    got = fit_marks(given_, ("5m",), log, tools=False)
    assert [m.path for m in marks_of(got)] == ["messages[0].parts[0].cache"]
    assert [(a.action, a.path) for a in log.entries] == [("dropped", "tools[0].cache")]


# --- Anthropic ------------------------------------------------------------------------------------

PLAIN, HOUR = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}


def test_claude_gets_breakpoints_where_the_marks_are() -> None:
    given_ = request(
        "anthropic",
        (
            SYSTEM,
            LLMMessage("user", ["look:", image(PNG, cache="5m"), file(b"%PDF-1", cache="default")]),
            LLMMessage("assistant", "Fine."),
            LLMMessage("user", "More."),
        ),
        tools=(replace(TOOLS[0], cache="1h"), TOOLS[1]),
    )
    sent, log = body("anthropic", given_)
    assert [t.get("cache_control") for t in sent["tools"]] == [HOUR, None]
    assert [b.get("cache_control") for b in sent["system"]] == [None, HOUR]
    first = sent["messages"][0]["content"]
    assert [b.get("cache_control") for b in first] == [None, {**PLAIN, "ttl": "5m"}, PLAIN]
    assert len(marked_blocks(sent)) == 4, "the automatic ones give way"
    assert log == []
    plain, _ = body("anthropic", request("anthropic", (LLMMessage("system", "Be."), QUESTION)))
    assert len(marked_blocks(plain)) == 2, "without marks there are two automatic ones"


def test_a_message_s_mark_stands_on_its_last_block() -> None:
    given_ = request(
        "anthropic",
        (
            LLMMessage("system", ["a", "b"], cache="1h"),
            LLMMessage("user", ["c", "d"], cache="1h"),
            LLMMessage("assistant", parts=[TextPart("e"), CALL], cache="default"),
            LLMMessage("tool", "f", tool_call_id="call00001", cache="default"),
            LLMMessage("user", "g"),
        ),
    )
    sent, log = body("anthropic", given_)
    blocks = [*sent["system"], *(b for m in sent["messages"] for b in m["content"])]
    assert [b.get("cache_control") for b in blocks] == [
        None, HOUR, None, HOUR, None, PLAIN, PLAIN, None,
    ]  # fmt: skip
    assert log == []
    got = heard(given_, provider("anthropic")).request
    assert [m.lifetime for m in marks_of(got)] == ["1h", "1h", "default", "default"]


def test_what_can_not_be_marked_is_said() -> None:
    thought = ReasoningPart("hm", signature="c2ln", native=Native("anthropic"))
    given_ = request(
        "anthropic",
        (
            QUESTION,
            LLMMessage("assistant", parts=[TextPart("a"), thought, CALL], cache="1h"),
            LLMMessage("tool", "f", tool_call_id="call00001"),
        ),
        thinking="high",
    )
    sent, log = body("anthropic", given_)
    assert [b.get("cache_control") for b in sent["messages"][1]["content"]] == [None, None, HOUR]
    assert log == []
    only = LLMMessage("assistant", parts=[thought, TextPart("a")], cache="1h")
    sent, _ = body("anthropic", request("anthropic", (QUESTION, only, QUESTION), thinking="high"))
    assert [b.get("cache_control") for b in sent["messages"][1]["content"]] == [None, HOUR]


def test_marks_in_results_and_in_later_system_messages() -> None:
    nested = ToolResultPart("call00001", (TextPart("a", cache="1h"), TextPart("b")))
    given_ = request(
        "anthropic",
        (
            QUESTION,
            LLMMessage("assistant", tool_calls=[CALL]),
            LLMMessage("tool", [nested]),
            LLMMessage("system", [TextPart("Now be loud.", cache="5m")]),
        ),
    )
    sent, _ = body("anthropic", given_)
    last = sent["messages"][-1]["content"]
    assert [b["type"] for b in last] == ["tool_result", "text"]
    assert [b.get("cache_control") for b in last] == [HOUR, {**PLAIN, "ttl": "5m"}]
    assert marked_blocks(last[0]["content"]) == []


def test_the_server_refuses_what_the_api_refuses() -> None:
    from llmwire.adapters import SERVER_HALVES

    block = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    raw = {
        "model": "claude-sonnet-4-6", "max_tokens": 9, "system": [block],
        "messages": [{"role": "user", "content": [{**block, "cache_control": HOUR}]}],
    }  # fmt: skip
    with pytest.raises(Exception, match="must not come after a ttl='5m'"):
        SERVER_HALVES["anthropic"].parse_request(
            "POST", "/v1/messages", {"anthropic-version": "2023-06-01"}, json.dumps(raw).encode()
        )


lifetimes = st.sampled_from([None, None, "default", "5m", "30m", "1h", "12h", "24h"])
contents = st.lists(
    st.one_of(
        st.builds(lambda c: TextPart("word", cache=c), lifetimes),
        st.builds(lambda c: image(PNG, cache=c), lifetimes),
    ),
    min_size=1,
    max_size=3,
)
turns = st.one_of(
    st.builds(lambda p, c: [LLMMessage("user", p, cache=c)], contents, lifetimes),
    st.builds(
        lambda c, d, e: [
            LLMMessage("assistant", tool_calls=[CALL], cache=c),
            LLMMessage("tool", [ToolResultPart("call00001", "x", cache=d)], cache=e),
        ],
        lifetimes, lifetimes, lifetimes,
    ),
    st.builds(lambda c, d: [LLMMessage("assistant", [TextPart("said", cache=c)], cache=d)], lifetimes, lifetimes),
)  # fmt: skip
conversations = st.lists(turns, max_size=5).map(
    lambda found: (QUESTION, *(m for turn in found for m in turn), QUESTION)
)


@pytest.mark.parametrize("wire", WIRES)
@given(messages=conversations, tool=lifetimes, system=lifetimes)
def test_any_marks_make_a_request_that_is_taken(
    wire: str, messages: Any, tool: Any, system: Any
) -> None:
    """The strict server takes it; the words are the same as without marks; nothing is silent."""
    given_ = request(
        wire,
        (LLMMessage("system", "Be brief.", cache=system), *messages),
        tools=(replace(TOOLS[0], cache=tool), TOOLS[1]),
    )
    got = heard(given_, provider(wire)).request
    bare = heard(fit_marks(given_, (), Log()), provider(wire)).request
    assert [m.text for m in got.messages] == [m.text for m in bare.messages]
    prepared = ADAPTERS[wire].prepare_request(given_, provider(wire))
    dropped = [a for a in prepared.adaptations if "cache" in a.path]
    marks = marks_of(given_)
    if "anthropic" in wire or wire == "bedrock-converse":
        assert len(marks_of(got)) == min(len(marks), 4) or not marks
    elif wire == "openai-responses":  # a newer GPT's; not tools, not what it said itself
        kept = [
            m for m in marks if m.place[0] >= 0 and given_.messages[m.place[0]].role != "assistant"
        ]
        assert len(marks_of(got)) == len(kept)
    else:
        assert not marks_of(got)
        assert len(dropped) == bool(marks)


# --- Chat Completions -----------------------------------------------------------------------------


def gpt(*messages: LLMMessage, name: str = "gpt-5.6-sol", **fields: Any) -> LLMRequest:
    return LLMRequest(model=ModelConfig(name, temperature=None), messages=messages, **fields)


POINT: dict[str, Any] = {"mode": "explicit"}


def test_newer_models_get_breakpoints() -> None:
    given_ = gpt(
        LLMMessage("system", "Be brief.", cache="12h"),
        LLMMessage("user", ["a", image(PNG, cache="default")]),
        LLMMessage("assistant", [TextPart("b", cache="1h")]),
        LLMMessage("assistant", tool_calls=[CALL]),
        LLMMessage("tool", [ToolResultPart("call00001", "c", cache="30m")]),
        LLMMessage("user", "d"),
    )
    sent, log = body("openai", given_)
    assert [m["content"] for m in sent["messages"]] == [
        [
            {
                "type": "text", "text": "Be brief.",
                "prompt_cache_breakpoint": {**POINT, "ttl": "12h"},
            }
        ],
        [
            {"type": "text", "text": "a"},
            {
                "type": "image_url",
                "image_url": sent["messages"][1]["content"][1]["image_url"],
                "prompt_cache_breakpoint": POINT,
            },
        ],
        [{"type": "text", "text": "b", "prompt_cache_breakpoint": {**POINT, "ttl": "12h"}}],
        None,
        [{"type": "text", "text": "c", "prompt_cache_breakpoint": {**POINT, "ttl": "30m"}}],
        "d",
    ]  # fmt: skip
    assert log == [("clamped", "messages[2].parts[0].cache")]
    got = heard(given_, provider("openai")).request
    assert [m.lifetime for m in marks_of(got)] == ["12h", "default", "12h"]


def test_responses_get_breakpoints_on_what_is_said_to_the_model() -> None:
    given_ = request(
        "openai-responses",
        (
            LLMMessage("system", "Be brief.", cache="12h"),
            LLMMessage("user", ["a", image(PNG)], cache="30m"),
            LLMMessage("assistant", parts=[TextPart("b", cache="30m"), CALL]),
            LLMMessage("tool", [ToolResultPart("call00001", "c", cache="1h")]),
        ),
        tools=(replace(TOOLS[0], cache="30m"),),
    )
    sent, log = body("openai-responses", given_)
    assert "instructions" not in sent, "instructions can't be marked"
    found = marked_blocks(sent["input"], "prompt_cache_breakpoint")
    assert found == [{**POINT, "ttl": "12h"}, {**POINT, "ttl": "30m"}, {**POINT, "ttl": "12h"}]
    assert log == [
        ("dropped", "tools[0].cache"),
        ("dropped", "messages[2].parts[0].cache"),
        ("clamped", "messages[3].parts[0].cache"),
    ]
    got = heard(given_, provider("openai-responses")).request
    assert [m.lifetime for m in marks_of(got)] == ["12h", "30m", "12h"]
    old = replace(given_, model=ModelConfig("gpt-5.5", temperature=None))
    sent, log = body("openai-responses", old)
    assert sent["instructions"] == "Be brief." and log == [("dropped", "cache")]


def test_a_message_without_content_has_no_place_for_a_mark() -> None:
    given_ = gpt(
        QUESTION,
        LLMMessage("assistant", tool_calls=[CALL], cache="30m"),
        LLMMessage("tool", "x", tool_call_id="call00001", cache="30m"),
    )
    sent, log = body("openai", given_)
    assert sent["messages"][1]["content"] is None
    assert len(marked_blocks(sent, "prompt_cache_breakpoint")) == 1
    assert log == [("dropped", "messages[1].cache")]


@pytest.mark.parametrize(
    ("name", "has"),
    [
        ("gpt-5.6-luna", True), ("gpt-6-astra", True), ("gpt-6.1-terra", True), ("gpt-7", True),
        ("gpt-5.5", False), ("gpt-4o", False), ("o3", False), ("qwen3", False),
    ],
)  # fmt: skip
def test_which_models_know_breakpoints(name: str, has: bool) -> None:
    sent, log = body("openai", gpt(text("a", "30m"), name=name))
    assert bool(marked_blocks(sent, "prompt_cache_breakpoint")) is has
    assert log == ([] if has else [("dropped", "cache")])


def test_servers_that_take_anthropic_s_marks() -> None:
    for name in ("openrouter", "qwen"):
        known = PROVIDERS[name]
        given_ = gpt(text("a", "5m"), name="anthropic/claude-sonnet-5")
        sent = json.loads(ADAPTERS["openai"].prepare_request(given_, known).body)
        assert marked_blocks(sent) == [{"type": "ephemeral", "ttl": "5m"}]


def test_keys_of_the_cache() -> None:
    given_ = gpt(QUESTION, cache_key="session-1", name="gpt-5.5")
    prepared = ADAPTERS["openai"].prepare_request(given_, PROVIDERS["openai"])
    assert json.loads(prepared.body)["prompt_cache_key"] == "session-1"
    assert "x-affinity" not in prepared.headers and prepared.adaptations == ()

    prepared = ADAPTERS["reasoning"].prepare_request(given_, PROVIDERS["mistral"])
    assert json.loads(prepared.body)["prompt_cache_key"] == "session-1"
    assert prepared.headers["x-affinity"] == "session-1"
    odd = replace(given_, cache_key="s\nx: y")
    prepared = ADAPTERS["reasoning"].prepare_request(odd, PROVIDERS["mistral"])
    assert "x-affinity" not in prepared.headers
    assert json.loads(prepared.body)["prompt_cache_key"] == "s\nx: y"

    for wire in ("openai", "anthropic"):
        sent, log = body(wire, replace(given_, model=ModelConfig("m", temperature=None)))
        assert "session-1" not in json.dumps(sent)
        assert ("dropped", "cache_key") in log


@pytest.mark.parametrize("wire", WIRES)
def test_stored_replies_are_for_those_who_have_them(wire: str) -> None:
    if wire == "openai-responses":  # it has them
        sent, log = body(wire, request(wire, previous_response_id="resp_1", store=True))
        assert (sent["previous_response_id"], sent["store"], log) == ("resp_1", True, [])
        return
    given_ = request(wire, previous_response_id="resp_1")
    with pytest.raises(UnsupportedError) as caught:
        ADAPTERS[wire].prepare_request(given_, provider(wire))
    assert caught.value.path == "previous_response_id"
    if wire == "gemini":  # about logs there, not about replies
        assert body(wire, request(wire, store=True))[0]["store"] is True
        return
    sent, log = body(wire, request(wire, store=True))
    assert "store" not in sent and ("dropped", "store") in log
    kept = ADAPTERS["openai"].prepare_request(gpt(QUESTION, store=True), PROVIDERS["openai"])
    assert json.loads(kept.body)["store"] is True


async def test_options_of_a_call() -> None:
    with LocalServer() as server:
        ours = replace(
            server.provider("openai"), dialect=Dialect(prompt_cache_key=True, store=True)
        )
        async with GenericBackend(provider=ours) as backend:
            await backend.complete(
                model="gpt-5.6-sol", messages=[text("a", "30m")], cache_key="k", store=True
            )
            with pytest.raises(UnsupportedError):
                await backend.complete(model="m", messages="a", previous_response_id="r")
        asked_ = server.requests[0].request.request
    assert (asked_.cache_key, asked_.store) == ("k", True)
    assert [m.lifetime for m in marks_of(asked_)] == ["30m"]


# --- history --------------------------------------------------------------------------------------


def test_transforms_of_histories_keep_marks() -> None:
    cited = TextPart("a", ({"type": "x"},), Native("other"), cache="1h")
    got = drop_foreign([LLMMessage("assistant", [cited])], Native("anthropic"), Log())
    assert got[0].parts == (TextPart("a", cache="1h"),)

    stray = LLMMessage("tool", [ToolResultPart("nobody", "x", cache="1h")], cache="5m")
    got = pair_tool_calls([QUESTION, stray], Log())
    assert got[1].parts == (TextPart("x", cache="1h"),) and got[1].cache == "5m"

    mixed = LLMMessage("user", [ToolResultPart("call00001", "x", cache="1h")], cache="5m")
    got = pair_tool_calls([QUESTION, LLMMessage("assistant", tool_calls=[CALL]), mixed], Log())
    assert got[2].role == "tool" and got[2].cache == "5m"
    assert got[2].parts[0].cache == "1h"

    merged = merge_consecutive_user_messages(
        [text("a"), text("b", "1h"), LLMMessage("user", "c", cache="5m")]
    )
    assert merged[0].parts == (TextPart("a"), TextPart("b", cache="1h"), TextPart("c"))
    assert merged[0].cache == "5m"


def test_a_picture_that_moves_leaves_the_mark_on_its_result() -> None:
    result = ToolResultPart("call00001", (TextPart("see"), image(PNG)), cache="30m")
    given_ = gpt(QUESTION, LLMMessage("assistant", tool_calls=[CALL]), LLMMessage("tool", [result]))
    sent, _ = body("openai", given_)
    assert sent["messages"][2]["content"] == [
        {"type": "text", "text": "see", "prompt_cache_breakpoint": {**POINT, "ttl": "30m"}}
    ]


# --- explaining -----------------------------------------------------------------------------------

FIRST = asked(
    LLMMessage("system", "Today is 2026-01-01. Be brief."),
    LLMMessage("user", "Hello"),
    tools=TOOLS,
)
NEXT = replace(
    FIRST, messages=(*FIRST.messages, LLMMessage("assistant", "Hi"), LLMMessage("user", "And?"))
)


def changed(place: int, message: LLMMessage) -> LLMRequest:
    messages = list(NEXT.messages)
    messages[place] = message
    return replace(NEXT, messages=tuple(messages))


def described(**fields: Any) -> Any:
    return replace(TOOLS[1], function=replace(TOOLS[1].function, **fields))


BREAKS: list[tuple[LLMRequest, str, str, str]] = [
    (replace(NEXT, model=ModelConfig("other")), "model", "model", "changed"),
    (replace(NEXT, cache_key="k"), "cache_key", "cache_key", "changed"),
    (replace(NEXT, tools=TOOLS[:1]), "tools[1]", "tools[1]", "is gone"),
    (replace(NEXT, tools=(*TOOLS, TOOLS[0])), "tools[2]", "tools[2]", "is new"),
    (replace(NEXT, tools=TOOLS[::-1]), "tools[0]", "tools[0].function.name", "character 0"),
    (
        replace(NEXT, tools=(TOOLS[0], described(description="The time now"))),
        "tools[1]", "tools[1].function.description", "character 8",
    ),
    (
        replace(NEXT, tools=(TOOLS[0], described(parameters={"type": "object"}))),
        "tools[1]", "tools[1].function.parameters.properties", "is gone",
    ),
    (replace(NEXT, output=output_format(int)), "output", "output", "changed"),
    (
        changed(0, LLMMessage("system", "Today is 2026-01-02. Be brief.")),
        "messages[0].parts[0]", "messages[0].parts[0].text", "character 18",
    ),
    (replace(NEXT, messages=NEXT.messages[1:]), "messages[0]", "messages[0]", "is gone"),
    (replace(NEXT, tool_choice="required"), "tool_choice", "tool_choice", "changed"),
    (replace(NEXT, thinking="high"), "thinking", "thinking", "character"),
    (
        changed(1, LLMMessage("user", "Hello!")),
        "messages[1].parts[0]", "messages[1].parts[0].text", "character 5",
    ),
    (changed(1, LLMMessage("user", "Hello", name="Ann")), "messages[1]", "messages[1].name", "new"),
]  # fmt: skip


@pytest.mark.parametrize(("following", "block", "path", "what"), BREAKS)
def test_the_first_break_is_named(following: LLMRequest, block: str, path: str, what: str) -> None:
    found = explain_cache(FIRST, following)
    assert found is not None
    assert (found.block, found.path) == (block, path)
    assert what in found.what
    assert path in str(found) and "read anew" in str(found)


def test_an_explanation_reads_well() -> None:
    found = explain_cache(FIRST, changed(0, LLMMessage("system", "Today is 2026-01-02. Be brief.")))
    assert str(found) == (
        "messages[0].parts[0].text changed at character 18: 'Today is 2026-01-01. Be brief.' "
        "became 'Today is 2026-01-02. Be brief.'. Everything from messages[0].parts[0] on is read "
        "anew."
    )
    assert found == CacheBreak(
        "messages[0].parts[0]", "messages[0].parts[0].text", "changed at character 18",
        "'Today is 2026-01-01. Be brief.'", "'Today is 2026-01-02. Be brief.'",
    )  # fmt: skip
    long = explain_cache(asked(text("a" * 99 + "b" + "c" * 99)), asked(text("a" * 99 + "d")))
    assert long is not None and long.before == repr("…" + "a" * 20 + "b" + "c" * 19 + "…")
    assert "is new" in str(explain_cache(asked(QUESTION), asked(QUESTION, tools=TOOLS)))


GOES_ON = [
    FIRST,
    NEXT,
    replace(NEXT, temperature=0.5, max_tokens=9, stream=True, metadata={"a": "b"}),
    replace(FIRST, messages=FIRST.messages[:1]),
    replace(NEXT, messages=tuple(replace(m, cache="1h") for m in NEXT.messages)),
    replace(NEXT, tools=tuple(replace(t, cache="1h") for t in TOOLS)),
]


@pytest.mark.parametrize("following", GOES_ON)
def test_a_conversation_that_goes_on_breaks_nothing(following: LLMRequest) -> None:
    assert explain_cache(FIRST, following) is None


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("marks", [None, "5m"])
def test_bodies_are_explained_like_requests(wire: str, marks: Any) -> None:
    def prepared(given_: LLMRequest) -> Any:
        model = ModelConfig("gpt-5.6-sol" if "openai" in wire else "claude-sonnet-5")
        last = given_.messages[-1]
        messages = (*given_.messages[:-1], replace(last, cache=marks))
        return ADAPTERS[wire].prepare_request(
            replace(given_, model=model, messages=messages), provider(wire)
        )

    first = prepared(FIRST)
    assert explain_cache(first, prepared(NEXT)) is None
    assert explain_cache(first.body, prepared(NEXT).body.decode()) is None
    tool, prompt, message = PLACES[wire]
    for following, place in (
        (replace(NEXT, tools=TOOLS[:1]), tool),
        (changed(0, LLMMessage("system", "Be loud.")), prompt),
        (changed(1, LLMMessage("user", "Hello!")), message),
    ):
        found = explain_cache(first, prepared(following))
        assert found is not None and found.path.startswith(place)
        assert place.startswith(found.block)


PLACES = {
    "ollama": ("tools[1]", "messages[0].content", "messages[1].content"),
    "openai": ("tools[1]", "messages[0].content", "messages[1].content"),
    "reasoning": ("tools[1]", "messages[0].content", "messages[1].content"),
    "openai-responses": ("tools[1]", "instructions", "input[0].content"),
    "anthropic": ("tools[1]", "system[0].text", "messages[0].content"),
    "vertex-anthropic": ("tools[1]", "system[0].text", "messages[0].content"),
    "bedrock-anthropic": ("tools[1]", "system[0].text", "messages[0].content"),
    "bedrock-converse": ("toolConfig.tools[1]", "system[0].text", "messages[0].content"),
    "gemini": ("tools[0].functionDeclarations[1]", "systemInstruction", "contents[0].parts[0]"),
    "vertex-gemini": ("tools[0].functionDeclarations[1]", "systemInstruction", "contents[0]"),
}
"""Where on each wire the second tool, the prompt and the first question stand."""


def test_a_model_in_the_path_counts() -> None:
    def at(model: str) -> Any:
        given_ = replace(FIRST, model=ModelConfig(model, temperature=None))
        return ADAPTERS["vertex-anthropic"].prepare_request(given_, provider("vertex-anthropic"))

    found = explain_cache(at("claude-opus-5"), at("claude-opus-4-8"))
    assert found is not None and found.block == "model"
    streamed = ADAPTERS["vertex-anthropic"].prepare_request(
        replace(FIRST, model=ModelConfig("claude-opus-5", temperature=None), stream=True),
        provider("vertex-anthropic"),
    )
    assert explain_cache(at("claude-opus-5"), streamed) is None


def test_a_user_s_turn_may_grow_at_its_end() -> None:
    """Anthropic's neighbouring user messages are one: the next message extends the last."""
    more = replace(FIRST, messages=(*FIRST.messages, LLMMessage("user", "Hurry.")))
    a, b = (ADAPTERS["anthropic"].prepare_request(r, provider("anthropic")) for r in (FIRST, more))
    assert explain_cache(a, b) is None
    assert explain_cache(b, a) is not None


def test_other_wires_bodies() -> None:
    gemini = {"systemInstruction": {"parts": [{"text": "a"}]}, "contents": [{"role": "user"}]}
    other = {**gemini, "systemInstruction": {"parts": [{"text": "b"}]}}
    found = explain_cache(json.dumps(gemini), json.dumps(other).encode())
    assert found is not None and found.path == "systemInstruction.parts[0].text"
    point = {"cachePoint": {"type": "default"}}
    bedrock = {"system": [{"text": "a"}, point], "messages": [{"content": [{"text": "x"}, point]}]}
    without = {"system": [{"text": "a"}], "messages": [{"content": [{"text": "x"}]}]}
    assert explain_cache(json.dumps(bedrock), json.dumps(without)) is None
    for wrong in ("[]", "{", b"\xff"):
        with pytest.raises(ValueError, match="not a request's body"):
            explain_cache(wrong, wrong)


@given(conversations, conversations)
def test_any_two_conversations_are_compared(a: Any, b: Any) -> None:
    found = explain_cache(asked(*a), asked(*b))
    bare_a, bare_b = (fit_marks(asked(*m), (), Log()).messages for m in (a, b))
    n = min(len(bare_a), len(bare_b))
    same = bare_a[:n] == bare_b[:n]
    assert (found is None) == same
    assert explain_cache(asked(*a), asked(*a, *b)) is None
