"""Nothing foreign steers a terminal, and tables keep their shape."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.cli.table import render, width
from llmwire.cli.terminal import SafeStream, json_text, safe, wants_color

UNSAFE = {
    chr(n)
    for spans in ((0, 8), (0x0B, 0x1F), (0x7F, 0x9F), (0x202A, 0x202E), (0x2066, 0x2069))
    for n in range(spans[0], spans[1] + 1)
}
TRICKY = st.text(st.sampled_from(["a", "\n", "\r", "\t", "\x1b", "[", "\x9b", "\u202e", "é", "\ud800", "😀"]))  # fmt: skip


def test_control_characters_are_replaced_and_text_is_not() -> None:
    assert safe("a\x1b[31mb\x07\u202ec\x9bd\x7f\x00") == "a�[31mb��c�d��"
    ordinary = "tab\t line\n Größe 日本語 שלום \u200e 👩‍👩‍👧 \u2028"
    assert safe(ordinary) == ordinary
    assert safe("one\r\ntwo\rthree") == "one\ntwo�three"
    assert safe("\udc80") == "�"


@given(st.text() | TRICKY)
def test_no_text_has_anything_unsafe_left(text: str) -> None:
    cleaned = safe(text)
    assert not UNSAFE & set(cleaned)
    cleaned.encode("utf-8")


@given(TRICKY, st.lists(st.integers(1, 3)))
def test_it_does_not_matter_how_a_stream_was_cut(text: str, sizes: list[int]) -> None:
    stream, out, rest = SafeStream(), "", text
    for size in sizes:
        out += stream.feed(rest[:size])
        rest = rest[size:]
    out += stream.feed(rest) + stream.finish()
    assert out == safe(text)


@given(st.text() | TRICKY)
def test_json_is_harmless_and_still_the_same_value(text: str) -> None:
    printed = json_text({"text": text})
    assert not UNSAFE & set(printed)
    printed.encode("utf-8")
    assert json.loads(printed) == {"text": text}


class _Stream(io.StringIO):
    def __init__(self, tty: bool) -> None:
        super().__init__()
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


@pytest.mark.parametrize(
    ("tty", "environ", "wanted"),
    [
        (True, {"TERM": "xterm"}, True),
        (False, {"TERM": "xterm"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (False, {"FORCE_COLOR": "1"}, True),
        (True, {"TERM": "xterm", "FORCE_COLOR": "0"}, False),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_is_for_terminals_and_for_those_who_ask(
    tty: bool, environ: dict[str, str], wanted: bool
) -> None:
    assert wants_color(_Stream(tty), environ) is wanted


def test_a_closed_stream_wants_no_colour() -> None:
    stream = io.StringIO()
    stream.close()
    assert wants_color(stream, {}) is False


def test_tables_align_what_is_seen_not_what_is_counted() -> None:
    assert width("日本") == 4
    assert width("e\u0301") == 1
    table = render(["name", "n"], [["日本", "1"], ["é", "23"], ["x\x1b\ny", "456"]], right=(1,))
    assert table.split("\n") == ["name    n", "日本    1", "é      23", "x� y  456"]


def test_a_table_may_have_no_rows() -> None:
    assert render(["a", "bc"], []) == "a  bc"
