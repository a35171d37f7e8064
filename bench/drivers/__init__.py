"""What is measured: each driver is one library, used as its documents say, in its own process."""

from __future__ import annotations

from typing import NamedTuple


class Spec(NamedTuple):
    """One driver, and the environment that it runs in."""

    name: str
    label: str
    """What people call it, in tables and plots."""
    module: str
    """The module here with `make() -> Driver`."""
    option: str = ""
    """Given to `make`: which client or transport."""
    packages: tuple[str, ...] = ()
    """For pip, into an environment of its own. None: it runs in the bench's own."""
    needs: tuple[str, ...] = ()
    """Modules beside llmwire; the bench's own environment runs it if it has them."""
    python: tuple[int, int] = (3, 11)
    styles: tuple[str, ...] = ("openai", "anthropic")
    imports: str = ""
    """What its users import."""
    uvloop: bool = False

    @property
    def is_peer(self) -> bool:
        return bool(self.packages)

    @property
    def is_raw(self) -> bool:
        return self.name in ("raw", "raw-uvloop")


_ALL = ("openai", "anthropic", "openai-responses")
SPECS = (
    Spec("raw", "raw asyncio", "raw", styles=_ALL, imports="import asyncio, ssl, msgspec"),
    Spec("raw-uvloop", "raw asyncio on uvloop", "raw", needs=("uvloop",), uvloop=True),
    Spec("llmwire", "llmwire", "ours", styles=_ALL, imports="import llmwire"),
    Spec("llmwire-uvloop", "llmwire on uvloop", "ours", needs=("uvloop",), uvloop=True),
    Spec("llmwire-aiohttp", "llmwire with aiohttp", "ours", "aiohttp", needs=("aiohttp",)),
    Spec("llmwire-httpx2", "llmwire with httpx2", "ours", "httpx2", needs=("httpx2",)),
    Spec("raw-streams", "raw asyncio streams", "streams"),
    Spec("raw-aiohttp", "raw aiohttp", "clients", "aiohttp", needs=("aiohttp",)),
    Spec("raw-httpx2", "raw httpx2", "clients", "httpx2", needs=("httpx2",)),
    Spec("lm15", "lm15", "lm15_", packages=("lm15",), imports="import lm15"),
    Spec(
        "anthropic",
        "anthropic SDK",
        "anthropic_sdk",
        packages=("anthropic",),
        styles=("anthropic",),
        imports="import anthropic",
    ),
    Spec(
        "original",
        "mistral-vibe 2.7.0",
        "original",
        packages=("mistral-vibe==2.7.0", "mcp<2"),  # it names no upper bound, and needs one,
        python=(3, 12),
        imports="import vibe.core.llm.backend.generic",
    ),
    Spec(
        "openai",
        "openai SDK",
        "openai_sdk",
        packages=("openai",),
        styles=("openai",),
        imports="import openai",
    ),
    Spec(
        "pydantic-ai",
        "pydantic-ai",
        "pydantic_ai_",
        packages=("pydantic-ai-slim[openai]",),
        styles=("openai",),
        imports="import pydantic_ai.direct, pydantic_ai.models.openai",
    ),
    Spec(
        "litellm",
        "LiteLLM",
        "litellm_",
        packages=("litellm", "mcp"),  # its calls with tools import mcp,
        styles=("openai",),
        imports="import litellm",
    ),
)
BY_NAME = {spec.name: spec for spec in SPECS}
