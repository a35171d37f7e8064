"""The documents tell the truth: their Python runs, what it prints is what they say, their
generated parts are what the code says today, their links lead somewhere."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import re
import sys
import types
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import pytest

import generated_docs
from llmwire.settings import ConfigSource, build_settings

DOCUMENTS = generated_docs.documents()
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")


def name_of(path: Path) -> str:
    return str(path.relative_to(generated_docs.ROOT))


class Block(NamedTuple):
    line: int
    source: str
    prints: str | None
    """The text block right after it, if one is: what it must print."""


def blocks(text: str) -> list[Block]:
    """The Python blocks of a document."""
    fences = list(FENCE.finditer(text))
    found = []
    for fence, after in zip_longest(fences, fences[1:]):
        if fence[1] != "python":
            continue
        prints = None
        if (
            after is not None
            and after[1] == "text"
            and not text[fence.end() : after.start()].strip()
        ):
            prints = after[2]
        found.append(Block(text.count("\n", 0, fence.start()) + 2, fence[2], prints))
    return found


def run(document: Path, found: list[Block]) -> None:
    """Runs the blocks in order in one namespace; `await` may stand at their top level."""
    module = types.ModuleType("document")
    sys.modules["document"] = module
    try:
        with asyncio.Runner() as runner:
            for block in found:
                source = "\n" * (block.line - 1) + block.source
                code = compile(source, str(document), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    if code.co_flags & inspect.CO_COROUTINE:
                        runner.run(_awaited(eval(code, vars(module))))
                    else:
                        exec(code, vars(module))
                if block.prints is not None:
                    where = f"{name_of(document)}:{block.line}"
                    assert out.getvalue().rstrip() == block.prints.rstrip(), where
    finally:
        del sys.modules["document"]


async def _awaited(coroutine: types.CoroutineType[object, object, object]) -> None:
    await coroutine


def with_python() -> Iterator[Path]:
    return (path for path in DOCUMENTS if blocks(path.read_text("utf-8")))


@pytest.mark.parametrize("path", list(with_python()), ids=name_of)
def test_python_runs_and_prints_what_is_said(path: Path) -> None:
    run(path, blocks(path.read_text("utf-8")))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_generated_parts_are_current(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("<!-- generated: ") == len(generated_docs.PART.findall(text))
    assert generated_docs.rewritten(text) == text, "run `make docs`"


def test_every_part_is_used() -> None:
    used = {
        m[1] for path in DOCUMENTS for m in generated_docs.PART.findall(path.read_text("utf-8"))
    }
    assert used == set(generated_docs.PARTS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text("utf-8")):
        assert (path.parent / target).exists(), f"{name_of(path)} links to {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_configuration_files_are_taken(path: Path) -> None:
    for language, text in FENCE.findall(path.read_text("utf-8")):
        if language == "toml":
            found = build_settings([ConfigSource(name_of(path), text)], {})
            assert found.models or found.providers


def test_commands_named_exist() -> None:
    makefile = (generated_docs.ROOT / "Makefile").read_text("utf-8")
    for path in DOCUMENTS:
        for target in re.findall(r"\bmake ([a-z]+)\b(?=`|\s+#|$)", path.read_text("utf-8")):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{name_of(path)}: {target}"


def test_there_is_something_to_check() -> None:
    names = {name_of(path) for path in DOCUMENTS}
    assert {"README.md", "docs/quickstart.md", "docs/errors.md"} <= names
    assert sum(len(blocks(path.read_text("utf-8"))) for path in DOCUMENTS) > 10


# --- the checks themselves can fail -------------------------------------------------------------

PAGE = generated_docs.ROOT / "page.md"


def test_a_block_that_raises_fails() -> None:
    with pytest.raises(ZeroDivisionError):
        run(PAGE, blocks("```python\n1 / 0\n```\n"))


def test_a_block_that_prints_something_else_fails() -> None:
    text = "```python\nprint('one')\n```\n\n```text\ntwo\n```\n"
    with pytest.raises(AssertionError, match=r"page\.md:2"):
        run(PAGE, blocks(text))


def test_blocks_share_names_and_may_await() -> None:
    text = (
        "```python\nimport asyncio\nx = 'one'\n```\nprose\n"
        "```python\nawait asyncio.sleep(0)\nprint(x)\n```\n```text\none\n```\n"
    )
    run(PAGE, blocks(text))


def test_a_stale_part_is_found() -> None:
    stale = "<!-- generated: timeouts -->\nconnect: 3 s\n<!-- end -->\n"
    assert generated_docs.rewritten(stale) != stale
    with pytest.raises(KeyError):
        generated_docs.rewritten("<!-- generated: nothing -->\n<!-- end -->")
