"""Structured output: from what a caller asks for to a form, and from a reply's text to a value.

    Person  ->  OutputFormat(schema, type=Person)  ->  a wire's words (`plan_output`)
    reply.text  ->  Person (`finished`)

A wire gets the schema in its own schema mode where it has one and the schema can be said in it;
else its plain JSON mode, or none, and an instruction. The text is checked here in every case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from .errors import OutputError
from .fitting import Log
from .plain import JSON, load_json, to_json
from .request import LLMRequest, OutputFormat
from .schema import Schema, SchemaRules, fit_schema, mismatch, without_added_nulls
from .schema.values import resolve
from .typed import Misfit, schema_of, value_of
from .types import AvailableFunction, LLMChunk, TextPart

WRAP = "value"
"""The key of the object that holds a value which is no object itself: schema modes, and plain
JSON modes too, want an object at the root."""


# --- what is asked for --------------------------------------------------------------------------


def output_format(asked: Any) -> OutputFormat | None:
    """The form that `output=` asks for: a type, a JSON Schema as a dict, `"json"` for any object,
    an `OutputFormat`, or None for plain text.

    Raises `TypeError` for a type that JSON has no values of, and for anything else.
    """
    if asked is None or isinstance(asked, OutputFormat):
        return asked
    if asked == "json":
        return OutputFormat()
    if isinstance(asked, Mapping):
        return _form(dict(asked), str(asked.get("title") or "output"), None)
    if isinstance(asked, str):
        raise TypeError(f"output: {asked!r} is neither 'json' nor a type")
    try:
        return _form_of_type(asked)
    except TypeError as e:
        if "unhashable" not in str(e):
            raise
        return _form(schema_of(asked), "output", asked)


@lru_cache(maxsize=256)
def _form_of_type(kind: Any) -> OutputFormat:
    try:
        schema = schema_of(kind)
    except TypeError as e:
        raise TypeError(f"output: {e}") from None
    return _form(schema, getattr(kind, "__name__", "output"), kind)


def _form(schema: Schema, name: str, kind: Any) -> OutputFormat:
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:64] or "output"
    if _is_object(schema):
        return OutputFormat(schema, name, type=kind)
    definitions = {k: schema[k] for k in ("$defs", "definitions") if k in schema}
    outer: Schema = {
        "type": "object",
        "properties": {WRAP: {k: v for k, v in schema.items() if k not in definitions}},
        "required": [WRAP],
        "additionalProperties": False,
    }
    return OutputFormat(outer | definitions, name, type=kind, wrapped=True)


def _is_object(schema: JSON) -> bool:
    """Whether the schema says at its root that its values are objects."""
    at = schema
    for _ in range(64):
        if not isinstance(at, dict) or "$ref" not in at:
            break
        at = resolve(schema, at["$ref"])
    return isinstance(at, dict) and at.get("type") == "object" and "anyOf" not in at


# --- for the wires ------------------------------------------------------------------------------


class OutputPlan(Struct, frozen=True):
    """How a wire is to ask: by its schema mode, by its JSON mode, or in words only."""

    mode: Literal["schema", "object", "text"]
    schema: Schema | None = None
    """What the schema mode gets; nobody may change it."""
    strict: bool = False
    """Whether the model is held to the schema; false only where the mode also takes advice."""
    instruction: str = ""
    """What the system prompt has to say beside; "" if nothing."""


def plan_output(
    form: OutputFormat | None, rules: SchemaRules | None, log: Log, *, object_mode: bool = True
) -> OutputPlan | None:
    """How to ask for a form; None if there is none.

    `rules` are those of the wire's schema mode, None if it has none; `object_mode` says whether
    it has a mode for any JSON object. What the wire can't be asked for as it is leaves a record.
    """
    if form is None:
        return None
    why = "the server has no schema mode"
    if form.schema is not None and rules is not None:
        if rules.loose and not form.strict:
            return OutputPlan("schema", form.schema)
        fitted = fit_schema(form.schema, rules, "output.schema")
        if fitted.schema is not None:
            log.entries += fitted.adaptations
            return OutputPlan("schema", fitted.schema, True)
        why = f"the schema mode can't say it: {fitted.why_not}"
        if rules.loose:
            log.add("substituted", "output.strict", why, True, False)
            return OutputPlan("schema", form.schema)
    words = instruction(form.schema)
    if form.schema is not None:
        log.add("substituted", "output.schema", f"{why}: the prompt asks for it", None, words)
        return OutputPlan("object" if object_mode else "text", instruction=words)
    if not object_mode:
        reason = "the server has no JSON mode: the prompt asks for it"
        log.add("substituted", "output", reason, None, words)
        return OutputPlan("text", instruction=words)
    # A 400 otherwise, or white space without end (wire reference 1.2, 4).
    log.add("added", "output", "a JSON mode wants the prompt to speak of JSON", None, words)
    return OutputPlan("object", instruction=words)


def fit_tool(
    function: AvailableFunction, rules: SchemaRules | None, log: Log, path: str
) -> tuple[Schema, bool | None]:
    """A function's parameters for a wire, and whether calls are held to them (None: not said).

    Only a strict function's are fitted; `rules` are those of the wire's strict tools, None if it
    has none to know of. `path` is the function's place, `tools[0].function`.
    """
    schema: Schema = function.parameters or {"type": "object", "properties": {}}
    if not function.strict or rules is None:
        return schema, function.strict
    if schema.keys() <= {"type", "title", "description"}:
        schema = {**schema, "properties": {}}  # no parameters, rather than any
    fitted = fit_schema(schema, rules, f"{path}.parameters")
    if fitted.schema is None:
        why = f"calls can't be held to it: {fitted.why_not}"
        log.add("substituted", f"{path}.strict", why, True, False)
        return schema, False
    log.entries += fitted.adaptations
    return fitted.schema, True


_ASK = "Answer with one JSON object and nothing else: no words around it, no code fence."
_ASK_SCHEMA = f"{_ASK} It must fit this JSON Schema:\n"


def instruction(schema: Schema | None) -> str:
    """The words that ask for JSON where no mode does."""
    return _ASK if schema is None else _ASK_SCHEMA + msgspec.json.encode(schema).decode()


def instructed(text: str) -> OutputFormat | None:
    """The form that a prompt of `instruction`'s asks for: what a server may read out of it."""
    _, found, rest = text.partition(_ASK_SCHEMA)
    if found:
        try:
            schema, _ = _JSON.raw_decode(rest)
        except ValueError:
            return None
        return OutputFormat(schema) if isinstance(schema, dict) else None
    return OutputFormat() if _ASK in text else None


