"""A real server on loopback that speaks every wire format, for your tests and for trying things.

    from llmwire.testing import LocalServer, Reply

    with LocalServer() as server:
        server.reply(Reply("Hello!"))
        provider = server.provider("openai")

With nothing scripted, the `offline` model answers: no language model, but honest and predictable.
pytest users have the fixture `llmwire_server`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .offline import estimate_tokens, offline_count, offline_reply
    from .routes import Heard
    from .script import Fault, Reply
    from .server import LocalServer

__all__ = [
    "Fault",
    "Heard",
    "LocalServer",
    "Reply",
    "estimate_tokens",
    "offline_count",
    "offline_reply",
]

_HOMES = {
    "Fault": "script",
    "Heard": "routes",
    "LocalServer": "server",
    "Reply": "script",
    "estimate_tokens": "offline",
    "offline_count": "offline",
    "offline_reply": "offline",
}


def __getattr__(name: str) -> Any:
    # Lazy, because pytest imports this package at every start (see `pytest_plugin`).
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
