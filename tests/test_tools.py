"""Tools from Python functions: the definition, and the arguments of a call."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import inspect
import json
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.cases import WIRES, provider, request
from contract.support import heard
from llmwire.backend import GenericBackend
from llmwire.docstrings import read_docstring
from llmwire.errors import ArgumentsError, BackendError, OutputError
from llmwire.schema import mismatch
from llmwire.testing import LocalServer, Reply
from llmwire.tools import FunctionTool, tool
from llmwire.types import AvailableFunction, AvailableTool, FunctionCall, ToolCall


class Level(enum.Enum):
    low = 1
    high = 2


class Place(msgspec.Struct):
    lat: float
    lon: float


@dataclasses.dataclass
class Stay:
    start: datetime.date
    nights: Annotated[int, msgspec.Meta(ge=1)] = 1


class Guest(pydantic.BaseModel):
    name: str
    age: int = pydantic.Field(default=30, ge=0)


class Extra(TypedDict, total=False):
    breakfast: bool


@tool
def book(
    hotel: str,
    stay: Stay,
    guests: list[Guest],
    level: Level = Level.low,
    where: Place | None = None,
    board: Literal["half", "full"] = "half",
    extra: Extra = {},  # noqa: B006
    note: Annotated[str, "for the desk", msgspec.Meta(max_length=5)] = "",
) -> tuple[Any, ...]:
    """Books a room
    in a hotel.

    Only rooms; no tables.

    Args:
        hotel: Its name,
            as written.
        stay (Stay): When.
    """
    return hotel, stay, guests, level, where, board, extra, note


def call(of: FunctionTool[..., Any], arguments: Any) -> ToolCall:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolCall("c1", FunctionCall(of.name, text))


def test_the_definition_says_what_the_function_says() -> None:
    function = book.definition.function
    assert (function.name, function.description) == ("book", "Books a room in a hotel.")
    assert function.strict is None
    schema = function.parameters
    assert schema["type"] == "object" and schema["additionalProperties"] is False
    assert schema["required"] == ["hotel", "stay", "guests"]
    properties = schema["properties"]
    assert properties["hotel"] == {"description": "Its name, as written.", "type": "string"}
    assert properties["stay"] == {"description": "When.", "$ref": "#/$defs/Stay"}
    assert properties["level"]["default"] == 1
    assert properties["where"]["default"] is None
    assert properties["board"] == {"enum": ["full", "half"], "default": "half"}
    assert properties["note"]["description"] == "for the desk"
    assert properties["note"]["maxLength"] == 5
    assert properties["guests"]["items"]["properties"]["age"]["minimum"] == 0
    assert set(schema["$defs"]) == {"Stay", "Level", "Place", "Extra"}
    assert json.loads(json.dumps(schema)) == schema


def test_it_is_still_the_function() -> None:
    assert book("H", Stay(datetime.date(2026, 1, 1)), [])[0] == "H"
    assert book.__doc__ == book.function.__doc__ and book.__name__ == "book"
    assert repr(book) == "<FunctionTool book>"


def test_arguments_become_values_of_the_types() -> None:
    given_ = {
        "hotel": "H",
        "stay": {"start": "2026-02-03", "nights": 2},
        "guests": [{"name": "Ann"}],
        "level": 2,
        "extra": {"breakfast": True},
    }
    bound = book.bind(call(book, given_))
    assert isinstance(bound, inspect.BoundArguments)
    assert bound.arguments == {
        "hotel": "H",
        "stay": Stay(datetime.date(2026, 2, 3), 2),
        "guests": [Guest(name="Ann")],
        "level": Level.high,
        "extra": {"breakfast": True},
    }
    assert book.run(call(book, given_)) == (
        "H", Stay(datetime.date(2026, 2, 3), 2), [Guest(name="Ann")], Level.high, None, "half",
        {"breakfast": True}, "",
    )  # fmt: skip


MINIMAL = {"hotel": "H", "stay": {"start": "2026-02-03"}, "guests": []}
WRONG: list[tuple[Any, str, str, str]] = [
    ({}, "$", "hotel", "mismatch"),
    ({**MINIMAL, "hotel": 1}, "$.hotel", "str", "mismatch"),
    (
        {**MINIMAL, "stay": {"start": "2026-02-03", "nights": 0}},
        "$.stay.nights",
        ">= 1",
        "mismatch",
    ),
    ({**MINIMAL, "stay": {"start": "soon"}}, "$.stay.start", "date", "mismatch"),
    ({**MINIMAL, "guests": [{"name": "A", "age": -1}]}, "$.guests[0].age", "0", "mismatch"),
    ({**MINIMAL, "level": 3}, "$.level", "3", "mismatch"),
    ({**MINIMAL, "board": "none"}, "$.board", "none", "mismatch"),
    ({**MINIMAL, "note": "too long"}, "$.note", "5", "mismatch"),
    ({**MINIMAL, "pool": True}, "$", "pool", "mismatch"),
    ([], "$", "object", "mismatch"),
    ("{", "$", "", "invalid_json"),
    ("free text", "$", "", "invalid_json"),
]


@pytest.mark.parametrize(("arguments", "path", "what", "reason"), WRONG)
def test_what_does_not_fit_says_where(arguments: Any, path: str, what: str, reason: str) -> None:
    made = call(book, arguments)
    for read in (book.bind, book.run):
        with pytest.raises(ArgumentsError) as caught:
            read(made)
        error = caught.value
        assert (error.path, error.text, error.reason) == (path, made.arguments, reason)
        assert what in error.message and "book" in error.message
        assert isinstance(error, OutputError) and isinstance(error, BackendError)


def test_nulls_of_strict_tools_are_not_given() -> None:
    nulls = {**MINIMAL, "level": None, "where": None, "note": None, "board": None}
    bound = book.bind(call(book, nulls))
    assert bound.arguments.keys() == {"hotel", "stay", "guests", "where"}
    assert bound.arguments["where"] is None  # null is one of its values


def test_no_text_is_no_arguments() -> None:
    @tool
    def now() -> str:
        """The time."""
        return "noon"

    assert now.definition.function.parameters == {
        "type": "object", "properties": {}, "required": [], "additionalProperties": False,
    }  # fmt: skip
    for text in ("", " ", "{}"):
        assert now.run(call(now, text)) == "noon"


def test_a_call_of_another_tool_is_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="'other', not of 'book'"):
        book.bind(ToolCall("c1", FunctionCall("other", "{}")))


async def test_async_functions_and_methods() -> None:
    class House:
        def __init__(self, name: str) -> None:
            self.name = name

        async def open(self, door: int, /, wide: bool = False) -> str:
            """Opens a door."""
            return f"{self.name} {door} {wide}"

    opened = tool(House("villa").open)
    assert opened.definition.function.parameters["required"] == ["door"]
    result = opened.run(call(opened, {"door": 2, "wide": True}))
    assert inspect.isawaitable(result)
    assert await result == "villa 2 True"
    assert await opened(3) == "villa 3 False"


def test_every_kind_of_parameter() -> None:
    def f(a: int, b: int = 1, c: int = 2, /, d: int = 3, e: int = 4, *, g: int, h: int = 5) -> Any:
        return a, b, c, d, e, g, h

    made = tool(f)
    assert made.run(call(made, {"a": 9, "c": 7, "e": 6, "g": 8})) == (9, 1, 7, 3, 6, 8, 5)
    assert made.run(call(made, {"g": 8, "a": 9})) == (9, 1, 2, 3, 4, 8, 5)


def test_names_descriptions_and_the_rest_can_be_given() -> None:
    @tool(name="other", description="Mine.", strict=True, cache="1h")
    def f(a: int) -> int:
        """Its own."""
        return a

    assert f.definition == AvailableTool(
        AvailableFunction("other", "Mine.", f.definition.function.parameters, True), cache="1h"
    )
    assert f.name == "other" and f(3) == 3
    lazy = tool(name="lazy")(lambda: 1)
    assert lazy.definition.function.description == "" and lazy.run(call(lazy, {})) == 1


def test_defaults_that_are_no_json_are_left_out_of_the_schema() -> None:
    nothing: Any = object()

    def f(a: int = nothing, b: float = 2.5) -> Any:
        return a, b

    made = tool(f)
    assert made.definition.function.parameters["properties"] == {
        "a": {"type": "integer"}, "b": {"type": "number", "default": 2.5},
    }  # fmt: skip
    assert made.run(call(made, {})) == (nothing, 2.5)


def untyped(a, b: int) -> None: ...  # type: ignore[no-untyped-def]
def many(*values: int) -> None: ...
def anything(**values: int) -> None: ...
def unfit(a: complex, b: object) -> None: ...
def unknown(a: NoSuchType) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def ambiguous(a: Place | Stay) -> None: ...


class _Thing:
    def method(self, a: int) -> None: ...


UNSUPPORTED: list[tuple[Any, dict[str, Any], str]] = [
    (untyped, {}, "parameter 'a' has no type"),
    (many, {}, "parameter 'values' takes any number"),
    (anything, {}, "parameter 'values' takes any number"),
    (unfit, {}, "parameter 'a': JSON has no values of <class 'complex'>"),
    (unknown, {}, "NoSuchType"),
    (ambiguous, {}, "parameter 'a'"),
    (_Thing.method, {}, "bound method"),
    (lambda: 1, {}, "'<lambda>' is no name"),
    (untyped, {"name": "a b"}, "'a b' is no name"),
    (untyped, {"name": "x" * 65}, "is no name"),
    (len, {}, "is no function"),
    (3, {}, "is no function"),
    (functools.partial(untyped, 1), {}, "is no function"),
]


@pytest.mark.parametrize(("function", "options", "why"), UNSUPPORTED)
def test_what_no_model_can_call_is_said_where_it_is_made(
    function: Any, options: Any, why: str
) -> None:
    with pytest.raises(TypeError, match="tool") as caught:
        tool(**options)(function) if options else tool(function)
    assert why in str(caught.value)


# --- docstrings ---------------------------------------------------------------------------------

GOOGLE = """Does it
    in two lines.

    And more.

    Args:
        first: The first
            of them.
        *second (list[str], optional): The second: with a colon.

        third: After a blank line.

    Returns:
        nothing: at all
    """
NUMPY = """
    Does it in two lines.

    Parameters
    ----------
    first : int
        The first
        of them.
    second, third : list of str, optional
        Both.
    fourth
    Returns
    -------
    int
        nothing
    """
SPHINX = """Does it in two lines.

    :param first: The first
        of them.
    :param list[str] second: The second.
    :param third:
    :type third: int
    :returns: nothing
    """
DOCSTRINGS: list[tuple[str | None, str, dict[str, str]]] = [
    (None, "", {}),
    ("", "", {}),
    ("One line.", "One line.", {}),
    (
        GOOGLE,
        "Does it in two lines.",
        {
            "first": "The first of them.",
            "second": "The second: with a colon.",
            "third": "After a blank line.",
        },
    ),
    (
        NUMPY,
        "Does it in two lines.",
        {"first": "The first of them.", "second": "Both.", "third": "Both."},
    ),
    (SPHINX, "Does it in two lines.", {"first": "The first of them.", "second": "The second."}),
    ("Args:\n    a: An a.", "", {"a": "An a."}),
    ("Parameters\n----------\na : int\n    An a.", "", {"a": "An a."}),
    (":param a: An a.", "", {"a": "An a."}),
    ("Says.\nArguments:\n  a: An a.\nRaises:\n  b: no", "Says.", {"a": "An a."}),
    ("Args are what it takes.", "Args are what it takes.", {}),
    ("Note: this is prose.\n\nArgs:\nnothing here", "Note: this is prose.", {}),
    ("It.\n\nArgs:\n    a: An a.\n    not an item\n    b: no", "It.", {"a": "An a."}),
    ("It.\n\nArgs:", "It.", {}),
    ("It.\n\nParameters\n----------", "It.", {}),
]


@pytest.mark.parametrize(("text", "summary", "parameters"), DOCSTRINGS)
def test_docstrings(text: str | None, summary: str, parameters: dict[str, str]) -> None:
    found = read_docstring(text)
    assert (found.summary, found.parameters) == (summary, parameters)


@given(
    st.lists(
        st.sampled_from(
            ["Args:", "Parameters", "----", "a: b", "  a: b", "    c", "", ":param x: y", "x : int",
             "Returns:", ":", "*a, b :", "\tq"]
        ),
        max_size=9,
    )
)  # fmt: skip
def test_any_docstring_is_read(lines: list[str]) -> None:
    found = read_docstring("\n".join(lines))
    assert "\n" not in found.summary
    assert all(found.parameters.values())


# --- on the wires -------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("strict", [None, True])
def test_every_wire_takes_them(wire: str, strict: bool | None) -> None:
    function = msgspec.structs.replace(book.definition.function, strict=strict)
    got = heard(request(wire, tools=(AvailableTool(function),)), provider(wire)).request
    assert got.tools[0].function.name == "book"
    assert mismatch(MINIMAL, function.parameters) is None
    if strict is None:
        assert got.tools[0].function.parameters == function.parameters


@pytest.mark.parametrize("wire", WIRES)
async def test_a_call_comes_back_as_values(wire: str) -> None:
    with LocalServer() as server:
        server.reply(Reply(tool_calls=[("book", MINIMAL)]))
        async with GenericBackend(provider=server.provider(wire)) as backend:
            reply = await backend.complete(
                model="some-model", messages="Book!", tools=[book], tool_choice=book
            )
        assert book.run(reply.tool_calls[0])[0] == "H"
        offered = server.requests[0].request.request.tools
        assert [t.function.name for t in offered] == ["book"]


async def test_the_offline_model_calls_them() -> None:
    with LocalServer() as server:
        async with GenericBackend(provider=server.provider("openai")) as backend:
            reply = await backend.complete(
                model="offline", messages="Call book for Ritz", tools=[book], tool_choice=book
            )
        assert [c.name for c in reply.tool_calls] == ["book"]
        assert isinstance(book.bind(reply.tool_calls[0]).arguments["stay"], Stay)


@pytest.mark.parametrize("given_", [book.function, "book", None])
async def test_what_is_no_tool_is_a_type_error(given_: Any) -> None:
    with LocalServer() as server:
        async with GenericBackend(provider=server.provider("openai")) as backend:
            with pytest.raises(TypeError, match=r"tools\[1\]") as caught:
                await backend.complete(model="m", messages="h", tools=[book, given_])
    assert ("llmwire.tool" in str(caught.value)) == callable(given_)
