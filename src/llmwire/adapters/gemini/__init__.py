"""Gemini's generateContent, at AI Studio and at Vertex AI.

`models` and `wire` are data; `contents` and `encode` go to the wire; `stream` and `reply`, with
`scan`, `arguments` and `usage`, come from it, and so does `listing`; `adapter` joins and addresses
them; `hear` and `say` make the server's half.
"""

from .adapter import GeminiAdapter, VertexGeminiAdapter
from .server import GeminiServer, VertexGeminiServer

__all__ = ["GeminiAdapter", "GeminiServer", "VertexGeminiAdapter", "VertexGeminiServer"]
