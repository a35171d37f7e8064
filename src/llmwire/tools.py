"""Tools from Python functions: the definition from the signature, the arguments from a call.

@tool
def get_weather(city: str, days: int = 1) -> str:
    "The weather in a city."

reply = await backend.complete(..., tools=[get_weather])
results = [get_weather.run(call) for call in reply.tool_calls]
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Generic, ParamSpec, TypeVar, Union, overload

import msgspec
from msgspec import UNSET, Meta, UnsetType

from .docstrings import Docstring, read_docstring
from .errors import ArgumentsError
from .plain import load_json, to_json
from .schema import Schema, without_added_nulls
from .typed import Misfit, schema_of, value_of
from .types import AvailableFunction, AvailableTool, CacheLifetime, ToolCall

P = ParamSpec("P")
R = TypeVar("R")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what every wire takes (wire reference 1.2, 3.2)


class FunctionTool(Generic[P, R]):
    """A function that a model may call. Made by `tool`; calling it calls the function.

    Pass it in `tools=`, or as `tool_choice`, like an `AvailableTool`; `definition` is the one that
    it stands for.
    """

    def __init__(self, function: Callable[P, R], definition: AvailableTool, arguments: Any) -> None:
        self.function = function
        self.definition = definition
        self.__doc__ = function.__doc__
        self.__name__ = definition.function.name
        self._arguments = arguments

    @property
    def name(self) -> str:
        return self.definition.function.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def bind(self, call: ToolCall) -> inspect.BoundArguments:
        """The call's arguments as values of the function's types.

        Only what the model gave is in it; the function's own defaults do the rest. Raises
        `ArgumentsError` for what does not fit, `ValueError` for a call of another tool.
        """
        if call.name != self.name:
            raise ValueError(f"this is a call of {call.name!r}, not of {self.name!r}")
        text = call.arguments if call.arguments.strip() else "{}"
        try:
            given = value_of(self._arguments, self._data(text))
        except Misfit as e:
            message = f"the arguments of {self.name} do not fit: {e} (at {e.path})"
            raise ArgumentsError(message, path=e.path, text=text, reason="mismatch") from e
        values = {n: v for n, v in msgspec.structs.asdict(given).items() if v is not UNSET}
        signature = inspect.signature(self.function)
        ordered: dict[str, Any] = {}
        for parameter in signature.parameters.values():
            if parameter.name in values:
                ordered[parameter.name] = values[parameter.name]
            elif parameter.kind is parameter.POSITIONAL_ONLY:  # a gap can't be left
                ordered[parameter.name] = parameter.default
        return inspect.BoundArguments(signature, ordered)

    def run(self, call: ToolCall) -> R:
        """What the function returns for the call; of an async function, what is to be awaited.

        Raises as `bind` does, and what the function raises.
        """
        bound = self.bind(call)
        return self.function(*bound.args, **bound.kwargs)

    def _data(self, text: str) -> bytes:
        """The arguments as JSON, without the nulls that strict tools have for "not given"."""
        try:
            value = load_json(text)
        except ValueError as e:
            message = f"the arguments of {self.name} are no JSON: {e}"
            raise ArgumentsError(message, path="$", text=text, reason="invalid_json") from None
        cleaned = without_added_nulls(value, self.definition.function.parameters)
        return text.encode("utf-8", "replace") if cleaned is value else to_json(cleaned)

    def __repr__(self) -> str:
        return f"<FunctionTool {self.name}>"


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool | None = None,
    cache: CacheLifetime | None = None,
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...
def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool | None = None,
    cache: CacheLifetime | None = None,
) -> Any:
    """Makes a tool of a function or a bound method, async or not; a decorator, too.

    The name is the function's, the description the docstring's first paragraph; parameters are
    described by its Args section (Google's, NumPy's or Sphinx's form) or by `Annotated[T, "..."]`
    and msgspec's `Meta`. Types are what `output=` takes. `strict` asks the provider to hold calls
    to the schema.

    Raises `TypeError` for what no model can call by name and value: `*args`, `**kwargs`, a
    parameter without a type or with one that JSON has no values of.
    """
    if function is None:
        return lambda f: _made(f, name, description, strict, cache)
    return _made(function, name, description, strict, cache)


def _made(
    function: Callable[P, R],
    name: str | None,
    description: str | None,
    strict: bool | None,
    cache: CacheLifetime | None,
) -> FunctionTool[P, R]:
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        raise TypeError(f"tool: {function!r} is no function")
    name = function.__name__ if name is None else name
    if not _NAME.fullmatch(name):
        raise TypeError(f"tool: {name!r} is no name for a tool: up to 64 of A-Z, a-z, 0-9, _ and -")
    said = read_docstring(function.__doc__)
    arguments = _arguments(function, name, said)
    definition = AvailableFunction(
        name,
        said.summary if description is None else description,
        _parameters(schema_of(arguments)),
        strict,
    )
    return FunctionTool(function, AvailableTool(definition, cache=cache), arguments)


def _arguments(function: Callable[..., Any], name: str, said: Docstring) -> Any:
    """A Struct with the parameters as its fields; what may be left out may be UNSET."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, AttributeError, TypeError) as e:
        why = f"a type can't be found ({e}); it has to be known where the module is"
        raise TypeError(f"tool {name!r}: {why}") from None
    fields: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        where = f"tool {name!r}: parameter {parameter.name!r}"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"{where} takes any number of arguments; a model needs names and types")
        if parameter.name not in hints:
            bound = parameter.name in ("self", "cls") and not fields
            what = "; make a tool of the bound method, tool(thing.method)" if bound else ""
            raise TypeError(f"{where} has no type{what}")
        kind = hints[parameter.name]
        try:
            schema_of(kind)
        except TypeError as e:
            raise TypeError(f"{where}: {e}") from None
        about = said.parameters.get(parameter.name) or _remark(kind)
        if parameter.default is parameter.empty:
            fields.append((parameter.name, Annotated[kind, Meta(description=about or None)]))
        else:
            meta = Meta(description=about or None, extra_json_schema=_default(parameter.default))
            fields.append((parameter.name, Annotated[Union[kind, UnsetType], meta], UNSET))
    return msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)


def _remark(kind: Any) -> str:
    """The text of `Annotated[T, "text"]`."""
    found = (m for m in getattr(kind, "__metadata__", ()) if isinstance(m, str))
    return next(found, "")


def _default(value: Any) -> Schema | None:
    try:
        return {"default": msgspec.to_builtins(value)}
    except TypeError:  # a value of the function's own that JSON has no words for
        return None


def _parameters(schema: Schema) -> Schema:
    """The schema with its root spelled out, as wires want it."""
    definitions = dict(schema["$defs"])
    root = definitions.pop("Arguments")
    root.pop("title", None)
    return {**root, "$defs": definitions} if definitions else root


def definitions_of(
    tools: Iterable[AvailableTool | FunctionTool[..., Any]],
) -> tuple[AvailableTool, ...]:
    """The definitions that stand for tools. Raises `TypeError` for anything else."""
    out: list[AvailableTool] = []
    for i, given in enumerate(tools):
        found = given.definition if isinstance(given, FunctionTool) else given
        if not isinstance(found, AvailableTool):
            hint = "; make a tool of it with llmwire.tool" if callable(given) else ""
            raise TypeError(f"tools[{i}]: {given!r} is no tool{hint}")
        out.append(found)
    return tuple(out)
