"""`llmwire models`: what there is to talk to. Names of key variables only, never their values."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping

from ..aws import BEARER_TOKEN
from ..config import ModelConfig, ModelInfo, ProviderConfig
from ..errors import ConfigError
from ..settings import Settings, address_fields, is_unconfigured, load_settings, resolve
from ..types import to_builtins
from .common import dollars, is_offline, target_named
from .loop import run_async
from .table import render
from .terminal import Terminal, safe


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    if args.catalogue:
        from . import known

        return known.run(args, terminal)
    if args.provider is not None:
        return _listed(args, terminal)
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


def _listed(args: argparse.Namespace, terminal: Terminal) -> int:
    """The models that a provider itself lists."""
    name: str = args.provider
    with target_named(name if is_offline(name) else f"{name}:MODEL") as target:
        models = run_async(_asked(target.provider))
    if args.json:
        terminal.json({"provider": name, "models": [to_builtins(m) for m in models]})
        return 0
    rows = [[m.name, _tokens(m.context_window), _tokens(m.max_output_tokens)] for m in models]
    head = ["MODEL", "CONTEXT", "MOST OUTPUT"]
    terminal.line(render(head, rows, right=(1, 2), style_head=terminal.out_style.bold))
    return 0


async def _asked(provider: ProviderConfig) -> tuple[ModelInfo, ...]:
    from ..backend import GenericBackend

    async with GenericBackend(provider=provider) as backend:
        return await backend.list_models()


def _tokens(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


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
    key_set = _key_set(provider, os.environ)
    by_aws = provider.api_key_env_var == BEARER_TOKEN and not key_set
    if provider.api_key_env_var and not key_set and not by_aws:
        return "key not set"
    fields = address_fields(provider)
    for field in fields:
        if not getattr(provider, field):
            return f"{field.removesuffix('_id')} not set"
    if provider.api_key_env_var:
        return "by AWS key" if by_aws else "key set"
    if fields:
        return f"project {provider.project_id}, {provider.region}"
    return "no key needed"


def _prices(model: ModelConfig) -> str:
    prices = (model.input_price, model.output_price)
    return " / ".join("?" if p is None else dollars(p) for p in prices)
