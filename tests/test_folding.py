"""The algebra of chunks: laws, linear growth, and which tool calls exist."""

from __future__ import annotations

import json
import pickle
import threading
from functools import reduce
from operator import add
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.folding import (
    ChunkBuilder,
    Rope,
    close_delta,
    close_open_parts,
    is_json_object,
    join_deltas,
)
from llmwire.types import (
    IncompleteToolCall,
    LLMChunk,
    LLMMessage,
    LLMUsage,
    PartDelta,
    ReasoningPart,
    TextPart,
    ToolCall,
    accumulate,
    to_json,
)
from strategies import chunks, deltas, streams


def chunk(*parts: Any, **more: Any) -> LLMChunk:
    return LLMChunk(LLMMessage("assistant", list(parts)), **more)


def text(body: str, start: bool = False, end: bool = False, index: int = 0) -> PartDelta:
    return PartDelta(index, "text", body, start, end)


def call(body: str = "", start: bool = False, end: bool = False, **more: Any) -> PartDelta:
    return PartDelta(0, "tool_call", body, start, end, **more)


# --- laws -------------------------------------------------------------------------------------


@given(chunks, chunks, chunks)
def test_joining_is_associative(a: LLMChunk, b: LLMChunk, c: LLMChunk) -> None:
    assert (a + b) + c == a + (b + c)


@given(st.lists(chunks, max_size=8), st.data())
def test_any_bracketing_gives_the_same_sum(pieces: list[LLMChunk], data: st.DataObject) -> None:
    tree = list(pieces)
    while len(tree) > 1:
        i = data.draw(st.integers(0, len(tree) - 2))
        tree[i : i + 2] = [tree[i] + tree[i + 1]]
    assert accumulate(tree) == accumulate(pieces)


@given(chunks)
def test_identity_and_normal_form(a: LLMChunk) -> None:
    normal = accumulate([a])
    assert LLMChunk() + a == a + LLMChunk() == normal
    assert accumulate([normal]) == normal
    assert normal + LLMChunk() == normal


@given(st.lists(chunks, max_size=6))
def test_accumulate_is_the_sum(pieces: list[LLMChunk]) -> None:
    assert accumulate(pieces) == reduce(add, pieces, LLMChunk())
    assert accumulate(iter(pieces)) == accumulate(pieces)


@given(st.lists(chunks, min_size=1, max_size=6))
def test_sums_change_no_operand(pieces: list[LLMChunk]) -> None:
    before = [pickle.dumps(p) for p in pieces]
    sums = [pieces[0]]
    frozen = []
    for piece in pieces[1:]:
        sums.append(sums[-1] + piece)
        frozen.append((sums[-1], pickle.loads(pickle.dumps(sums[-1]))))
    assert [pickle.dumps(p) for p in pieces] == before
    for live, copied in frozen:
        assert live == copied


@given(st.lists(chunks, max_size=6))
def test_results_of_a_builder_stay_as_they_were(pieces: list[LLMChunk]) -> None:
    builder, seen = ChunkBuilder(), []
    for piece in pieces:
        builder.add(piece)
        result = builder.result()
        seen.append((result, pickle.loads(pickle.dumps(result))))
    assert all(live == copied for live, copied in seen)


@given(streams())
def test_a_stream_adds_up_to_the_reply(stream: tuple[tuple[Any, ...], list[LLMChunk]]) -> None:
    parts, pieces = stream
    assert accumulate(pieces).message.parts == parts


@given(deltas, deltas, deltas)
def test_joining_two_deltas_is_associative(a: PartDelta, b: PartDelta, c: PartDelta) -> None:
    assert join_deltas(join_deltas(a, b), c) == join_deltas(a, join_deltas(b, c))


# --- where deltas go --------------------------------------------------------------------------


def test_a_delta_goes_to_its_own_part() -> None:
    total = accumulate(
        [
            chunk(text("a", True), PartDelta(1, "tool_call", "{", True, id="x", name="f")),
            chunk(PartDelta(1, "tool_call", "}"), text("b")),
            chunk(text("", end=True), PartDelta(1, "tool_call", end=True)),
        ]
    )
    first, second = total.message.parts
    assert first == TextPart("ab")
    assert isinstance(second, ToolCall)
    assert (second.id, second.name, second.arguments) == ("x", "f", "{}")


def test_the_same_index_used_twice_is_two_parts() -> None:
    total = accumulate([chunk(text("a", True)), chunk(text("b", True)), chunk(text("c"))])
    assert [p.text for p in total.message.parts] == ["a", "bc"]


def test_kinds_with_one_index_stay_apart() -> None:
    total = accumulate([chunk(text("a", True)), chunk(PartDelta(0, "reasoning", "b", True)),
                        chunk(text("c", end=True))])  # fmt: skip
    assert total.message.parts[0] == TextPart("ac")
    assert total.reasoning == "b"


def test_orphans_wait_for_their_start() -> None:
    late = chunk(text("b")) + chunk(text("c", end=True))
    assert late.text == "bc"
    assert (chunk(text("a", True)) + late).message.parts == (TextPart("abc"),)


