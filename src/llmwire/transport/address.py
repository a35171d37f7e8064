"""From a URL to the way there and the head of a request."""

from __future__ import annotations

import base64
import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from ..adapters.base import Headers
from ..errors import ConfigError
from .network import env_proxy
from .seam import Outgoing

_TARGET = re.compile(r"[!-~]*")
_BLANKS = re.compile(r"[\x00-\x20\x7f]")
_PORTS = {"http": 80, "https": 443}


class Route(NamedTuple):
    """How a server is reached; connections on equal routes are interchangeable."""

    scheme: str
    host: str
    """ASCII, without brackets."""
    port: int
    proxy: tuple[str, str, int] | None = None
    """Scheme, host and port of the proxy, if one stands in between."""
    proxy_auth: str = ""

    @property
    def forward(self) -> bool:
        """Whether the proxy is asked to forward requests; with TLS it opens a tunnel instead."""
        return self.proxy is not None and self.scheme == "http"

    def __repr__(self) -> str:
        return f"Route({self.scheme}://{self.host}:{self.port})"


class Address(NamedTuple):
    """A URL, taken apart once."""

    route: Route
    target: str
    """What the request line asks for: path and query as they were given."""
    authority: str
    """The Host header."""


def address_of(url: str, proxies: bool = True) -> Address:
    """Takes a URL apart; with `proxies`, by way of the proxy that the environment names.

    Raises `ConfigError` for an address or a proxy that can't be used.
    """
    scheme, host, port, user, target = _taken_apart(url, "the address")
    if user is not None:
        raise ConfigError("put credentials in a header or key variable, not in the address")
    if not _TARGET.fullmatch(target):
        raise ConfigError("the address has characters that must be percent-encoded")
    name = f"[{host.partition('%')[0]}]" if ":" in host else host
    authority = name if port == _PORTS[scheme] else f"{name}:{port}"
    route = Route(scheme, host, port)
    proxy = env_proxy(url) if proxies else None
    if proxy is not None:
        route = _through(proxy, route)
    if route.forward:
        target = f"http://{authority}{target}"
    return Address(route, target, authority)


def _through(proxy: str, route: Route) -> Route:
    kind = proxy.partition("://")[0].lower()
    if kind not in _PORTS:
        raise ConfigError(
            f"the environment names a proxy of kind {kind!r}; only http and https proxies "
            "are supported. Unset the variable, or name the host in NO_PROXY."
        )
    scheme, host, port, user, _ = _taken_apart(proxy, "the proxy that the environment names")
    auth = ""
    if user is not None:
        name, _, password = user.partition(":")
        pair = f"{unquote(name)}:{unquote(password)}"
        auth = "Basic " + base64.b64encode(pair.encode()).decode()
    return route._replace(proxy=(scheme, host, port), proxy_auth=auth)


def _taken_apart(url: str, what: str) -> tuple[str, str, int, str | None, str]:
    """Scheme, host, port, user information and target. The URL stays out of every text."""
    if _BLANKS.search(url):  # urlsplit drops some of them in silence
        raise ConfigError(f"{what} has white space or control characters in it")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host = host.encode("idna").decode()
    except (ValueError, UnicodeError):
        raise ConfigError(f"{what} is not a URL with a sound host and port") from None
    scheme = parts.scheme
    if scheme not in _PORTS or not host or port == 0 or not _TARGET.fullmatch(host):
        raise ConfigError(f"{what} must start with http:// or https:// and name a host")
    user, at, _ = parts.netloc.rpartition("@")
    # By hand, since urlsplit drops an empty query.
    target = re.sub(r"^[^:/?#]+://[^/?#]*", "", url, count=1).partition("#")[0]
    if not target.startswith("/"):
        target = "/" + target
    return scheme, host, port or _PORTS[scheme], user if at else None, target


def head_of(request: Outgoing, address: Address) -> bytes:
    """The request line and headers, the empty line included.

    Raises `ConfigError` for what can't be said in HTTP; the text holds no header's value.
    """
    given = request.headers
    made = given.wire if isinstance(given, Headers) else None
    if made is not None and made[0] is address and made[1] == request.method:
        return b"%b%d\r\n\r\n" % (made[2], len(request.body))
    try:
        headers = given if isinstance(given, Headers) else Headers(given)
    except ValueError as e:
        raise ConfigError(f"the request can't be written as HTTP: {e}") from None
    route = address.route
    host = address.authority
    coding = "gzip, deflate"
    lines = [f"{request.method} {address.target} HTTP/1.1", ""]
    for lower, (name, value) in headers.by_lower_name.items():
        if lower == "host":
            host = value
        elif lower == "accept-encoding":
            coding = value
        elif lower not in ("content-length", "transfer-encoding"):  # how it is framed is ours
            lines.append(f"{name}: {value}")
            if lower == "accept" and value == "text/event-stream" and coding == "gzip, deflate":
                coding = "identity"  # compressing servers hold events back
    lines[1] = f"Host: {host}"
    lines.append(f"Accept-Encoding: {coding}")
    if route.forward and route.proxy_auth:
        lines.append(f"Proxy-Authorization: {route.proxy_auth}")
    lines.append("Content-Length: ")
    try:
        start = "\r\n".join(lines).encode("latin-1")
    except UnicodeEncodeError:
        raise ConfigError(
            "the request can't be written as HTTP: its method or a header is not ASCII"
        ) from None
    headers.wire = (address, request.method, start)
    return b"%b%d\r\n\r\n" % (start, len(request.body))
