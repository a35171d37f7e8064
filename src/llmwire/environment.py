"""What the environment says about known services: addresses, keys, projects, folders.

Each vendor's own variables mean here what they mean to the vendor's own client. Pure: the
environment is an argument.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec.structs import replace

from .config import Dialect, ProviderConfig, check_url
from .errors import ConfigError
from .providers import PROVIDERS

_BASE_VARIABLES: Mapping[str, tuple[str, str]] = {
    "openai": ("OPENAI_BASE_URL", ""),
    "openai-responses": ("OPENAI_BASE_URL", ""),
    "anthropic": ("ANTHROPIC_BASE_URL", ""),
    "gemini": ("GOOGLE_GEMINI_BASE_URL", ""),
    "groq": ("GROQ_BASE_URL", "/openai/v1"),
    "together": ("TOGETHER_BASE_URL", "/v1"),
    "cerebras": ("CEREBRAS_BASE_URL", "/v1"),
    "zai": ("ZAI_BASE_URL", ""),
    "bedrock": ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", ""),
    "bedrock-anthropic": ("ANTHROPIC_BEDROCK_BASE_URL", ""),
    "bedrock-mantle": ("ANTHROPIC_BEDROCK_MANTLE_BASE_URL", ""),
}
"""Variable, and the path that the vendor's SDK puts after it. Source: openai 3.54.0, anthropic
2.12.0, groq 1.7.0, together 3.1.1, cerebras-cloud-sdk 1.91.0, zai-sdk 0.2.3, botocore 1.44.8,
read 2026-11-24; google-genai 3.6.1, read 2026-11-25.
The SDKs of Mistral and OpenRouter read no such variable."""

_PLACE_VARIABLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "vertex-anthropic": {
        "project_id": ("ANTHROPIC_VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT"),
        "region": ("CLOUD_ML_REGION", "GOOGLE_CLOUD_LOCATION"),
    },
    "vertex-gemini": {
        "project_id": ("GOOGLE_CLOUD_PROJECT",),
        "region": ("GOOGLE_CLOUD_LOCATION",),
    },
}
"""Where Google Cloud's project and region stand; the first variable that is set counts."""


def environment_rows(
    environ: Mapping[str, str],
) -> tuple[dict[str, ProviderConfig], dict[str, str]]:
    """The known rows as the vendors' variables change them, and what is wrong with some."""
    rows = dict(PROVIDERS)
    broken: dict[str, str] = {}

    def move(name: str, variable: str, base: str) -> None:
        try:
            check_url(base, variable)
        except ConfigError:
            # The value may hold a secret (user:password@, ?key=): it is not repeated.
            broken[name] = (
                f"the address in {variable} can't be used: it must be http(s)://HOST[:PORT][/PATH] "
                "without credentials, query or fragment"
            )
            return
        moved = replace(rows[name], api_base=base)
        if not same_server(rows[name], moved):
            moved = replace(moved, dialect=None)
        rows[name] = moved

    for name, (variable, path) in _BASE_VARIABLES.items():
        if name in rows and (base := environ.get(variable, "").strip()):
            base = base.rstrip("/")
            move(name, variable, base if not path or base.endswith("/v1") else base + path)
    if "ollama" in rows and (host := environ.get("OLLAMA_HOST", "").strip()):
        move("ollama", "OLLAMA_HOST", ollama_base(host))
    if "anthropic" in rows and not environ.get("ANTHROPIC_API_KEY"):
        row = rows["anthropic"]
        # As Anthropic's SDK: the token stands in for a missing key and always travels as Bearer.
        if environ.get("ANTHROPIC_AUTH_TOKEN"):
            dialect = replace(row.dialect or Dialect(), bearer=True)
            rows["anthropic"] = replace(
                row, api_key_env_var="ANTHROPIC_AUTH_TOKEN", dialect=dialect
            )
    # As Google's SDK, which knows both names; the first is ours.
    if "gemini" in rows and not environ.get("GEMINI_API_KEY") and environ.get("GOOGLE_API_KEY"):
        rows["gemini"] = replace(rows["gemini"], api_key_env_var="GOOGLE_API_KEY")
    for name, variables in _PLACE_VARIABLES.items():
        for field, candidates in variables.items():
            found = next((v for v in candidates if environ.get(v, "").strip()), None)
            if name not in rows or found is None:
                continue
            value = environ[found].strip()
            if re.fullmatch(r"[A-Za-z0-9.:_-]+", value):
                rows[name] = replace(rows[name], **{field: value})
            else:
                broken[name] = f"{found} holds no project or region"
    _set_aws_region(rows, broken, environ)
    return rows, broken


