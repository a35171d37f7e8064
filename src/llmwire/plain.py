"""Values as plain JSON and back."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import msgspec

JSON: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, list or dict of them."""


def load_json(text: str | bytes) -> JSON:
    """A JSON value. Raises `ValueError` for anything else, too deep nesting and NaN included.

    Escaped lone surrogates are legal JSON text and real models write them; msgspec refuses
    them, so the standard library decides there.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(word: str) -> JSON:
    raise ValueError(f"{word} is not JSON")


def to_builtins(value: Any) -> dict[str, JSON]:
    """Any value of ours as plain dicts, lists and scalars (bytes become base64)."""
    return load_json(to_json(value))  # type: ignore[no-any-return]


def to_json(value: Any) -> bytes:
    """Any value of ours as JSON. Lone surrogates, which UTF-8 can't write, are escaped."""
    try:
        return msgspec.json.encode(value, enc_hook=str)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(value, enc_hook=str)
        return json.dumps(plain, separators=(",", ":")).encode()
