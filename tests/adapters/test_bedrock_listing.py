"""Lists of models: where they are asked for, and what becomes of their pages."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import botocore.session
import pytest
from botocore.validate import ParamValidator
from msgspec.structs import replace

from llmwire import GenericBackend
from llmwire.adapters import ADAPTERS
from llmwire.adapters.base import ModelLister
from llmwire.config import Dialect, ModelInfo, ProviderConfig
from llmwire.errors import DecodeError
from llmwire.providers import PROVIDERS
from scripted import JSON, Answer, ScriptedTransport

ROWS = ("bedrock", "bedrock-anthropic")
ARN = "arn:aws:bedrock:us-east-1::foundation-model/"


def lister(row: ProviderConfig) -> ModelLister:
    found = ADAPTERS[row.api_style]
    assert isinstance(found, ModelLister)
    return found


def row_of(name: str, **changes: Any) -> ProviderConfig:
    return replace(PROVIDERS[name], region="us-east-1", **changes)


@pytest.mark.parametrize("name", ROWS)
def test_every_request_fits_the_apis_own_model(name: str) -> None:
    row = row_of(name)
    service = botocore.session.get_session().get_service_model("bedrock")
    for operation, after in (
        ("ListFoundationModels", ""),
        ("ListInferenceProfiles", "profiles:"),
        ("ListInferenceProfiles", "profiles:a&b=/+"),
    ):
        prepared = lister(row).prepare_models(row, after)
        assert prepared is not None
        model = service.operation_model(operation)
        url = urlsplit(prepared.url)
        assert url.netloc == "bedrock.us-east-1.amazonaws.com"
        assert (prepared.method, url.path) == (model.http["method"], model.http["requestUri"])
        assert (prepared.body, prepared.auth) == (b"", "aws")
        names = {shape.serialization["name"]: n for n, shape in model.input_shape.members.items()}
        given: dict[str, Any] = {names[n]: v for n, v in parse_qsl(url.query, strict_parsing=True)}
        assert given.get("nextToken", "a&b=/+") == "a&b=/+"
        if "maxResults" in given:
            given["maxResults"] = int(given["maxResults"])
        report = ParamValidator().validate(given, model.input_shape)
        assert not report.has_errors(), report.generate_report()
        assert given.get("byProvider") == ("anthropic" if name == ROWS[1] and not after else None)


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn", "https://bedrock.cn-north-1.amazonaws.com.cn"),
        ("https://bedrock-runtime-fips.us-east-1.amazonaws.com/", "https://bedrock-fips.us-east-1.amazonaws.com"),
        ("https://gateway.example/aws/", "https://gateway.example/aws"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com.evil.example", "https://bedrock-runtime.us-east-1.amazonaws.com.evil.example"),
        ("https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com", None),
    ],
)  # fmt: skip
def test_who_is_asked(address: str, where: str | None) -> None:
    row = row_of("bedrock", api_base=address)
    prepared = lister(row).prepare_models(row)
    assert (prepared and prepared.base_url) == where
    silent = replace(row, dialect=Dialect(model_list=False))
    assert lister(row).prepare_models(silent) is None


@pytest.mark.parametrize(
    ("name", "profiles"),
    [("bedrock", ["us.anthropic.a", "p", "us.amazon.n"]), ("bedrock-anthropic", ["us.anthropic.a", "p"])],
)  # fmt: skip
async def test_models_then_profiles(
    name: str, profiles: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "k")

    def part(*models: str) -> dict[str, Any]:
        return {"models": [{"modelArn": ARN + m} for m in models], "type": "X"}

    pages = (
        {"modelSummaries": [{"modelId": "one", "modelArn": ARN + "one"}, {"modelId": "two"}]},
        {
            "inferenceProfileSummaries": [
                {"inferenceProfileId": "us.anthropic.a", **part("anthropic.a", "anthropic.b")},
                {"inferenceProfileId": "p", **part("anthropic.a")},
            ],
            "nextToken": "t&",
        },
        {"inferenceProfileSummaries": [{"inferenceProfileId": "us.amazon.n", **part("amazon.n")}]},
    )
    answers = [Answer([json.dumps(page).encode()], headers=JSON) for page in pages]
    transport = ScriptedTransport(*answers)
    models = await GenericBackend(provider=row_of(name), client=transport).list_models()
    assert models == tuple(map(ModelInfo, ["one", "two", *profiles]))
    assert [o.url.rpartition("/")[2].partition("?")[0] for o in transport.sent] == [
        "foundation-models", "inference-profiles", "inference-profiles",
    ]  # fmt: skip
    assert transport.sent[2].url.endswith("&nextToken=t%26")
    assert {o.headers["authorization"] for o in transport.sent} == {"Bearer k"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"modelSummaries":[{}]}'])
def test_what_is_no_list(body: bytes) -> None:
    with pytest.raises(DecodeError):
        lister(row_of("bedrock")).parse_models(body)
