"""What is known of models: sizes, abilities, prices. Each fact has its source and its date.

The data is `catalogue.json`, made by `make catalogue` from public packages and read when first
asked for. Nothing here changes what is sent: the wires have rules of their own for what a family of
models takes (`adapters/*/models.py`), and a limit or a price that you configure goes before it.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from .config import ModelConfig, ThinkingLevel
from .pricing import CONFIGURATION, Prices


class ModelFacts(Struct, frozen=True, omit_defaults=True):
    """What is known of one model; None is unknown."""

    name: str
    provider: str = ""
    display_name: str | None = None
    created: int | None = None
    """When it was made or released, in seconds since 1970."""
    retires: str | None = None
    """The day after which it answers no more: `2027-04-01`."""
    context_window: int | None = None
    """In tokens, input and output together."""
    max_output_tokens: int | None = None
    vision: bool | None = None
    """Whether it sees images."""
    tools: bool | None = None
    """Whether it calls functions."""
    thinks: bool | None = None
    thinking: tuple[ThinkingLevel, ...] | None = None
    """The levels it can be asked for; `off` among them if it can be told not to think."""
    thinking_form: Literal["adaptive", "budget"] | None = None
    """How Claude is asked: an effort, or a budget of tokens."""
    sampling: bool | None = None
    """Whether temperature and top_p are taken. False: never."""
    prices: Prices | None = None
    like: str | None = None
    """The model that these facts are really of: the newest known one of the family."""
    sources: dict[str, str] = {}
    """By field, who says so and when."""


class Source(Struct, frozen=True):
    """A package that facts were read from."""

    name: str
    version: str
    licence: str
    address: str
    read: str
    """The day."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}, {self.read}"


class _Facts(Struct, frozen=True):
    """What one source says of one model, as stored."""

    context: int | None = None
    output: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    thinks: bool | None = None
    levels: str | None = None
    form: Literal["adaptive", "budget"] | None = None
    sampling: bool | None = None
    retires: str | None = None
    prices: list[tuple[float | None, ...]] | None = None
    """Rows of: above how many tokens, input, output, cache read, cache write, and long write."""
    also: tuple[str, ...] = ()
    """Dated names of which the same is said."""


class _Data(Struct, frozen=True):
    sources: dict[str, Source]
    models: dict[str, dict[str, dict[str, _Facts]]]
    """By provider, model and source."""


_FIELDS = {
    "context": "context_window", "output": "max_output_tokens", "levels": "thinking",
    "form": "thinking_form",
}  # fmt: skip

_SAME_AS = {
    "gemini-openai": "gemini",
    "openai-responses": "openai",
    "xai-responses": "xai",
}
"""Providers that are another address of one in the catalogue: same models, same prices."""

_VENDORS = {
    "claude": "anthropic", "gpt": "openai", "chatgpt": "openai", "o1": "openai", "o3": "openai",
    "o4": "openai", "gemini": "gemini", "gemma": "gemini", "mistral": "mistral",
    "magistral": "mistral", "ministral": "mistral", "codestral": "mistral", "devstral": "mistral",
    "grok": "xai", "deepseek": "deepseek", "kimi": "moonshot", "glm": "zai", "minimax": "minimax",
    "qwen": "qwen",
}  # fmt: skip
"""Whose model it is, by how its name begins: other providers sell it with the same abilities."""

_DATE = re.compile(r"([-@:](\d{8}|\d{4}-\d{2}-\d{2}|latest|default)|-v\d+(:\d+)?)+$")
_NUMBERS = re.compile(r"\d+")


@lru_cache(maxsize=1)
def _data() -> _Data:
    text = pkgutil.get_data(__package__, "catalogue.json")
    assert text is not None
    return msgspec.json.decode(text, type=_Data)


def catalogue_sources() -> Mapping[str, Source]:
    """The packages that the catalogue was made from, by their key in the file."""
    return _data().sources


def all_facts(provider: str = "") -> Iterator[ModelFacts]:
    """Everything in the catalogue, or what it has of one provider."""
    wanted = _SAME_AS.get(provider, provider)
    for owner, models in _data().models.items():
        if wanted in ("", owner):
            for name in models:
                yield _read(owner, name)


