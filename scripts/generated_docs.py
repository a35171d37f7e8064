"""Writes the parts of the documents that are made from the code, or says which are out of date.

    python scripts/generated_docs.py            rewrite them (`make docs`)
    python scripts/generated_docs.py --check    exit with 1 if one differs

Such a part stands between `<!-- generated: NAME -->` and `<!-- end -->`; NAME is a function here.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec

import llmwire
from llmwire import config, errors, providers
from llmwire.adapters import ADAPTERS
from llmwire.request import LLMRequest
from llmwire.types import LLMMessage

ROOT = Path(__file__).parent.parent
WIRES = {
    "openai": "Chat Completions, of OpenAI and of compatible servers",
    "anthropic": "Anthropic Messages",
    "vertex-anthropic": "Claude on Vertex AI",
    "reasoning": "Mistral's chat: Chat Completions with thinking inside the content",
    "ollama": "Ollama's own chat, as JSON lines",
    "openai-responses": "Responses, of OpenAI and of servers with such an endpoint",
    "gemini": "Gemini's generateContent, at AI Studio",
    "vertex-gemini": "Gemini on Vertex AI",
    "bedrock-converse": "Amazon Bedrock's Converse, for all its models",
    "bedrock-anthropic": "Claude on Amazon Bedrock, over InvokeModel",
}
"""What a wire format is called among people; a new one needs a name here."""

PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


# --- reading the code ---------------------------------------------------------------------------


def attribute_docs(module: Any, class_name: str) -> dict[str, str]:
    """Each annotated attribute of a class with the docstring under it, on one line."""
    tree = ast.parse(inspect.getsource(module))
    body = next(n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == class_name)
    found: dict[str, str] = {}
    for node, after in zip_longest(body, body[1:]):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            is_doc = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            text = str(after.value.value) if is_doc else ""  # type: ignore[union-attr]
            found[node.target.id] = " ".join(text.split())
    return found


def annotations_of(module: Any, class_name: str) -> dict[str, str]:
    """Each annotated attribute with its type as written."""
    tree = ast.parse(inspect.getsource(module))
    body = next(n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == class_name)
    return {
        node.target.id: ast.unparse(node.annotation)
        for node in body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def first_sentence(text: str | None) -> str:
    paragraph = " ".join((text or "").strip().split("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`])", paragraph)[0]


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(
        "| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in line) + " |\n"
        for line in lines
    )


def code(value: object) -> str:
    return f"`{value}`"


# --- the parts ----------------------------------------------------------------------------------


def wires() -> str:
    rows = []
    for style, adapter in ADAPTERS.items():
        base = "https://host" if style not in providers.GOOGLE_STYLES else ""
        provider = config.ProviderConfig(
            "example", base, api_style=style, project_id="project", region="region"
        )
        model = config.ModelConfig("model")
        request = LLMRequest(model=model, messages=(LLMMessage("user", "hi"),), stream=True)
        prepared = adapter.prepare_request(request, provider)
        names = [row.name for row in providers.PROVIDERS.values() if row.api_style == style]
        rows.append((code(style), WIRES[style], code(prepared.endpoint), ", ".join(names)))
    return table(("`api_style`", "What it is", "Endpoint", "Known providers"), rows)


def providers_table() -> str:
    rows = [
        (
            code(row.name),
            code(row.api_style),
            code(row.api_base) if row.api_base else "from project and region",
            code(row.api_key_env_var) if row.api_key_env_var else "none",
        )
        for row in providers.PROVIDERS.values()
    ]
    return table(("Name", "Wire", "Address", "Key variable"), rows)


def dialects() -> str:
    plain = config.Dialect()
    rows = []
    for row in providers.PROVIDERS.values():
        dialect = row.dialect or plain
        differing = [
            f"`{f.name}={getattr(dialect, f.name)!r}`"
            for f in msgspec.structs.fields(config.Dialect)
            if getattr(dialect, f.name) != getattr(plain, f.name)
        ]
        rows.append((code(row.name), ", ".join(differing) or "plain"))
    return table(("Name", "Differs in"), rows)


def dialect_fields() -> str:
    docs = attribute_docs(config, "Dialect")
    kinds = annotations_of(config, "Dialect")
    rows = [
        (code(f.name), code(kinds[f.name].replace("'", '"')), code(repr(f.default)), docs[f.name])
        for f in msgspec.structs.fields(config.Dialect)
    ]
    return table(("Field", "Type", "Default", "Meaning, and who needs it"), rows)


def timeouts() -> str:
    docs = attribute_docs(config, "Timeouts")
    rows = [
        (code(f.name), f"{f.default:g} s" if f.default is not None else "none", docs[f.name])
        for f in msgspec.structs.fields(config.Timeouts)
    ]
    return table(("Clock", "Default", "What it limits, and why this long"), rows)


def retries() -> str:
    from llmwire import retry

    docs = attribute_docs(retry, "RetryPolicy")
    rows = [
        (code(f.name), code(f.default), docs[f.name])
        for f in msgspec.structs.fields(retry.RetryPolicy)
    ]
    return table(("`RetryPolicy`", "Default", "Meaning"), rows)


def bounds() -> str:
    """Every public `..._BYTES` and `..._SECONDS` of what reads from the network, with its reason."""
    rows = []
    source = ROOT / "src" / "llmwire"
    for file in sorted([*source.glob("*.py"), *source.glob("transport/*.py")]):
        body = ast.parse(file.read_text("utf-8")).body
        for node, after in zip_longest(body, body[1:]):
            found = re.match(
                r"([A-Z][A-Z_]*_(?:BYTES|SECONDS))\b(?:: [^=]+)? = ", ast.unparse(node)
            )
            if found is None:
                continue
            where = ".".join(["llmwire", *file.relative_to(source).with_suffix("").parts])
            value = getattr(importlib.import_module(where), found[1])
            is_doc = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            reason = " ".join(str(after.value.value).split()) if is_doc else ""  # type: ignore[union-attr]
            shown = f"{value:g} s" if found[1].endswith("SECONDS") else f"{value:,} bytes"
            rows.append((code(f"{where}.{found[1]}"), shown, reason))
    return table(("Where", "Limit", "Reason"), rows)


def error_tree() -> str:
    lines = (errors.__doc__ or "").splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip() == "BackendError")
    end = next(i for i in range(start, len(lines)) if not lines[i].strip())
    drawing = "\n".join(line.removeprefix("    ") for line in lines[start:end])
    return f"```text\n{drawing}\n```\n"


def call_options() -> str:
    from llmwire import backend

    docs = attribute_docs(backend, "CallOptions")
    kinds = annotations_of(backend, "CallOptions")
    return table(
        ("Option", "Type", "Meaning"),
        [(code(name), code(kind.replace("'", '"')), docs[name]) for name, kind in kinds.items()],
    )


def public_names() -> str:
    rows = []
    for name in llmwire.__all__:
        value = getattr(llmwire, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            about = first_sentence(value.__doc__) if value.__doc__ else ""
            if about.startswith(f"{name}("):  # what dataclasses and the like put in
                about = ""
        elif inspect.ismodule(value):
            about = first_sentence(value.__doc__)
        else:
            about = constant_doc(name)
        rows.append((code(name), about))
    return table(("Name", "What it is"), rows)


def constant_doc(name: str) -> str:
    """The docstring under a module-level assignment of a public name, wherever it is."""
    for file in sorted((ROOT / "src" / "llmwire").rglob("*.py")):
        body = ast.parse(file.read_text("utf-8")).body
        for node, after in zip_longest(body, body[1:]):
            is_it = isinstance(node, ast.Assign | ast.AnnAssign) and re.match(
                rf"{name}\b", ast.unparse(node)
            )
            if is_it and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                return first_sentence(str(after.value.value))
    return ""


def cli_help() -> str:
    """Not `format_help`: its layout changes between versions of Python."""
    from llmwire.cli.parser import build_parser

    return "\n".join(describe(parser) for parser in [build_parser(), *commands(build_parser())])


def commands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """All parsers of sub-commands, in depth."""
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in dict.fromkeys(action.choices.values()):
                found += [sub, *commands(sub)]
    return found


def describe(parser: argparse.ArgumentParser) -> str:
    out = f"## {code(parser.prog)}\n\n"
    if parser.description:
        out += inspect.cleandoc(parser.description) + "\n\n"
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            rows += [
                (code(f"{parser.prog} {choice.dest}"), choice.help or "")
                for choice in action._choices_actions
            ]
        elif action.dest != "help" and action.help is not argparse.SUPPRESS:
            names = ", ".join(action.option_strings) or str(action.metavar or action.dest)
            value = action.metavar or action.dest.upper()
            if action.option_strings and action.nargs != 0:
                names += f" {value}"
            fill = {**vars(action), "prog": parser.prog}
            rows.append((code(names), (action.help or "") % fill))
    out += table(("Argument", "Meaning"), rows)
    return out + (f"\n{parser.epilog.strip()}\n" if parser.epilog else "")


PARTS: dict[str, Callable[[], str]] = {
    "wires": wires,
    "providers": providers_table,
    "dialects": dialects,
    "dialect-fields": dialect_fields,
    "timeouts": timeouts,
    "retries": retries,
    "bounds": bounds,
    "error-tree": error_tree,
    "call-options": call_options,
    "public-names": public_names,
    "cli-help": cli_help,
}


# --- the documents ------------------------------------------------------------------------------


def documents() -> list[Path]:
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def rewritten(text: str) -> str:
    """The text with all its generated parts made anew. Raises `KeyError` for an unknown one."""
    return PART.sub(lambda m: f"{m[1]}{PARTS[m[2]]()}{m[4]}", text)


def main(argv: list[str]) -> int:
    stale = []
    for path in documents():
        text = path.read_text("utf-8")
        new = rewritten(text)
        if new != text:
            stale.append(path)
            if "--check" not in argv:
                path.write_text(new, "utf-8")
    verb = "is out of date (make docs)" if "--check" in argv else "rewritten"
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {verb}")
    return 1 if stale and "--check" in argv else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
