"""The event loop of a command: uvloop where it is installed (`pip install llmwire[uvloop]`)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def runner() -> asyncio.Runner:
    try:
        import uvloop
    except ImportError:  # not installed, or not made for this system
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`."""
    with runner() as own:
        return own.run(coroutine)
