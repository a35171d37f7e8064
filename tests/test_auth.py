"""Credentials: keys from the environment, Google's tokens from a metadata server on loopback."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.auth import exceptions

from llmwire.adapters.base import Headers, PreparedRequest
from llmwire.auth import GoogleTokens, authorize
from llmwire.config import ProviderConfig
from llmwire.errors import (
    AuthenticationError,
    BackendError,
    ConfigError,
    TransportError,
)

PROVIDER = ProviderConfig("acme", "https://acme.example", "ACME_KEY")


def prepared(scheme: Any) -> PreparedRequest:
    headers = Headers({"Content-Type": "application/json"})
    return PreparedRequest(
        "POST", "/v1/messages", headers, b"{}", "https://acme.example", auth=scheme
    )


def headers_for(scheme: str, environ: dict[str, str], provider: ProviderConfig = PROVIDER) -> Any:
    return dict(asyncio.run(authorize(prepared(scheme), provider, environ=environ)))


def test_each_scheme_has_its_header() -> None:
    environ = {"ACME_KEY": "k-1"}
    base = {"Content-Type": "application/json"}
    assert headers_for("bearer", environ) == {**base, "authorization": "Bearer k-1"}
    assert headers_for("x-api-key", environ) == {**base, "x-api-key": "k-1"}
    assert headers_for("x-goog-api-key", environ) == {**base, "x-goog-api-key": "k-1"}
    assert headers_for("none", environ) == base


def test_a_provider_without_a_variable_needs_no_key() -> None:
    assert headers_for("bearer", {}, ProviderConfig("local", "http://127.0.0.1:1")) == {
        "Content-Type": "application/json"
    }


@pytest.mark.parametrize("environ", [{}, {"ACME_KEY": ""}])
def test_a_key_that_is_not_there_is_missed_by_name(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="ACME_KEY"):
        headers_for("bearer", environ)


@pytest.mark.parametrize(
    "key",
    ["se-cret\n", "se-cret\r\nX: y", "se-cret€", "se-cret\x00", " se-cret", "se cret", "“se-cret”"],
)
def test_what_can_be_no_key_is_refused_and_not_shown(key: str) -> None:
    for scheme in ("bearer", "x-api-key", "x-goog-api-key"):
        with pytest.raises(ConfigError, match="ACME_KEY") as e:
            headers_for(scheme, {"ACME_KEY": key})
        assert "cret" not in f"{e.value}{e.value!r}{e.value.__dict__}"


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", "from-process")
    got = asyncio.run(authorize(prepared("bearer"), PROVIDER))
    assert got["Authorization"] == "Bearer from-process"


# --- Google --------------------------------------------------------------------------------------


class FakeCredentials:
    """Credentials whose refreshing waits for a gate and counts its calls."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()
        self.refreshes = 0
        self.token: Any = None
        self.fresh = False

    @property
    def valid(self) -> bool:
        return self.token is not None and self.fresh

    def refresh(self, request: Any) -> None:
        self.refreshes += 1
        self.started.set()
        assert self.gate.wait(20)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        self.token, self.fresh = outcome, True


async def test_a_token_is_fetched_once_and_again_when_it_has_expired() -> None:
    credentials = FakeCredentials("t1", "t2")
    tokens = GoogleTokens(credentials)
    assert [await tokens.token() for _ in range(3)] == ["t1"] * 3
    credentials.fresh = False
    assert await tokens.token() == "t2"
    assert credentials.refreshes == 2


async def test_the_token_becomes_the_authorization() -> None:
    tokens = GoogleTokens(FakeCredentials("t1"))
    got = await authorize(prepared("google"), PROVIDER, tokens=tokens, environ={})
    assert got["authorization"] == "Bearer t1"


async def test_the_event_loop_runs_on_while_a_token_is_fetched() -> None:
    credentials = FakeCredentials("t1")
    credentials.gate.clear()
    waiting = asyncio.create_task(GoogleTokens(credentials).token())
    await asyncio.to_thread(credentials.started.wait, 20)
    assert not waiting.done()
    credentials.gate.set()
    assert await waiting == "t1"


async def test_one_refresh_serves_all_and_survives_a_cancelled_waiter() -> None:
    credentials = FakeCredentials("t1")
    credentials.gate.clear()
    tokens = GoogleTokens(credentials)
    waiting = [asyncio.create_task(tokens.token()) for _ in range(5)]
    await asyncio.to_thread(credentials.started.wait, 20)
    waiting[0].cancel()  # the one that started it
    waiting[3].cancel()
    await asyncio.sleep(0)
    credentials.gate.set()
    got = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(x) for x in got].count(asyncio.CancelledError) == 2
    assert [x for x in got if x == "t1"] == ["t1"] * 3
    assert credentials.refreshes == 1


