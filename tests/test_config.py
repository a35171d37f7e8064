"""Providers and models as data: defaults, addresses, mappings that name what does not fit."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.config import (
    THINKING_LEVELS,
    Dialect,
    ModelConfig,
    ProviderConfig,
    Timeouts,
    check_url,
    from_mapping,
)
from llmwire.errors import ConfigError


def test_the_alias_defaults_to_the_name() -> None:
    assert ModelConfig("m-1").alias == "m-1"
    assert ModelConfig("m-1", alias="small").alias == "small"
    assert msgspec.structs.replace(ModelConfig("m-1", alias="a"), name="m-2").alias == "a"


def test_thinking_levels() -> None:
    for level in THINKING_LEVELS:
        assert ModelConfig("m", thinking=level).thinking == level
    for bad in ("", "High", "none", 3, None, []):
        with pytest.raises(ConfigError, match="'m': thinking must be one of off, minimal"):
            ModelConfig("m", thinking=bad)  # type: ignore[arg-type]


def test_models_need_a_name() -> None:
    with pytest.raises(ConfigError, match="name"):
        ModelConfig("")


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:11434/v1", "https://api.openai.com/v1", "https://api.openai.com/v1/",
     "http://[::1]:8080", "https://bücher.example/v1", "http://localhost", "HTTPS://EXAMPLE.COM",
     "http://my_host:1/v1", "https://xn--bcher-kva.example", "http://h:65535"],
)  # fmt: skip
def test_good_addresses(url: str) -> None:
    assert ProviderConfig("p", url).api_base == url


BAD_URLS = [
    ("api.openai.com/v1", "must start with http"), ("ftp://h/v1", "must start with http"),
    ("http:///v1", "name a host"), ("http://", "name a host"), ("http://h:abc/v1", "not a URL"),
    ("http://h:99999/v1", "not a URL"), ("http://h:0/v1", "must start"), ("http://[::1/v1", "not a URL"),
    ("http://xn--/v1", "not a host name"), ("http://a..b/v1", "host name"),
    ("http://" + "a" * 64 + ".example", "host name"), ("http://ü" + "a" * 64 + ".example", "."),
    ("http://user:secret@h/v1", "api_key_env_var"), ("http://key@h/v1", "api_key_env_var"),
    ("http://h/v1?key=secret", "query"), ("http://u:secret@h:abc/v1", "not a URL"),
    ("http://u:secret@/v1", "name a host"), ("ftp://u:secret@h", "must start"),
    ("http://u:secret℀@h/v1", "."), ("http://h:x/?k=secret", "not a URL"), ("http://h/v1#x", "query"), ("http://h/v 1", "white space"),
    ("http://h/v1\n", "white space"), (" http://h/v1", "."), ("http://h\x00/v1", "."),
    ("http://h\\@evil/v1", "."), ("http://a b/v1", "."),
]  # fmt: skip


@pytest.mark.parametrize(("url", "why"), BAD_URLS)
def test_bad_addresses(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        ProviderConfig("p", url)
    assert "provider 'p': api_base" in str(caught.value)
    assert "secret" not in str(caught.value)


@given(st.text(max_size=30).map("http://".__add__) | st.text(max_size=30))
def test_any_address_is_good_or_a_config_error(url: str) -> None:
    try:
        check_url(url, "here")
    except ConfigError as e:
        assert "here" in str(e)
    else:
        assert url.lower().startswith(("http://", "https://"))
        assert not any(c.isspace() for c in url)


MAPPINGS: list[tuple[type[Any], Any, str]] = [
    (ProviderConfig, {"name": "p", "apibase": "x"}, "unknown setting 'apibase'"),
    (ProviderConfig, {"name": "p", "zeta": 1, "alpha": 2}, "'alpha', 'zeta'"),
    (ProviderConfig, {"name": 3}, r"Expected `str`, got `int` - at `\$.name`"),
    (ProviderConfig, {}, "name"),
    (ProviderConfig, {"name": "p", "timeouts": {"idle": "x"}}, r"timeouts.idle"),
    (
        ProviderConfig,
        {"name": "p", "timeouts": {"ilde": 3}},
        r"unknown field `ilde` - at `\$.timeouts",
    ),
    (ProviderConfig, {"name": "p", "dialect": {"nonsense": 3}}, r"`nonsense` - at `\$.dialect"),
    (ProviderConfig, {"name": "p", "dialect": {"stream_end": "never"}}, "dialect.stream_end"),
    (ProviderConfig, {"name": "p", "api_base": "nowhere"}, "must start with http"),
    (ProviderConfig, {"name": "p", "extra_headers": {"a": 1}}, r"extra_headers"),
    (ModelConfig, {"name": "m", "thinking": "lots"}, "thinking"),
    (ModelConfig, {"name": "m", "input_price": "1"}, "input_price"),
    (ModelConfig, {"name": ""}, "name"),
    (ModelConfig, [], "list"),
    (ModelConfig, "x", "str"),
]


@pytest.mark.parametrize(("kind", "data", "what"), MAPPINGS)
def test_mappings_name_what_does_not_fit(kind: type[Any], data: Any, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        from_mapping(kind, data, "providers.acme")
    assert "providers.acme" in str(caught.value)


def test_mappings_that_fit() -> None:
    data = {"name": "p", "api_base": "http://h/v1", "timeouts": {"idle": 5, "total": None},
            "dialect": {"betas": ["x"], "efforts": ["low", "high"]}}  # fmt: skip
    before = copy.deepcopy(data)
    provider = from_mapping(ProviderConfig, data, "x")
    assert provider == ProviderConfig(
        "p", "http://h/v1", timeouts=Timeouts(idle=5, total=None),
        dialect=Dialect(betas=("x",), efforts=("low", "high")),
    )  # fmt: skip
    assert data == before
    assert from_mapping(ModelConfig, {"name": "m", "thinking": "high"}, "x").alias == "m"


@pytest.mark.parametrize("value", [ProviderConfig("p"), ModelConfig("m"), Dialect(), Timeouts()])
def test_config_is_frozen_data(value: Any) -> None:
    for name in value.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(value, name, None)
    assert copy.deepcopy(value) == value == pickle.loads(pickle.dumps(value))


def test_defaults_share_no_dict() -> None:
    assert ProviderConfig("a").extra_headers is not ProviderConfig("b").extra_headers