@lru_cache(maxsize=512)
def _read(owner: str, name: str) -> ModelFacts:
    data = _data()
    found: dict[str, object] = {}
    sources: dict[str, str] = {}
    for key, stored in data.models[owner][name].items():
        source = str(data.sources[key])
        for field in _Facts.__struct_fields__:
            value = getattr(stored, field)
            ours = _FIELDS.get(field, field)
            if field == "also" or value is None or ours in found:
                continue
            if field == "levels":
                value = tuple(value.split())
            elif field == "prices":
                value = _prices(value, source)
            found[ours] = value
            sources[ours] = source
    return ModelFacts(name, owner, sources=sources, **found)  # type: ignore[arg-type]


def _prices(rows: list[tuple[float | None, ...]], source: str) -> Prices:
    prices: Prices | None = None
    above: float | None = None
    for start, fresh, output, read, write, long in reversed(rows):
        limit = None if above is None else int(above)
        prices = Prices(fresh, output, read, write, long, limit, prices, source=source)
        above = start
    assert prices is not None
    return prices


@lru_cache(maxsize=512)
def _known(provider: str, name: str) -> ModelFacts | None:
    owner = _SAME_AS.get(provider, provider)
    if name in _names(owner):
        return _read(owner, _names(owner)[name])
    # Another spelling or date, or sold by somebody else: the abilities stay, the price may not.
    bare = name.lower()
    if owner not in _VENDORS.values():
        bare = re.split(r"[/.:](?=[a-z])", bare)[-1]
    vendor = next((v for start, v in _VENDORS.items() if bare.startswith(start)), owner)
    listed = _spelled_like(vendor, bare) or _newest_like(vendor, bare)
    if listed is None:
        return None
    sources = {field: source for field, source in listed.sources.items() if field != "prices"}
    return replace(listed, prices=None, sources=sources)


@lru_cache(maxsize=64)
def _names(owner: str) -> dict[str, str]:
    """Every name that a provider's models have, and the one that they are listed under."""
    names: dict[str, str] = {}
    for name, said in _data().models.get(owner, {}).items():
        names[name] = name
        names.update((other, name) for facts in said.values() for other in facts.also)
    return names


def _spelled_like(owner: str, name: str) -> ModelFacts | None:
    """The model of this name, whatever date or `latest` stands behind it."""
    names = {known.lower(): listed for known, listed in _names(owner).items()}
    bare = _DATE.sub("", name)
    for known in (name, bare, f"{bare}-latest", bare.replace(".", "-")):
        if known in names:
            return _read(owner, names[known])
    return None


def _newest_like(owner: str, name: str) -> ModelFacts | None:
    """The newest model of a family: the one with the same words and the highest numbers."""
    family = _family(name)
    same = [known for known in _data().models.get(owner, {}) if _family(known) == family]
    if not same or not _version(name):
        return None
    best = max(same, key=_version)
    return replace(_read(owner, best), like=best, retires=None)


def _family(name: str) -> str:
    words = re.split(r"[-._@:/]+", _NUMBERS.sub("", _DATE.sub("", name.lower())))
    return "-".join(word for word in words if word not in _STAGES)


_STAGES = ("", "preview", "exp", "experimental", "beta")


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(n) for n in _NUMBERS.findall(_DATE.sub("", name)))


def facts_of(model: ModelConfig | str, provider: str = "") -> ModelFacts:
    """What is known of a model at a provider (its name; for a `ModelConfig` its own).

    What a `ModelConfig` says goes before the catalogue. A model that a provider sells for another
    vendor has that vendor's abilities, and no price. One that is not known has the abilities of the
    newest of its family, which `like` names, and no price. With nothing known at all, everything is
    None.
    """
    if isinstance(model, str):
        model = ModelConfig(model, provider)
    provider = provider or model.provider
    found = _known(provider, model.name) or ModelFacts(model.name)
    found = replace(found, name=model.name, provider=provider)
    own = {
        "context_window": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "vision": model.vision,
        "prices": _own_prices(model),
    }
    changes = {field: value for field, value in own.items() if value is not None}
    if not changes:
        return found
    sources = found.sources | dict.fromkeys(changes, CONFIGURATION)
    return replace(found, **changes, sources=sources)


def _own_prices(model: ModelConfig) -> Prices | None:
    prices = Prices(
        model.input_price,
        model.output_price,
        model.cache_read_price,
        model.cache_write_price,
        model.cache_write_long_price,
        source=CONFIGURATION,
    )
    return prices if prices != Prices(source=CONFIGURATION) else None
