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
    "azure": ("AZURE_OPENAI_ENDPOINT", "/openai/v1"),
    "azure-responses": ("AZURE_OPENAI_ENDPOINT", "/openai/v1"),
    "azure-classic": ("AZURE_OPENAI_ENDPOINT", "/openai"),
    "azure-models": ("AZURE_INFERENCE_ENDPOINT", ""),
    "anthropic-foundry": ("ANTHROPIC_FOUNDRY_BASE_URL", ""),
    "anthropic-google-cloud": ("ANTHROPIC_GOOGLE_CLOUD_BASE_URL", ""),
    "anthropic-aws": ("ANTHROPIC_AWS_BASE_URL", ""),
}
"""Variable, and the path that the vendor's SDK puts after it. Source: openai 3.54.0, anthropic
2.13.0, groq 1.7.0, together 3.1.1, cerebras-cloud-sdk 1.91.0, zai-sdk 0.2.3, botocore 1.44.8, read
2026-11-24; google-genai 3.6.1, read 2026-11-25.
The SDKs of Mistral and OpenRouter read no such variable."""

_GOOGLE = (("project_id", "GOOGLE_CLOUD_PROJECT"), ("region", "GOOGLE_CLOUD_LOCATION"))
_AWS = (("region", "AWS_REGION"), ("region", "AWS_DEFAULT_REGION"))
_FIELD_VARIABLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "vertex-anthropic": (
        ("project_id", "ANTHROPIC_VERTEX_PROJECT_ID"),
        ("region", "CLOUD_ML_REGION"),
        *_GOOGLE,
    ),
    "vertex-gemini": _GOOGLE,
    "vertex-openai": _GOOGLE,
    "anthropic-google-cloud": (
        ("project_id", "ANTHROPIC_GOOGLE_CLOUD_PROJECT"),
        ("project_id", "GOOGLE_CLOUD_PROJECT"),
        ("region", "ANTHROPIC_GOOGLE_CLOUD_LOCATION"),
        ("resource", "ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID"),
    ),
    "anthropic-foundry": (("resource", "ANTHROPIC_FOUNDRY_RESOURCE"),),
    "anthropic-aws": _AWS,
    "bedrock": _AWS,
    "bedrock-anthropic": _AWS,
    "bedrock-mantle": _AWS,
    "bedrock-openai": _AWS,
    "azure": (("resource", "AZURE_RESOURCE_NAME"),),
    "azure-responses": (("resource", "AZURE_RESOURCE_NAME"),),
    "azure-classic": (("resource", "AZURE_RESOURCE_NAME"),),
    "azure-models": (("resource", "AZURE_RESOURCE_NAME"),),
    "cloudflare": (("resource", "CLOUDFLARE_ACCOUNT_ID"),),
}
"""Parts of addresses, and the variables they come from: of one field the first that is set.
Source: as above; @ai-sdk/azure and pi-ai 1.5.2 for the last ones."""


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
            if variable == "AZURE_OPENAI_ENDPOINT":  # some paste the address of one wire
                base = re.sub(r"/openai(/v1)?$", "", base)
            move(name, variable, base if not path or base.endswith("/v1") else base + path)
    if host := environ.get("OLLAMA_HOST", "").strip():
        base = ollama_base(host)
        move("ollama", "OLLAMA_HOST", base)
        move("ollama-native", "OLLAMA_HOST", base.removesuffix("/v1"))
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
    for name, fields in _FIELD_VARIABLES.items():
        found: dict[str, str] = {}
        for field, variable in fields:
            value = environ.get(variable, "").strip()
            if not value or field in found:
                continue
            found[field] = value
            if not re.fullmatch(r"[A-Za-z0-9.:_-]+", value):
                broken[name] = f"{variable} holds no {_NAMED[field]}"
                del found[field]
                break
        rows[name] = replace(rows[name], **found)
    _set_headers_and_versions(rows, broken, environ)
    return rows, broken


_NAMED = {"project_id": "project or region", "region": "project or region", "resource": "name"}


def _set_headers_and_versions(
    rows: dict[str, ProviderConfig], broken: dict[str, str], environ: Mapping[str, str]
) -> None:
    """What else goes along: Azure's version in the query, Anthropic's workspace on AWS."""
    if version := environ.get("OPENAI_API_VERSION", "").strip():
        row = rows["azure-classic"]
        try:
            dialect = replace(row.dialect or Dialect(), api_version=version)
        except ConfigError:
            broken[row.name] = "OPENAI_API_VERSION holds no version"
        else:
            rows[row.name] = replace(row, dialect=dialect)
    if workspace := environ.get("ANTHROPIC_AWS_WORKSPACE_ID", "").strip():
        row = rows["anthropic-aws"]
        if re.fullmatch(r"[\w-]+", workspace, re.ASCII):
            rows[row.name] = replace(row, extra_headers={"anthropic-workspace-id": workspace})
        else:
            broken[row.name] = "ANTHROPIC_AWS_WORKSPACE_ID holds no workspace"


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
    pattern = re.sub(r"\\{\w+\\}", "[^.]+", re.escape(was))  # `{resource}` is any name
    return re.fullmatch(rf"(.+\.)?{pattern}", now) is not None
