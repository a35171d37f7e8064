"""The pytest plugin: a fixture `llmwire_server`.

    def test_my_agent(llmwire_server):
        llmwire_server.reply("Hello!")
        ...

pytest imports this module at every start, in projects that may not even use it: so it imports
nothing of ours until the fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .server import LocalServer


@pytest.fixture
def llmwire_server() -> Iterator[LocalServer]:
    """A `llmwire.testing.LocalServer` of the test's own, on a free port of 127.0.0.1.

    It answers with what `reply()` queued, else as the offline model; `requests` lists what it
    heard. It is closed, with every open connection, when the test ends.
    """
    from .server import LocalServer

    with LocalServer() as server:
        yield server
