"""Where in a TOML text a key stands: for messages. `tomllib` does not say."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any


def line_of(text: str, path: Sequence[str]) -> int | None:
    """The line that sets `path`, or the deepest table above it. A guess, made line by line."""
    table: tuple[str, ...] = ()
    best, best_depth = None, 0
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            table = here = _keys_of(stripped)
        elif "=" in stripped and not stripped.startswith("#"):
            here = table + _keys_of(stripped.partition("=")[0] + "= 0")
        else:
            continue
        depth = next(
            (i for i, (a, b) in enumerate(zip(here, path, strict=False)) if a != b),
            min(len(here), len(path)),
        )
        if depth > best_depth:
            best, best_depth = number, depth
    return best


def _keys_of(line: str) -> tuple[str, ...]:
    try:
        value: Any = tomllib.loads(line)
    except (tomllib.TOMLDecodeError, RecursionError):
        return ()
    keys = []
    while True:
        if isinstance(value, list) and value:
            value = value[0]
        elif isinstance(value, dict) and value:
            keys.append(next(iter(value)))
            value = value[keys[-1]]
        else:
            return tuple(keys)
