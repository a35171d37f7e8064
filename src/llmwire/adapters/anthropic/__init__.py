"""Anthropic's Messages API, both halves. Wire reference 3."""

from __future__ import annotations

from .adapter import AnthropicAdapter
from .server import AnthropicServer

__all__ = ["AnthropicAdapter", "AnthropicServer"]
