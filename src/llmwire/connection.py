"""`connect`: a backend with its model bound, from one word. (Not a module `connect`: it would
hide the function of that name in the package.)"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, Unpack

from .backend import CallOptions, GenericBackend, Messages, TokenCount
from .config import ModelConfig, ProviderConfig
from .stream import ReplyStream
from .types import LLMChunk


class Connection:
    """One model at one provider. `messages` may be a list, one message, or plain text."""

    def __init__(self, backend: GenericBackend, model: ModelConfig) -> None:
        self.backend = backend
        self.model = model

    @property
    def provider(self) -> ProviderConfig:
        return self.backend.provider

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self.backend.close()

    async def complete(self, messages: Messages, **options: Unpack[CallOptions]) -> LLMChunk:
        """As `GenericBackend.complete`."""
        return await self.backend.complete(model=self.model, messages=messages, **options)

    def complete_streaming(self, messages: Messages, **options: Unpack[CallOptions]) -> ReplyStream:
        """As `GenericBackend.complete_streaming`."""
        return self.backend.complete_streaming(model=self.model, messages=messages, **options)

    async def count_tokens(self, messages: Messages, **options: Unpack[CallOptions]) -> TokenCount:
        """As `GenericBackend.count_tokens`."""
        return await self.backend.count_tokens(model=self.model, messages=messages, **options)


def connect(
    model: str | None = None, *, environ: Mapping[str, str] | None = None, **backend: Any
) -> Connection:
    """A connection to `provider:model` (or an alias from the config files).

    Reads the config files and the environment (`settings`); None means the default model.
    Other arguments go to `GenericBackend`. Raises `ConfigError` if the model can't be resolved.
    """
    provider, found = resolved(model, environ)
    return Connection(GenericBackend(provider=provider, **backend), found)


def resolved(
    model: str | None, environ: Mapping[str, str] | None
) -> tuple[ProviderConfig, ModelConfig]:
    """Provider and model that a word means here. Raises as `connect` does."""
    from .settings import load_settings, resolve_model

    return resolve_model(model, load_settings(environ=environ))
