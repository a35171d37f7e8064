"""Runs the command in this process or in one of its own, away from the user's configuration."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from llmwire import environment
from llmwire.cli import main
from llmwire.providers import PROVIDERS
from llmwire.testing import LocalServer

MEANT_FOR_PEOPLE = (
    "NO_COLOR", "FORCE_COLOR", "LLMWIRE_MODEL", "LLMWIRE_CONFIG", "OLLAMA_HOST",
    "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_VERSION", "ANTHROPIC_AWS_WORKSPACE_ID",
    *(variable for variable, _ in environment._BASE_VARIABLES.values()),
    *(variable for fields in environment._FIELD_VARIABLES.values() for _, variable in fields),
    *(row.api_key_env_var for row in PROVIDERS.values() if row.api_key_env_var),
)  # fmt: skip


class Ran(Struct):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class _Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


class Command:
    """The command with a home of its own."""

    def __init__(self, home: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self._processes: list[subprocess.Popen[bytes]] = []

    def __call__(self, *args: str, stdin: str | bytes | None = None) -> Ran:
        """In this process. Without `stdin` it is a terminal where nobody types."""
        kind = _Terminal if stdin is None else io.TextIOWrapper
        data = stdin.encode() if isinstance(stdin, str) else stdin or b""
        self._monkeypatch.setattr(sys, "stdin", kind(io.BytesIO(data), "utf-8"))
        self._capsys.readouterr()
        code = main(args)
        out, err = self._capsys.readouterr()
        return Ran(code, out, err)

    def spawn(self, *args: str, **options: Any) -> subprocess.Popen[bytes]:
        """In a process of its own."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, **options}  # fmt: skip
        process = subprocess.Popen([sys.executable, "-m", "llmwire", *args], **options)
        self._processes.append(process)
        return process

    def close(self) -> None:
        """Ends what a failed test left running."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
            process.wait()

    def configure(self, text: str) -> Path:
        path = self.home / "config" / "llmwire" / "config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def cli(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    for name in MEANT_FOR_PEOPLE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    command = Command(tmp_path, capsys, monkeypatch)
    yield command
    command.close()


@pytest.fixture
def server(cli: Command) -> Iterator[LocalServer]:
    """A server that the configuration calls `local`, with the model `local:m` (alias `m`)."""
    with LocalServer() as server:
        cli.configure(
            f"""
            default_model = "m"
            [providers.local]
            api_base = "{server.url}/openai/v1"
            [providers.local-anthropic]
            api_base = "{server.url}/anthropic"
            api_style = "anthropic"
            [models.m]
            name = "local:m"
            input_price = 1.0
            output_price = 4.0
            """
        )
        yield server


@pytest.fixture
def until() -> Callable[..., bytes]:
    """Reads from a pipe until the texts came, in order."""

    def read(pipe: Any, *texts: bytes) -> bytes:
        seen, at = b"", 0
        for text in texts:
            while (found := seen.find(text, at)) < 0:
                piece = os.read(pipe.fileno(), 4096)
                if not piece:
                    raise AssertionError(f"{text!r} did not come, only {seen!r}")
                seen += piece
            at = found + len(text)
        return seen

    return read
