"""Asking a provider which models it has: the walk of a call, for a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .adapters.base import ModelLister, ModelPage, PreparedRequest
from .config import ModelConfig, ModelInfo
from .errors import BackendError, UnsupportedError
from .request import LLMRequest
from .stream import ReplyStream
from .transport import TransportResponse
from .types import LLMChunk

if TYPE_CHECKING:
    from .backend import GenericBackend

MOST_PAGES = 100
"""A bound on servers whose list never ends; Anthropic's pages have up to 1,000 models."""


async def list_models(backend: GenericBackend, headers: Mapping[str, str]) -> tuple[ModelInfo, ...]:
    """All models in the provider's order.

    Raises `UnsupportedError` where the wire or the provider has no list, else as a call does.
    """
    adapter, provider = backend.adapter, backend.provider
    models: list[ModelInfo] = []
    after = ""
    for _ in range(MOST_PAGES):
        prepared = (
            adapter.prepare_models(provider, after) if isinstance(adapter, ModelLister) else None
        )
        if prepared is None:
            raise UnsupportedError(
                f"provider {provider.name!r} has no list of models to ask for", phase="prepare"
            )
        page = await _ListStream(backend, headers, prepared).page()
        models += page.models
        after = page.after
        if not after:
            break
    return tuple(models)


class _ListStream(ReplyStream):
    """The same walk (retries, clocks, errors) for a page of a list."""

    def __init__(
        self, backend: GenericBackend, headers: Mapping[str, str], prepared: PreparedRequest
    ) -> None:
        request = LLMRequest(model=ModelConfig("(list)"), messages=())
        super().__init__(backend, request, headers)
        self._prepared = prepared
        self._page = ModelPage(())

    async def page(self) -> ModelPage:
        await self.whole()
        return self._page

    def _parse_document(self, response: TransportResponse, body: bytes) -> LLMChunk:
        adapter = self._backend.adapter
        assert isinstance(adapter, ModelLister)
        self._page = adapter.parse_models(body)
        return LLMChunk()

    def _explained(self, e: BackendError) -> BackendError:
        error = super()._explained(e)
        error.model = ""  # nobody asked for one
        error.payload_summary = None
        return error
