"""The models that a key may use. Wire reference 11 (2026-11-22)."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from ...config import ModelInfo
from ..base import ModelPage, decode_json


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


def parse_models(body: bytes) -> ModelPage:
    """The models that can be talked to (others embed or draw), with their limits.

    Raises `DecodeError` for what is no list.
    """
    page = decode_json(_MODELS, body, "the list of models")
    found = [
        ModelInfo(
            model.name.removeprefix("publishers/google/").removeprefix("models/"),
            model.input_token_limit,
            model.output_token_limit,
        )
        for model in (*page.models, *page.publisher_models)
        if "generateContent" in (model.supported_generation_methods or ("generateContent",))
    ]
    return ModelPage(tuple(found), page.next_page_token)
