"""The models that a key may use. Wire reference 11 (2026-11-22)."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from ...config import ModelConfig, ProviderConfig
from ..base import decode_json


class _Model(Struct, rename="camel"):
    name: str
    input_token_limit: int | None = None
    output_token_limit: int | None = None
    supported_generation_methods: list[str] | None = None


class _Models(Struct, rename="camel"):
    models: list[_Model] = []
    publisher_models: list[_Model] = []
    next_page_token: str = ""


_MODELS = msgspec.json.Decoder(_Models)


class ModelPage(Struct, frozen=True):
    """One page of a model list; `next_page` is "" on the last one."""

    models: tuple[ModelConfig, ...]
    next_page: str = ""


def parse_page(body: bytes, provider: ProviderConfig) -> ModelPage:
    """The models that can be talked to (others embed or draw), with their limits.

    Raises `DecodeError` for what is no list.
    """
    page = decode_json(_MODELS, body, "the list of models")
    found = [
        ModelConfig(
            model.name.removeprefix("publishers/google/").removeprefix("models/"),
            provider.name,
            temperature=None,
            context_window=model.input_token_limit,
            max_output_tokens=model.output_token_limit,
        )
        for model in (*page.models, *page.publisher_models)
        if "generateContent" in (model.supported_generation_methods or ("generateContent",))
    ]
    return ModelPage(tuple(found), page.next_page_token)
