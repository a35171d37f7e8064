"""Makes `src/llmwire/catalogue.json` anew from public packages: `make catalogue`.

    python scripts/catalogue.py [--litellm WHEEL]

Prices and context windows come from the installed `genai-prices`, abilities and the rest from the
price map inside the wheel of `litellm`, which is downloaded and read as data, never imported. Only
facts are taken. Where the two disagree on a price, neither is taken and the difference is printed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import genai_prices
from genai_prices import data_snapshot
from genai_prices.types import ModelInfo, ModelPrice

from llmwire.config import THINKING_LEVELS
from llmwire.price_library import prices_from
from llmwire.pricing import Prices

TARGET = Path(__file__).parent.parent / "src" / "llmwire" / "catalogue.json"
PRICE_MAP = "litellm/model_prices_and_context_window_backup.json"

PROVIDERS: dict[str, tuple[str, str, str]] = {
    # ours: (genai-prices' provider, litellm's provider, what litellm puts before its names)
    "openai": ("openai", "openai", ""),
    "anthropic": ("anthropic", "anthropic", ""),
    "mistral": ("mistral", "mistral", "mistral/"),
    "gemini": ("google", "gemini", "gemini/"),
    "deepseek": ("deepseek", "deepseek", "deepseek/"),
    "xai": ("x-ai", "xai", "xai/"),
    "groq": ("groq", "groq", "groq/"),
    "cerebras": ("cerebras", "cerebras", "cerebras/"),
    "moonshot": ("moonshotai", "moonshot", "moonshot/"),
    "zai": ("zai", "zai", "zai/"),
    "minimax": ("minimax", "minimax", "minimax/"),
    "qwen": ("", "dashscope", "dashscope/"),
    "perplexity": ("perplexity", "", ""),
}

OTHER_KINDS = re.compile(
    r"audio|realtime|tts|transcri|image|embed|moderation|whisper|search-preview|search-api|^ft:|ocr|"
    r"lyria|robotics|-live|live-|voxtral|instruct$|speech|voice|computer-use|deep-research|omni|"
    r"imagine|video|guard|safeguard|playai|^text-|davinci|curie|babbage|^ada$|learnlm|translate"
)
"""Models that do not answer in text, or belong to another API."""

ONLY = {"gemini": re.compile(r"gem(ini|ma)")}
"""Google's list has what it sells for others on Vertex AI too."""

SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4})$")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--litellm", type=Path, help="a wheel that is here already")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = args.litellm or _downloaded(Path(folder))
        with zipfile.ZipFile(wheel) as archive:
            price_map = json.loads(archive.read(PRICE_MAP))
        version = wheel.name.split("-")[1]
    now = datetime.now(tz=UTC)
    models = {ours: dict(sorted(_models(ours, price_map, now).items())) for ours in PROVIDERS}
    sources = {
        "g": _source("genai-prices", genai_prices.__version__, "pydantic/genai-prices", now),
        "l": _source("litellm", version, "BerriAI/litellm", now),
    }
    both = [sources["g"], sources["l"]]
    sources["b"] = {key: " and ".join(dict.fromkeys(s[key] for s in both)) for key in sources["g"]}
    TARGET.write_text(_written(sources, models), "utf-8")
    count = sum(map(len, models.values()))
    print(f"{TARGET.name}: {count} models, {TARGET.stat().st_size:,} bytes")


def _downloaded(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder)]
    subprocess.run([*command, "litellm"], check=True)
    return next(folder.glob("litellm-*.whl"))


def _source(name: str, version: str, repository: str, now: datetime) -> dict[str, str]:
    return {
        "name": name,
        "version": version,
        "licence": "MIT",
        "address": f"https://github.com/{repository}",
        "read": f"{now:%Y-%m-%d}",
    }


def _models(
    ours: str, price_map: dict[str, dict[str, Any]], now: datetime
) -> dict[str, dict[str, Any]]:
    genai_id, provider, prefix = PROVIDERS[ours]
    found: dict[str, dict[str, Any]] = {}
    retired: set[str] = set()
    for key, entry in price_map.items():
        if entry.get("litellm_provider") != provider or not provider:
            continue
        name = key.removeprefix(prefix)
        if entry.get("mode") not in ("chat", "responses") or OTHER_KINDS.search(name):
            continue
        if entry.get("deprecation_date", "9999") <= f"{now:%Y-%m-%d}":
            retired.add(name)
        found[name] = {"l": _abilities(entry)}
    owner = next((p for p in data_snapshot.get_snapshot().providers if p.id == genai_id), None)
    if owner is not None:
        for info in owner.models:
            wanted = ONLY.get(ours, re.compile("")).match(info.id)
            if wanted and not OTHER_KINDS.search(info.id) and _sells_text(info, now):
                found.setdefault(info.id, {})
        for name, facts in found.items():
            match = next((m for m in owner.models if m.id == name or m.is_match(name)), None)
            if match is not None:
                _add_prices(f"{ours}:{name}", facts, match, now)
    for facts in found.values():
        if "context" in facts.get("g", {}):
            facts.get("l", {}).pop("context", None)
    return _without_copies(found, retired)