_JSON = json.JSONDecoder()


# --- what came ----------------------------------------------------------------------------------


_EARLY = {
    "length": "it was cut at the output limit; allow more max_tokens",
    "context_window": "it was cut where the model's context ends",
    "content_filter": "a filter stopped it",
    "refusal": "the model refused",
    "malformed_tool_call": "the model wrote a tool call that can't be read",
    "error": "the server gave up in the middle",
    "cancelled": "it was cancelled",
}
_NOT_YET = ("pause", "continuation", "compaction")


def finished(request: LLMRequest, reply: LLMChunk) -> LLMChunk:
    """A whole reply with its `output`, if the request asks for one.

    A reply that calls tools, or that is to be continued, has none yet. Raises `OutputError` for
    one that stopped early, and for text that is not what was asked for.
    """
    form = request.output
    if form is None or reply.tool_calls:
        return reply
    why = reply.stop.reason if reply.stop is not None else "other"
    if why in _NOT_YET:
        return reply
    text, refusal = reply.text, reply.message.refusal
    if refusal is not None:
        why = "refusal"
    elif reply.message.incomplete_tool_calls and why not in _EARLY:
        why = "malformed_tool_call"
    if why in _EARLY:
        said = f": {refusal}" if refusal else ""
        raise _error(reply, why, f"there is no {form.name}: {_EARLY[why]}{said}")
    if not text.strip():
        raise _error(reply, "empty", f"there is no {form.name}: the reply has no text")
    for candidate in _candidates(reply):
        try:
            value = load_json(candidate)
        except ValueError:
            continue
        try:
            return replace(reply, output=_decoded(candidate, value, form))
        except Misfit as e:
            raise _error(
                reply, "mismatch", f"the reply does not fit {form.name}: {e} (at {e.path})", e.path
            ) from e.__cause__
    raise _error(reply, "invalid_json", f"the reply is no JSON, so there is no {form.name}")


def _error(reply: LLMChunk, reason: str, message: str, path: str = "") -> OutputError:
    return OutputError(
        message, reason=reason, path=path, text=reply.text, partial=reply, phase="response"
    )


_FENCED = re.compile(r"^```\w*[ \t]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)


def _candidates(reply: LLMChunk) -> Iterator[str]:
    """Where the JSON may stand: all text; the last text, after remarks between server tools; the
    only code block, which models like to make where no mode keeps them from it."""
    yield reply.text.strip()
    texts = [p.text for p in reply.message.parts if isinstance(p, TextPart) and p.text.strip()]
    if len(texts) > 1:
        yield texts[-1].strip()
    blocks = _FENCED.findall(reply.text)
    if len(blocks) == 1:
        yield blocks[0].strip()


def _decoded(text: str, value: JSON, form: OutputFormat) -> Any:
    """The value that was asked for. Raises `Misfit`."""
    if not isinstance(value, dict):
        raise Misfit("$", f"expected an object, got {type(value).__name__}")
    if form.schema is None:
        return value
    cleaned = without_added_nulls(value, form.schema)
    if form.type is None:
        if found := mismatch(cleaned, form.schema):
            raise Misfit(*found)
        return cleaned[WRAP] if form.wrapped else cleaned
    if form.wrapped and WRAP not in cleaned:
        raise Misfit("$", f"the key {WRAP!r} is missing")
    return value_of(form.type, _data(text, value, cleaned, form))


def _data(text: str, value: JSON, cleaned: JSON, form: OutputFormat) -> bytes:
    """The JSON of the value: where it can be, the text itself, whose numbers have all digits."""
    if cleaned is value:
        data = text.encode("utf-8", "replace")
        if not form.wrapped:
            return data
        try:
            return bytes(msgspec.json.decode(data, type=dict[str, msgspec.Raw])[WRAP])
        except msgspec.DecodeError:  # escaped lone surrogates
            pass
    return to_json(cleaned[WRAP] if form.wrapped else cleaned)