def test_parts_without_content_vanish() -> None:
    for delta in (text("", True, True), PartDelta(0, "refusal", "", True, True),
                  PartDelta(0, "reasoning", "", True, True)):  # fmt: skip
        assert accumulate([chunk(delta)]).message.parts == ()
    signed = PartDelta(0, "reasoning", "", True, True, signature="s")
    assert accumulate([chunk(signed)]).message.parts == (ReasoningPart("", signature="s"),)
    cited = PartDelta(0, "text", "", True, True, citations=({"u": 1},))
    assert accumulate([chunk(cited)]).message.parts == (TextPart("", ({"u": 1},)),)


def test_roles_and_names_do_not_mix() -> None:
    user = LLMChunk(LLMMessage("user", "hi"))
    with pytest.raises(ValueError, match=r"user.*assistant"):
        chunk(TextPart("a")) + user
    assert LLMChunk() + user == user
    ann, bob = (LLMChunk(LLMMessage("user", "x", name=n)) for n in ("ann", "bob"))
    with pytest.raises(ValueError, match=r"bob.*ann"):
        ann + bob
    assert (user + bob).message.name == "bob"
    assert chunk().__add__(3) is NotImplemented  # type: ignore[arg-type]


def test_the_newest_report_wins() -> None:
    total = accumulate(
        [
            chunk(
                usage=LLMUsage(10, 1, provenance="partial", raw={"a": 1}),
                response_id="r",
                model="m",
            ),
            chunk(usage=LLMUsage(None, 7, raw={"b": 2})),
            chunk(correlation_id="c"),
        ]
    )
    assert total.usage == LLMUsage(10, 7, raw={"b": 2})
    assert (total.response_id, total.model, total.correlation_id) == ("r", "m", "c")


def test_the_newest_value_wins_and_stays() -> None:
    valued = LLMChunk(output=[1])
    assert (valued + chunk(text("a", True)) + chunk(text("b"))).output == [1]
    assert (valued + LLMChunk(output=0) + LLMChunk()).output == 0
    assert close_open_parts(valued + chunk(text("a", True))).output == [1]


@pytest.mark.parametrize(
    "parts",
    [
        (text("a", True), text("b")),
        (text("a", True, True), text("b", True)),
        (text("a", end=True), text("b", end=True), text("c")),
        (text("a", True), PartDelta(1, "tool_call", "{", True), text("b", True)),
        (TextPart("a"), PartDelta(1, "tool_call", "{", True), text("b", True)),
        (PartDelta(1, "text", "a", True), PartDelta(0, "reasoning", "b", True), text("c", True)),
    ],
)
def test_a_piece_is_added_in_normal_form(parts: tuple[PartDelta, ...]) -> None:
    """Also to a sum by hand, whose deltas nobody has joined yet."""
    left, piece = chunk(*parts), chunk(text("!"))
    builder = ChunkBuilder()
    for one in (*(chunk(p) for p in parts), piece):
        builder.add(one)
    assert left + piece == builder.result() == accumulate([left, piece])


# --- growth -----------------------------------------------------------------------------------


def test_growing_sums_share_their_text() -> None:
    total = chunk(text("a", True))
    pieces = None
    for i in range(1000):
        total = total + chunk(text("b"))
        body = total.message.parts[0].body  # type: ignore[union-attr]
        assert isinstance(body, Rope)
        pieces = pieces or body._pieces
        # One list for all sums: adding appended one piece, and copied none.
        assert body._pieces is pieces
        assert len(pieces) == i + 2
    assert total.text == "a" + "b" * 1000


def test_a_builder_shares_its_text() -> None:
    builder = ChunkBuilder()
    builder.add(chunk(text("a", True)))
    bodies = set()
    for _ in range(1000):
        builder.add(chunk(text("b")))
        bodies.add(id(builder.result().message.parts[0].body._pieces))
    assert len(bodies) == 1


def test_branching_sums_are_both_right() -> None:
    stem = chunk(text("a", True)) + chunk(text("b"))
    left, right = stem + chunk(text("l")), stem + chunk(text("r"))
    assert (stem.text, left.text, right.text) == ("ab", "abl", "abr")
    assert (left + chunk(text("1"))).text == "abl1"
    assert (right + chunk(text("2"))).text == "abr2"
    assert (stem + chunk(text("x"))).text == "abx"


def test_branching_with_equal_pieces() -> None:
    rope = Rope(["a"])
    left, right = rope.extended("b"), rope.extended("b")
    assert str(left.extended("c")) == "abc"
    assert str(right.extended("d")) == "abd"
    assert str(left) == "ab"


