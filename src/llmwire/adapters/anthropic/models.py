"""What each Claude family takes: data, by family and version.

Sources: wire reference 3.3 (AI SDK catalog, SDK types; 2026-11-22); maximum outputs: Anthropic's
model catalog in github.com/anthropics/skills (models.md of claude-api, read 2026-11-24), for
models retired before it their published limits.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from ...config import ThinkingLevel

When = Literal["always", "not_thinking", "never"]


class ModelTraits(Struct, frozen=True, kw_only=True):
    """What requests to one model family may say."""

    adaptive: bool = False
    """Takes thinking {type: adaptive} with output_config.effort."""
    enabled: bool = False
    """Takes thinking {type: enabled, budget_tokens}."""
    off: Literal["omit", "disabled", "between_tools", "never"] = "disabled"
    """How thinking is switched off. `omit`: it is off unless asked for. `disabled`: it may be on
    by default, so it is said. `between_tools`: the least there is. `never`: always on."""
    default_effort: ThinkingLevel | None = None
    """How much it thinks when nothing is said; None: not at all."""
    efforts: tuple[ThinkingLevel, ...] = ("low", "medium", "high", "xhigh", "max")
    sampling: When = "never"
    """When temperature, top_p and top_k are no 400."""
    forced_tools: When = "always"
    """When tool_choice any or tool is no 400."""
    prefill: bool = False
    """Whether the history may end with words put into the model's mouth."""
    interleaved_beta: bool = False
    """Needs a beta value to think between tool calls."""
    schema: bool = True
    """Has output_config.format: Opus 4.1, all of 4.5 and later (tool-use-concepts.md there)."""
    display: bool = True
    """Shows no thinking unless display asks for it."""
    version: str = "2026-10-21"
    """The newest API version that costs this model no ability; see `versions`."""
    max_output: int = 128_000
    default_max_tokens: int = 32_000


_PLAIN_45 = ModelTraits(
    enabled=True,
    off="omit",
    efforts=(),
    sampling="not_thinking",
    forced_tools="not_thinking",
    prefill=True,
    interleaved_beta=True,
    display=False,
    version="2023-06-01",
    max_output=64_000,
)


def _old(
    max_output: int, thinks: bool = True, interleaved: bool = True, schema: bool = False
) -> ModelTraits:
    return ModelTraits(
        enabled=thinks,
        off="omit",
        efforts=(),
        sampling="not_thinking",
        forced_tools="not_thinking",
        prefill=True,
        interleaved_beta=interleaved,
        display=False,
        version="2023-06-01",
        max_output=max_output,
        default_max_tokens=min(32_000, max_output),
        schema=schema,
    )


_46 = ModelTraits(
    adaptive=True,
    enabled=True,
    efforts=("low", "medium", "high", "max"),
    sampling="not_thinking",
    forced_tools="not_thinking",
    display=False,
    version="2023-06-01",
)
_47 = ModelTraits(adaptive=True)
_FABLE_5 = ModelTraits(adaptive=True, off="never", default_effort="high")
_FABLE_51 = ModelTraits(adaptive=True, off="never", default_effort="high", forced_tools="never")

NEWEST = ModelTraits(adaptive=True, off="never", default_effort="medium", forced_tools="never")
"""Opus 5.5, and what an unknown `claude-*` is taken for."""

UNKNOWN = ModelTraits(
    adaptive=True,
    off="omit",
    forced_tools="never",
    prefill=True,
    version="2023-06-01",
    default_max_tokens=8192,
    schema=False,
)
"""Any other id: what the newest models take, which older ones take too. Servers that only speak
this wire know the old version, and think only when asked (wire reference 3.1)."""

