"""`llmwire ask`: what is asked, what is printed where."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from llmwire.adapters import ADAPTERS
from llmwire.cli.common import dollars
from llmwire.testing import Fault, LocalServer, Reply
from llmwire.types import FilePart, ImagePart, LLMUsage, StopInfo, TextPart

USAGE = LLMUsage(input_total=1000, output_total=500, reasoning=100)
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


def test_the_answer_is_on_stdout_and_the_rest_is_not(cli: Any, server: LocalServer) -> None:
    server.reply(Reply("Because of\nRayleigh.", usage=USAGE))
    ran = cli("ask", "Why", "is it blue?")
    assert (ran.code, ran.out) == (0, "Because of\nRayleigh.\n")
    assert "local:m · 1,000 in, 500 out (100 thinking) · $0.003 · " in ran.err
    assert ran.err.endswith(" · stop\n")
    heard = server.requests[0].asked
    assert [m.text for m in heard.messages] == ["Why is it blue?"]
    assert heard.stream


def test_quiet_prints_the_answer_only(cli: Any, server: LocalServer) -> None:
    server.reply("Yes.")
    ran = cli("ask", "-q", "Is it?")
    assert (ran.out, ran.err) == ("Yes.\n", "")


def test_no_stream_asks_for_a_whole_answer_and_prints_the_same(
    cli: Any, server: LocalServer
) -> None:
    server.reply(Reply("Yes.\n", usage=USAGE))
    ran = cli("ask", "--no-stream", "Is it?")
    assert ran.out == "Yes.\n"
    assert not server.requests[0].asked.stream
    assert "1,000 in, 500 out" in ran.err


def test_options_reach_the_wire(cli: Any, server: LocalServer) -> None:
    cli(
        "ask", "-s", "Be brief.", "-m", "local/other:1", "--max-tokens", "7",
        "--temperature", "0.5", "hi",
    )  # fmt: skip
    heard = server.requests[0].asked
    assert [(m.role, m.text) for m in heard.messages] == [("system", "Be brief."), ("user", "hi")]
    assert (heard.model.name, heard.max_tokens, heard.temperature) == ("other:1", 7, 0.5)


def test_thinking_is_asked_for_and_shown_on_stderr_if_wanted(cli: Any, server: LocalServer) -> None:
    for args, shown in ((["--show-thinking"], True), ([], False), (["--no-show-thinking"], False)):
        server.reply(Reply("Yes.", reasoning="Let me see.", signature="c2ln"))
        ran = cli("ask", "--thinking", "high", "-m", "local-anthropic:m", *args, "Is it?")
        assert ran.out == "Yes.\n"
        assert ("Let me see." in ran.err) is shown
        assert server.requests[-1].asked.thinking != "off"


def test_stdin_stands_for_the_prompt_or_comes_after_it(cli: Any, server: LocalServer) -> None:
    cli("ask", stdin="What is this?\n")
    cli("ask", "Summarise:", stdin="line 1\nline 2\n")
    texts = [r.asked.messages[-1].text for r in server.requests]
    assert texts == ["What is this?", "Summarise:\n\nline 1\nline 2"]


def test_files_come_with_their_names(cli: Any, server: LocalServer) -> None:
    Path("a.txt").write_text("alpha\n")
    Path("b.py").write_text("beta")
    cli("ask", "Compare", "-f", "a.txt", "-f", "b.py")
    assert server.requests[0].asked.messages[-1].text == (
        'Compare\n\n<file name="a.txt">\nalpha\n</file>\n\n<file name="b.py">\nbeta\n</file>'
    )


@pytest.mark.parametrize("model", ["local:m", "local-anthropic:m"])
def test_images_and_pdfs_go_as_such(cli: Any, server: LocalServer, model: str) -> None:
    Path("a.png").write_bytes(PNG)
    Path("b.pdf").write_bytes(b"%PDF-1.7\n")
    ran = cli("ask", "-m", model, "What is on it?", "-f", "a.png", "-f", "b.pdf")
    assert ran.code == 0, ran.err
    parts = server.requests[0].asked.messages[-1].parts
    assert {type(p) for p in parts} == {ImagePart, FilePart, TextPart}
    body = server.requests[0].body
    assert base64.b64encode(PNG) in body


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "can't be read: No such file"), (b"\xff\x00", "is not text"), (b"a\0b", "is not text")],
)
def test_a_file_that_can_not_be_used_is_named(
    cli: Any, server: LocalServer, content: bytes | None, said: str
) -> None:
    if content is not None:
        Path("x.bin").write_bytes(content)
    ran = cli("ask", "hi", "-f", "x.bin")
    assert (ran.code, ran.out) == (1, "")
    assert f"x.bin: {said}" in ran.err
    assert server.requests == []


def test_stdin_that_is_no_text_is_refused(cli: Any, server: LocalServer) -> None:
    ran = cli("ask", stdin=b"\xff\xfe")
    assert ran.code == 1
    assert "stdin is not UTF-8 text" in ran.err


def test_json_is_one_document(cli: Any, server: LocalServer) -> None:
    server.reply(Reply("Yes\x1b[2J.", usage=USAGE, response_id="r1", reasoning="Hm."))
    ran = cli("ask", "--json", "Is it?")
    assert "\x1b" not in ran.out
    document = ran.json
    assert document["model"] == "local:m"
    assert document["text"] == "Yes\x1b[2J."
    assert document["message"]["role"] == "assistant"
    assert document["usage"]["input_total"] == 1000
    assert document["cost"] == {
        "total": 0.003, "known": 0.003, "missing": [], "input": 0.001, "cache_read": None,
        "cache_write": None, "output": 0.002, "source": "configuration",
    }  # fmt: skip
    assert document["stop"]["reason"] == "stop"
    assert document["response_id"] == "r1"


def test_json_says_unknown_as_null(cli: Any, server: LocalServer) -> None:
    server.reply(Reply("Yes.", usage=None))
    document = cli("ask", "--json", "-m", "local:unpriced", "Is it?").json
    assert document["usage"] is None
    assert document["cost"]["total"] is None
    assert document["cost"]["missing"] == ["input tokens", "output tokens"]


def test_json_of_an_error_is_a_document_too(cli: Any, server: LocalServer) -> None:
    server.reply(Reply(status=400, message="No such thing"))
    ran = cli("ask", "--json", "hi")
    assert ran.code == 1
    assert ran.json["error"]["status"] == 400
    assert "No such thing" in ran.json["error"]["message"]
    assert "No such thing" in ran.err


def test_control_characters_cut_anywhere_never_reach_the_terminal(
    cli: Any, server: LocalServer
) -> None:
    server.reply(Reply(pieces=["a\x1b", "[2Jb\r", "\nc\u202e", "d\x9b", "e\r"]))
    server.reply(Reply("Yes.", reasoning="x\x1b[2Jy", signature="c2ln"))
    ran = cli("ask", "hi")
    assert ran.out == "a�[2Jb\nc�d�e�\n"
    ran = cli("ask", "--show-thinking", "--thinking", "low", "-m", "local-anthropic:m", "hi")
    assert "x�[2Jy" in ran.err
    assert "\x1b" not in ran.out + ran.err


def test_colours_come_only_when_asked_for(cli: Any, server: LocalServer, monkeypatch: Any) -> None:
    assert "\x1b" not in cli("ask", "hi").err
    monkeypatch.setenv("FORCE_COLOR", "1")
    ran = cli("ask", "hi")
    assert "\x1b[2m" in ran.err
    assert "\x1b" not in ran.out


def test_a_cut_stream_prints_what_came_and_fails(cli: Any, server: LocalServer) -> None:
    server.reply(Reply("one two three four", chunk_size=4, fault=Fault("close", events=4)))
    ran = cli("ask", "hi")
    assert ran.code == 1
    assert "one two three four".startswith(ran.out.strip())
    assert ran.out.strip()
    assert "what came before it is not a whole answer" in ran.err


def test_notes_say_what_the_answer_does_not(cli: Any, server: LocalServer) -> None:
    server.reply(
        Reply("cut o", stop="length"),
        Reply(tool_calls=[("f", {})]),
        Reply("", reasoning="Hm."),
    )
    assert "cut at the output limit" in cli("ask", "hi").err
    assert "there is no text in the answer, but 1 tool call" in cli("ask", "hi").err
    assert "there is no text in the answer" in cli("ask", "hi").err


def test_adaptations_are_told(cli: Any, server: LocalServer) -> None:
    ran = cli("ask", "-m", "local-anthropic:claude-opus-5-5", "--temperature", "0.3", "hi")
    assert "note: temperature dropped" in ran.err
    # Nothing was asked for, so nothing is told.
    assert "temperature" not in cli("ask", "-m", "local-anthropic:claude-opus-5-5", "hi").err


def test_with_nothing_configured_the_offline_model_answers(cli: Any) -> None:
    ran = cli("ask", "hello there")
    assert ran.code == 0
    assert "hello there" in ran.out
    first = ran.err.splitlines()[0]
    assert first.startswith("no provider is configured: the offline model answers")
    assert "offline · " in ran.err


@pytest.mark.parametrize("wire", list(ADAPTERS))
def test_the_offline_model_can_be_asked_for_over_any_wire(cli: Any, wire: str) -> None:
    ran = cli("ask", "-m", f"offline:{wire}", "--thinking", "low", "hello there")
    assert ran.code == 0, ran.err
    assert "hello there" in ran.out
    assert "no provider is configured" not in ran.err


def test_the_offline_model_can_be_the_default(cli: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("LLMWIRE_MODEL", "offline:anthropic")
    assert "hello there" in cli("ask", "hello there").out
    assert "default model: offline:anthropic (LLMWIRE_MODEL)" in cli("models").out


def test_a_key_without_a_model_is_used_and_said(cli: Any, monkeypatch: Any) -> None:
    with LocalServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/openai/v1")
        ran = cli("ask", "hi")
        assert ran.code == 0
        assert "using openai:gpt-6-luna, since OPENAI_API_KEY is set" in ran.err
        assert server.requests[0].headers["authorization"] == "Bearer sk-test"
        assert "sk-test" not in ran.out + ran.err


def test_a_missing_key_names_its_variable(cli: Any) -> None:
    ran = cli("ask", "-m", "openai:gpt-6-luna", "hi")
    assert ran.code == 1
    assert "OPENAI_API_KEY" in ran.err


def test_count_says_how_it_counted(cli: Any, server: LocalServer) -> None:
    server.reply_count(123)
    ran = cli("count", "-m", "local-anthropic:m", "hi")
    assert (ran.code, ran.out) == (0, "123\n")
    assert "endpoint: counted by the provider" in ran.err
    server.reply(Reply("x", usage=LLMUsage(input_total=9, output_total=1)))
    document = cli("count", "--json", "hi").json
    assert document == {"tokens": 9, "method": "probe", "model": "local:m"}


# --- cost -------------------------------------------------------------------------------------


def test_an_unknown_price_is_not_printed_as_zero(cli: Any, server: LocalServer) -> None:
    assert "$" not in cli("ask", "-m", "local:unpriced", "hi").err
    server.reply(Reply("x", usage=LLMUsage(1_000_000, 0, cache_read=500_000)))
    assert "at least $0.5" in cli("ask", "hi").err


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0"), (1234.5, "$1234.50"), (0.1, "$0.10"), (0.00312, "$0.00312"),
        (0.000012, "$0.000012"), (1e-9, "under $0.000001"),
    ],
)  # fmt: skip
def test_dollars_are_short_and_never_rounded_to_nothing(amount: float, text: str) -> None:
    assert dollars(amount) == text


def test_an_unknown_stop_reason_keeps_the_providers_word(cli: Any, server: LocalServer) -> None:
    server.reply(Reply("x", stop=StopInfo("other", "mystery")))
    assert cli("ask", "hi").err.rstrip().endswith("other (mystery)")
