"""Fitting histories: pairing, ids, foreign state, order of turns, and the paths in the log."""

from __future__ import annotations

import itertools
import pickle
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.history import (
    BRIDGE,
    NO_RESULT,
    Log,
    ReachesBack,
    are_legal,
    bridge_tool_to_user,
    close_parts,
    drop_foreign,
    fit,
    fit_id,
    fit_ids,
    issued_by,
    merge_consecutive_user_messages,
    pair_tool_calls,
)
from llmwire.types import (
    CompactionPart,
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
)
from strategies import any_texts, histories, messages, words


def call(id: str | None, name: str = "f") -> ToolCall:
    return ToolCall(id, FunctionCall(name, "{}"))


def asks(*calls: ToolCall, text: str = "") -> LLMMessage:
    return LLMMessage("assistant", [*([TextPart(text)] if text else []), *calls])


def tool(call_id: str, content: Any = "ok") -> LLMMessage:
    return LLMMessage("tool", content, tool_call_id=call_id)


def user(text: str = "hi") -> LLMMessage:
    return LLMMessage("user", text)


def paired(*history: LLMMessage) -> tuple[list[LLMMessage], list[tuple[str, str]]]:
    log = Log()
    return pair_tool_calls(history, log), [(a.action, a.path) for a in log.entries]


def no_result(call_id: str, name: str = "f") -> LLMMessage:
    return LLMMessage("tool", [ToolResultPart(call_id, NO_RESULT, name, is_error=True)])


# --- calls and results: laws ------------------------------------------------------------------


def check_paired(history: Sequence[LLMMessage]) -> None:
    """Each turn's calls are answered once each, right after it; there are no other results."""
    seen: set[str] = set()
    at = 0
    while at < len(history):
        message = history[at]
        at += 1
        assert not any(type(p) is ToolResultPart for p in message.parts)
        if message.role is not Role.assistant:
            continue
        ids = [c.id or "" for c in message.tool_calls]
        assert all(ids)
        assert len({*ids}) == len(ids)
        assert not seen & {*ids}
        seen |= {*ids}
        answers: list[str] = []
        while len(answers) < len(ids):
            results = history[at].parts
            assert history[at].role is Role.tool
            assert results
            answers += [r.call_id for r in results if type(r) is ToolResultPart]
            assert all(type(r) is ToolResultPart for r in results)
            at += 1
        assert sorted(answers) == sorted(ids)


@given(histories)
def test_after_pairing_calls_and_results_are_pairs(history: list[LLMMessage]) -> None:
    check_paired(pair_tool_calls(history, Log()))


@given(histories)
def test_pairing_twice_changes_nothing_more(history: list[LLMMessage]) -> None:
    once = pair_tool_calls(history, Log())
    log = Log()
    twice = pair_tool_calls(once, log)
    assert twice == once
    assert log.entries == []
    assert all(a is b for a, b in zip(once, twice, strict=True))


@given(histories)
def test_pairing_loses_no_word(history: list[LLMMessage]) -> None:
    """Every text that came in goes out, results' texts included."""
    out = pair_tool_calls(history, Log())

    def said(found: Sequence[LLMMessage]) -> list[str]:
        texts = [p.text for m in found for p in m.parts if isinstance(p, TextPart | ToolResultPart)]
        return sorted(t for t in texts if t and t != NO_RESULT)

    assert said(out) == said(history)


@given(histories, st.sampled_from(["openai40", "mistral9", "anthropic64"]))
def test_inputs_are_never_touched(history: list[LLMMessage], rule: str) -> None:
    before = pickle.dumps(history)
    log, issuer = Log(), Native("openai", "acme", "m")
    found = pair_tool_calls(drop_foreign(close_parts(history, log), issuer, log), log)
    found = bridge_tool_to_user(fit_ids(found, rule, log), log)
    merge_consecutive_user_messages(found)
    assert pickle.dumps(history) == before
    check_paired([m for m in found if m.content != BRIDGE])


