"""`llmwire wire`: the request as it would leave, and no request."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from typing import Any

from .. import __version__
from ..adapters import ADAPTERS
from ..adapters.base import Headers, PreparedRequest
from ..config import ProviderConfig
from ..errors import ConfigError
from ..request import LLMRequest
from ..types import to_builtins
from .common import Target, messages_of, note_adaptations, options_of, target_of
from .terminal import Terminal, json_text, safe

HIDDEN = "***"
_CREDENTIALS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
_SECRET = re.compile(r"auth|key|token|secret|cookie|password|signature", re.IGNORECASE)
_LONG = 4000  # characters of one string in the readable form; images are far longer


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    messages = messages_of(args)
    with target_of(args, terminal) as target:
        options = options_of(args)
        request = LLMRequest(
            model=target.model,
            messages=tuple(messages),
            temperature=options.get("temperature", target.model.temperature),
            max_tokens=options.get("max_tokens"),
            thinking=options.get("thinking") or target.model.thinking,
            stream=not args.no_stream,
        )
        prepared = prepare(target, request)
    headers = shown_headers(prepared, target.provider)
    body: Any = json.loads(prepared.body) if prepared.body else None
    note_adaptations(prepared, terminal)
    if args.json:
        terminal.json(
            {
                "method": prepared.method,
                "url": prepared.url,
                "headers": headers,
                "body": body,
                "adaptations": [to_builtins(a) for a in prepared.adaptations],
            }
        )
        return 0
    style = terminal.out_style
    terminal.line(style.bold(safe(f"{prepared.method} {prepared.url}")))
    for name, value in headers.items():
        terminal.line(f"{style.cyan(safe(name))}: {safe(value)}")
    if body is not None:
        terminal.line()
        terminal.line(json_text(_shortened(body)))
    return 0


def prepare(target: Target, request: LLMRequest) -> PreparedRequest:
    """Raises `ConfigError`, `UnsupportedError` as a real call would."""
    prepared = ADAPTERS[target.provider.api_style].prepare_request(request, target.provider)
    if not prepared.base_url:
        raise ConfigError(f"provider {target.provider.name!r} has no api_base")
    return prepared


def shown_headers(prepared: PreparedRequest, provider: ProviderConfig) -> dict[str, str]:
    """The headers of the real call; of those with a secret, the name and the scheme only."""
    credential: dict[str, str] = {}
    if any(name.lower() in _CREDENTIALS for name in provider.extra_headers):
        pass  # the configuration brings its own, and a call adds no second one
    elif prepared.auth == "google" or (provider.api_key_env_var and prepared.auth == "bearer"):
        credential = {"Authorization": f"Bearer {HIDDEN}"}
    elif prepared.auth == "aws":  # a bearer token or a signature
        credential = {"Authorization": HIDDEN}
    elif provider.api_key_env_var and prepared.auth != "none":
        credential = {prepared.auth: HIDDEN}
    own: Mapping[str, str] = {"User-Agent": f"llmwire/{__version__}"}
    try:
        headers = Headers(own, prepared.headers, credential, _redacted(provider.extra_headers))
    except ValueError as e:
        raise ConfigError(f"provider {provider.name!r}: extra_headers: {e}") from None
    return dict(headers)


def _redacted(headers: Mapping[str, str]) -> dict[str, str]:
    return {k: HIDDEN if _SECRET.search(k) else v for k, v in headers.items()}


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONG:
        return f"{value[:200]}… ({len(value):,} characters; --json has them all)"
    if isinstance(value, list):
        return [_shortened(v) for v in value]
    if isinstance(value, dict):
        return {k: _shortened(v) for k, v in value.items()}
    return value