def test_several_loops_in_several_threads_share_one_refresh() -> None:
    credentials = FakeCredentials("t1")
    credentials.gate.clear()
    tokens = GoogleTokens(credentials)
    got: list[str] = []
    threads = [
        threading.Thread(target=lambda: got.append(asyncio.run(tokens.token()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    assert credentials.started.wait(20)
    credentials.gate.set()
    for thread in threads:
        thread.join(20)
    assert got == ["t1"] * 4
    assert credentials.refreshes == 1


def test_a_loop_that_ends_does_not_end_the_refresh_for_the_next_one() -> None:
    credentials = FakeCredentials("t1")
    credentials.gate.clear()
    tokens = GoogleTokens(credentials)

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(tokens.token(), 0.01)

    asyncio.run(give_up())
    credentials.gate.set()
    assert asyncio.run(tokens.token()) == "t1"
    assert credentials.refreshes == 1


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (exceptions.DefaultCredentialsError("none found"), ConfigError),
        (exceptions.MalformedError("bad file"), ConfigError),
        (exceptions.TransportError("no route"), TransportError),
        (exceptions.RefreshError("invalid_grant: revoked", {"secret": "s"}), AuthenticationError),
        (exceptions.RefreshError("try later", retryable=True), TransportError),
        (exceptions.UserAccessTokenError("x"), AuthenticationError),
        (exceptions.MutualTLSChannelError("x"), AuthenticationError),
        (ImportError("No module named 'requests'", name="requests"), ConfigError),
        (ValueError("not a key file"), ConfigError),
        (FileNotFoundError("gone"), ConfigError),
    ],
)
async def test_what_google_auth_raises_is_ours(cause: Exception, kind: type[BackendError]) -> None:
    credentials = FakeCredentials(cause, cause, "t2")
    tokens = GoogleTokens(credentials)
    first, second = await asyncio.gather(tokens.token(), tokens.token(), return_exceptions=True)
    assert type(first) is kind and type(second) is kind
    assert first is not second
    assert isinstance(first, BackendError) and first.__cause__ is cause
    assert "secret" not in str(first)
    while True:  # a failure is not remembered
        try:
            assert await tokens.token() == "t2"
            break
        except BackendError as e:
            assert type(e) is kind


@pytest.mark.parametrize("token", [None, "", "to\nken", 7])
async def test_credentials_without_a_token_are_an_error(token: Any) -> None:
    with pytest.raises(AuthenticationError, match="no token"):
        await GoogleTokens(FakeCredentials(token)).token()


async def test_without_google_auth_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)
    with pytest.raises(ConfigError, match=r"pip install 'llmwire\[google\]'"):
        await GoogleTokens().token()


class Metadata(BaseHTTPRequestHandler):
    """As much of Google's metadata server as google-auth asks for."""

    def do_GET(self) -> None:
        self.server.heard.append(self.path)  # type: ignore[attr-defined]
        status, kind, body = 200, "application/text", b"x"
        if self.path.split("?")[0].endswith("/token"):
            status, kind, body = self.server.token  # type: ignore[attr-defined]
        elif "recursive" in self.path:
            kind, body = "application/json", b'{"email":"me@example.com","scopes":[]}'
        elif self.path.endswith("universe-domain"):
            body = b"googleapis.com"
        self.send_response(status)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    server.heard = []  # type: ignore[attr-defined]
    server.token = (200, "application/json", b'{"access_token":"gce-1","expires_in":3600}')  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    host = f"127.0.0.1:{server.server_port}"
    for name in ("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP"):
        monkeypatch.setenv(name, host)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "a-project")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    import google.auth.compute_engine._metadata as names

    monkeypatch.setattr(names, "_METADATA_ROOT", f"http://{host}/computeMetadata/v1/", False)
    monkeypatch.setattr(names, "_METADATA_IP_ROOT", f"http://{host}", False)
    monkeypatch.setattr(names, "_METADATA_DEFAULT_TIMEOUT", 20, False)
    yield server
    server.shutdown()
    server.server_close()


async def test_default_credentials_come_from_the_metadata_server(
    metadata: ThreadingHTTPServer,
) -> None:
    tokens = GoogleTokens()
    assert await tokens.token() == "gce-1"
    assert await tokens.token() == "gce-1"
    asked = [p for p in metadata.heard if "/token" in p]  # type: ignore[attr-defined]
    assert len(asked) == 1


async def test_a_broken_metadata_server_is_an_error_of_ours(
    metadata: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_waiting = SimpleNamespace(sleep=lambda seconds: None)  # google-auth tries five times
    monkeypatch.setattr("google.auth._exponential_backoff.time", no_waiting)
    metadata.token = (404, "application/json", b"{}")  # type: ignore[attr-defined]
    with pytest.raises((TransportError, AuthenticationError), match="Google"):
        await GoogleTokens().token()


async def test_no_credentials_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "missing.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(ConfigError, match="gcloud auth application-default login"):
        await GoogleTokens().token()


async def test_credentials_of_a_user_are_refreshed_over_our_transport(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class TokenService(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            good = b"refresh_token=good" in body
            answer = (
                {"access_token": "user-1", "expires_in": 60} if good else {"error": "invalid_grant"}
            )
            data = json.dumps(answer).encode()
            self.send_response(200 if good else 400)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    from google.oauth2.credentials import Credentials

    server = ThreadingHTTPServer(("127.0.0.1", 0), TokenService)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        uri = f"http://127.0.0.1:{server.server_port}/token"
        good, bad = (
            Credentials(None, refresh_token=word, token_uri=uri, client_id="c", client_secret="s")
            for word in ("good", "revoked")
        )
        assert await GoogleTokens(good).token() == "user-1"
        with pytest.raises(AuthenticationError, match="invalid_grant"):
            await GoogleTokens(bad).token()
    finally:
        server.shutdown()
        server.server_close()
    # nobody is there any more
    again = Credentials(None, refresh_token="good", token_uri=uri, client_id="c", client_secret="s")
    with pytest.raises(TransportError):
        await GoogleTokens(again).token()