@given(histories)
def test_paths_name_the_original_places(history: list[LLMMessage]) -> None:
    """Whatever ran before, a path leads to the part (or message) that it is about."""
    log, issuer = Log(), Native("openai", "acme", "m")
    found = pair_tool_calls(drop_foreign(close_parts(history, log), issuer, log), log)
    bridge_tool_to_user(fit_ids(found, "mistral9", log), log)
    for entry in log.entries:
        place = eval(
            entry.path.removesuffix(".id").removesuffix(".citations"), {"messages": history}
        )
        if entry.path.endswith(".id"):
            assert isinstance(place, ToolCall)
        if entry.action == "moved":
            assert isinstance(place, ToolResultPart)
        if "call had no result" in entry.reason:
            assert isinstance(place, ToolCall)
        if "not whole" in entry.reason:
            assert isinstance(place, IncompleteToolCall)


def test_the_same_object_in_two_places_has_two_paths() -> None:
    """A caller may say the same words again with the same object."""
    again = asks(call(None), text="again")
    log = Log()
    found = close_parts(
        [LLMMessage("assistant", [IncompleteToolCall()]), user(), again, again], log
    )
    pair_tool_calls(found, log)
    added = [a.path for a in log.entries if a.action == "added" and a.path.endswith(".id")]
    assert added == ["messages[2].parts[1].id", "messages[3].parts[1].id"]


def test_paths_of_later_runs_go_on() -> None:
    log = Log(start=40)
    out = pair_tool_calls([asks(call(None)), tool("nobody's", "x")], log)
    assert out[0].tool_calls[0].id == "call_40_0"
    assert [a.path for a in log.done()] == [
        "messages[40].parts[0].id", "messages[40].parts[0]", "messages[41].parts[0]"
    ]  # fmt: skip


def test_what_earlier_calls_leave_is_heeded() -> None:
    first = Log()
    pair_tool_calls([asks(call("a"), call("b")), tool("a"), user()], first)
    assert "a" in first.calls
    assert first.calls.unanswered == {"b"}
    later = Log(3, first.calls)
    out = pair_tool_calls([asks(call("a")), tool("a")], later)
    assert [c.id for c in out[0].tool_calls] == ["a_2"]
    with pytest.raises(ReachesBack):
        pair_tool_calls([user(), tool("b")], Log(3, first.calls))
    answered_anew = Log(3, first.calls)
    pair_tool_calls([asks(call("b")), tool("b"), user()], answered_anew)
    assert answered_anew.calls.unanswered == set()


def test_records_stand_in_the_order_of_the_history_settings_first() -> None:
    log = Log()
    for path in ("messages[10].name", "messages[2].parts[0]", "seed", "messages[2]", "messages"):
        log.add("dropped", path, "x")
    assert [a.path for a in log.done()] == [
        "seed", "messages", "messages[2].parts[0]", "messages[2]", "messages[10].name"
    ]  # fmt: skip


@given(histories, st.sampled_from(["any", "openai40", "mistral9", "anthropic64"]))
def test_fitting_in_one_is_fitting_step_by_step(history: list[LLMMessage], rule: str) -> None:
    issuer = Native("openai", "acme", "m")
    at_once, steps = Log(), Log()
    found = drop_foreign(close_parts(history, steps), issuer, steps)
    assert list(fit(history, issuer, rule, at_once)) == fit_ids(
        pair_tool_calls(found, steps), rule, steps
    )
    assert at_once.done() == steps.done()
    assert at_once.calls == steps.calls


@given(
    st.lists(any_texts | words, max_size=3),
    st.sampled_from(["openai40", "openai64", "mistral9", "anthropic64"]),
)
def test_ids_are_legal_together_if_each_is(ids: list[str], rule: str) -> None:
    assert are_legal(ids, rule) == all(fit_id(i, rule) == i for i in ids)


# --- calls and results: cases -----------------------------------------------------------------


def test_what_is_right_stays_the_same_object() -> None:
    history = [user(), asks(call("a"), call("b"), text="x"), tool("a"), tool("b"), user(),
               asks(call("c")), tool("c"), LLMMessage("assistant", "done")]  # fmt: skip
    out, log = paired(*history)
    assert log == []
    assert all(a is b for a, b in zip(out, history, strict=True))


def test_results_in_another_order_or_in_one_message_are_right_too() -> None:
    both = LLMMessage("tool", [ToolResultPart("b", "2"), ToolResultPart("a", "1")])
    out, log = paired(asks(call("a"), call("b")), both)
    assert (out[1], log) == (both, [])


def test_a_call_without_result_gets_one() -> None:
    asked = asks(call("a"), call("b"))
    out, log = paired(user(), asked, tool("a"), user("stop"))
    assert out == [user(), asked, tool("a"), no_result("b"), user("stop")]
    assert log == [("added", "messages[1].parts[1]")]


