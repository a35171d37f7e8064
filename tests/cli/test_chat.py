"""`llmwire chat`: turns, commands, files, and Ctrl-C that stops an answer only."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmwire.testing import Fault, LocalServer, Reply


def chat(cli: Any, *lines: str, args: tuple[str, ...] = ()) -> Any:
    return cli("chat", *args, stdin="".join(f"{line}\n" for line in lines))


def said(server: LocalServer, number: int = -1) -> list[tuple[str, str]]:
    return [(str(m.role), m.text) for m in server.requests[number].asked.messages]


def test_each_turn_hears_the_ones_before(cli: Any, server: LocalServer) -> None:
    server.reply("Hello Ann.", "Ann.")
    ran = chat(cli, "I am Ann.", "", "Who am I?")
    assert (ran.code, ran.out) == (0, "Hello Ann.\nAnn.\n")
    assert said(server) == [
        ("user", "I am Ann."),
        ("assistant", "Hello Ann."),
        ("user", "Who am I?"),
    ]


def test_options_hold_for_all_turns(cli: Any, server: LocalServer) -> None:
    chat(cli, "a", "b", args=("-s", "Be brief.", "--max-tokens", "9", "-q"))
    assert said(server)[0] == ("system", "Be brief.")
    assert [r.asked.max_tokens for r in server.requests] == [9, 9]


def test_clear_forgets_all_but_the_system_prompt(cli: Any, server: LocalServer) -> None:
    chat(cli, "a", "/clear", "b", args=("-s", "Be brief."))
    assert said(server) == [("system", "Be brief."), ("user", "b")]


def test_the_model_can_be_changed_in_between(cli: Any, server: LocalServer) -> None:
    server.reply("one", "two")
    ran = chat(
        cli,
        "a",
        "/model nope:x",
        "/model offline:nope",
        "/model local-anthropic:other",
        "b",
        "/model",
    )
    assert [r.style for r in server.requests] == ["openai", "anthropic"]
    assert server.requests[1].asked.model.name == "other"
    assert said(server) == [("user", "a"), ("assistant", "one"), ("user", "b")]
    assert "no provider is called 'nope'" in ran.err
    assert "no wire format is called 'nope'" in ran.err
    assert ran.err.rstrip().endswith("local-anthropic:other")


def test_help_and_unknown_commands(cli: Any, server: LocalServer) -> None:
    ran = chat(cli, "/help", "/what", "/exit", "never said")
    assert "/save FILE" in ran.err
    assert "there is no command /what" in ran.err
    assert server.requests == []
    assert ran.code == 0


def test_a_failed_turn_leaves_the_conversation_as_it_was(cli: Any, server: LocalServer) -> None:
    server.reply("one", Reply(status=400, message="Not that"), "three")
    ran = chat(cli, "a", "b", "c")
    assert ran.code == 0
    assert "Not that" in ran.err
    assert said(server) == [("user", "a"), ("assistant", "one"), ("user", "c")]


def test_a_cut_answer_is_a_failed_turn(cli: Any, server: LocalServer) -> None:
    server.reply(Reply("one two three", chunk_size=4, fault=Fault("close", events=3)), "fine")
    ran = chat(cli, "a", "b")
    assert "llmwire: error:" in ran.err
    assert said(server) == [("user", "b")]


def test_a_conversation_is_saved_and_gone_on_with(cli: Any, server: LocalServer) -> None:
    server.reply(Reply("one", reasoning="Hm.", signature="c2ln"), "two", "three")
    on_anthropic = ("-m", "local-anthropic:m", "--thinking", "low")
    ran = chat(cli, "a", "/save talk.json", "b", "/save talk.json", args=on_anthropic)
    assert "4 messages saved to talk.json" in ran.err
    saved = json.loads(Path("talk.json").read_text())
    assert [m["role"] for m in saved] == ["user", "assistant", "user", "assistant"]
    chat(cli, "c", args=("--load", "talk.json", *on_anthropic))
    assert [text for _, text in said(server)] == ["a", "one", "b", "two", "c"]
    # The signed thought went back byte for byte.
    assert '"signature":"c2ln"' in server.requests[-1].body.decode().replace(" ", "")


def test_saving_does_not_overwrite_what_is_not_its_own(cli: Any, server: LocalServer) -> None:
    Path("notes.json").write_text("mine")
    ran = chat(cli, "a", "/save notes.json", "/save", "/save no/such/folder")
    assert Path("notes.json").read_text() == "mine"
    assert "notes.json exists already" in ran.err
    assert "/save needs a file name" in ran.err
    assert "can't be written" in ran.err


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "can't be read"),
        ("{", "not JSON"),
        ("{}", "must be a list of messages"),
        ("[1]", "message 0: not an object"),
        ('[{"role": "user", "content": "a"}, {"role": "wizard", "content": "b"}]', "message 1: "),
    ],
)
def test_a_file_that_is_no_conversation_is_refused(cli: Any, text: str | None, error: str) -> None:
    if text is not None:
        Path("talk.json").write_text(text)
    ran = cli("chat", "--load", "talk.json", stdin="hi\n")
    assert ran.code == 1
    assert f"talk.json: {error}" in ran.err


def test_control_characters_are_replaced_here_too(cli: Any, server: LocalServer) -> None:
    server.reply(Reply(pieces=["a\x1b", "[2Jb"]))
    ran = chat(cli, "hi")
    assert ran.out == "a�[2Jb\n"


def test_bytes_that_are_no_text_are_replaced_in_what_is_said(cli: Any, server: LocalServer) -> None:
    assert cli("chat", stdin=b"gr\xfc\xdfe\n").code == 0
    assert said(server) == [("user", "gr��e")]


def test_the_offline_model_chats(cli: Any) -> None:
    ran = chat(cli, "hello there")
    assert ran.code == 0
    assert "hello there" in ran.out
    assert "the offline model answers" in ran.err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_stops_the_answer_and_keeps_what_came(
    cli: Any, server: LocalServer, until: Any
) -> None:
    server.reply(Reply("one two three four five six", chunk_size=4, between=0.2), "Fine.")
    process = cli.spawn("chat", stdin=subprocess.PIPE)
    process.stdin.write(b"count\n")
    process.stdin.flush()
    until(process.stdout, b"two")
    process.send_signal(signal.SIGINT)
    until(process.stderr, b"stays in the conversation")
    out, _ = process.communicate(b"go on\n/save talk.json\n", timeout=30)
    assert process.returncode == 0
    assert out.endswith(b"Fine.\n")
    talk = said(server)
    assert talk[0] == ("user", "count")
    assert talk[1][0] == "assistant"
    assert talk[1][1].startswith("one two")
    assert not talk[1][1].endswith("six")
    assert talk[2] == ("user", "go on")
    assert len(json.loads(Path("talk.json").read_text())) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_in_a_terminal_there_is_a_prompt_and_ctrl_c_does_not_leave(
    cli: Any, server: LocalServer, until: Any
) -> None:
    import pty

    server.reply("Hello.")
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm"}
    process = cli.spawn(
        "chat", stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
    )
    os.close(theirs)
    with os.fdopen(ours, "r+b", buffering=0) as screen:
        until(screen, b"Ctrl-D leaves", b"> ")
        # A signal between the prompt and readline's wait is noticed at the next one only.
        hint, seen = b"Ctrl-D or /exit leaves", b""
        while hint not in seen:
            process.send_signal(signal.SIGINT)
            while hint not in seen and select.select([screen], [], [], 0.5)[0]:
                seen += os.read(screen.fileno(), 4096)
        screen.write(b"hi\n")
        until(screen, b"Hello.", b"> ")
        screen.write(b"\x04")
        assert process.wait(30) == 0
    history = cli.home / "state" / "llmwire" / "chat_history"
    assert "hi" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0
