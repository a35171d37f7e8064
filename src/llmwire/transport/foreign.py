"""Exceptions of HTTP libraries, sockets and TLS become ours here and nowhere else."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from ..error_builder import BackendErrorBuilder
from ..errors import BackendError, ConfigError, DecodeError, TimeoutError_

# Class name anywhere in the exception's ancestry -> where it broke; the first row that fits.
# aiohttp, httpx and httpx2 by name, so that none of them has to be imported.
_KINDS = (
    ("ClientConnectorDNSError", "dns"),
    ("gaierror", "dns"),
    ("ClientConnectorCertificateError", "tls"),
    ("ClientSSLError", "tls"),
    ("ClientConnectorSSLError", "tls"),
    ("SSLError", "tls"),
    ("CertificateError", "tls"),
    ("ClientProxyConnectionError", "proxy"),
    ("ClientHttpProxyError", "proxy"),
    ("ProxyError", "proxy"),
    ("ClientConnectorError", "connect"),
    ("ConnectError", "connect"),
    ("ConnectionRefusedError", "connect"),
    ("WriteError", "write"),
    ("BrokenPipeError", "write"),
    ("ClientConnectionResetError", "write"),
)
_CONNECT_TIMEOUTS = ("ConnectTimeout", "ConnectionTimeoutError", "PoolTimeout")
_BAD_ADDRESS = (
    "InvalidURL",
    "InvalidUrlClientError",
    "UnsupportedProtocol",
    "NonHttpUrlClientError",
)
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST")
_BAD_BYTES = ("ContentEncodingError", "DecodingError")


def foreign_error(e: Exception, connect_timeout: float | None, phase: Any) -> BackendError:
    """Our error for an exception of an HTTP library, the socket or TLS. `e` becomes its cause."""
    if isinstance(e, BackendError):
        return e
    chain = _causes(e)
    names = [c.__name__ for x in chain for c in type(x).__mro__]
    timed_out = isinstance(e, TimeoutError) and e.errno is None and phase == "connect"
    if timed_out or any(n in names for n in _CONNECT_TIMEOUTS):
        return TimeoutError_(
            f"no connection within {connect_timeout:g} s: the server can't be reached"
            if connect_timeout is not None
            else "no connection: the attempt timed out",
            clock="connect",
            seconds=connect_timeout,
            kind="connect",
            phase="connect",
        )
    if any(n in names for n in _BAD_ADDRESS):
        return ConfigError(f"the address can't be used: {type(e).__name__}")
    if any(n in names for n in _BAD_BYTES):
        return DecodeError(f"the body's content coding is broken: {e}", phase=phase)
    if isinstance(e, UnicodeError | ValueError | TypeError) and phase == "send":
        # What the library says of a bad header can quote its value: a key must not leak.
        return ConfigError("the request can't be written as HTTP: a header or the address is bad")
    fallback = "connect" if phase == "connect" else "read"
    kind = next((kind for name, kind in _KINDS if name in names), fallback)
    if kind == "connect" and any(isinstance(x, ssl.SSLError) for x in chain):
        kind = "tls"
    if kind == "connect" and any(isinstance(x, socket.gaierror) for x in chain):
        kind = "dns"
    if kind in ("dns", "connect", "tls", "proxy"):
        phase = "connect"
    error = BackendErrorBuilder.build_request_error(e, kind=kind, phase=phase)
    if kind == "tls" and any(sign in str(e) for sign in _NOT_TLS):
        error.message += " The server does not speak TLS here: is http:// meant, or another port?"
        error.retryable = False
    return error


def _causes(e: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while e is not None and e not in chain and len(chain) < 8:
        chain.append(e)
        e = e.__cause__ or e.__context__ or getattr(e, "os_error", None)
    return chain
