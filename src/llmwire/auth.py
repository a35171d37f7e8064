"""Credentials: what is added to a request last, and may need waiting for.

Keys come from the environment, Google's tokens from application-default credentials, AWS's
signatures from `aws`. No secret is kept in a config value, and none gets into a text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from msgspec.structs import replace

from .adapters.base import Headers, PreparedRequest
from .aws import BEARER_TOKEN, AWSCredentials, signed_headers
from .config import ProviderConfig
from .errors import AuthenticationError, BackendError, ConfigError, TransportError
from .flights import Flights, error_maker

GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
"""What Vertex AI asks for (wire reference 3.1)."""

BY_KEY = frozenset(("none", "bearer", "x-api-key", "api-key", "x-goog-api-key"))
"""The schemes whose header depends on nothing but the key."""


def key_now(variable: str) -> str:
    """What the variable holds now; "" where it is not set, or is no variable."""
    return os.environ.get(variable, "") if variable else ""


async def authorize(
    prepared: PreparedRequest,
    provider: ProviderConfig,
    *,
    tokens: GoogleTokens | None = None,
    aws: AWSCredentials | None = None,
    environ: Mapping[str, str] | None = None,
) -> Headers:
    """The request's headers with its credential.

    `environ` replaces the process's environment, `tokens` the process's Google credentials, `aws`
    its AWS credentials. Raises `ConfigError` naming the variable if the key is not there or can't
    be one; for the others see `GoogleTokens.token` and `AWSCredentials.key`.
    """
    if prepared.auth == "none":
        return prepared.headers
    if prepared.auth == "aws":
        return await _aws(prepared, provider, os.environ if environ is None else environ, aws)
    if prepared.auth == "google":
        token = await (_shared_tokens() if tokens is None else tokens).token()
        return prepared.headers.replaced({"authorization": f"Bearer {token}"})
    key = read_key(provider, os.environ if environ is None else environ)
    if key is None:
        return prepared.headers
    if prepared.auth in ("x-api-key", "api-key", "x-goog-api-key"):
        return prepared.headers.replaced({prepared.auth: key})
    return prepared.headers.replaced({"authorization": f"Bearer {key}"})


async def _aws(
    prepared: PreparedRequest,
    provider: ProviderConfig,
    environ: Mapping[str, str],
    credentials: AWSCredentials | None,
) -> Headers:
    """By Bedrock's bearer token if there is one, else signed. A variable of one's own is meant: it
    is no choice."""
    variable = provider.api_key_env_var or BEARER_TOKEN
    if variable != BEARER_TOKEN or environ.get(BEARER_TOKEN):
        token = read_key(replace(provider, api_key_env_var=variable), environ)
        return prepared.headers.replaced({"authorization": f"Bearer {token}"})
    key = await (_shared_aws() if credentials is None else credentials).key(environ)
    return signed_headers(prepared, key)


def read_key(provider: ProviderConfig, environ: Mapping[str, str]) -> str | None:
    """The provider's key; None if the provider needs none.

    Raises `ConfigError` that names the variable, and never the key.
    """
    variable = provider.api_key_env_var
    if not variable:
        return None
    key = environ.get(variable, "")
    if not key:
        state = "empty" if variable in environ else "not set"
        problem = f"the variable {variable} is {state}: put the key of {provider.name!r} there"
    elif not all("!" <= c <= "~" for c in key):
        problem = (
            f"the variable {variable} holds something that can't be a key: white space, line "
            "breaks, control or non-ASCII characters; copy the key again"
        )
    else:
        return key
    raise ConfigError(problem, provider=provider.name, phase="prepare")


# --- Google -----------------------------------------------------------------------------------


class GoogleTokens(Flights[str]):
    """Access tokens from Google's application-default credentials.

    One object serves all event loops and threads of a process. Looking up the credentials and
    refreshing them happens in a thread of its own, once for all who wait; nobody's cancellation
    ends it for the others. `credentials` is an object of google-auth to use instead of the
    default ones.
    """

    thread_name = "llmwire-google-token"

    def __init__(self, credentials: Any = None) -> None:
        self._given = credentials
        super().__init__()

    def _reset(self) -> None:
        self._credentials = self._given
        super()._reset()

    async def token(self) -> str:
        """A token that is valid now.

        Raises `ConfigError` where google-auth is not installed or there are no credentials,
        `AuthenticationError` where Google refuses them, `TransportError` where it can't be asked.
        """
        return await self.get()

    def _ready(self) -> str | None:
        credentials = self._credentials
        usable = credentials is not None and credentials.valid
        return str(credentials.token) if usable else None

    def _fetch(self) -> str:
        # google-auth asks the metadata server with `requests` only, so there is no lighter way.
        import google.auth
        from google.auth.transport.requests import Request

        request = Request()
        credentials = self._credentials
        if credentials is None:
            credentials, _ = google.auth.default(scopes=[GOOGLE_SCOPE], request=request)
            self._credentials = credentials
        if not credentials.valid:
            credentials.refresh(request)
        token = credentials.token
        if not isinstance(token, str) or not token or not all("!" <= c <= "~" for c in token):
            raise AuthenticationError("Google's credentials gave no token")
        return token

    def _error_of(self, cause: BaseException) -> Callable[[], BackendError]:
        return error_maker(cause, "google", *_translated(cause))


@cache
def _shared_tokens() -> GoogleTokens:
    return GoogleTokens()


@cache
def _shared_aws() -> AWSCredentials:
    return AWSCredentials()


def _translated(cause: BaseException) -> tuple[type[BackendError], str, bool | None]:
    if isinstance(cause, BackendError):
        return type(cause), cause.message, None
    if isinstance(cause, ImportError):
        missing = cause.name or str(cause)
        if missing.split(".")[0] in ("google", "requests"):
            missing = "google-auth[requests]: pip install 'llmwire[google]'"
        return ConfigError, f"Google's credentials need the package {missing}", None
    try:
        from google.auth import exceptions
    except ImportError:
        return ConfigError, f"Google's credentials can't be used: {cause}", None
    if isinstance(cause, exceptions.DefaultCredentialsError):
        text = (
            f"there are no usable Google credentials ({cause}); run `gcloud auth "
            "application-default login` or set GOOGLE_APPLICATION_CREDENTIALS"
        )
        return ConfigError, text, None
    if isinstance(cause, exceptions.TransportError | exceptions.TimeoutError):
        return TransportError, f"Google's token service can't be reached: {cause}", None
    if isinstance(cause, exceptions.RefreshError):
        if cause.retryable or isinstance(cause.__cause__, exceptions.TransportError):
            return TransportError, f"Google's token service failed: {_first_words(cause)}", None
        text = f"Google refused to renew the credentials: {_first_words(cause)}"
        return AuthenticationError, text, None
    if isinstance(cause, exceptions.GoogleAuthError):
        return AuthenticationError, f"Google's credentials failed: {_first_words(cause)}", None
    # Wrong files and broken settings come out of google-auth as ValueError, KeyError, OSError.
    text = f"Google's credentials can't be used: {type(cause).__name__}: {cause}"
    return ConfigError, text, None


def _first_words(cause: BaseException) -> str:
    """What google-auth says first; further arguments hold whole answers of the service."""
    return str(cause.args[0]) if cause.args else type(cause).__name__
