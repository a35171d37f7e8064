"""`llmwire models`: what there is to talk to. Names of key variables only, never their values."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping

from ..aws import BEARER_TOKEN
from ..config import ModelConfig, ProviderConfig
from ..errors import ConfigError
from ..providers import GOOGLE_STYLES
from ..settings import Settings, is_unconfigured, load_settings, resolve
from .common import dollars, is_offline
from .table import render
from .terminal import Terminal, safe


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    settings = load_settings()
    default, problem = _default(settings)
    if args.json:
        terminal.json(
            {
                "default": default,
                "default_problem": problem,
                "files": list(settings.files),
                "providers": [
                    {
                        "name": p.name,
                        "wire": p.api_style,
                        "address": p.api_base or None,
                        "key_variable": p.api_key_env_var or None,
                        "key_set": _key_set(p, os.environ) if p.api_key_env_var else None,
                        "problem": settings.broken.get(p.name),
                    }
                    for p in settings.providers.values()
                ],
                "models": [
                    {
                        "alias": alias,
                        "model": f"{m.provider}:{m.name}",
                        "thinking": m.thinking,
                        "input_price": m.input_price,
                        "output_price": m.output_price,
                        "context_window": m.context_window,
                        "max_output_tokens": m.max_output_tokens,
                    }
                    for alias, m in settings.models.items()
                ],
            }
        )
        return 0
    style = terminal.out_style
    rows = [
        [p.name, p.api_style, p.api_base or "Google Cloud", p.api_key_env_var, _state(p, settings)]
        for p in settings.providers.values()
    ]
    head = ["PROVIDER", "WIRE", "ADDRESS", "KEY VARIABLE", "STATE"]
    terminal.line(render(head, rows, style_head=style.bold))
    if settings.models:
        rows = [
            [alias, f"{m.provider}:{m.name}", m.thinking, _prices(m)]
            for alias, m in settings.models.items()
        ]
        head = ["ALIAS", "MODEL", "THINKING", "IN / OUT PER MILLION TOKENS"]
        terminal.line("\n" + render(head, rows, style_head=style.bold))
    terminal.line()
    if default is not None:
        chosen = settings.default_from or "implied by the only key that is set"
        terminal.line(f"default model: {safe(default)} ({safe(chosen)})")
    elif is_unconfigured(settings):
        terminal.line("default model: offline, a stand-in, since nothing is configured")
    else:
        terminal.line(safe(f"default model: none ({problem})"))
    for file in settings.files:
        terminal.line(f"configuration: {safe(file)}")
    return 0


def _default(settings: Settings) -> tuple[str | None, str | None]:
    if is_offline(settings.default_model):
        return settings.default_model, None
    try:
        found = resolve(None, settings)
    except ConfigError as e:
        return None, e.message
    return f"{found.provider.name}:{found.model.name}", None


def _key_set(provider: ProviderConfig, environ: Mapping[str, str]) -> bool:
    return bool(environ.get(provider.api_key_env_var, "").strip())


def _state(provider: ProviderConfig, settings: Settings) -> str:
    if provider.name in settings.broken:
        return settings.broken[provider.name]
    if provider.api_key_env_var:
        otherwise = "by AWS key" if provider.api_key_env_var == BEARER_TOKEN else "key not set"
        return "key set" if provider.name in settings.ready else otherwise
    if provider.api_style in GOOGLE_STYLES and not provider.api_base:
        ready = provider.name in settings.ready
        return f"project {provider.project_id}, {provider.region}" if ready else "project not set"
    return "no key needed"


def _prices(model: ModelConfig) -> str:
    prices = (model.input_price, model.output_price)
    return " / ".join("?" if p is None else dollars(p) for p in prices)
