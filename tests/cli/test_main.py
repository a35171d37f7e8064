"""Exit codes, help, what is imported, and how the command ends."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmwire import __version__
from llmwire.cli import common
from llmwire.testing import LocalServer, Reply

COMMANDS = ("ask", "chat", "models", "count", "wire", "serve", "demo")


def test_help_lists_the_commands(cli: Any) -> None:
    ran = cli("--help")
    assert ran.code == 0
    assert all(f"\n    {name} " in ran.out for name in COMMANDS)
    assert "exit codes" in ran.out
    assert cli("--version").out == f"llmwire {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(cli: Any, name: str) -> None:
    ran = cli(name, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"usage: llmwire {name}")


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["asks"],
        ["ask", "--nothing", "x"],
        ["ask", "--max-tokens", "0", "x"],
        ["ask", "--max-tokens", "many", "x"],
        ["ask", "--temperature", "nan", "x"],
        ["ask", "--thinking", "lots", "x"],
        ["serve", "--port", "65536"],
        ["ask", "--mod", "m", "x"],  # no abbreviations: they would break with the next option
        ["ask"],
        ["count"],
        ["wire"],
        ["ask", "-m", "offline:smoke-signals", "x"],
    ],
)
def test_a_wrong_command_line_is_two(cli: Any, args: list[str]) -> None:
    ran = cli(*args)
    assert ran.code == 2
    assert ran.out == ""
    assert "error:" in ran.err


def test_nothing_to_ask_says_how_to_ask(cli: Any) -> None:
    for stdin in (None, "", " \n"):
        ran = cli("ask", stdin=stdin)
        assert ran.code == 2
        assert "nothing to ask: give a prompt" in ran.err


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_loads_no_http_and_no_event_loop(cli: Any, argument: str) -> None:
    code = (
        "import sys; from llmwire.cli import main; code = main([sys.argv[1]]); "
        "heavy = {'asyncio', 'aiohttp', 'httpx', 'httpx2', 'ssl', 'http.client'} & set(sys.modules);"
        "print(code, sorted(heavy), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code, argument], capture_output=True, text=True)
    assert ran.stderr == "0 []\n"


def test_models_and_wire_load_no_http_either(cli: Any, server: LocalServer) -> None:
    code = (
        "import sys; from llmwire.cli import main; codes = [main(['models']), "
        "main(['wire', '-m', 'openai:gpt-6-luna', 'x'])];"
        "print(codes, sorted({'aiohttp', 'httpx', 'httpx2'} & set(sys.modules)), file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert ran.stderr.splitlines()[-1] == "[0, 0] []"


def test_a_typed_error_is_one_line(cli: Any, server: LocalServer) -> None:
    server.reply(Reply(status=401, message="Incorrect\nAPI key \x1b[31mprovided"))
    ran = cli("ask", "hi")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("llmwire: error: ")
    assert "Incorrect API key �[31mprovided" in ran.err
    assert "Traceback" not in ran.err


def test_debug_shows_the_traceback_too(cli: Any, server: LocalServer) -> None:
    server.reply(Reply(status=401, message="no"))
    ran = cli("ask", "--debug", "hi")
    assert ran.code == 1
    assert "Traceback (most recent call last)" in ran.err
    assert "AuthenticationError" in ran.err
    assert ran.err.splitlines()[-1].startswith("llmwire: error: ")


def test_a_broken_configuration_is_one_with_its_place(cli: Any) -> None:
    path = cli.configure("\n[providers.openai]\nap_base = 3\n")
    for command in (["ask", "hi"], ["models"], ["wire", "hi"]):
        ran = cli(*command)
        assert ran.code == 1
        assert f"{path}:3: providers.openai.ap_base: unknown setting" in ran.err


def test_a_project_file_can_not_take_a_key_away(cli: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with LocalServer() as server:
        Path("llmwire.toml").write_text(f'[providers.openai]\napi_base = "{server.url}/v1"')
        ran = cli("ask", "-m", "openai:m", "hi")
        assert ran.code == 1
        assert "llmwire.toml:1: providers.openai: a project file can't send the key" in ran.err
        assert server.requests == []
        assert "sk-secret" not in ran.err
        monkeypatch.setenv("LLMWIRE_CONFIG", "llmwire.toml")
        assert cli("ask", "-m", "openai:m", "hi").code == 0
        assert server.requests[0].headers["authorization"] == "Bearer sk-secret"


def test_a_defect_of_ours_is_one_line_and_says_so(cli: Any, monkeypatch: Any) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh\nno")

    monkeypatch.setattr(common, "load_settings", broken)
    ran = cli("ask", "hi")
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert "unexpected ZeroDivisionError: oh no (this is a defect of llmwire" in ran.err
    assert "Traceback" in cli("ask", "--debug", "hi").err


def test_an_interrupt_is_130(monkeypatch: Any, cli: Any) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(common, "load_settings", interrupted)
    assert cli("ask", "hi").code == 130


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_while_an_answer_comes(cli: Any, server: LocalServer, until: Any) -> None:
    server.reply(Reply("one two three four", chunk_size=4, between=0.2))
    process = cli.spawn("ask", "hi")
    until(process.stdout, b"one")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in err
    server.wait_for_connections(0)


def test_a_reader_that_goes_away_ends_it_quietly(cli: Any, server: LocalServer) -> None:
    server.reply(Reply("word " * 40_000, chunk_size=1000))
    process = cli.spawn("ask", "hi")
    assert process.stdout.read(4) == b"word"
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == 0
    assert err == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only some systems have a full disk")
def test_a_full_disk_is_one_line(cli: Any, server: LocalServer) -> None:
    server.reply("word " * 1000)
    with open("/dev/full", "wb") as full:
        process = cli.spawn("ask", "-q", "hi", stdout=full)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (1, b"llmwire: error: No space left on device\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a folder that is in use")
def test_a_deleted_folder_is_no_obstacle(cli: Any, server: LocalServer) -> None:
    Path.cwd().rmdir()
    assert cli("ask", "hi").code == 0


def test_python_dash_m_is_the_command(cli: Any) -> None:
    process = cli.spawn("--version")
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out.decode()) == (0, f"llmwire {__version__}\n")


@pytest.mark.parametrize("installed", [True, False])
def test_commands_run_on_uvloop_where_it_is_installed(
    installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmwire.cli import loop

    async def name() -> str:
        return type(asyncio.get_running_loop()).__module__.partition(".")[0]

    if not installed:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop.run_async(name()) == ("uvloop" if installed else "asyncio")
