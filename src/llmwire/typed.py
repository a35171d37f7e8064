"""Python types at the border: a JSON Schema of a type, and a value of it from JSON.

What msgspec knows (Structs, dataclasses, TypedDicts, enums, Literals, containers, `Annotated` with
`Meta`), and pydantic's models, which are known by their methods and never imported.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from .plain import load_json
from .schema import Schema


class Misfit(ValueError):
    """JSON that is no value of a type: `path` says where, the text says why."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(what)
        self.path = path


def is_model(kind: Any) -> bool:
    """Whether a type is a pydantic model, or another that has the same two methods."""
    return isinstance(kind, type) and (
        hasattr(kind, "model_json_schema") and hasattr(kind, "model_validate_json")
    )


def schema_of(kind: Any) -> Schema:
    """The JSON Schema of a type. Raises `TypeError` for a type that JSON has no values of."""
    if is_model(kind):
        return dict(kind.model_json_schema())
    lifted: Schema = {}

    def hook(inner: Any) -> Schema:
        if not is_model(inner):
            raise TypeError(f"JSON has no values of {inner!r}")
        schema = dict(inner.model_json_schema())
        definitions = schema.pop("$defs", {})
        names = {f"#/$defs/{n}": f"#/$defs/{inner.__name__}_{n}" for n in definitions}
        for name, its in definitions.items():
            lifted[f"{inner.__name__}_{name}"] = _renamed(its, names)
        return _renamed(schema, names)  # type: ignore[no-any-return]

    schema = msgspec.json.schema(kind, schema_hook=hook)
    return {**schema, "$defs": {**schema.get("$defs", {}), **lifted}} if lifted else schema


def _renamed(schema: Any, names: dict[str, str]) -> Any:
    """The schema with its references under other names."""
    if isinstance(schema, list):
        return [_renamed(s, names) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: _renamed(v, names) for k, v in schema.items()}
    ref = out.get("$ref")
    return {**out, "$ref": names.get(ref, ref)} if isinstance(ref, str) else out


def value_of(kind: Any, data: bytes) -> Any:
    """The value of a type that JSON text stands for. Raises `Misfit`.

    Errors of the type's own validation count as misfits too.
    """
    try:
        if is_model(kind):
            return kind.model_validate_json(data)
        try:
            return msgspec.json.decode(data, type=kind, dec_hook=_as_model)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:  # escaped lone surrogates, which only `load_json` takes
            return msgspec.convert(load_json(data), kind, str_keys=True, dec_hook=_as_model)
    except Exception as e:
        raise Misfit(*_explained(e)) from e


def _as_model(kind: Any, value: Any) -> Any:
    if not is_model(kind):
        raise NotImplementedError(f"no value of {kind!r} comes from JSON")
    try:
        return kind.model_validate(value)
    except ValueError as e:
        path, what = _explained(e)
        raise ValueError(f"{what} (at {path})") from None


def _explained(e: Exception) -> tuple[str, str]:
    """Where, and why."""
    errors = getattr(e, "errors", None)
    if callable(errors):  # pydantic's: the first of them
        first = (list(errors()) or [{}])[0]
        steps = (f"[{s}]" if isinstance(s, int) else f".{s}" for s in first.get("loc", ()))
        return "$" + "".join(steps), str(first.get("msg", e))
    what, _, at = str(e).partition(" - at `")
    path = at.rstrip("`") or "$"
    if inner := _IN_MODEL.fullmatch(what):
        what, path = inner[1], path + inner[2]
    return path, what or type(e).__name__


_IN_MODEL = re.compile(r"(.*) \(at \$(.*)\)", re.DOTALL)  # what `_as_model` raises
