"""The shape of the package, read from its source: layers, purity, laziness, size.

Every rule is a function from a module to complaints (`file:line: what`), and every rule is shown
a violation that it must find.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

SRC = Path(__file__).parent.parent / "src" / "llmwire"
MAX_LINES = 600
MAX_DISTRIBUTIONS = 4

# From the bottom up. A module imports from its own layer and from those below it. A package
# stands for all modules in it.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("types", "parts", "usage", "plain", "config", "errors", "request", "folding"),
    (
        "sse",
        "eventstream",
        "sigv4",
        "history",
        "fitting",
        "pairing",
        "memory",
        "providers",
        "rows",
        "retry",
        "gate",
        "error_tables",
        "error_body",
        "error_builder",
        "toml_places",
        "pricing",
        "catalogue",
        "schema",
        "typed",
        "output",
        "docstrings",
        "tools",
        "media",
        "caching",
    ),
    ("adapters",),
    ("check", "draft", "repair"),
    (
        "clocks",
        "transport",
        "auth",
        "aws",
        "flights",
        "environment",
        "settings",
        "content",
        "price_library",
    ),
    ("intake", "stream", "backend", "connection", "listing", "fallback"),
    ("testing", "sync", "cli", "__main__"),
)
PURE_LAYERS = 4
"""The lowest layers, which neither await nor ask the world for anything."""
GENERATOR_FREE_TO = ("testing", "cli")
OPTIONAL = (
    "aiohttp",
    "httpx",
    "httpx2",
    "google",
    "botocore",
    "genai_prices",
    "httptools",
    "keyring",
)
WORLD = "aiohttp asyncio botocore concurrent ctypes google http.client http.server httpcore httpx httpx2 keyring multiprocessing "
WORLD += "os pathlib queue random requests secrets select selectors signal socket ssl subprocess "
WORLD += "tempfile threading time urllib.request urllib3 uuid"
VENDORS = "ai21 anthropic boto3 cohere dashscope fireworks groq huggingface_hub langchain "
VENDORS += "langchain_core litellm mistralai ollama openai pydantic_ai replicate together vertexai "
VENDORS += "zhipuai"


class Module(NamedTuple):
    name: str
    """Dotted, without `llmwire.`; "" for the package itself."""
    path: str
    source: str
    tree: ast.Module
    is_package: bool

    @property
    def head(self) -> str:
        return self.name.partition(".")[0]

    def at(self, node: ast.AST, what: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {what}"


def module(name: str, source: str, *, is_package: bool = False, path: str = "") -> Module:
    return Module(name, path or f"{name or '__init__'}.py", source, ast.parse(source), is_package)


def all_modules() -> list[Module]:
    found = []
    for file in sorted(SRC.rglob("*.py")):
        parts = list(file.relative_to(SRC).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        path = str(file.relative_to(SRC.parent.parent))
        found.append(module(name, file.read_text("utf-8"), is_package=is_package, path=path))
    return found


# --- reading a module ---------------------------------------------------------------------------


def imports(m: Module) -> Iterator[tuple[ast.AST, str]]:
    """Every imported module with its node, absolute; what is imported from ours by full name."""
    package = m.name.split(".") if m.name else []
    if not m.is_package:
        package = package[:-1]
    for node in ast.walk(m.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package[: len(package) - (node.level - 1)]
                base = ".".join(["llmwire", *above, *([base] if base else [])])
            for alias in node.names:
                yield node, f"{base}.{alias.name}"


def layer_of(name: str) -> int | None:
    """The layer of a module of ours; None for one that no layer names."""
    head = name.partition(".")[0]
    return next((i for i, layer in enumerate(LAYERS) if head in layer), None)


def is_pure(m: Module) -> bool:
    layer = layer_of(m.name)
    return layer is not None and layer < PURE_LAYERS


def at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported: outside functions and TYPE_CHECKING."""
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo.extend(node.orelse)
            continue
        yield node
        todo.extend(ast.iter_child_nodes(node))


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions inside it."""
    todo = list(ast.iter_child_nodes(function))
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo.extend(ast.iter_child_nodes(node))


# --- the rules ----------------------------------------------------------------------------------


def layers(m: Module) -> Iterator[str]:
    """Dependencies point downwards only, and every module has a layer."""
    if not m.name:
        return
    own = layer_of(m.name)
    if own is None:
        yield m.at(m.tree, f"no layer has a place for {m.name}: name it in LAYERS")
        return
    for node, name in imports(m):
        if not (name + ".").startswith("llmwire."):
            continue
        target = name.removeprefix("llmwire").lstrip(".")
        if target == "__version__":
            continue
        other = layer_of(target)
        if other is None:
            yield m.at(node, f"imports {name} from the package's front; import its own module")
        elif other > own:
            yield m.at(node, f"{m.name} imports {target}, which is above it")


def purity(m: Module) -> Iterator[str]:
    """Values and wire formats neither await nor ask for time, chance, files or environment."""
    if not is_pure(m):
        return
    for node in ast.walk(m.tree):
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith | ast.AsyncFunctionDef):
            yield m.at(node, "pure code does not await")
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in ("open", "input", "print"):
                yield m.at(node, f"pure code calls no {node.func.id}()")
            if isinstance(node.func, ast.Attribute) and node.func.attr in (
                "now",
                "utcnow",
                "today",
            ):
                yield m.at(node, f"pure code reads no clock ({node.func.attr})")
    for node, name in imports(m):
        if any((name + ".").startswith(world + ".") for world in WORLD.split()):
            yield m.at(node, f"pure code imports no {name}")


def stateless_adapters(m: Module) -> Iterator[str]:
    """An adapter and a server half remember nothing."""
    if m.head != "adapters":
        return
    for cls in ast.walk(m.tree):
        if not isinstance(cls, ast.ClassDef) or not cls.name.endswith(("Adapter", "Server")):
            continue
        for node in ast.walk(cls):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
                if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                    yield m.at(node, f"{cls.name} sets {node.value.id}.{node.attr}")
            elif isinstance(node, ast.FunctionDef) and node.name in ("__init__", "__setattr__"):
                yield m.at(node, f"{cls.name} has a {node.name}")
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr"):
                yield m.at(node, f"{cls.name} calls setattr")


def no_vendor_sdk(m: Module) -> Iterator[str]:
    """Their release is our incident, so none of theirs is under us."""
    for node, name in imports(m):
        if name.partition(".")[0] in VENDORS.split() or name.startswith("google.genai"):
            yield m.at(node, f"imports {name}")


def no_names_of_providers(m: Module) -> Iterator[str]:
    """A quirk is a field of Dialect; the provider's name decides nothing."""

    def is_name(node: ast.AST) -> bool:
        return (
            re.fullmatch(r"(.*\.)?_?provider(_?config)?(\.name|_name)", ast.unparse(node))
            is not None
        )

    for node in ast.walk(m.tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            literal = any(
                isinstance(n, ast.Constant) and isinstance(n.value, str)
                for side in sides
                for n in ast.walk(side)
            )
            if literal and any(map(is_name, sides)):
                yield m.at(node, f"decides by the provider's name: {ast.unparse(node)}")
        elif isinstance(node, ast.Match) and is_name(node.subject):
            yield m.at(node, "decides by the provider's name: match")


def lazy_libraries(m: Module) -> Iterator[str]:
    """Libraries that not everybody needs are imported at first use."""
    for node in at_import(m.tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            continue
        for name in names:
            if name.partition(".")[0] in OPTIONAL:
                yield m.at(node, f"imports {name} when it is imported")


def short_files(m: Module) -> Iterator[str]:
    """A module that grows past the limit becomes a package with the same import path."""
    lines = m.source.count("\n")
    if lines > MAX_LINES:
        yield f"{m.path}:{lines}: longer than {MAX_LINES} lines"


def async_generators(m: Module) -> Iterator[str]:
    """Not a complaint by itself: one in the whole package is the right number."""
    if m.head in GENERATOR_FREE_TO:
        return
    for node in ast.walk(m.tree):
        if isinstance(node, ast.AsyncFunctionDef) and any(
            isinstance(n, ast.Yield) for n in own_nodes(node)
        ):
            yield m.at(node, f"the async generator {node.name}")


RULES: tuple[Callable[[Module], Iterator[str]], ...] = (
    layers,
    purity,
    stateless_adapters,
    no_vendor_sdk,
    no_names_of_providers,
    lazy_libraries,
    short_files,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds(rule: Callable[[Module], Iterator[str]]) -> None:
    modules = all_modules()
    assert len(modules) > 10, f"no package at {SRC}"
    complaints = [c for m in modules for c in rule(m)]
    assert not complaints, "\n" + "\n".join(complaints)


def test_the_page_on_architecture_names_every_module() -> None:
    page = (SRC.parent.parent / "ARCHITECTURE.md").read_text("utf-8")
    heads = {m.head for m in all_modules()} - {"", "__main__"}
    assert {head for head in heads if not re.search(rf"`{head}[`/]", page)} == set()


def test_at_most_one_async_generator() -> None:
    found = [g for m in all_modules() for g in async_generators(m)]
    assert len(found) <= 1, "chains of async generators leak:\n" + "\n".join(found)


PLANTED: list[tuple[Callable[[Module], Iterator[str]], str, str]] = [
    (layers, "types", "from .history import Log"),
    (layers, "types", "def f():\n    from . import sse"),
    (
        layers,
        "errors",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import llmwire.sse",
    ),
    (layers, "history", "from .adapters import base"),
    (layers, "adapters.openai", "from ..backend import GenericBackend"),
    (layers, "adapters.openai.stream", "from ...auth import authorize"),
    (layers, "transport", "from llmwire.backend import GenericBackend"),
    (layers, "backend", "from . import LLMMessage"),
    (layers, "backend", "import llmwire"),
    (layers, "backend", "from .testing import LocalServer"),
    (layers, "mystery", "x = 1"),
    (purity, "adapters.openai", "async def f(): ..."),
    (purity, "adapters.openai", "async def f(x):\n    await x"),
    (purity, "history", "def f():\n    import asyncio"),
    (purity, "sse", "import httpx2"),
    (purity, "types", "import os"),
    (purity, "types", "from os import environ"),
    (purity, "error_builder", "from datetime import datetime\nx = datetime.now()"),
    (purity, "error_builder", "import time"),
    (purity, "retry", "import random"),
    (purity, "retry", "from secrets import token_hex"),
    (purity, "config", "from uuid import uuid4"),
    (purity, "providers", "x = open('table')"),
    (purity, "providers", "from urllib.request import urlopen"),
    (stateless_adapters, "adapters.a", "class AAdapter:\n def f(self):\n  self.seen = 1"),
    (stateless_adapters, "adapters.a", "class AServer:\n def f(self):\n  self.n += 1"),
    (stateless_adapters, "adapters.a", "class AAdapter:\n def f(self):\n  a, self.b = 1, 2"),
    (stateless_adapters, "adapters.a", "class AAdapter:\n def f(self):\n  self.n: int = 1"),
    (stateless_adapters, "adapters.a", "class AAdapter:\n def f(self):\n  setattr(self, 'a', 1)"),
    (stateless_adapters, "adapters.a", "class AAdapter:\n def __init__(self): ..."),
    (no_vendor_sdk, "cli.main", "def f():\n    from openai import OpenAI"),
    (no_vendor_sdk, "auth", "from google.genai import Client"),
    (no_names_of_providers, "backend", "if provider.name == 'mistral': ..."),
    (no_names_of_providers, "backend", "if 'mistral' != self.provider.name: ..."),
    (no_names_of_providers, "backend", "if self._provider.name in ('mistral', 'groq'): ..."),
    (no_names_of_providers, "backend", "if provider_name == 'groq': ..."),
    (no_names_of_providers, "backend", "match provider.name:\n case 'groq': ..."),
    (lazy_libraries, "transport", "import aiohttp"),
    (
        lazy_libraries,
        "transport",
        "try:\n    from httpx import AsyncClient\nexcept ImportError: ...",
    ),
    (lazy_libraries, "auth", "class A:\n    import google.auth"),
    (short_files, "types", "x = 1\n" * (MAX_LINES + 1)),
    (async_generators, "backend", "async def f():\n    yield 1"),
    (async_generators, "backend", "class A:\n  async def f(self):\n    for x in y:\n      yield x"),
]


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    PLANTED,
    ids=[f"{r.__name__}-{i}" for i, (r, _, _) in enumerate(PLANTED)],
)
def test_rule_finds_what_it_forbids(
    rule: Callable[[Module], Iterator[str]], name: str, source: str
) -> None:
    complaints = list(rule(module(name, source)))
    assert complaints
    assert re.match(rf"{re.escape(name)}\.py:\d+: ", complaints[0])


FINE: list[tuple[Callable[[Module], Iterator[str]], str, str]] = [
    (layers, "adapters.openai.stream", "from ..base import decode_json\nfrom ...types import Role"),
    (layers, "cli.chat", "from ..backend import GenericBackend\nimport os"),
    (purity, "backend", "import asyncio\nasync def f(x):\n    await x"),
    (purity, "error_builder", "from email.utils import parsedate_to_datetime"),
    (stateless_adapters, "adapters.a", "class ADecoder:\n def __init__(self):\n  self.n = 1"),
    (stateless_adapters, "testing.server", "class LocalServer:\n def f(self):\n  self.n = 1"),
    (no_names_of_providers, "backend", "if model.provider != provider.name: ..."),
    (lazy_libraries, "transport", "def f():\n    import aiohttp"),
    (lazy_libraries, "transport", "if TYPE_CHECKING:\n    import aiohttp"),
    (
        async_generators,
        "backend",
        "def f():\n    yield 1\nasync def g():\n    def h():\n        yield",
    ),
]


@pytest.mark.parametrize(
    ("rule", "name", "source"), FINE, ids=[f"{r.__name__}-{i}" for i, (r, _, _) in enumerate(FINE)]
)
def test_rule_lets_be_what_is_fine(
    rule: Callable[[Module], Iterator[str]], name: str, source: str
) -> None:
    assert list(rule(module(name, source))) == []


# --- what importing costs -----------------------------------------------------------------------


def test_importing_imports_no_http_library() -> None:
    code = "import sys, llmwire; print(*sorted(sys.modules))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    heavy = {name.partition(".")[0] for name in out.stdout.split()} & {
        *OPTIONAL, "requests", "urllib3", "httpcore", "httpcore2", "h11", "pydantic",
        "asyncio", "ssl", "_ssl", "socket",
    }  # fmt: skip
    assert "llmwire" in out.stdout
    assert not heavy, f"`import llmwire` imports {', '.join(sorted(heavy))}"
    assert "http.client" not in out.stdout.split()


def distributions_under(name: str) -> set[str]:
    """A distribution and all that it needs here, without extras."""
    found: set[str] = set()
    todo = [name]
    while todo:
        at = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if at in found:
            continue
        found.add(at)
        for text in metadata.requires(at) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                todo.append(needed.name)
    return found


def test_few_distributions_under_us() -> None:
    found = distributions_under("llmwire")
    assert {"llmwire", "msgspec"} <= found
    assert len(found) <= MAX_DISTRIBUTIONS, f"{len(found)}: {', '.join(sorted(found))}"
