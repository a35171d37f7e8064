"""The vendors' own clients against the embedded server: for Python the tests, for node a script."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

from llmwire.testing import LocalServer

from .install import FOLDER, HERE, NotHere, node_modules
from .table import Outcome, Result

SERVER = "our embedded server"
SECONDS = 300

PYTHON = {
    ("test_sdks", "test_openai"): ("openai", "openai"),
    ("test_sdks", "test_claude"): ("anthropic", "anthropic"),
    ("test_sdks", "test_mistral"): ("mistralai", "reasoning"),
    ("test_sdk_responses", "test"): ("openai", "openai-responses"),
    ("test_sdk_google", "test"): ("google-genai", "gemini"),
    ("test_sdks_azure", "test"): ("openai (Azure)", "openai"),
    ("test_sdks_bedrock", "test_claude"): ("anthropic (Bedrock)", "bedrock-anthropic"),
    ("test_sdks_bedrock", "test"): ("boto3", "bedrock-converse"),
}
"""The tests of each client, by file and start of the name; the first that fits."""

COLUMNS = (
    ("tools streamed", r"tools_streamed"),
    ("tools", r"tool(?!s_streamed)|function"),
    ("thinking", r"think|thought|reason"),
    ("counting", r"count"),
    ("errors", r"error|refused|cut|wrong|retries|an_error"),
    ("output", r"structured"),
    ("streamed", r"(?<!tools_)stream(?!_error)"),
    ("whole", r"whole|a_call_goes"),
)
"""Which columns a test belongs to: those whose words its name has."""

WORSE: tuple[Outcome, ...] = ("passed", "not run", "failed")


def python_clients() -> Iterator[Result]:
    """A cell for each kind of test of each client; one failed test makes it failed."""
    report = FOLDER / "sdks.xml"
    FOLDER.mkdir(exist_ok=True)
    report.unlink(missing_ok=True)
    tests = sorted((HERE.parent / "tests" / "testing").glob("test_sdk*.py"))
    command = [sys.executable, "-m", "pytest", "-q", f"--junit-xml={report}", *map(str, tests)]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, timeout=SECONDS)
    if not report.exists():
        yield Result(
            "Python", SERVER, "all", "whole", "not run", (done.stdout + done.stderr)[-500:]
        )
        return
    cells: dict[tuple[str, ...], Result] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        file = case.get("classname", "").rpartition(".")[2]
        name = case.get("name", "")
        client, wire = next(
            (who for (in_file, start), who in PYTHON.items()
             if file == in_file and name.startswith(start)),
            (file, "?"),
        )  # fmt: skip
        checks = [c for c, words in COLUMNS if re.search(words, name)] or ["else"]
        outcome: Outcome = "passed"
        detail = ""
        for child in case:
            if child.tag in ("failure", "error"):
                outcome, detail = "failed", f"{name}: {child.get('message', '')[:300]}"
            elif child.tag == "skipped":
                outcome, detail = "not run", f"{name}: {child.get('message', '')[:300]}"
        for check in checks:
            cell = Result(client, SERVER, wire, check, outcome, detail)
            known = cells.setdefault(cell[:4], cell)
            if WORSE.index(outcome) > WORSE.index(known.outcome):
                cells[cell[:4]] = cell
    yield from cells.values()


def node_clients() -> Iterator[Result]:
    """The checks of `node/clients.mjs`. Raises `NotHere` where node or a client can't be had."""
    folder = node_modules()
    # Modules are looked for beside the script.
    script = shutil.copy(HERE / "node" / "clients.mjs", folder)
    environment = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME")}
    with LocalServer() as server:
        done = subprocess.run(
            ["node", script, server.url],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=environment,
        )
    for line in done.stdout.splitlines():
        told = json.loads(line)
        outcome: Outcome = "failed" if told["error"] else "passed"
        yield Result(told["client"], SERVER, told["wire"], told["check"], outcome, told["error"])
    if done.returncode:
        raise NotHere(f"node ended with code {done.returncode}: {done.stderr[-300:]}")
