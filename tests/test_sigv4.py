"""AWS Signature Version 4: published vectors, and botocore as an oracle over any request.

The vectors are of AWS's own signing test suite (github.com/awslabs/aws-c-auth,
tests/aws-signing-test-suite/v4, header-signed-request.txt; the same that botocore and the IAM
User Guide have had since 2015), and the worked example of the AWS General Reference.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest import mock
from urllib.parse import quote

import pytest
from botocore import auth as botocore_auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from llmwire.sigv4 import AWSKey, Scope, scope_of, sign

KEY = AWSKey("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SCOPE = Scope("us-east-1", "service")
WHEN = "20150830T123600Z"
ROOT = "https://example.amazonaws.com"

VECTORS: dict[str, tuple[str, str, dict[str, str], bytes, str]] = {
    "get-vanilla": (
        "GET", "/", {}, b"",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-vanilla-query-order-key-case": (
        "GET", "/?Param2=value2&Param1=value1", {}, b"",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-vanilla-empty-query-key": (
        "GET", "/?Param1=value1", {}, b"",
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    ),
    "get-unreserved": (
        "GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", {}, b"",
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "get-utf8": (
        "GET", "/\u1234", {}, b"",
        "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
    ),
    "get-slash-dot-slash-normalized": (
        "GET", "/./", {}, b"",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-relative-normalized": (
        "GET", "/example/..", {}, b"",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-header-value-trim": (
        "GET", "/", {"My-Header1": " value1", "My-Header2": ' "a   b   c"'}, b"",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "post-vanilla": (
        "POST", "/", {}, b"",
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    "post-x-www-form-urlencoded": (
        "POST", "/", {"Content-Type": "application/x-www-form-urlencoded"}, b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_published_vectors(name: str) -> None:
    method, path, headers, body, signature = VECTORS[name]
    added = sign(method, ROOT + path, headers, body, KEY, SCOPE, WHEN)
    signed = ";".join(sorted({"host", "x-amz-date", *(h.lower() for h in headers)}))
    assert added == {
        "x-amz-date": WHEN,
        "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/"
        f"aws4_request, SignedHeaders={signed}, Signature={signature}",
    }


def test_the_vector_with_a_session_token() -> None:
    token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"
    key = AWSKey(KEY.access_key, KEY.secret_key, token)
    added = sign("GET", ROOT + "/", {}, b"", key, SCOPE, WHEN)
    assert added["x-amz-security-token"] == token
    assert added["authorization"].endswith(
        "SignedHeaders=host;x-amz-date;x-amz-security-token, "
        "Signature=07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"
    )


def test_the_worked_example_of_the_general_reference() -> None:
    added = sign(
        "GET",
        "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
        {"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
        b"",
        KEY,
        Scope("us-east-1", "iam"),
        WHEN,
    )
    assert added["authorization"].endswith(
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


# --- botocore -----------------------------------------------------------------------------------

segments = st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), max_size=10)
models = st.sampled_from(
    [
        "anthropic.claude-sonnet-4-6-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0",
    ]
)
paths = st.lists(segments | models | st.sampled_from(["", ".", ".."]), max_size=4).map(
    lambda found: "/" + "/".join(quote(segment, safe="") for segment in found)
)
words = st.text("abcdefghijXYZ019-_.~", max_size=6)
queries = st.lists(st.tuples(words, words | st.just("%2F")), max_size=3).map(
    lambda pairs: "&".join(f"{k}={v}" for k, v in pairs)
)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
header_names = st.sampled_from(["Content-Type", "X-Amz-Target", "X-Amzn-Bedrock-Trace", "Accept"])
tokens = st.text("abcXYZ019+/=", max_size=20)


def botocores(method: str, url: str, headers: Any, body: bytes, key: AWSKey, scope: Scope) -> Any:
    request = AWSRequest(method, url, headers, body)
    credentials = Credentials(key.access_key, key.secret_key, key.session_token or None)
    now = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    with mock.patch.object(botocore_auth, "get_current_datetime", lambda *args: now):
        botocore_auth.SigV4Auth(credentials, scope.service, scope.region).add_auth(request)
    return request.headers


@given(
    st.sampled_from(["GET", "POST", "PUT"]),
    st.sampled_from(["https://bedrock-runtime.eu-west-1.amazonaws.com", "http://127.0.0.1:8080"]),
    paths,
    queries,
    st.dictionaries(header_names, header_values, max_size=3),
    st.binary(max_size=30),
    tokens,
)
def test_botocore_signs_the_same(
    method: str, root: str, path: str, query: str, headers: Any, body: bytes, token: str
) -> None:
    url = f"{root}{path}?{query}" if query else root + path
    key, scope = AWSKey("AKIDEXAMPLE", "s/e+cret", token), Scope("eu-west-1", "bedrock")
    ours = sign(method, url, headers, body, key, scope, "20261122T093000Z")
    theirs = botocores(method, url, headers, body, key, scope)
    assert ours["authorization"] == theirs["Authorization"]
    assert ours["x-amz-date"] == theirs["X-Amz-Date"]
    assert ours.get("x-amz-security-token") == theirs.get("X-Amz-Security-Token")


def test_a_key_shows_no_secret() -> None:
    key = AWSKey("AKIDEXAMPLE", "the-secret", "the-token")
    shown = f"{key} {key!r} {key!s} {[key]}"
    assert "the-secret" not in shown and "the-token" not in shown and "EXAMPLE" not in shown


# --- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "scope"),
    [
        ("https://bedrock-runtime.us-east-1.amazonaws.com", ("us-east-1", "bedrock")),
        ("https://bedrock-runtime.us-gov-west-1.amazonaws.com", ("us-gov-west-1", "bedrock")),
        ("https://bedrock-runtime-fips.us-east-1.amazonaws.com/", ("us-east-1", "bedrock")),
        ("https://bedrock-runtime.eu-west-1.api.aws", ("eu-west-1", "bedrock")),
        ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn", ("cn-north-1", "bedrock")),
        ("https://bedrock-runtime.eusc-de-east-1.amazonaws.eu", ("eusc-de-east-1", "bedrock")),
        ("https://bedrock.us-east-1.amazonaws.com", ("us-east-1", "bedrock")),
        (
            "https://vpce-0a1.bedrock-runtime.us-east-1.vpce.amazonaws.com",
            ("us-east-1", "bedrock"),
        ),
        (
            "https://bedrock-mantle.us-west-2.api.aws/openai/v1",
            ("us-west-2", "bedrock-mantle"),
        ),
    ],
)
def test_bedrocks_addresses(address: str, scope: tuple[str, str]) -> None:
    assert scope_of(address) == scope


@pytest.mark.parametrize(
    "address",
    [
        "",
        "http://bedrock-runtime.us-east-1.amazonaws.com",  # in the open
        "https://bedrock-runtime.us-east-1.amazonaws.com.evil.example",
        "https://evil.example/bedrock-runtime.us-east-1.amazonaws.com",
        "https://bedrock-runtime.us-east-1.evilamazonaws.com",
        "https://xbedrock-runtime.us-east-1.amazonaws.com",
        "https://s3.us-east-1.amazonaws.com",
        "https://bedrock-runtime.amazonaws.com",
        "https://bedrock-runtime.{region}.amazonaws.com",
        "https://api.anthropic.com",
        "http://127.0.0.1:8080",
    ],
)
def test_other_addresses(address: str) -> None:
    assert scope_of(address) is None
