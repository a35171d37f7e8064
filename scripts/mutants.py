"""Plants known bugs, one at a time, in a copy of the source, and expects the tests to notice.

    python scripts/mutants.py            # all of tests/mutants.toml
    python scripts/mutants.py law-2      # those whose name begins so

Each row names a law, a file, the text to replace (which must stand there exactly once), the wrong
text, and the tests that have to turn red. Exits 1 if a bug survives or a row no longer applies.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(prefixes: list[str]) -> int:
    """Runs the chosen mutants; returns the exit code."""
    rows = tomllib.loads((ROOT / "tests/mutants.toml").read_text(encoding="utf-8"))["mutant"]
    rows = [r for r in rows if not prefixes or any(r["name"].startswith(p) for p in prefixes)]
    survived = 0
    for number, row in enumerate(rows, 1):
        verdict = run(row)
        survived += verdict != "caught"
        print(f"[{number}/{len(rows)}] {verdict:>9}  {row['name']}", flush=True)
    print(f"{len(rows) - survived} of {len(rows)} planted bugs were caught")
    return 1 if survived else 0


def run(row: dict[str, str]) -> str:
    """`caught` if the tests fail with this bug in the source."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(ROOT / "src", copy / "src")
        target = copy / "src/llmwire" / row["file"]
        source = target.read_text(encoding="utf-8")
        if source.count(row["old"]) != 1:
            return f"{source.count(row['old'])} places"
        target.write_text(source.replace(row["old"], row["new"]), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, *row["tests"].split()],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        output = done.stdout.decode("utf-8", "replace")
        if done.returncode == 1 and " failed" in output.lower() + " failed":
            return "caught" if "FAILED" in output else "no test"
        return "SURVIVED" if done.returncode == 0 else f"exit {done.returncode}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