def test_calls_at_the_end_are_answered_too() -> None:
    out, _ = paired(user(), asks(call("a")))
    assert out[2] == no_result("a")


def test_late_results_are_moved_up() -> None:
    out, log = paired(asks(call("a")), user("wait"), LLMMessage("assistant", "ok"), tool("a"))
    assert out == [asks(call("a")), tool("a"), user("wait"), LLMMessage("assistant", "ok")]
    assert log == [("moved", "messages[3].parts[0]")]


def test_results_between_user_texts() -> None:
    mixed = LLMMessage("user", [TextPart("x"), ToolResultPart("a", "1"), TextPart("y")])
    out, log = paired(asks(call("a")), mixed)
    assert out == [
        asks(call("a")), LLMMessage("tool", [ToolResultPart("a", "1")]),
        LLMMessage("user", [TextPart("x"), TextPart("y")]),
    ]  # fmt: skip
    assert log == [("moved", "messages[1].parts[1]")]


def test_results_ahead_of_user_text_are_not_moved() -> None:
    mixed = LLMMessage("user", [ToolResultPart("a", "1"), TextPart("y")])
    out, log = paired(asks(call("a")), mixed)
    assert [m.role for m in out] == [Role.assistant, Role.tool, Role.user]
    assert log == []


def test_results_without_a_call_become_what_the_user_says() -> None:
    image = ImagePart(UrlSource("https://example.org/x.png"))
    out, log = paired(tool("x", "1"), tool("y", [TextPart("2"), image]), tool("z", ""), user())
    assert out == [user("1"), LLMMessage("user", [TextPart("2"), image]), user()]
    assert log == [
        ("substituted", "messages[0].parts[0]"), ("substituted", "messages[1].parts[0]"),
        ("dropped", "messages[2].parts[0]"),
    ]  # fmt: skip


def test_a_second_result_is_no_result() -> None:
    out, log = paired(asks(call("a")), tool("a", "1"), tool("a", "2"))
    assert out == [asks(call("a")), tool("a", "1"), user("2")]
    assert log == [("substituted", "messages[2].parts[0]")]


def test_a_result_before_its_call_answers_nothing() -> None:
    out, _ = paired(tool("a", "1"), asks(call("a")))
    assert out == [user("1"), asks(call("a")), no_result("a")]


def test_calls_without_ids() -> None:
    out, log = paired(user(), asks(call(None), call("", "g")), LLMMessage("tool", "1", name="f"),
                      LLMMessage("tool", "2"))  # fmt: skip
    assert [c.id for c in out[1].tool_calls] == ["call_1_0", "call_1_1"]
    assert out[2].parts == (ToolResultPart("call_1_0", "1", "f"),)
    assert out[3].parts == (ToolResultPart("call_1_1", "2"),)
    assert log == [("added", "messages[1].parts[0].id"), ("added", "messages[1].parts[1].id")]


def test_ids_used_again() -> None:
    """Some servers count anew with each reply."""
    out, log = paired(asks(call("a")), tool("a", "1"), asks(call("a")), tool("a", "2"))
    assert [c.id for m in out for c in m.tool_calls] == ["a", "a_2"]
    assert [r.parts[0] for r in out if r.role is Role.tool] == [
        ToolResultPart("a", "1"), ToolResultPart("a_2", "2"),
    ]  # fmt: skip
    assert log == [("substituted", "messages[2].parts[0].id")]


def test_one_id_twice_in_a_turn() -> None:
    out, _ = paired(asks(call("a"), call("a")), tool("a", "1"), tool("a", "2"))
    assert [c.id for c in out[0].tool_calls] == ["a", "a_2"]
    assert [(m.tool_call_id, m.content) for m in out[1:]] == [("a", "1"), ("a_2", "2")]


def test_a_result_answers_the_latest_call_with_its_id() -> None:
    out, _ = paired(asks(call("a")), user("again"), asks(call("a")), tool("a", "1"))
    assert out == [asks(call("a")), no_result("a"), user("again"), asks(call("a_2")),
                   tool("a_2", "1")]  # fmt: skip


