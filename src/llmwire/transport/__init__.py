"""Bytes to a server and back. No redirect is followed, ever: a key belongs to one origin."""

from __future__ import annotations

import inspect
from typing import Any

from ..errors import ConfigError
from .clients import AiohttpTransport as AiohttpTransport
from .clients import HttpxTransport as HttpxTransport
from .foreign import foreign_error as foreign_error
from .lean import HTTPTransport as HTTPTransport
from .network import env_proxy as env_proxy
from .network import tls_context as tls_context
from .seam import DirectResponse as DirectResponse
from .seam import Outgoing as Outgoing
from .seam import Transport as Transport
from .seam import TransportResponse as TransportResponse


def transport_for(client: Any) -> Transport:
    """The transport around a client that the user brings.

    Raises `ConfigError` if it is none of those we know.
    """
    for cls in type(client).__mro__:
        library = cls.__module__.partition(".")[0]
        if library == "aiohttp" and cls.__name__ == "ClientSession":
            return AiohttpTransport(client)
        if library in ("httpx", "httpx2") and cls.__name__ == "AsyncClient":
            return HttpxTransport(client)
        if library in ("httpx", "httpx2") and cls.__name__ == "Client":
            break
    else:
        if inspect.iscoroutinefunction(getattr(client, "send", None)):
            transport: Transport = client
            return transport
    raise ConfigError(
        f"client= takes an httpx.AsyncClient, httpx2.AsyncClient, aiohttp.ClientSession or a "
        f"Transport, not {type(client).__module__}.{type(client).__qualname__}"
    )
