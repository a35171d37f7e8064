"""Ollama's own chat: JSON lines over HTTP.

`wire` is data; `messages` and `encode` go to the wire, `decode` comes from it, `adapter` joins
them; `hear` and `say` make the server's half.
"""

from .adapter import OllamaAdapter
from .server import OllamaServer

__all__ = ["OllamaAdapter", "OllamaServer"]