def test_longer_histories_begin_as_shorter_ones() -> None:
    """Turn n+1 extends turn n: provider caches stay warm."""
    history = [
        user(),
        asks(call(None)),
        LLMMessage("tool", "1"),
        asks(call("call_1_0")),
        tool("call_1_0"),
    ]
    before = pair_tool_calls(history, Log())
    after = pair_tool_calls([*history, user("more"), asks(call("call_1_0"), call(None))], Log())
    assert after[: len(before)] == before


def test_results_inside_an_assistant_turn() -> None:
    out, _ = paired(
        LLMMessage("assistant", [call("a"), ToolResultPart("a", "1"), ToolResultPart("b", "2")])
    )
    assert out == [asks(call("a")), LLMMessage("tool", [ToolResultPart("a", "1")]), user("2")]


# --- ids --------------------------------------------------------------------------------------

RULES = {"openai40": r"[\x21-\x7e]{1,40}", "mistral9": r"[A-Za-z0-9]{9}",
         "anthropic64": r"[A-Za-z0-9_-]{1,64}"}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
@given(call_id=any_texts | words, other=any_texts | words)
def test_fitted_ids_are_legal_and_distinct(rule: str, call_id: str, other: str) -> None:
    fitted = fit_id(call_id, rule)
    assert re.fullmatch(RULES[rule], fitted)
    assert fit_id(fitted, rule) == fitted
    if re.fullmatch(RULES[rule], call_id):
        assert fitted == call_id
    if call_id != other:
        assert fit_id(other, rule) != fitted


def test_any_id_goes_where_anything_goes() -> None:
    history = [asks(call("\u2028 " * 99)), tool("\u2028 " * 99)]
    assert fit_ids(history, "any", Log()) == history


def test_results_follow_their_calls() -> None:
    log = Log()
    out = fit_ids([user(), asks(call("a b")), tool("a b")], "anthropic64", log)
    (entry,) = log.entries
    assert out[1].tool_calls[0].id == out[2].tool_call_id == entry.after
    assert (entry.path, entry.before) == ("messages[1].parts[0].id", "a b")


# --- foreign state ----------------------------------------------------------------------------

US = Native("openai", "acme", "m-1")
THEM = Native("anthropic", "other", "m-2", {"x": 1})


@pytest.mark.parametrize(
    ("native", "ours"),
    [(None, True), (US, True), (Native("openai"), True), (Native("openai", "acme"), True),
     (Native("openai", "acme", "m-2"), False), (Native("openai", "other", "m-1"), False),
     (Native("anthropic", "acme", "m-1"), False), (Native("anthropic"), False)],
)  # fmt: skip
def test_who_issued_it(native: Native | None, ours: bool) -> None:
    assert issued_by(native, US) is ours


def test_foreign_state_is_dropped_or_becomes_text() -> None:
    turn = LLMMessage("assistant", [
        ReasoningPart("why", signature="s", native=THEM), TextPart("a", ({"u": 1},), THEM),
        TextPart("b", native=THEM), OpaquePart("tool", native=THEM), RefusalPart("no", THEM),
        CompactionPart("sum", THEM), CompactionPart(None, THEM), ToolCall("c", FunctionCall("f"), native=THEM),
        ImagePart(UrlSource("u"), native=THEM), TextPart("mine", ({"u": 1},), US), ReasoningPart("built"),
    ])  # fmt: skip
    log = Log()
    (out,) = drop_foreign([turn], US, log)
    assert out.parts == (
        TextPart("a"), TextPart("b"), TextPart("no"), TextPart("sum"), ToolCall("c", FunctionCall("f")),
        ImagePart(UrlSource("u")), TextPart("mine", ({"u": 1},), US), ReasoningPart("built"),
    )  # fmt: skip
    assert [(a.action, a.path) for a in log.entries] == [
        ("dropped", "messages[0].parts[0]"), ("dropped", "messages[0].parts[1].citations"),
        ("dropped", "messages[0].parts[3]"), ("substituted", "messages[0].parts[4]"),
        ("substituted", "messages[0].parts[5]"), ("dropped", "messages[0].parts[6]"),
    ]  # fmt: skip


@given(st.lists(messages, max_size=4))
def test_no_foreign_state_is_left(history: list[LLMMessage]) -> None:
    log = Log()
    out = drop_foreign(history, US, log)
    for message in out:
        if message.role is Role.assistant:
            assert all(issued_by(p.native, US) for p in message.parts)
    again = Log()
    assert drop_foreign(out, US, again) == out
    assert again.entries == []


