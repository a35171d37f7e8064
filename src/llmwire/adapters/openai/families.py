"""Whose models a server has, and so what a model's name says of it.

Source: wire reference 4 (Mistral's model catalogue in `@ai-sdk/mistral` 4.0.87, read 2026-11-22).
"""

from __future__ import annotations

import re
from functools import lru_cache

from ...config import Dialect, ThinkingLevel
from .models import ModelTraits, traits_of

_MISTRAL: tuple[tuple[str, tuple[ThinkingLevel, ...]], ...] = (
    (r"magistral", ()),  # always thinks, and takes no level
    (r"mistral-large-(4|latest)", ("low", "medium", "high")),
    (r"zai-glm", ("low", "high", "max")),
    (r"mistral-(small|medium)", ("high",)),
)
"""Which levels of reasoning_effort a model really takes; the wire's type lists all of them."""


def traits_at(dialect: Dialect, name: str) -> ModelTraits | None:
    """What a model takes at a server of this dialect; None: its name does not say."""
    return _mistral(name) if dialect.families == "mistral" else traits_of(name)


@lru_cache(maxsize=512)
def _mistral(name: str) -> ModelTraits | None:
    bare = name.rpartition("/")[2].lower()
    for pattern, efforts in _MISTRAL:
        if re.match(pattern, bare):
            return ModelTraits(efforts, max_tokens_field="max_tokens", developer=False, stop=True)
    return None