def _set_aws_region(
    rows: dict[str, ProviderConfig], broken: dict[str, str], environ: Mapping[str, str]
) -> None:
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        region = environ.get(variable, "").strip()
        if not region:
            continue
        for name, row in rows.items():
            if "{region}" not in row.api_base:
                continue
            if re.fullmatch(r"[a-z0-9-]{1,63}", region):
                rows[name] = replace(row, region=region)
            else:
                broken[name] = f"{variable} holds no region"
        return


def ollama_base(host: str) -> str:
    """The address that `OLLAMA_HOST` means: scheme, host and port are each optional.

    `0.0.0.0` and `[::]` are where a server listens; a client goes to loopback. Source: Ollama's
    envconfig (`Host`, `ConnectableHost`) and docs/faq, read 2026-11-24.
    """
    scheme, found, rest = host.rpartition("://")
    default_port = {"http": 80, "https": 443}.get(scheme, 11434) if found else 11434
    authority, slash, path = rest.partition("/")
    bare_v6 = authority.count(":") > 1 and not authority.startswith("[")
    match = None if bare_v6 else re.fullmatch(r"(.*?)(?::(\d*))?", authority)
    name = match[1] if match else f"[{authority}]"
    port = (match[2] if match else None) or default_port
    if name in ("", "0.0.0.0", "[::]"):
        name = "127.0.0.1"
    return f"{scheme or 'http'}://{name}:{port}{slash}{path}".rstrip("/") + "/v1"


def user_folder(
    environ: Mapping[str, str], kind: str = "config", platform: str = sys.platform
) -> Path:
    """The user's folder for `config` or for `state` (histories) on this platform.

    Linux and others: `$XDG_CONFIG_HOME` or ~/.config, `$XDG_STATE_HOME` or ~/.local/state (the
    XDG specification: relative values are ignored). macOS: ~/Library/Application Support.
    Windows: %APPDATA%, and %LOCALAPPDATA% for state.
    """
    home = Path(environ.get("USERPROFILE" if platform == "win32" else "HOME") or Path.home())
    if platform == "win32":
        variable, fallback = (
            ("APPDATA", home / "AppData/Roaming")
            if kind == "config"
            else ("LOCALAPPDATA", home / "AppData/Local")
        )
        return Path(environ.get(variable) or fallback) / "llmwire"
    if platform == "darwin":
        return home / "Library/Application Support/llmwire"
    variable, fallback = (
        ("XDG_CONFIG_HOME", home / ".config")
        if kind == "config"
        else ("XDG_STATE_HOME", home / ".local/state")
    )
    chosen = environ.get(variable, "")
    return (Path(chosen) if chosen.startswith("/") else fallback) / "llmwire"


def origin(url: str) -> str:
    if not url:
        return ""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host == "::1" or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))


def same_server(old: ProviderConfig, new: ProviderConfig) -> bool:
    """Whether a changed address still speaks the old dialect: a region of the same service, or
    another address of a program that people run themselves."""
    if not old.api_base or old.api_base == new.api_base or is_loopback(old.api_base):
        return old.api_style == new.api_style
    was = urlsplit(old.api_base).hostname or ""
    now = urlsplit(new.api_base).hostname or ""
    return now == was or now.endswith("." + was)
