"""AWS credentials and signatures: the environment, botocore's chain on loopback, no secret shown."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore import exceptions
from msgspec.structs import replace

from llmwire.adapters import ADAPTERS
from llmwire.adapters.base import Headers, PreparedRequest
from llmwire.auth import authorize
from llmwire.aws import AWSCredentials, key_of, signed_headers
from llmwire.backend import GenericBackend
from llmwire.config import ModelConfig, ProviderConfig
from llmwire.errors import AuthenticationError, BackendError, ConfigError, TransportError
from llmwire.providers import PROVIDERS
from llmwire.request import LLMRequest
from llmwire.retry import RetryPolicy
from llmwire.sigv4 import AWSKey, Scope, sign
from llmwire.types import LLMMessage
from scripted import JSON, Answer, ScriptedTransport

CANARY = "canary-c4nary+/secret"
BEDROCK = replace(PROVIDERS["bedrock"], region="eu-west-1")
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": CANARY}
MODEL = ModelConfig("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.amazon.nova-lite-v1:0")


def prepared(provider: ProviderConfig = BEDROCK, stream: bool = False) -> PreparedRequest:
    asked = LLMRequest(model=MODEL, messages=(LLMMessage("user", "hi"),), stream=stream)
    return ADAPTERS[provider.api_style].prepare_request(asked, provider)


async def headers_for(
    environ: Mapping[str, str], provider: ProviderConfig = BEDROCK, aws: Any = None
) -> Headers:
    return await authorize(prepared(provider), provider, environ=environ, aws=aws)


# --- which credential ---------------------------------------------------------------------------


async def test_the_bearer_token_goes_before_all_other_credentials() -> None:
    got = await headers_for({**KEYS, "AWS_BEARER_TOKEN_BEDROCK": "token-1"})
    assert got["authorization"] == "Bearer token-1"
    assert "x-amz-date" not in got


@pytest.mark.parametrize(
    "name", ["bedrock", "bedrock-anthropic", "bedrock-mantle", "bedrock-openai"]
)
async def test_keys_of_the_environment_sign(name: str) -> None:
    provider = replace(PROVIDERS[name], region="us-west-2")
    asked = prepared(provider)
    assert asked.auth == "aws"
    got = await authorize(asked, provider, environ={**KEYS, "AWS_SESSION_TOKEN": "tok"})
    service = "bedrock-mantle" if "mantle" in asked.base_url else "bedrock"
    assert f"/us-west-2/{service}/aws4_request" in got["authorization"]
    assert got["x-amz-security-token"] == "tok"
    again = sign(
        "POST", asked.url, {"content-type": "application/json"}, asked.body,
        AWSKey("AKIDEXAMPLE", CANARY, "tok"), Scope("us-west-2", service), got["x-amz-date"],
    )  # fmt: skip
    assert got["authorization"] == again["authorization"]
    assert CANARY not in str(dict(got))


async def test_a_variable_of_ones_own_is_no_choice() -> None:
    own = replace(BEDROCK, api_key_env_var="MY_TOKEN")
    assert (await headers_for({**KEYS, "MY_TOKEN": "t"}, own))["authorization"] == "Bearer t"
    with pytest.raises(ConfigError, match="MY_TOKEN"):
        await headers_for(KEYS, own)
    none = replace(BEDROCK, api_key_env_var="")
    assert "AWS4-HMAC" in (await headers_for(KEYS, none))["authorization"]


async def test_a_gateway_gets_no_aws_credential() -> None:
    gateway = replace(BEDROCK, api_base="https://gateway.example/bedrock", api_key_env_var="")
    assert "authorization" not in await headers_for(KEYS, gateway)
    keyed = replace(gateway, api_key_env_var="GW")
    assert (await headers_for({**KEYS, "GW": "g"}, keyed))["authorization"] == "Bearer g"


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKID"}, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_SECRET_ACCESS_KEY": CANARY}, "AWS_ACCESS_KEY_ID"),
        ({**KEYS, "AWS_SECRET_ACCESS_KEY": CANARY + "\n"}, "AWS_SECRET_ACCESS_KEY"),
        ({**KEYS, "AWS_SESSION_TOKEN": CANARY + " x"}, "AWS_SESSION_TOKEN"),
        ({**KEYS, "AWS_ACCESS_KEY_ID": "canary“"}, "AWS_ACCESS_KEY_ID"),
        ({"AWS_BEARER_TOKEN_BEDROCK": CANARY + "\r\nX: y"}, "AWS_BEARER_TOKEN_BEDROCK"),
    ],
)
async def test_what_can_be_no_key_is_named_and_not_shown(
    environ: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigError, match=f"variable {named}") as caught:
        await headers_for(environ)
    assert "canary" not in f"{caught.value}{caught.value!r}{caught.value.__dict__}"


def test_no_keys_at_all_is_none() -> None:
    assert key_of({}) is None
    assert key_of({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}) is None


@pytest.mark.parametrize("region", ["", "US EAST", "x/../y", "us-east-1.evil.example"])
def test_a_region_that_is_missing_or_wrong_is_told(region: str) -> None:
    with pytest.raises(ConfigError, match="region"):
        prepared(replace(PROVIDERS["bedrock"], region=region))


def test_only_bedrock_is_signed_for() -> None:
    other = replace(prepared(), base_url="https://s3.eu-west-1.amazonaws.com")
    with pytest.raises(ConfigError, match="no AWS service"):
        signed_headers(other, AWSKey("a", "b"))


def test_what_a_transport_may_change_is_not_signed() -> None:
    asked = prepared()
    headers = asked.headers.replaced({"User-Agent": "x", "X-Amz-Thing": "y"})
    got = signed_headers(replace(asked, headers=headers), AWSKey("a", "b"), "20261122T093000Z")
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-thing," in got["authorization"]
    assert got["User-Agent"] == "x" and got["accept"] == "application/json"


# --- botocore's chain -----------------------------------------------------------------------------


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of one's own, and no instance metadata."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


async def test_a_profile(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (nowhere / "credentials").write_text(
        f"[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = {CANARY}\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "work")
    credentials = AWSCredentials()
    assert await credentials.key({}) == AWSKey("AKIDWORK", CANARY)
    assert credentials._ready() == AWSKey("AKIDWORK", CANARY)  # no thread from now on
    # the environment's own keys go before it, and are read each time
    assert (await credentials.key(KEYS)).access_key == "AKIDEXAMPLE"


async def test_no_credentials_anywhere(nowhere: Path) -> None:
    with pytest.raises(ConfigError, match="AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID"):
        await AWSCredentials().key({})


async def test_a_profile_that_is_not_there(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(ConfigError, match=r"ProfileNotFound.*missing"):
        await AWSCredentials().key({})


async def test_without_botocore_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(ConfigError, match=r"pip install 'llmwire\[aws\]'"):
        await AWSCredentials().key({})
    assert (await AWSCredentials().key(KEYS)).access_key == "AKIDEXAMPLE"  # needs no library


class Container(BaseHTTPRequestHandler):
    """The endpoint that containers get their role's credentials from."""

    def do_GET(self) -> None:
        self.server.heard.append(self.headers.get("Authorization"))  # type: ignore[attr-defined]
        status, lifetime = self.server.says  # type: ignore[attr-defined]
        n = len(self.server.heard)  # type: ignore[attr-defined]
        until = datetime.now(UTC) + timedelta(seconds=lifetime)
        body = json.dumps(
            {
                "AccessKeyId": f"AKID{n}",
                "SecretAccessKey": CANARY,
                "Token": f"token-{n}",
                "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        ).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def container(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Container)
    server.heard, server.says = [], (200, 3600)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.server_port}/role"
    )
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let-me-in")
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    yield server
    server.shutdown()
    server.server_close()