def test_foreign_state_may_be_kept_on_purpose() -> None:
    turn = LLMMessage("assistant", [ReasoningPart("why", native=THEM), TextPart("a")])
    out = drop_foreign([turn], US, Log(), keep=lambda p: isinstance(p, ReasoningPart))
    assert out[0] is turn


def test_turns_left_with_nothing_go() -> None:
    history = [
        user(),
        LLMMessage("assistant", [OpaquePart("x", native=THEM)]),
        LLMMessage("assistant"),
    ]
    assert drop_foreign(history, US, Log()) == [user(), LLMMessage("assistant")]


# --- unfinished parts -------------------------------------------------------------------------


def test_unfinished_parts() -> None:
    turn = LLMMessage("assistant", [
        PartDelta(0, "reasoning", "hm"), PartDelta(1, "text", "half"), PartDelta(2, "text"),
        PartDelta(3, "tool_call", "{"), IncompleteToolCall("c", "f", "{", "length"), TextPart("x"),
    ])  # fmt: skip
    log = Log()
    out = close_parts([user(), turn, LLMMessage("assistant", [IncompleteToolCall()])], log)
    assert out == [user(), LLMMessage("assistant", [TextPart("half"), TextPart("x")])]
    assert [(a.action, a.path) for a in log.entries] == [
        ("dropped", "messages[1].parts[0]"), ("substituted", "messages[1].parts[1]"),
        ("dropped", "messages[1].parts[2]"), ("dropped", "messages[1].parts[3]"),
        ("dropped", "messages[1].parts[4]"), ("dropped", "messages[2].parts[0]"),
    ]  # fmt: skip
    assert "length" in log.entries[4].reason


@given(histories)
def test_closing_leaves_only_whole_parts(history: list[LLMMessage]) -> None:
    for message in close_parts(history, Log()):
        assert not any(isinstance(p, PartDelta | IncompleteToolCall) for p in message.parts)


# --- order of turns ---------------------------------------------------------------------------


def as_the_original_did(texts: list[str | None]) -> str:
    """The rule of the design this grew from: folded in pairs, stripped as a whole."""
    total = texts[0]
    for text in texts[1:]:
        total = f"{total or ''}\n\n{text or ''}".strip()
    return total or ""


@given(
    st.lists(st.none() | any_texts | st.sampled_from([" a ", "\n", "b\n"]), min_size=2, max_size=5)
)
def test_merging_joins_as_it_always_did(texts: list[str | None]) -> None:
    (merged,) = merge_consecutive_user_messages([LLMMessage("user", t, name="ann") for t in texts])
    assert merged == LLMMessage("user", as_the_original_did(texts))


def test_merging_leaves_others_alone() -> None:
    history = [LLMMessage("system", "s"), user(" a "), LLMMessage("assistant", "b"),
               LLMMessage("assistant", "c"), tool("x"), tool("y"), user("d")]  # fmt: skip
    out = merge_consecutive_user_messages(iter(history))
    assert all(a is b for a, b in zip(out, history, strict=True))
    assert merge_consecutive_user_messages([]) == []


def test_merging_keeps_other_parts_in_order() -> None:
    image = ImagePart(UrlSource("u"))
    cited = TextPart("c", ({"u": 1},))
    out = merge_consecutive_user_messages(
        [user("a"), user("b"), LLMMessage("user", [image, TextPart("d")]), user("e"),
         LLMMessage("user", [cited])]
    )  # fmt: skip
    assert out == [LLMMessage("user", [TextPart("a\n\nb"), image, TextPart("d\n\ne"), cited])]


@given(histories)
def test_after_merging_no_users_are_neighbours(history: list[LLMMessage]) -> None:
    out = merge_consecutive_user_messages(history)
    roles = [m.role for m in out]
    assert (Role.user, Role.user) not in set(itertools.pairwise(roles))
    assert merge_consecutive_user_messages(out) == out


def test_a_bridge_between_result_and_user() -> None:
    history = [user(), asks(call("a")), tool("a"), user("next"), user("more")]
    log = Log()
    out = bridge_tool_to_user(history, log)
    assert out == [*history[:3], LLMMessage("assistant", BRIDGE), *history[3:]]
    assert [(a.action, a.path) for a in log.entries] == [("added", "messages[3]")]
    assert bridge_tool_to_user(out, Log()) == out
