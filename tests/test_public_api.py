"""What `llmwire` offers: exactly the documented names, in order, each of them there."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import llmwire

ROOT = Path(__file__).parent.parent


def test_names_are_sorted_and_unique() -> None:
    assert llmwire.__all__ == sorted(set(llmwire.__all__))
    assert dir(llmwire) == llmwire.__all__


@pytest.mark.parametrize("name", llmwire.__all__)
def test_name_is_there(name: str) -> None:
    assert getattr(llmwire, name) is not None


def test_names_are_those_documented() -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    documented = re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE)
    assert [name for name, _ in documented] == llmwire.__all__
    assert [name for name, about in documented if not about.strip()] == []


def test_type_checkers_see_the_same_names() -> None:
    """The lazy names are written twice: for the run time and under TYPE_CHECKING."""
    tree = ast.parse(inspect.getsource(llmwire))
    seen = {
        alias.asname
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert seen | {"__version__"} == set(llmwire.__all__)


def test_public_classes_and_functions_say_what_they_are() -> None:
    silent = [
        name
        for name in llmwire.__all__
        if (inspect.isclass(value := getattr(llmwire, name)) or inspect.isfunction(value))
        and not value.__doc__
    ]
    assert silent == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'LLMMesage'"):
        llmwire.LLMMesage  # noqa: B018


def test_no_module_hides_a_name() -> None:
    """Importing a submodule puts it into the package, over a lazy name that is spelled alike."""
    modules = {m.name for m in pkgutil.iter_modules(llmwire.__path__)}
    assert "backend" in modules
    assert modules & set(llmwire.__all__) == set()


def test_star_import_gives_all_names() -> None:
    code = "from llmwire import *; import llmwire; print(set(llmwire.__all__) - set(globals()))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert out.stdout.strip() == "set()"


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    from llmwire import backend

    assert llmwire.__version__ == version("llmwire")
    assert {"User-Agent": f"llmwire/{llmwire.__version__}"} == backend._USER_AGENT
