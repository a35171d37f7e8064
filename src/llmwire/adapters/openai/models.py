"""What OpenAI's models take on Chat Completions. Source: wire reference 1.2 (2026-11-22).

The rows are tried in order. Names that look like OpenAI's but match no row behave like the newest
family; other names have no row, and get the plain old form of a request.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from ...config import ThinkingLevel

_O: tuple[ThinkingLevel, ...] = ("low", "medium", "high")
_NEWEST: tuple[ThinkingLevel, ...] = ("low", "medium", "high", "xhigh", "max")


class ModelTraits(Struct, frozen=True):
    """What one model family takes. `efforts` with `off` means that "none" may be said."""

    efforts: tuple[ThinkingLevel, ...] = ()
    sampling: Literal["yes", "never", "effort_none"] = "yes"
    """Whether temperature and top_p are taken; `effort_none`: only with effort "none"."""
    off_by_default: bool = False
    """Whether the model does not reason unless asked, so that effort "none" need not be said.
    Source: LiteLLM's table of models, 1.108.7 (default_reasoning_effort)."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_completion_tokens"
    developer: bool = True
    """Whether the model knows the `developer` role."""
    stop: bool = False
    """Whether stop sequences are taken; reasoning models refuse them."""
    tools_while_reasoning: bool = True
    breakpoints: bool = False
    """Whether parts take prompt_cache_breakpoint; from GPT-5.6 on."""
    schema: bool = True
    """Whether `response_format` takes a schema; from GPT-4o on."""

    def samples(self, effort: object) -> bool:
        """Whether temperature and top_p are taken with this reasoning effort; None: none is asked."""
        if self.sampling == "effort_none":
            return effort == "none" or (effort is None and self.off_by_default)
        return self.sampling == "yes"


_OLD = ModelTraits(max_tokens_field="max_tokens", developer=False, stop=True)
_TRAITS: tuple[tuple[re.Pattern[str], ModelTraits | None], ...] = tuple(
    (re.compile(pattern), traits)
    for pattern, traits in (
        (r"gpt-oss", ModelTraits(_O, max_tokens_field="max_tokens", developer=False, stop=True)),
        (
            r"gpt-(3|4($|-))",
            ModelTraits(max_tokens_field="max_tokens", developer=False, stop=True, schema=False),
        ),
        (r"(gpt-(3|4|audio|realtime)|chatgpt-4)", _OLD),
        (r"(gpt-.*chat-latest|chatgpt-)", ModelTraits(stop=True)),
        (r"o[134](-|$)", ModelTraits(_O, "never")),
        (r"gpt-5.*-pro", ModelTraits(("high",), "never")),
        (r"(gpt-.*-codex|codex-)", ModelTraits(_O, "never")),
        (r"gpt-5($|-)", ModelTraits(("minimal", *_O), "never")),
        (r"gpt-5\.1($|-|_)", ModelTraits(("off", *_O), "effort_none", True)),
        (r"gpt-5\.[2-4]($|-|_)", ModelTraits(("off", *_O, "xhigh"), "effort_none", True)),
        (r"gpt-5\.5($|-|_)", ModelTraits(("off", *_O, "xhigh"), "effort_none")),
        (
            r"gpt-5\.6($|-|_)",
            ModelTraits(
                ("off", *_NEWEST), "effort_none", tools_while_reasoning=False, breakpoints=True
            ),
        ),
        (
            r"(gpt-6-(sol|luna)|gpt-6\.1-terra)",
            ModelTraits(("off", *_NEWEST), "effort_none", breakpoints=True),
        ),
        (r"(gpt-|o\d)", ModelTraits(_NEWEST, "never", breakpoints=True)),
    )
)


@lru_cache(maxsize=512)
def traits_of(name: str) -> ModelTraits | None:
    """The row for a model name; None: not OpenAI's. `vendor/`, `ft:` and, on Bedrock, `openai.`
    may stand in front."""
    bare = name.rpartition("/")[2].lower().removeprefix("ft:").removeprefix("openai.")
    for pattern, traits in _TRAITS:
        if pattern.match(bare):
            return traits
    return None