def test_a_rope_is_as_good_as_its_text() -> None:
    rope = Rope(["a"]).extended("b")
    assert rope == "ab"
    assert "ab" == rope  # noqa: SIM300 - the other side asks too
    assert rope != "a"
    assert rope == Rope(["ab"])
    assert hash(rope) == hash("ab")
    assert repr(rope) == "'ab'"
    assert pickle.loads(pickle.dumps(rope)) == "ab"
    assert rope != 3
    joined = chunk(text("a", True)) + chunk(text("b"))
    assert joined == chunk(text("ab", True))
    assert hash(joined.message.parts[0]) == hash(text("ab", True))
    assert to_json(joined) == to_json(chunk(text("ab", True)))


class Raced(list[str]):
    """A list into which another thread's piece slips just before ours."""

    def append(self, piece: str) -> None:
        super().append("theirs")
        super().append(piece)


def test_a_lost_race_falls_back_to_a_copy() -> None:
    rope = Rope(Raced(["a"]))
    ours = rope.extended("ours")
    assert (str(rope), str(ours)) == ("a", "aours")
    assert str(ours.extended("!")) == "aours!"


def test_threads_extend_one_sum() -> None:
    stem = chunk(text("a", True)) + chunk(text("b"))
    wrong: list[str] = []
    ready = threading.Barrier(4)

    def work(letter: str) -> None:
        ready.wait()
        for _ in range(100):
            total = stem
            for _ in range(20):
                total = total + chunk(text(letter))
            if total.text != "ab" + letter * 20:
                wrong.append(total.text)

    threads = [threading.Thread(target=work, args=(c,)) for c in "wxyz"]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


# --- law 7: a tool call exists only when it is whole ------------------------------------------

WHOLE = ["", "  ", "{}", ' {"a": 1}\n', '{"a": "\\ud83d"}', '{"a": 1, "a": 2}', '{"a": 1e5}',
         '{"é": "\u2028"}', '{"a": ' + "[" * 100 + "]" * 100 + "}"]  # fmt: skip
NOT_WHOLE = ["{", '{"a": ', "[]", "null", "1", '"{}"', "true", '{"a": 1} x', "{} {}", '{"a": NaN}',
             '{"a": Infinity}', "{'a': 1}", '{"a": 1,}', "\ufeff{}", '{"a": \ud83d}',
             '{"a":' * 100_000, '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"]  # fmt: skip


@pytest.mark.parametrize("arguments", WHOLE)
def test_whole_arguments_make_a_call(arguments: str) -> None:
    assert is_json_object(arguments)
    total = accumulate([chunk(call("", True, id="c", name="f")), chunk(call(arguments)),
                        chunk(call(end=True))])  # fmt: skip
    (made,) = total.message.parts
    assert isinstance(made, ToolCall)
    assert made.arguments == arguments
    assert isinstance(made.parsed, dict)
    assert total.tool_calls == (made,)


@pytest.mark.parametrize("arguments", NOT_WHOLE, ids=lambda a: a[:20])
def test_other_arguments_make_an_incomplete_call(arguments: str) -> None:
    total = accumulate([chunk(call(arguments, True, True, id="c", name="f"))])
    assert total.message.parts == (IncompleteToolCall("c", "f", arguments, "invalid_json"),)
    assert total.tool_calls == ()
    assert total.message.incomplete_tool_calls == total.message.parts


@given(st.text(max_size=30))
def test_no_call_without_an_object(arguments: str) -> None:
    made = close_delta(call(arguments, True, True))
    if isinstance(made, ToolCall):
        assert isinstance(made.parsed, dict)
        if arguments.strip():
            assert json.loads(arguments) == made.parsed
    else:
        assert isinstance(made, IncompleteToolCall)


def test_custom_tools_take_any_text() -> None:
    made = close_delta(call("print(1)", True, True, tool_kind="custom", name="run"))
    assert isinstance(made, ToolCall)
    assert made.parsed == "print(1)"


@pytest.mark.parametrize("kind", ["function", "custom"])
def test_a_call_marked_incomplete_stays_so(kind: str) -> None:
    made = close_delta(call("{}", True, True, incomplete="length", tool_kind=kind))
    assert made == IncompleteToolCall(None, "", "{}", "length")


def test_replies_that_end_early() -> None:
    open_ = accumulate(
        [
            chunk(TextPart("done"), PartDelta(1, "text", "half", True), model="m"),
            chunk(PartDelta(2, "tool_call", "{}", True, id="c", name="f"), usage=LLMUsage(1)),
            chunk(PartDelta(3, "reasoning", "", True)),
        ]
    )
    closed = close_open_parts(open_, "error")
    assert closed.message.parts == (
        TextPart("done"), TextPart("half"), IncompleteToolCall("c", "f", "{}", "error"),
    )  # fmt: skip
    assert (closed.usage, closed.model) == (LLMUsage(1), "m")
    assert close_open_parts(closed) is closed


@given(st.lists(chunks, max_size=5))
def test_closing_leaves_no_delta_and_no_new_call(pieces: list[LLMChunk]) -> None:
    total = accumulate(pieces)
    closed = close_open_parts(total)
    assert not any(isinstance(p, PartDelta) for p in closed.message.parts)
    assert closed.tool_calls == total.tool_calls
