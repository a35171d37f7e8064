"""Chat Completions: OpenAI's wire and its compatible servers'.

`models` and `wire` are data, `messages` and `encode` go to the wire, `stream` with `calls`,
`reasoning` and `usage` come from it, `adapter` joins them; `hear` and `say` are the server's half.
"""

from .adapter import OpenAIAdapter
from .server import OpenAIServer

__all__ = ["OpenAIAdapter", "OpenAIServer"]
