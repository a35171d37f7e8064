"""AWS credentials: keys from the environment, the rest of the chain through botocore.

Source: botocore 1.44.8's credential chain and the variables that it and AWS's own tools read
(https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html, 2026-11).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from .adapters.base import Headers, PreparedRequest
from .errors import AuthenticationError, BackendError, ConfigError, TransportError
from .flights import Flights, error_maker
from .sigv4 import AWSKey, scope_of, sign

BEARER_TOKEN = "AWS_BEARER_TOKEN_BEDROCK"
"""A Bedrock API key: it goes before all other credentials."""

_SIGNED = ("content-type", "host")
_NO_CREDENTIALS = (
    f"there are no AWS credentials: set {BEARER_TOKEN}, or AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or configure a profile (`aws configure`, `aws sso login`)"
)
_NO_LIBRARY = (
    f"AWS credentials from profiles, SSO or the machine's role need the package botocore: pip "
    f"install 'llmwire[aws]'; or set {BEARER_TOKEN}, or AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY"
)


def key_of(environ: Mapping[str, str]) -> AWSKey | None:
    """The key in the environment; None if there is none.

    Raises `ConfigError` that names the variable, and never its value.
    """
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    values = [environ.get(name, "") for name in names]
    if not values[0] and not values[1]:
        return None
    for name, value in zip(names, values, strict=True):
        if not value and name != "AWS_SESSION_TOKEN":
            problem = f"the variable {name} is not set, though its other half is"
        elif not all("!" <= c <= "~" for c in value):
            problem = (
                f"the variable {name} holds something that can't be a key: white space, line "
                "breaks, control or non-ASCII characters; copy it again"
            )
        else:
            continue
        raise ConfigError(problem, provider="aws", phase="prepare")
    return AWSKey(*values)


class AWSCredentials(Flights[AWSKey]):
    """Access keys: of the environment, else from botocore's chain (profiles, SSO, roles, containers,
    instances), which is asked in a thread of its own, once for all who wait.

    One object serves all event loops and threads of a process. `credentials` is an object of
    botocore to use instead of the chain's.
    """

    thread_name = "llmwire-aws-credentials"

    def __init__(self, credentials: Any = None) -> None:
        self._given = credentials
        super().__init__()

    def _reset(self) -> None:
        self._credentials = self._given
        super()._reset()

    async def key(self, environ: Mapping[str, str]) -> AWSKey:
        """A key that is valid now.

        Raises `ConfigError` where there is none or botocore is not installed,
        `AuthenticationError` where AWS refuses to give one, `TransportError` where it can't be
        asked.
        """
        return (None if self._given else key_of(environ)) or await self.get()

    def _ready(self) -> AWSKey | None:
        credentials = self._credentials
        if credentials is None:
            return None
        needs_refresh = getattr(credentials, "refresh_needed", None)
        return _frozen(credentials) if needs_refresh is None or not needs_refresh() else None

    def _fetch(self) -> AWSKey:
        import botocore.session

        if self._credentials is None:
            self._credentials = botocore.session.get_session().get_credentials()
        if self._credentials is None:
            raise ConfigError(_NO_CREDENTIALS)
        return _frozen(self._credentials)

    def _error_of(self, cause: BaseException) -> Callable[[], BackendError]:
        kind, text, may_tell = _translated(cause)
        return error_maker(None if may_tell else cause, "aws", kind, text)


def _frozen(credentials: Any) -> AWSKey:
    frozen = credentials.get_frozen_credentials()
    key = AWSKey(frozen.access_key or "", frozen.secret_key or "", frozen.token or "")
    if not all(key[:2]) or not all("!" <= c <= "~" for part in key for c in part):
        raise AuthenticationError("AWS's credentials gave no usable key")
    return key


def _translated(cause: BaseException) -> tuple[type[BackendError], str, bool]:
    """What an exception of botocore is in our tree, and whether it may tell secrets itself."""
    if isinstance(cause, BackendError):
        return type(cause), cause.message, False
    if isinstance(cause, ImportError):
        return ConfigError, _NO_LIBRARY, False
    try:
        from botocore import exceptions
    except ImportError:
        return ConfigError, f"AWS's credentials can't be used: {type(cause).__name__}", False
    if isinstance(cause, exceptions.CredentialRetrievalError):
        # Its text has what the role's server or the user's program said, whatever that was.
        who = str(getattr(cause, "kwargs", {}).get("provider", "the configured source"))
        text = f"AWS gave no credentials: {who} refused or failed; `aws configure list` says more"
        return AuthenticationError, text, True
    if isinstance(cause, exceptions.HTTPClientError | exceptions.ConnectionError):
        return TransportError, f"AWS's credentials can't be fetched: {cause}", False
    refusals = (exceptions.ClientError, exceptions.SSOError, exceptions.TokenRetrievalError)
    if isinstance(cause, refusals):
        text = f"AWS gave no credentials ({cause}); `aws sso login` or `aws login` may be due"
        return AuthenticationError, text, False
    # Broken files and wrong profiles come out of botocore as various other exceptions.
    text = f"AWS's credentials can't be used: {type(cause).__name__}: {cause}"
    return ConfigError, text, False


def signed_headers(prepared: PreparedRequest, key: AWSKey, timestamp: str | None = None) -> Headers:
    """The request's headers with its signature, made now.

    Signed is what AWS demands (host, content-type, x-amz-*): transports may set others.
    """
    scope = scope_of(prepared.base_url)
    if scope is None:
        raise ConfigError(f"there is no AWS service at {prepared.base_url}")
    given = {
        name: value
        for name, value in prepared.headers.items()
        if name.lower() in _SIGNED or name.lower().startswith("x-amz-")
    }
    now = timestamp or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    added = sign(prepared.method, prepared.url, given, prepared.body, key, scope, now)
    return prepared.headers.replaced(added)
