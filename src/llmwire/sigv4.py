"""AWS Signature Version 4: a request and a secret to headers. Pure: the time is an argument.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
(2026-11); wire reference 6.1. As for all services but S3, the path is percent-encoded once more
than it is sent, and the payload's hash is no header.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"
_BLANKS = re.compile(r"\s+")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class AWSKey(NamedTuple):
    """An access key. Its text shows no secret."""

    access_key: str
    secret_key: str
    session_token: str = ""
    """Only temporary keys have one."""

    def __repr__(self) -> str:
        return f"AWSKey({self.access_key[:4]}…)"


class Scope(NamedTuple):
    """What a signature is good for."""

    region: str
    service: str


_BEDROCK = re.compile(
    r"(?:[a-z0-9-]+\.)*(?P<endpoint>bedrock(?:-runtime|-mantle)?)(?:-fips)?"
    r"\.(?P<region>[a-z]{2,}(?:-[a-z]+)+-\d+)"
    r"\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws|api\.amazonwebservices\.com\.cn|"
    r"amazonaws\.eu|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
"""Bedrock's hosts in every partition, FIPS, dual-stack and private ones included. Wire reference
1.1, 3.1, 6.1."""


@lru_cache(maxsize=256)
def scope_of(address: str) -> Scope | None:
    """Region and service of one of Bedrock's addresses; None for any other.

    Only by https: nothing that is worth a signature goes in the open.
    """
    parts = urlsplit(address)
    match = _BEDROCK.fullmatch(parts.hostname or "")
    if match is None or parts.scheme != "https":
        return None
    service = "bedrock-mantle" if match["endpoint"] == "bedrock-mantle" else "bedrock"
    return Scope(match["region"], service)


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    key: AWSKey,
    scope: Scope,
    timestamp: str,
) -> dict[str, str]:
    """The headers to add: authorization, x-amz-date and, for a temporary key, x-amz-security-token.

    All of `headers` are signed, so none of them may change on the way; `host` is added where it is
    not among them. `timestamp` is the present UTC time as `20261122T093000Z`; AWS refuses one that
    is more than five minutes off.
    """
    added = {"x-amz-date": timestamp}
    if key.session_token:
        added["x-amz-security-token"] = key.session_token
    parts = urlsplit(url)
    signed = {name.lower(): _BLANKS.sub(" ", value).strip() for name, value in headers.items()}
    signed.setdefault("host", host_header(url))
    signed |= added
    names = ";".join(sorted(signed))
    lines = [
        method,
        _canonical_path(parts.path),
        _canonical_query(parts.query),
        *(f"{name}:{signed[name]}" for name in sorted(signed)),
        "",
        names,
        hashlib.sha256(body).hexdigest(),
    ]
    date = timestamp[:8]
    place = f"{date}/{scope.region}/{scope.service}/aws4_request"
    request = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    text = f"{_ALGORITHM}\n{timestamp}\n{place}\n{request}"
    secret = ("AWS4" + key.secret_key).encode()
    for part in (date, scope.region, scope.service, "aws4_request"):
        secret = _hmac(secret, part)
    signature = _hmac(secret, text).hex()
    credential = f"{key.access_key}/{place}"
    added["authorization"] = (
        f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    )
    return added


def host_header(url: str) -> str:
    """The Host header that goes with a URL."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    if parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme):
        return host
    return f"{host}:{parts.port}"


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _canonical_path(path: str) -> str:
    out: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if out:
                out.pop()
        elif segment not in ("", "."):
            out.append(segment)
    slash = "/" if out and path.endswith("/") else ""
    return quote(f"/{'/'.join(out)}{slash}", safe="/~")


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = [pair.partition("=")[::2] for pair in query.split("&")]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))
