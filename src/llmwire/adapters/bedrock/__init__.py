"""Amazon Bedrock: Converse, and Claude's Messages language over InvokeModel. Wire reference 3.1, 6."""

from __future__ import annotations

from .adapter import BedrockConverseAdapter
from .server import BedrockConverseServer

__all__ = ["BedrockConverseAdapter", "BedrockConverseServer"]