_TABLE: dict[str, tuple[tuple[tuple[int, int], ModelTraits], ...]] = {
    "opus": (
        ((3, 0), _old(4096, thinks=False)),
        ((4, 0), _old(32_000)),
        ((4, 1), _old(32_000, schema=True)),
        ((4, 5), _PLAIN_45),
        ((4, 6), _46),
        ((4, 7), _47),
        ((5, 0), ModelTraits(adaptive=True, enabled=True, default_effort="high")),
        ((5, 5), NEWEST),
    ),
    "sonnet": (
        ((3, 0), _old(4096, thinks=False)),
        ((3, 5), _old(8192, thinks=False)),
        ((3, 7), _old(64_000, interleaved=False)),
        ((4, 0), _old(64_000)),
        ((4, 5), _PLAIN_45),
        ((4, 6), _46),
        ((5, 0), ModelTraits(adaptive=True, default_effort="high")),
        (
            (5, 5),
            ModelTraits(
                adaptive=True, off="between_tools", default_effort="high", forced_tools="never"
            ),
        ),
    ),
    "haiku": (
        ((3, 0), _old(4096, thinks=False)),
        ((3, 5), _old(8192, thinks=False)),
        ((4, 0), _PLAIN_45),
        ((5, 5), ModelTraits(adaptive=True, default_effort="medium")),
    ),
    "fable": (((5, 0), _FABLE_5), ((5, 1), _FABLE_51)),
    "mythos": (((5, 0), _FABLE_5), ((5, 1), _FABLE_51)),
}
"""Per family, from which version on; a version between two rows is like the lower one, one above
the last known is taken for the newest family of all."""

_KNOWN_UP_TO = {
    "opus": (5, 5),
    "sonnet": (5, 5),
    "haiku": (5, 5),
    "fable": (5, 2),
    "mythos": (5, 2),
}

# claude-opus-4-1-20250805, claude-3-5-haiku-latest, anthropic.claude-opus-4-5@20251101, …-v1:0
_NAME = re.compile(
    r"claude-(?:(\d)(?:[-.](\d{1,2}))?-)?(opus|sonnet|haiku|fable|mythos)"
    r"(?:-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d))?"
)


@lru_cache(maxsize=512)
def traits_of(model: str) -> ModelTraits:
    """What the model takes, by its name; unknown names are like the newest family."""
    name = model.lower()
    match = _NAME.search(name)
    if match is None:
        return NEWEST if "claude-" in name else UNKNOWN
    old_major, old_minor, family, major, minor = match.groups()
    if old_major is None and major is None:
        return NEWEST
    version = (int(old_major or major), int((old_minor if old_major else minor) or 0))
    if version > _KNOWN_UP_TO[family]:
        return NEWEST
    rows = [traits for since, traits in _TABLE[family] if since <= version]
    return rows[-1] if rows else NEWEST


BUDGETS: dict[ThinkingLevel, int] = {
    "minimal": 1024,
    "low": 4096,
    "medium": 10_240,
    "high": 24_576,
    "xhigh": 32_768,
}
"""Tokens to think with, where there is a budget instead of an effort; `max` takes all but
`ANSWER_ROOM` of max_tokens. 1024 is the least that is legal. Source: wire reference 12.2."""

MIN_BUDGET = 1024
ANSWER_ROOM = 1024
"""What a clamped budget leaves of max_tokens for the answer."""


def level_of_budget(budget: int) -> ThinkingLevel:
    """The level whose budget is the nearest one not above."""
    if budget > BUDGETS["xhigh"]:
        return "max"
    below = [level for level, tokens in BUDGETS.items() if tokens <= budget]
    return below[-1] if below else "minimal"


INTERLEAVED_BETA = "interleaved-thinking-2025-05-14"
NO_SAMPLING_SINCE = "2026-10-21"
"""From this API version on, sampling settings are a 400 for every model."""


def takes_sampling(version: str) -> bool:
    """Whether an API version lets any model have sampling settings.

    Versions are dates, some with a platform before them (`vertex-2023-10-16`).
    """
    date = re.search(r"\d{4}-\d{2}-\d{2}$", version)
    return date is None or date.group() < NO_SAMPLING_SINCE
