"""`llmwire serve` and `llmwire demo`, as a stranger would run them."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
import urllib.request
from typing import Any

import pytest

WIRES = (
    "openai", "anthropic", "vertex-anthropic", "reasoning", "gemini", "vertex-gemini", "ollama",
    "bedrock-converse", "bedrock-anthropic",
)  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_answers_and_stops_with_zero(cli: Any, until: Any, stop: int) -> None:
    process = cli.spawn("serve", "--port", "0")
    out = until(process.stdout, b"llmwire ask -m openai:offline").decode()
    url = re.search(r"embedded server at (http://127\.0\.0\.1:\d+) ", out)
    assert url
    for wire in WIRES:
        assert re.search(rf"^  {wire} +{url[1]}/", out, re.MULTILINE)
    body = re.search(r"-d '(.*)'", out)
    assert body
    request = urllib.request.Request(
        f"{url[1]}/openai/v1/chat/completions",
        body[1].encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        reply = json.load(answer)
    assert "Hello" in reply["choices"][0]["message"]["content"]
    process.send_signal(stop)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"POST /openai/v1/chat/completions (openai)" in err
    assert b"Traceback" not in err


def test_serve_on_a_taken_port_fails_clearly(cli: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = cli("serve", "--port", str(port))
    assert ran.code == 1
    assert f"port {port}" in ran.err


def test_demo_shows_every_wire_and_a_stream_that_breaks(cli: Any) -> None:
    ran = cli("demo")
    assert ran.code == 0, ran.err
    out = ran.out
    assert "\x1b" not in out
    assert "scripted" in out
    for wire in WIRES:
        section = out.partition(f"── {wire} ")[2].partition("──")[0]
        assert "thinking  The user asks about the weather" in section
        assert 'tool      get_forecast({"city":"Lisbon"})' in section
        assert "result    {" in section
        assert "answer    Yes, take one" in section
        assert re.search(
            rf"^{wire} +\d+ ms +\d+  [\d,]+ in, [\d,]+ out.*\$0\.\d+ +stop  yes", out, re.M
        )
    assert re.search(r"^IncompleteStreamError: .+$", out, re.MULTILINE)
    assert "kept in error.partial: 'Once upon a time" in out


def test_demo_is_coloured_only_on_demand(cli: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[2mThe user" in cli("demo").out.replace("\x1b[0m\x1b[2m", "")
