"""The pytest plugin in a pytest of its own, with every warning an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from llmwire.testing import LocalServer

TESTS = """
import urllib.request

def test_first(llmwire_server):
    llmwire_server.reply("queued and left")
    with urllib.request.urlopen(llmwire_server.url + "/health") as answer:
        assert answer.status == 200
    assert len(llmwire_server.requests) == 1

def test_second(llmwire_server):
    assert llmwire_server.queued == 0 and llmwire_server.requests == []
"""

LIGHT = """
import sys

def test_nothing_heavy_was_imported():
    heavy = ("llmwire.adapters", "llmwire.testing.server", "llmwire.backend", "aiohttp", "httpx")
    assert [m for m in sys.modules if m.startswith(heavy)] == []
    assert "llmwire.testing.pytest_plugin" in sys.modules
"""


def run(folder: Path, test: str, *python: str) -> subprocess.CompletedProcess[str]:
    """Runs pytest there; other plugins of this environment have warnings of their own."""
    (folder / "test_it.py").write_text(test)
    options = ["-q", "-W", "error", "-p", "no:asyncio", "-p", "no:anyio", "-p", "no:cacheprovider"]
    command = [sys.executable, "-W", "error", *(python or ("-m", "pytest")), *options, "test_it.py"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=50, check=False
    )


def test_each_test_has_a_server_of_its_own(tmp_path: Path) -> None:
    done = run(tmp_path, TESTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout and "warning" not in done.stdout + done.stderr


def test_costs_nothing_where_it_is_not_used(tmp_path: Path) -> None:
    done = run(tmp_path, LIGHT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", ["llmwire", "llmwire.testing.server"])
def test_no_warning_when_llmwire_is_already_imported(tmp_path: Path, module: str) -> None:
    # pytest warns of modules with a plugin that it could not rewrite.
    main = f"import sys, pytest, {module}; sys.exit(pytest.main(sys.argv[1:]))"
    done = run(tmp_path, TESTS, "-c", main)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout + done.stderr


def test_fixture_is_a_local_server(llmwire_server: LocalServer) -> None:
    assert type(llmwire_server) is LocalServer
    assert llmwire_server.url.startswith("http://127.0.0.1:")
