"""What each Gemini family takes: data, by the model's name.

Sources: wire reference 5.2, 5.4 (the AI SDK's catalog; 2026-11-22). Which models continue a
history that ends with their own turn: answers of the live API in github.com/LibreChat-AI/agents
pull 323 and pipecat-ai/pipecat pull 5821 (read 2026-11-25).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct

from ...config import ThinkingLevel

API: Final = "gemini"
_LEVELS: tuple[ThinkingLevel, ...] = ("minimal", "low", "medium", "high")


class ModelTraits(Struct, frozen=True, kw_only=True):
    """What requests to one model family may say."""

    thinking: Literal["none", "budget", "level"] = "level"
    """How thinking is asked for: not at all, by thinkingBudget, or by thinkingLevel."""
    levels: tuple[ThinkingLevel, ...] = _LEVELS
    budgets: tuple[int, int] = (0, 24_576)
    """The least and the most thinkingBudget."""
    off: Literal["omit", "zero", "least"] = "least"
    """How thinking is switched off. `omit`: it is off unless asked for, or nobody knows. `zero`: a
    budget of 0. `least`: it can't be, so the least there is."""
    gemini3: bool = True
    """What came with Gemini 3: calls that must be signed, media in results, JSON beside tools."""
    prefill: bool = False
    """Whether the history may end with the model's own turn."""
    system: bool = True
    """Whether systemInstruction is taken; Gemma's models answer 400."""


_OLD = ModelTraits(thinking="none", off="omit", gemini3=False, prefill=True)
_GEMMA = ModelTraits(thinking="none", off="omit", gemini3=False, prefill=True, system=False)
UNKNOWN = ModelTraits(off="omit", prefill=True)
"""Names that are no Gemini's (endpoints, tuned models): the newest language, nothing unasked."""

BUDGETS: dict[ThinkingLevel, int] = {
    "minimal": 1024,
    "low": 4096,
    "medium": 10_240,
    "high": 24_576,
    "xhigh": 32_768,
}
"""Tokens to think with where there is a budget; `max` takes all. Wire reference 12.2."""

ANSWER_ROOM = 1024
"""What a clamped budget leaves of maxOutputTokens, which counts thoughts too, for the answer."""

# models/gemini-2.5-flash-lite-preview, publishers/google/models/gemini-4-hydrogen, gemini-pro-latest
_NAME = re.compile(r"gemini-(?:(\d+)(?:\.(\d+))?(?:-|$))?(.*)")


@lru_cache(maxsize=512)
def traits_of(model: str) -> ModelTraits:
    """What the model takes, by its name; Gemini's unknown names are like the newest family."""
    name = model.rpartition("/")[2].lower()
    if name.startswith("gemma"):
        return _GEMMA
    match = _NAME.match(name)
    if match is None:
        return UNKNOWN
    major, minor, rest = match.groups()
    if major is None and rest.startswith(("pro-vision", "robotics-er-1")):
        return _OLD
    version = (int(major or 99), int(minor or 0))
    if version < (2, 5):
        return _OLD
    picture = re.search(r"(^|-)(image|tts)(-|$)", rest) is not None
    if version < (3, 0):
        return _OLD if picture else _gemini25(rest)
    lite, flash = rest.startswith("flash-lite"), rest.startswith("flash")
    prefill = version < (3, 5) or (version == (3, 5) and flash and not lite)
    if rest.startswith("pro-image"):
        return ModelTraits(thinking="budget", budgets=(0, 32_768), off="omit", prefill=prefill)
    levels = _LEVELS
    if rest.startswith("hydrogen"):
        levels = ("low", "medium", "high", "xhigh")
    elif rest.startswith("pro") or (flash and not lite and version >= (3, 7)):
        levels = _LEVELS[1:]
    return ModelTraits(levels=levels, off="omit" if picture else "least", prefill=prefill)


def _gemini25(rest: str) -> ModelTraits:
    if rest.startswith("pro"):
        return ModelTraits(
            thinking="budget", budgets=(128, 32_768), gemini3=False, prefill=True, off="least"
        )
    least = 512 if rest.startswith("flash-lite") else 0
    return ModelTraits(
        thinking="budget", budgets=(least, 24_576), gemini3=False, prefill=True, off="zero"
    )


def level_of_budget(budget: int) -> ThinkingLevel:
    """The level whose budget is the nearest one not above; -1 lets the model choose."""
    if budget < 0:
        return "medium"
    if budget == 0:
        return "off"
    below = [level for level, tokens in BUDGETS.items() if tokens <= budget]
    return below[-1] if below else "minimal"
