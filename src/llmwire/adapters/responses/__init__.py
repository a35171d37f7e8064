"""OpenAI's Responses API, and the servers that have such an endpoint.

`items` is what both halves know of items; `messages` and `encode` go to the wire; `stream` and
`reply`, with `usage` and `wire`, come from it; `adapter` joins them; `hear` and `say` make the
server's half.
"""

from .adapter import ResponsesAdapter
from .server import ResponsesServer

__all__ = ["ResponsesAdapter", "ResponsesServer"]
