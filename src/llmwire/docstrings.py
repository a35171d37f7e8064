"""What a docstring says of a function and its parameters: Google's, NumPy's and Sphinx's forms."""

from __future__ import annotations

import re
from inspect import cleandoc

from msgspec import Struct


class Docstring(Struct, frozen=True):
    """The first paragraph on one line, and what is said of each parameter."""

    summary: str = ""
    parameters: dict[str, str] = {}


_ARGUMENTS = r"(?:Args|Arguments|Params|Parameters|Keyword Args|Keyword Arguments|Other Parameters)"
_HEADING = re.compile(rf"(?:{_ARGUMENTS}|[A-Z][A-Za-z ]*):$")
_GOOGLE = re.compile(rf"{_ARGUMENTS}:$")
_NUMPY = re.compile(rf"{_ARGUMENTS}$")
_UNDERLINE = re.compile(r"-{3,}$")
_GOOGLE_ITEM = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_NUMPY_ITEM = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
_SPHINX = re.compile(
    r":(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*\s)?\*{0,2}(\w+):\s*(.*)$"
)
_FIELD = re.compile(r":\w+[^:]*:")


def read_docstring(text: str | None) -> Docstring:
    """What of it concerns a caller; a form that is not known is prose."""
    lines = cleandoc(text or "").splitlines()
    found: dict[str, list[str]] = {}
    i = 0
    while i < len(lines):
        line = lines[i].strip()
        if _indent(lines[i]) == 0 and _GOOGLE.match(line):
            # In a docstring that begins so, `cleandoc` took the items' indentation away.
            i = _section(lines, i + 1, _GOOGLE_ITEM, found, least=min(i, 1))
        elif _NUMPY.match(line) and i + 1 < len(lines) and _UNDERLINE.match(lines[i + 1].strip()):
            i = _section(lines, i + 2, _NUMPY_ITEM, found, least=0)
        elif field := _SPHINX.match(line):
            found[field[1]] = [field[2]]
            i += 1
            while i < len(lines) and lines[i].strip() and _indent(lines[i]):
                found[field[1]].append(lines[i])
                i += 1
        else:
            i += 1
    parameters = {name: " ".join(" ".join(said).split()) for name, said in found.items()}
    return Docstring(_summary(lines), {name: said for name, said in parameters.items() if said})


def _summary(lines: list[str]) -> str:
    said: list[str] = []
    for i, line in enumerate(lines):
        heading = _UNDERLINE.match(lines[i + 1].strip()) if i + 1 < len(lines) else None
        if not line.strip() or heading or _FIELD.match(line) or _HEADING.match(line):
            break
        said.append(line)
    return " ".join(" ".join(said).split())


def _section(
    lines: list[str], i: int, item: re.Pattern[str], found: dict[str, list[str]], least: int
) -> int:
    """Reads the items of a section; returns the number of the line after it.

    An item stands at the section's own indentation, what is said of it may go on deeper.
    """
    depth: int | None = None
    names: list[str] = []
    while i < len(lines):
        line = lines[i]
        indent = _indent(line)
        if not line.strip():
            i += 1
            continue
        if depth is None:
            depth = indent
        underlined = i + 1 < len(lines) and _UNDERLINE.match(lines[i + 1].strip())
        if indent < max(depth, least) or (indent == 0 and (underlined or _HEADING.match(line))):
            break
        if indent == depth:
            match = item.match(line.strip())
            if match is None:
                break
            names = [name.strip(" *") for name in match[1].split(",")]
            told = match[2] if match.re.groups > 1 else ""
            found.update({name: [told] for name in names})
        else:
            for name in names:
                found[name].append(line)
        i += 1
    return i


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
