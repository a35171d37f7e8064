"""What each vendor's models take through Converse: data, by the id's vendor and family.

Sources: wire reference 6.2, 6.4 (2026-11-22); prompt caching: the Bedrock user guide (Claude:
system, messages and tools; Nova: system and messages); Nova 2: its user guide, "Extended thinking".
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

from msgspec import Struct

from ...config import ThinkingLevel
from ...errors import UnsupportedError


class Family(Struct, frozen=True, kw_only=True):
    """What requests to one family of models may say."""

    claude: bool = False
    """Thinks, samples and is forced as Claude does everywhere (`anthropic.models`)."""
    ids: str = "bedrock64"
    """Which tool-call ids it takes: a rule of `history.fit_id`."""
    cache: tuple[str, ...] = ()
    """Where cache points may stand."""
    signatures: bool = False
    """Whether reasoning without a state that this model issued may carry a signature."""
    top_k: tuple[str, ...] = ()
    """Where additionalModelRequestFields has top_k; (): nowhere."""
    reasoning: tuple[str, ...] = ()
    """Where additionalModelRequestFields has the effort; (): the model thinks as it likes."""
    efforts: tuple[ThinkingLevel, ...] = ("low", "medium", "high")
    bare_effort: ThinkingLevel | None = None
    """The effort beside which no sampling setting and no limit may stand."""
    named_tool: bool = True
    """Whether one tool can be demanded by its name: Claude and Nova only, says the API's model."""
    counts: bool = False
    """Whether CountTokens knows it."""


PLAIN = Family()
_CLAUDE = Family(
    claude=True,
    cache=("tools", "system", "messages"),
    signatures=True,
    top_k=("top_k",),
    counts=True,
)
_NOVA = Family(cache=("system", "messages"), top_k=("inferenceConfig", "topK"))
_NOVA_2 = Family(
    cache=("system", "messages"),
    top_k=("inferenceConfig", "topK"),
    reasoning=("reasoningConfig", "maxReasoningEffort"),
    bare_effort="high",
)

_FAMILIES: tuple[tuple[str, Family], ...] = (
    (r"claude", _CLAUDE),
    (r"\bnova-2-", _NOVA_2),
    (r"\bnova-", _NOVA),
    (r"\bgpt-oss", Family(reasoning=("reasoning_effort",), named_tool=False)),
    (
        r"\bopenai\.",
        Family(
            reasoning=("reasoning", "effort"),
            efforts=("low", "medium", "high", "xhigh"),
            named_tool=False,
        ),
    ),
    (r"mistral|mixtral|pixtral", Family(ids="mistral9", top_k=("top_k",), named_tool=False)),
    (r"\bcohere\.", Family(top_k=("k",), named_tool=False)),
    (r"^[a-z0-9.-]+\.", Family(named_tool=False)),
)
"""First match wins. What is left are ARNs that name no model: application profiles and the like."""


@lru_cache(maxsize=512)
def family_of(model: str) -> Family:
    name = model.lower()
    return next((family for pattern, family in _FAMILIES if re.search(pattern, name)), PLAIN)


def model_path(model: str, verb: str) -> str:
    """The address of a model: an id, a profile or an ARN, every reserved character encoded.

    Raises `UnsupportedError` for a name that would leave its place in the path.
    """
    if model in (".", ".."):
        raise UnsupportedError(
            f"model: {model!r} is no model of Bedrock's", path="model", phase="prepare"
        )
    return f"/model/{quote(model, safe='', errors='replace')}/{verb}"


_PROFILE = re.compile(r"(?:.*/)?(?:us|us-gov|eu|apac|au|ca|jp|global)\.([a-z0-9-]+\..+)")


def foundation_id(model: str) -> str | None:
    """The model that an id, an ARN or a system-defined profile names: CountTokens takes no profile.

    None for an ARN that does not say (an application profile, a custom model).
    """
    match = _PROFILE.fullmatch(model)
    if match is not None:
        return match[1]
    if model.startswith("arn:"):
        return model.rpartition("/")[2] if ":foundation-model/" in model else None
    return model