async def test_a_role_is_asked_once_for_all_who_wait(container: Any) -> None:
    credentials = AWSCredentials()
    keys = await asyncio.gather(*(credentials.key({}) for _ in range(5)))
    assert keys == [AWSKey("AKID1", CANARY, "token-1")] * 5
    assert await credentials.key({}) == keys[0]
    assert container.heard == ["let-me-in"]


async def test_a_key_that_is_about_to_expire_is_renewed(container: Any) -> None:
    container.says = (200, 60)  # botocore renews within the last 15 minutes
    credentials = AWSCredentials()
    first, second = await credentials.key({}), await credentials.key({})
    assert (first.session_token, second.session_token) != ("token-1", "token-1")
    assert len(container.heard) >= 2


async def test_a_role_that_is_refused(container: Any) -> None:
    container.says = (403, 0)
    with pytest.raises(AuthenticationError, match="container-role refused") as caught:
        await AWSCredentials().key({})
    assert CANARY not in f"{caught.value}{caught.value.__cause__}"  # the answer had it


class Fake:
    """A botocore object that can be refreshed."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)

    def refresh_needed(self) -> bool:
        return True

    def get_frozen_credentials(self) -> Any:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return SimpleNamespace(access_key=outcome[0], secret_key=outcome[1], token=None)


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (exceptions.EndpointConnectionError(endpoint_url="http://x"), TransportError),
        (exceptions.ConnectTimeoutError(endpoint_url="http://x"), TransportError),
        (exceptions.UnauthorizedSSOTokenError(), AuthenticationError),
        (exceptions.CredentialRetrievalError(provider="sso", error_msg="no"), AuthenticationError),
        (exceptions.ClientError({"Error": {"Code": "AccessDenied"}}, "AssumeRole"), AuthenticationError),
        (exceptions.PartialCredentialsError(provider="ini", cred_var="x"), ConfigError),
        (exceptions.ConfigParseError(path="/x"), ConfigError),
        (ImportError("No module named 'awscrt'", name="awscrt"), ConfigError),
        (ValueError("odd"), ConfigError),
    ],
)  # fmt: skip
async def test_what_botocore_raises_is_ours(cause: Exception, kind: type[BackendError]) -> None:
    credentials = AWSCredentials(Fake(cause, ("AKID", "s")))
    with pytest.raises(kind) as caught:
        await credentials.key({})
    assert type(caught.value) is kind
    assert caught.value.__cause__ in (cause, None)
    assert await credentials.key({}) == AWSKey("AKID", "s")  # a failure is not remembered


@pytest.mark.parametrize("pair", [("", "s"), ("AKID", ""), ("AKID", "s\n"), (None, None)])
async def test_credentials_without_a_key_are_an_error(pair: Any) -> None:
    with pytest.raises(AuthenticationError, match="no usable key"):
        await AWSCredentials(Fake(pair)).key({})


# --- through the backend --------------------------------------------------------------------------

REPLY = json.dumps(
    {"output": {"message": {"role": "assistant", "content": [{"text": "Hello."}]}},
     "stopReason": "end_turn", "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}}
).encode()  # fmt: skip


@pytest.mark.parametrize("extra", [{}, {"X-Amz-Own": "1", "Content-Type": "a/b"}])
async def test_each_attempt_is_signed_anew_and_the_callers_headers_too(
    monkeypatch: pytest.MonkeyPatch, extra: dict[str, str]
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    times = iter(["20261122T093000Z", "20261122T093001Z", "20261122T093002Z"])
    monkeypatch.setattr("llmwire.aws.time.strftime", lambda *args: next(times))
    transport = ScriptedTransport(
        Answer([b"{}"], status=503, headers=JSON),
        Answer([REPLY], headers=JSON),
        Answer([REPLY], headers=JSON),
    )
    backend = GenericBackend(
        provider=BEDROCK, client=transport, retry=RetryPolicy(base=0.001, cap=0.001)
    )
    for _ in range(2):
        reply = await backend.complete(model=MODEL, messages="hi", extra_headers=extra)
        assert reply.text == "Hello."
    sent = transport.sent
    assert [s.headers["x-amz-date"][-3:] for s in sent] == ["00Z", "01Z", "02Z"]
    signed = {"content-type": "application/json", **{k.lower(): v for k, v in extra.items()}}
    for s in sent:
        again = sign(
            "POST", s.url, signed, s.body,
            AWSKey("AKIDEXAMPLE", CANARY), Scope("eu-west-1", "bedrock"), s.headers["x-amz-date"],
        )  # fmt: skip
        assert s.headers["authorization"] == again["authorization"]
        assert s.url.endswith("inference-profile%2Feu.amazon.nova-lite-v1%3A0/converse")


async def test_a_credential_of_the_callers_own_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    transport = ScriptedTransport(Answer([REPLY], headers=JSON))
    backend = GenericBackend(provider=BEDROCK, client=transport)
    await backend.complete(model=MODEL, messages="hi", extra_headers={"Authorization": "Bearer x"})
    assert transport.sent[0].headers["authorization"] == "Bearer x"
    assert "x-amz-date" not in transport.sent[0].headers


async def test_no_secret_in_any_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**KEYS, "AWS_SESSION_TOKEN": f"session-{CANARY}"}.items():
        monkeypatch.setenv(name, value)
    said = b'{"message":"The request signature we calculated does not match"}'
    refused = {**JSON, "x-amzn-errortype": "InvalidSignatureException:http://x"}
    transport = ScriptedTransport(
        Answer([said], status=403, headers=refused),
        Answer(refuse=TransportError("reset", kind="read")),
    )
    backend = GenericBackend(provider=BEDROCK, client=transport, retry=RetryPolicy(max_attempts=1))
    for kind in (AuthenticationError, TransportError):
        with pytest.raises(kind) as caught:
            await backend.complete(model=MODEL, messages="hi")
        shown = (
            f"{caught.value}{caught.value!r}{caught.value.__dict__}{backend!r}{backend.__dict__}"
        )
        assert "canary" not in shown