def _abilities(entry: dict[str, Any]) -> dict[str, Any]:
    """What the price map says, in our words."""
    levels = entry.get("reasoning_effort_levels")
    flags = [level for level in ("none", "minimal", "xhigh", "max")
             if f"supports_{level}_reasoning_effort" in entry]  # fmt: skip
    if levels is None and entry.get("supports_reasoning") and flags:
        levels = ["low", "medium", "high"]
        levels += [f for f in flags if entry[f"supports_{f}_reasoning_effort"]]
    words = {"off" if word == "none" else word for word in levels or ()}
    form = None
    if entry.get("supports_adaptive_thinking"):
        form = "adaptive"
    elif entry.get("litellm_provider") == "anthropic" and entry.get("supports_reasoning"):
        form = "budget"
    found = {
        "context": entry.get("max_input_tokens"),
        "output": entry.get("max_output_tokens"),
        "vision": entry.get("supports_vision"),
        "tools": entry.get("supports_function_calling"),
        "thinks": entry.get("supports_reasoning"),
        "levels": " ".join(level for level in THINKING_LEVELS if level in words) or None,
        "form": form,
        "sampling": entry.get("supports_sampling_params"),
        "retires": entry.get("deprecation_date"),
        "prices": _price_rows(entry),
    }
    return {key: value for key, value in found.items() if value is not None}


def _price_rows(entry: dict[str, Any]) -> list[list[float | None]] | None:
    """Dollars per million tokens; one row more for each size of prompt with prices of its own."""
    if entry.get("tiered_pricing") or entry.get("input_cost_per_token") is None:
        return None
    sizes = {
        int(match[1]) * 1000
        for key in entry
        if (match := re.fullmatch(r"input_cost_per_token_above_(\d+)k_tokens", key))
    }
    long = next((e for e in ("_above_1hr", "_above_12hr")
                 if f"cache_creation_input_token_cost{e}" in entry), "_above_1hr")  # fmt: skip
    names = (
        "input_cost_per_token",
        "output_cost_per_token",
        "cache_read_input_token_cost",
        "cache_creation_input_token_cost",
        f"cache_creation_input_token_cost{long}",
    )
    rows = []
    for size in (0, *sorted(sizes)):
        suffix = f"_above_{size // 1000}k_tokens" if size else ""
        row = [entry.get(f"{name}{suffix}") for name in names]
        rows.append([size, *(None if p is None else round(p * 1e6, 6) for p in row)])
    return rows


def _sells_text(info: ModelInfo, now: datetime) -> bool:
    listed = info.get_prices(now)
    return bool(
        getattr(listed, "input_mtok", None)
        and getattr(listed, "output_mtok", None)
        and info.context_window
    )


def _add_prices(where: str, facts: dict[str, Any], info: ModelInfo, now: datetime) -> None:
    stored: dict[str, Any] = {}
    if info.context_window:
        stored["context"] = info.context_window
    listed = info.get_prices(now)
    changing = not isinstance(info.prices, ModelPrice) and any(
        type(p.constraint).__name__ == "TimeOfDateConstraint" for p in info.prices
    )
    if changing:  # no single price is right: it depends on the time of day
        facts.get("l", {}).pop("prices", None)
    elif getattr(listed, "input_mtok", None) is not None:
        rows = list(_rows(prices_from(listed, "")))
        other = facts.get("l", {}).get("prices")
        if other is None:
            stored["prices"] = rows
        elif facts["l"].pop("prices") and _agreed(where, rows, other):
            facts["b"] = {"prices": rows}
    if stored:
        facts["g"] = stored


def _rows(prices: Prices | None, above: int = 0) -> Iterator[list[float | None]]:
    while prices is not None:
        yield [above, prices.input, prices.output, prices.cache_read, prices.cache_write,
               prices.cache_write_long]  # fmt: skip
        above, prices = prices.above or 0, prices.larger


def _agreed(where: str, rows: list[list[float | None]], other: list[list[float | None]]) -> bool:
    """Whether two price lists agree, threshold apart; then each completes the other."""
    for row, theirs in zip(rows, other, strict=False):
        names = ("", "input", "output", "cache read", "cache write", "long cache write")
        for i, (a, b) in enumerate(zip(row, theirs, strict=True)):
            if i and a is not None and b is not None and abs(a - b) > 1e-6:
                print(f"{where}: {names[i]} price is {a:g} or {b:g}", file=sys.stderr)
                return False
    for row, theirs in zip(rows, other, strict=False):
        row[1:] = [b if a is None else a for a, b in zip(row[1:], theirs[1:], strict=True)]
    return True


def _without_copies(
    found: dict[str, dict[str, Any]], retired: set[str]
) -> dict[str, dict[str, Any]]:
    """Without retired models, and with dated names beside the name that says the same.

    A retired one stays if the name without its date is in use and says something else.
    """
    kept = {name: facts for name, facts in found.items() if any(facts.values())}
    also: dict[str, list[str]] = {}
    for name in list(kept):
        undated = SNAPSHOT.sub("", name)
        base = kept.get(undated) if undated != name and undated not in retired else None
        if base is not None and _said(base) == _said(kept[name]):
            also.setdefault(undated, []).append(name)
        elif base is not None or name not in retired:
            continue
        del kept[name]
    out: dict[str, dict[str, Any]] = {}
    for name, facts in kept.items():
        out[name] = {key: facts[key] for key in ("b", "g", "l") if facts.get(key)}
        if name in also:
            first = next(iter(out[name].values()))
            first["also"] = sorted(also[name])
    return out


def _said(facts: dict[str, Any]) -> dict[str, Any]:
    return {k: {f: v for f, v in s.items() if f != "retires"} for k, s in facts.items()}


def _written(sources: dict[str, Any], models: dict[str, dict[str, Any]]) -> str:
    """JSON with a line for each model, so that a change reads as one."""

    def compact(value: Any) -> str:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    providers = []
    for provider, known in models.items():
        lines = ",\n".join(f"{compact(name)}:{compact(facts)}" for name, facts in known.items())
        providers.append(f"{compact(provider)}:{{\n{lines}\n}}")
    body = ",\n".join(providers)
    return f'{{"sources":{json.dumps(sources, indent=1)},\n"models":{{\n{body}\n}}}}\n'


if __name__ == "__main__":
    main()
