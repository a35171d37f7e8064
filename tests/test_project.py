"""The project's own machinery: what people and the continuous integration run."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30,
    )  # fmt: skip


def test_help_lists_the_commands() -> None:
    listed = re.findall(r"^  make (\w+)", make("help").stdout, re.MULTILINE)
    assert {"demo", "test", "check", "docs", "bench", "clean", "help"} <= set(listed)


def test_an_old_python_is_refused_in_plain_words(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")  # what the probe ends with on anything before 3.11
    old.chmod(0o755)
    got = make(f"PYTHON={old}", f"VENV={tmp_path / 'venv'}", "demo")
    assert got.returncode != 0
    assert "needs Python 3.11 or newer" in got.stderr
    assert str(old) in got.stderr
    assert not (tmp_path / "venv").exists()


def test_the_environment_is_made_anew_when_its_needs_change() -> None:
    rules = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(r"^\$\(VENV\)/\.installed: .*pyproject\.toml", rules, re.MULTILINE)
    assert re.search(r"^\$\(VENV\)/\.developed: \$\(VENV\)/\.installed", rules, re.MULTILINE)


def test_the_integration_script_runs_checks_and_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text("utf-8")
    assert "set -euo pipefail" in text
    assert "\nmake check\nmake test\n" in text
    subprocess.run(["bash", "-n", script], check=True, timeout=10)


def test_a_rule_is_ignored_for_a_reason() -> None:
    block = PYPROJECT.partition("\nignore = [")[2].partition("]")[0]
    lines = [line.strip() for line in block.splitlines() if line.strip()]
    assert lines
    assert [line for line in lines if "#" not in line] == []


def test_the_suite_is_strict() -> None:
    options = tomllib.loads(PYPROJECT)["tool"]["pytest"]["ini_options"]
    assert options["filterwarnings"][0] == "error"
    assert options["xfail_strict"] is True
    assert options["timeout"] <= 60
    assert "--strict-markers" in options["addopts"]


def test_nothing_is_skipped_without_a_cause() -> None:
    """A skip says why; nothing is expected to fail."""
    mark = re.compile(r"(?<!\w)pytest\.(?:mark\.)?(skip|skipif|xfail|importorskip)\b")
    for file in sorted((ROOT / "tests").rglob("*.py")):
        if file == Path(__file__):
            continue
        text = file.read_text("utf-8")
        for found in mark.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            where = f"{file.relative_to(ROOT)}:{line}"
            assert found[1] not in ("xfail", "importorskip"), where
            call = text[found.start() : found.start() + 200]
            assert re.match(r"[\w.]+\((?:[^()]|\([^()]*\))*[\"']", call), f"{where}: say why"
