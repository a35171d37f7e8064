"""Chat Completions: OpenAI's wire and its compatible servers'.

`models` and `wire` are data; `messages` and `encode` go to the wire; `stream` and `reply`, with
`calls`, `reasoning` and `usage`, come from it; `adapter` joins them; `hear` and `say`
make the server's half.
"""

from .adapter import OpenAIAdapter
from .server import OpenAIServer

__all__ = ["OpenAIAdapter", "OpenAIServer"]
