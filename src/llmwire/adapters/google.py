"""Where Google Cloud's models are: hosts by region, projects. Wire reference 3.1, 5.1 (2026-11-22)."""

from __future__ import annotations

import re
from urllib.parse import quote

from ..config import ProviderConfig
from ..errors import ConfigError

HOSTS = {
    "global": "https://aiplatform.googleapis.com",
    "us": "https://aiplatform.us.rep.googleapis.com",
    "eu": "https://aiplatform.eu.rep.googleapis.com",
}
"""Regions with a host of their own form; the others are `{region}-aiplatform.googleapis.com`."""

_REGION = re.compile(r"[a-z0-9-]{1,63}")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9.:-]{0,127}", re.IGNORECASE)


def project_place(provider: ProviderConfig) -> tuple[str, str]:
    """The host of the provider's region, and `/projects/…/locations/…` in it.

    Raises `ConfigError` naming the setting that is missing or can't be one.
    """
    project = _setting(provider, "project_id", _PROJECT)
    region = _setting(provider, "region", _REGION)
    host = HOSTS.get(region, f"https://{region}-aiplatform.googleapis.com")
    return host, f"/projects/{quote(project, safe=':')}/locations/{region}"


def _setting(provider: ProviderConfig, name: str, pattern: re.Pattern[str]) -> str:
    value: str = getattr(provider, name)
    if not value:
        problem = f"needs {name} for Vertex AI"
    elif not pattern.fullmatch(value):
        problem = f"has a {name} that can't be one: {value!r}"
    else:
        return value
    raise ConfigError(
        f"provider {provider.name!r} {problem}", provider=provider.name, phase="prepare"
    )
