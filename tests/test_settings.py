"""Configuration: layers, names of models, variables of vendors, and what is not trusted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.config import Dialect
from llmwire.environment import ollama_base, user_folder
from llmwire.errors import ConfigError
from llmwire.providers import PROVIDERS, dialect_of
from llmwire.settings import (
    DEFAULT_MODELS,
    ConfigSource,
    build_settings,
    is_unconfigured,
    load_settings,
    resolve,
    resolve_model,
)
from llmwire.toml_places import line_of

USER, PROJECT = "/home/u/config.toml", "/repo/llmwire.toml"


def user(text: str) -> ConfigSource:
    return ConfigSource(USER, text)


def project(text: str) -> ConfigSource:
    return ConfigSource(PROJECT, text, trusted=False)


def refused(*sources: ConfigSource, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        build_settings(sources, environ or {})
    return caught.value.message


# --- names of models --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "provider", "model"),
    [
        ("openai:gpt-6-luna", "openai", "gpt-6-luna"),
        ("openai/gpt-6-luna", "openai", "gpt-6-luna"),
        (" openai:gpt-6-luna\n", "openai", "gpt-6-luna"),
        ("ollama:qwen3:8b", "ollama", "qwen3:8b"),
        ("ollama/qwen3:8b", "ollama", "qwen3:8b"),
        ("openrouter:anthropic/claude-haiku-5-5:free", "openrouter", "anthropic/claude-haiku-5-5:free"),
        ("openrouter/anthropic/claude-haiku-5-5", "openrouter", "anthropic/claude-haiku-5-5"),
        ("vertex-anthropic:claude-opus-4-5@20251101", "vertex-anthropic", "claude-opus-4-5@20251101"),
    ],
)  # fmt: skip
def test_a_name_is_a_provider_and_a_model(spec: str, provider: str, model: str) -> None:
    found_provider, found = resolve_model(spec, build_settings([], {}))
    assert (found_provider.name, found.provider, found.name) == (provider, provider, model)


@given(st.text("abz/:-.", min_size=1))
def test_everything_after_the_first_separator_is_the_model(rest: str) -> None:
    settings = build_settings([], {})
    assert resolve_model(f"groq:{rest}", settings)[1].name == rest
    assert resolve_model(f"groq/{rest}", settings)[1].name == rest


def test_a_model_that_no_table_describes_leaves_the_temperature_to_its_provider() -> None:
    assert resolve_model("openai:x", build_settings([], {}))[1].temperature is None


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("opnai:x", "no provider is called 'opnai' (did you mean openai?)"),
        ("qwen3:8b", "no provider is called 'qwen3'"),
        ("gpt", "no model is called 'gpt': write provider:model"),
        ("openai:", "names no model: write openai:MODEL"),
        ("", "no model is called ''"),
        (":x", "no provider is called ''"),
    ],
)
def test_a_name_that_means_nothing_says_how_to_write_it(spec: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_model(spec, build_settings([], {}))
    assert said in caught.value.message


def test_an_alias_carries_the_settings_of_its_table() -> None:
    settings = build_settings(
        [
            user(
                """
                [models.fast]
                provider = "openai"
                name = "gpt-6-luna"
                input_price = 1
                output_price = 4.5
                thinking = "low"
                temperature = 0.5
                max_output_tokens = 1000
                [models.local]
                name = "ollama:qwen3:8b"
                temperature = "none"
                """
            )
        ],
        {},
    )
    provider, fast = resolve_model("fast", settings)
    assert provider == PROVIDERS["openai"]
    assert (fast.name, fast.alias, fast.thinking) == ("gpt-6-luna", "fast", "low")
    assert (fast.input_price, fast.output_price, fast.temperature) == (1.0, 4.5, 0.5)
    assert fast.max_output_tokens == 1000
    # The full name finds the same table: its prices hold either way.
    assert resolve_model("openai/gpt-6-luna", settings)[1] is fast
    provider, local = resolve_model("local", settings)
    assert (provider.name, local.name, local.temperature) == ("ollama", "qwen3:8b", None)


# --- the default model ------------------------------------------------------------------------


def test_with_nothing_configured_there_is_no_default() -> None:
    settings = build_settings([], {})
    assert is_unconfigured(settings)
    with pytest.raises(ConfigError, match="no provider's key is in the environment"):
        resolve_model(None, settings)


@pytest.mark.parametrize("name", sorted(DEFAULT_MODELS))
def test_one_key_alone_implies_its_vendors_default(name: str) -> None:
    settings = build_settings([], {PROVIDERS[name].api_key_env_var: "k"})
    found = resolve(None, settings)
    assert (found.provider.name, found.model.name) == (name, DEFAULT_MODELS[name])
    assert found.implied
    assert not is_unconfigured(settings)


def test_two_keys_imply_nothing() -> None:
    settings = build_settings([], {"OPENAI_API_KEY": "a", "GROQ_API_KEY": "b"})
    with pytest.raises(
        ConfigError, match="there are keys for groq, openai, openai-responses: name one"
    ):
        resolve_model(None, settings)


def test_tokens_for_other_things_do_not_count_as_a_choice() -> None:
    environ = {"OPENAI_API_KEY": "a", "HF_TOKEN": "b", "GOOGLE_CLOUD_PROJECT": "p",
               "CLOUD_ML_REGION": "eu"}  # fmt: skip
    settings = build_settings([], environ)
    assert {"openai", "vertex-anthropic"} <= settings.ready
    assert resolve_model(None, settings)[0].name == "openai"


def test_a_key_without_a_known_default_implies_nothing() -> None:
    with pytest.raises(ConfigError, match="there are keys for groq"):
        resolve_model(None, build_settings([], {"GROQ_API_KEY": "b"}))


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_key_is_no_key(empty: str) -> None:
    assert is_unconfigured(build_settings([], {"OPENAI_API_KEY": empty, "LLMWIRE_MODEL": empty}))


def test_the_default_comes_from_the_highest_layer_that_names_one() -> None:
    low, high = user('default_model = "openai:a"'), project('default_model = "openai:b"')
    assert resolve_model(None, build_settings([low], {}))[1].name == "a"
    assert resolve_model(None, build_settings([low, high], {}))[1].name == "b"
    settings = build_settings([low, high], {"LLMWIRE_MODEL": "openai:c"})
    assert resolve_model(None, settings)[1].name == "c"
    assert not resolve(None, settings).implied
    assert settings.default_from == "LLMWIRE_MODEL"


def test_a_default_that_means_nothing_says_where_it_was_chosen() -> None:
    settings = build_settings([user('\ndefault_model = "opnai:x"')], {})
    with pytest.raises(ConfigError, match=f"^{USER}:2: default_model: no provider is called"):
        resolve_model(None, settings)


# --- provider tables --------------------------------------------------------------------------


def test_a_table_replaces_single_settings_of_a_known_provider() -> None:
    settings = build_settings(
        [
            user(
                """
                [providers.openai]
                extra_headers = { "x-team" = "a" }
                [providers.openai.timeouts]
                idle = 60
                total = "none"
                [providers.openai.dialect]
                developer_role = false
                """
            )
        ],
        {},
    )
    row, known = settings.providers["openai"], PROVIDERS["openai"]
    assert (row.api_base, row.api_key_env_var) == (known.api_base, known.api_key_env_var)
    assert row.extra_headers == {"x-team": "a"}
    assert (row.timeouts.idle, row.timeouts.total) == (60.0, None)
    assert row.timeouts.connect == known.timeouts.connect
    assert row.dialect is not None and known.dialect is not None
    assert row.dialect.developer_role is False
    assert row.dialect.stream_end == known.dialect.stream_end == "done"
    assert settings.providers["mistral"] == PROVIDERS["mistral"]


def test_later_files_lie_over_earlier_ones() -> None:
    settings = build_settings(
        [
            user('[providers.x]\napi_base = "http://a/v1"\nextra_headers = {a = "1"}'),
            user('[providers.x]\napi_key_env_var = "X_KEY"\nextra_headers = {b = "2"}'),
        ],
        {"X_KEY": "k"},
    )
    row = settings.providers["x"]
    assert (row.api_base, row.api_key_env_var) == ("http://a/v1", "X_KEY")
    assert row.extra_headers == {"a": "1", "b": "2"}
    assert settings.ready == {"x"}


def test_another_servers_address_drops_the_vendors_dialect() -> None:
    # A gateway at another address need not send what api.openai.com always sends.
    moved = build_settings([user('[providers.openai]\napi_base = "http://gateway/v1"')], {})
    assert moved.providers["openai"].dialect is None
    region = build_settings(
        [user('[providers.openai]\napi_base = "https://eu.api.openai.com/v1"')], {}
    )
    assert region.providers["openai"].dialect == PROVIDERS["openai"].dialect
    elsewhere = build_settings([user('[providers.ollama]\napi_base = "http://gpu:11434/v1"')], {})
    assert elsewhere.providers["ollama"].dialect == PROVIDERS["ollama"].dialect


# --- broken files -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = = 1", ":1:5: not TOML: Invalid value"),
        ("#\n[providers.x", ":2: not TOML: Expected ']'"),
        ("\n\nmodel = 1", ":3: model: unknown; a file has"),
        ("providers = 1", ":1: providers must be tables [providers.NAME]"),
        ("[providers]\nx = 1", ":2: providers.x must be a table"),
        ("[providers.'a:b']\napi_base = 'http://h'", "a name can't be empty or hold ':'"),
        ("[models.'a b']\nname = 'x'", "a name can't be empty or hold"),
        ("[providers.x]\napi_key = 1", ":2: providers.x.api_key: unknown setting (did you mean"),
        ("[providers.x]\nregion = 'eu'", ":1: providers.x: api_base is missing"),
        ("[providers.x]\napi_base = 'h:8'", ":2: providers.x.api_base: 'h:8' must start with http"),
        ("[providers.x]\napi_base = 1", ":2: providers.x.api_base: Expected `str`, got `int`"),
        (
            "[providers.x]\napi_base = 'http://h'\napi_style = 'opena'",
            ":3: providers.x.api_style: 'opena' is not one of openai, anthropic",
        ),
        (
            "[providers.openai.timeouts]\nidel = 3",
            ":2: providers.openai.timeouts.idel: unknown setting (did you mean idle?)",
        ),
        ("[providers.openai]\ntimeouts = 3", ":2: providers.openai.timeouts must be a table"),
        (
            "[providers.openai.timeouts]\nidle = 'x'",
            ":2: providers.openai.timeouts.idle: Expected `float | null`, got `str`",
        ),
        (
            "[providers.openai.dialect]\nstream_end = 'never'",
            ":2: providers.openai.dialect.stream_end: Invalid enum value 'never'",
        ),
        ("[providers.openai]\nname = 'x'", ":2: providers.openai.name: the table's name is"),
        (
            "[providers.vertex-anthropic]\nregion = 'evil.com/'",
            ":2: providers.vertex-anthropic.region: 'evil.com/' is not a project or region",
        ),
        ("[models.x]\nprovider = 'openai'", ":1: models.x: name is missing"),
        ("[models.x]\nname = 'y'", ":1: models.x: provider is missing"),
        ("[models.x]\nname = 'openi:y'", ":1: models.x: no provider is called 'openi' (did you"),
        ("[models.x]\nname = 'openai:y'\nthinking = 'hihg'", ":3: models.x.thinking: Invalid enum"),
        ("[models.x]\nname = 'openai:y'\nprice = 3", ":3: models.x.price: unknown setting"),
        ("[models.offline]\nname = 'openai:x'", ":1: models.offline: this name is the stand-in's"),
        ("default_model = 3", ":1: default_model must be a text like"),
        ("default_model = ''", ":1: default_model must be a text like"),
    ],
)
def test_a_broken_file_says_file_line_and_key(text: str, said: str) -> None:
    message = refused(user(text))
    assert message.startswith(USER)
    assert said in message


TOKENS = st.sampled_from(
    ["[", "]", "providers", "models", ".", "openai", "x", "\n", "=", '"', "'", "name", "api_base",
     "timeouts", "idle", "dialect", "{", "}", ",", "1", "nan", "inf", "1979-05-27", "true", "#",
     "http://h", "\x00", "\u2028", "default_model", "thinking", "\\"]
)  # fmt: skip


@given(st.lists(TOKENS).map("".join) | st.text(), st.booleans())
def test_any_text_is_settings_or_a_config_error(text: str, trusted: bool) -> None:
    try:
        build_settings([ConfigSource(USER, text, trusted)], {})
    except ConfigError as e:
        assert e.message.startswith(USER)


def test_a_deeply_nested_file_is_refused() -> None:
    assert USER in refused(user("a = " + "[" * 100_000))


PLACES = """
[providers.a]   # one
api_base = "x"

[providers.a.timeouts]
"idle" = 3
[providers."b.c"]
api_base = "y" # name = 3
[models]
x.name = 1
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("providers", "a", "timeouts", "idle"), 6),
        (("providers", "a", "timeouts"), 5),
        (("providers", "a", "api_base"), 3),
        (("providers", "a", "nothing"), 2),
        (("providers", "b.c", "api_base"), 8),
        (("models", "x", "name"), 10),
        (("other",), None),
    ],
)
def test_lines_are_found(path: tuple[str, ...], line: int | None) -> None:
    assert line_of(PLACES, path) == line


# --- what a project file may do ---------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        # a vendor's key to another address
        '[providers.openai]\napi_base = "https://evil.example/v1"',
        # by a provider of its own, with the vendor's variable or any other secret
        '[providers.e]\napi_base = "https://evil.example"\napi_key_env_var = "OPENAI_API_KEY"',
        '[providers.e]\napi_base = "https://evil.example"\napi_key_env_var = "AWS_SECRET_ACCESS_KEY"',
        '[providers.e]\napi_base = "http://127.0.0.1:9"\napi_key_env_var = "OPENAI_API_KEY"',
        # another secret to a known vendor
        '[providers.openai]\napi_key_env_var = "GITHUB_TOKEN"',
        # the same host without TLS, or at another port
        '[providers.openai]\napi_base = "http://api.openai.com/v1"',
        '[providers.openai]\napi_base = "https://api.openai.com:8443/v1"',
        # a name that only looks the same, and one that looks like loopback
        '[providers.openai]\napi_base = "https://api.openai.com.evil.example/v1"',
        '[providers.e]\napi_base = "http://127.0.0.1.evil.example"',
        '[providers.e]\napi_base = "http://localhost.evil.example"',
        # prompts to a new address, without any key
        '[providers.e]\napi_base = "https://evil.example"',
        '[providers.ollama]\napi_base = "http://evil.example:11434/v1"',
        # Google's token
        '[providers.vertex-anthropic]\napi_base = "https://evil.example"',
        '[providers.openai]\napi_base = ""\napi_style = "vertex-anthropic"',
        '[providers.openai]\napi_base = ""\napi_style = "vertex-gemini"',
        '[providers.gemini]\napi_base = "https://evil.example"',
    ],
)  # fmt: skip
def test_a_project_file_sends_nothing_anywhere_new(text: str) -> None:
    message = refused(project(text), environ={"OPENAI_API_KEY": "sk-secret", "GITHUB_TOKEN": "t"})
    assert message.startswith(f"{PROJECT}:1: providers.")
    assert "a project file can't send" in message
    assert f"LLMWIRE_CONFIG={PROJECT}" in message
    assert "sk-secret" not in message
    # The same text is fine in a file of one's own.
    build_settings([user(text)], {})


@pytest.mark.parametrize(
    "text",
    [
        '[providers.openai]\nextra_headers = { Authorization = "Bearer theirs" }',
        '[providers.vertex-anthropic]\nproject_id = "theirs"',
        '[providers.vertex-gemini]\nproject_id = "theirs"',
        '[providers.vertex-anthropic]\nregion = "eu"',
    ],
)
def test_a_project_file_sets_no_headers_projects_or_regions(text: str) -> None:
    message = refused(project(text))
    assert message.startswith(f"{PROJECT}:2: providers.")
    assert "a project file can't set this" in message
    build_settings([user(text)], {})


def test_a_later_file_of_ones_own_does_not_complete_a_project_files_redirection() -> None:
    mine = ConfigSource("/me.toml", '[providers.p]\napi_key_env_var = "OPENAI_API_KEY"')
    theirs = project('[providers.p]\napi_base = "http://127.0.0.1:9/v1"')
    with pytest.raises(ConfigError):
        build_settings([theirs, mine], {"OPENAI_API_KEY": "k"})


def test_headers_of_ones_own_do_not_follow_a_provider_to_a_new_address() -> None:
    mine = user('[providers.w]\napi_base = "https://w"\nextra_headers = { x-key = "s" }')
    theirs = project('[providers.w]\napi_base = "http://127.0.0.1:9"')
    assert "a project file can't send" in refused(mine, theirs)


HOSTS = {
    "https://api.openai.com/v1": {"OPENAI_API_KEY"},
    "https://mine.example/v1": {"MINE"},
    "https://api.openai.com:444/v1": set(),
    "https://evil.example/v1": set(),
    "http://127.0.0.1:11434/v1": {""},
    "http://127.0.0.1:1/v1": {""},
}


@given(
    st.sampled_from(["openai", "mine", "ollama", "new", "groq"]),
    st.none() | st.sampled_from(sorted(HOSTS)),
    st.none() | st.sampled_from(["", "OPENAI_API_KEY", "MINE", "GITHUB_TOKEN"]),
    st.none() | st.sampled_from(["openai", "anthropic", "vertex-anthropic", "vertex-gemini"]),
)
def test_whatever_a_project_file_says_keys_stay_where_they_belong(
    name: str, base: str | None, key: str | None, style: str | None
) -> None:
    fields = {"api_base": base, "api_key_env_var": key, "api_style": style}
    text = f"[providers.{name}]\n" + "".join(
        f'{k} = "{v}"\n' for k, v in fields.items() if v is not None
    )
    mine = user('[providers.mine]\napi_base = "https://mine.example/v1"\napi_key_env_var = "MINE"')
    try:
        row = build_settings([mine, project(text)], {}).providers[name]
    except ConfigError:
        return
    if row.api_style in ("vertex-anthropic", "vertex-gemini") and not row.api_base:
        assert row.api_key_env_var == row.project_id == ""  # Google's token stays with Google
    elif row.api_base in HOSTS:
        assert row.api_key_env_var in HOSTS[row.api_base]
    else:
        assert (row.api_base, row.api_key_env_var) == (
            PROVIDERS[name].api_base,
            PROVIDERS[name].api_key_env_var,
        )


def test_a_project_file_tunes_and_chooses() -> None:
    settings = build_settings(
        [
            user('[providers.work]\napi_base = "https://w/v1"\napi_key_env_var = "W_KEY"'),
            project(
                """
                default_model = "careful"
                [models.careful]
                name = "openai:gpt-6-sol"
                thinking = "high"
                [providers.openai]
                timeouts = { total = 60 }
                [providers.work]
                api_base = "https://w/other/v1"
                dialect = { developer_role = false }
                [providers.here]
                api_base = "http://localhost:1234/v1"
                """
            ),
        ],
        {},
    )
    provider, model = resolve_model(None, settings)
    assert (provider.name, model.name, model.thinking) == ("openai", "gpt-6-sol", "high")
    assert provider.timeouts.total == 60
    assert settings.providers["work"].api_base == "https://w/other/v1"
    assert settings.providers["here"].api_base == "http://localhost:1234/v1"


def test_an_address_from_the_environment_is_ones_own() -> None:
    environ = {"OPENAI_BASE_URL": "https://gateway.example/v1"}
    theirs = '[providers.openai]\napi_base = "https://gateway.example/v2"'
    assert build_settings([project(theirs)], environ).providers["openai"].api_base.endswith("/v2")


# --- the vendors' variables -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "variable", "value", "base"),
    [
        ("openai", "OPENAI_BASE_URL", "http://h:1/v1/", "http://h:1/v1"),
        ("anthropic", "ANTHROPIC_BASE_URL", "http://h:1", "http://h:1"),
        ("groq", "GROQ_BASE_URL", "https://api.groq.com", "https://api.groq.com/openai/v1"),
        ("groq", "GROQ_BASE_URL", "http://h/openai/v1", "http://h/openai/v1"),
        ("together", "TOGETHER_BASE_URL", "https://h", "https://h/v1"),
        ("cerebras", "CEREBRAS_BASE_URL", "https://h", "https://h/v1"),
        ("zai", "ZAI_BASE_URL", "https://h/api/coding/paas/v4", "https://h/api/coding/paas/v4"),
        ("ollama", "OLLAMA_HOST", "gpu", "http://gpu:11434/v1"),
    ],
)
def test_base_addresses_come_from_the_vendors_variables(
    name: str, variable: str, value: str, base: str
) -> None:
    settings = build_settings([], {variable: value})
    assert settings.providers[name].api_base == base
    # A file is nearer to us than a variable that is meant for all programs.
    own = user(f'[providers.{name}]\napi_base = "http://own/v1"')
    assert build_settings([own], {variable: value}).providers[name].api_base == "http://own/v1"
    # Set but empty is not set.
    assert build_settings([], {variable: ""}).providers[name] == PROVIDERS[name]


@pytest.mark.parametrize(
    ("value", "base"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0:8000", "http://127.0.0.1:8000/v1"),
        (":8000", "http://127.0.0.1:8000/v1"),
        ("h:8000", "http://h:8000/v1"),
        ("http://h", "http://h:80/v1"),
        ("https://h", "https://h:443/v1"),
        ("https://h:1/ollama/", "https://h:1/ollama/v1"),
        ("[::1]:8000", "http://[::1]:8000/v1"),
        ("[::1]", "http://[::1]:11434/v1"),
        ("::1", "http://[::1]:11434/v1"),
        ("[::]:8000", "http://127.0.0.1:8000/v1"),
        ("h:", "http://h:11434/v1"),
    ],
)
def test_ollama_host_has_optional_parts(value: str, base: str) -> None:
    assert ollama_base(value) == base


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OPENAI_BASE_URL", "https://user:secret-word@h/v1"),
        ("OPENAI_BASE_URL", "https://h/v1?key=secret-word"),
        ("OPENAI_BASE_URL", "secret-word"),
        ("OLLAMA_HOST", "http://a b/secret-word"),
    ],
)
def test_an_address_that_is_none_breaks_its_provider_only_and_is_not_repeated(
    variable: str, value: str
) -> None:
    settings = build_settings([], {variable: value})
    name = "openai" if variable.startswith("OPENAI") else "ollama"
    with pytest.raises(ConfigError, match=f"{name}.*{variable} can't be used") as caught:
        resolve_model(f"{name}:m", settings)
    assert "secret-word" not in caught.value.message
    assert resolve_model("anthropic:m", settings)[0] == PROVIDERS["anthropic"]
    own = user(f'[providers.{name}]\napi_base = "http://own/v1"')
    fixed = build_settings([own], {variable: value})
    assert resolve_model(f"{name}:m", fixed)[0].api_base == "http://own/v1"


def test_anthropics_token_stands_in_for_a_missing_key() -> None:
    row = build_settings([], {"ANTHROPIC_AUTH_TOKEN": "t"}).providers["anthropic"]
    assert row.api_key_env_var == "ANTHROPIC_AUTH_TOKEN"
    assert dialect_of(row).bearer
    both = build_settings([], {"ANTHROPIC_AUTH_TOKEN": "t", "ANTHROPIC_API_KEY": "k"})
    assert both.providers["anthropic"] == PROVIDERS["anthropic"]


def test_vertex_takes_project_and_region_from_the_environment() -> None:
    environ = {"GOOGLE_CLOUD_PROJECT": "g", "GOOGLE_CLOUD_LOCATION": "us-east5"}
    settings = build_settings([], environ)
    row = settings.providers["vertex-anthropic"]
    assert (row.project_id, row.region) == ("g", "us-east5")
    assert "vertex-anthropic" in settings.ready
    environ |= {"ANTHROPIC_VERTEX_PROJECT_ID": "a", "CLOUD_ML_REGION": "global"}
    row = build_settings([], environ).providers["vertex-anthropic"]
    assert (row.project_id, row.region) == ("a", "global")
    bad = build_settings([], {"CLOUD_ML_REGION": "evil.example/", "GOOGLE_CLOUD_PROJECT": "g"})
    with pytest.raises(ConfigError, match="CLOUD_ML_REGION"):
        resolve_model("vertex-anthropic:m", bad)


def test_gemini_on_vertex_takes_googles_own_variables() -> None:
    environ = {"GOOGLE_CLOUD_PROJECT": "g", "GOOGLE_CLOUD_LOCATION": "global"}
    settings = build_settings([], {**environ, "CLOUD_ML_REGION": "us-east5"})
    row = settings.providers["vertex-gemini"]
    assert (row.project_id, row.region) == ("g", "global")
    assert "vertex-gemini" in settings.ready
    bad = build_settings([], {**environ, "GOOGLE_CLOUD_LOCATION": "evil.example/"})
    with pytest.raises(ConfigError, match="GOOGLE_CLOUD_LOCATION"):
        resolve_model("vertex-gemini:m", bad)


def test_geminis_key_has_two_names() -> None:
    def variable(*names: str) -> str:
        settings = build_settings([], dict.fromkeys(names, "k"))
        assert "gemini" in settings.ready
        return settings.providers["gemini"].api_key_env_var

    assert variable("GEMINI_API_KEY") == "GEMINI_API_KEY"
    assert variable("GOOGLE_API_KEY") == "GOOGLE_API_KEY"
    assert variable("GOOGLE_API_KEY", "GEMINI_API_KEY") == "GEMINI_API_KEY"
    moved = build_settings([], {"GOOGLE_GEMINI_BASE_URL": "https://gw.example/"})
    assert moved.providers["gemini"].api_base == "https://gw.example"


def test_no_secret_is_in_the_settings() -> None:
    environ = {row.api_key_env_var: f"sk-{name}" for name, row in PROVIDERS.items()}
    assert "sk-" not in repr(build_settings([], environ))


def test_the_known_rows_are_never_changed() -> None:
    before = dict(PROVIDERS)
    build_settings(
        [user('[providers.openai]\napi_base = "http://h"\ndialect = { bearer = true }')],
        {"OPENAI_BASE_URL": "http://x"},
    )
    assert before == PROVIDERS
    assert isinstance(PROVIDERS["openai"].dialect, Dialect)


# --- loading ----------------------------------------------------------------------------------


def test_folders_by_platform() -> None:
    env = {"HOME": "/h", "USERPROFILE": "/w"}
    assert user_folder(env, platform="linux") == Path("/h/.config/llmwire")
    assert user_folder(env, "state", "linux") == Path("/h/.local/state/llmwire")
    assert user_folder(env | {"XDG_CONFIG_HOME": "/x"}, platform="linux") == Path("/x/llmwire")
    relative = env | {"XDG_CONFIG_HOME": "x"}
    assert user_folder(relative, platform="linux") == Path("/h/.config/llmwire")
    mac = Path("/h/Library/Application Support/llmwire")
    assert user_folder(env, platform="darwin") == user_folder(env, "state", "darwin") == mac
    windows = env | {"APPDATA": "/a", "LOCALAPPDATA": "/l"}
    assert user_folder(windows, platform="win32") == Path("/a/llmwire")
    assert user_folder(windows, "state", "win32") == Path("/l/llmwire")
    assert user_folder(env, platform="win32") == Path("/w/AppData/Roaming/llmwire")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "config" / "llmwire").mkdir(parents=True)
    (tmp_path / "repo" / "src").mkdir(parents=True)
    return tmp_path


def test_files_are_read_from_their_places(home: Path) -> None:
    environ = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")}
    here = home / "repo" / "src"
    assert load_settings(environ, here).files == ()
    own, theirs, named = (
        home / "config" / "llmwire" / "config.toml",
        home / "repo" / "llmwire.toml",
        home / "named.toml",
    )
    own.write_text('default_model = "openai:own"\n[models.a]\nname = "openai:a"')
    theirs.write_text('default_model = "openai:theirs"')
    named.write_bytes(b'\xef\xbb\xbfdefault_model = "openai:named"')
    settings = load_settings(environ, here)
    assert settings.files == (str(own), str(theirs))
    assert settings.default_model == "openai:theirs"
    settings = load_settings(environ | {"LLMWIRE_CONFIG": str(named)}, here)
    assert settings.files == (str(own), str(theirs), str(named))
    assert settings.default_model == "openai:named"
    assert set(settings.models) == {"a"}


def test_the_nearest_project_file_counts_alone(home: Path) -> None:
    (home / "repo" / "llmwire.toml").write_text('[models.far]\nname = "openai:far"')
    (home / "repo" / "src" / "llmwire.toml").write_text('[models.near]\nname = "openai:near"')
    settings = load_settings({"HOME": str(home)}, home / "repo" / "src")
    assert set(settings.models) == {"near"}


def test_naming_the_project_file_trusts_it(home: Path) -> None:
    file = home / "repo" / "llmwire.toml"
    file.write_text('[providers.w]\napi_base = "https://w/v1"\napi_key_env_var = "W_KEY"')
    environ = {"HOME": str(home)}
    with pytest.raises(ConfigError, match=re.escape(f"LLMWIRE_CONFIG={file}")):
        load_settings(environ, home / "repo")
    settings = load_settings(environ | {"LLMWIRE_CONFIG": "llmwire.toml"}, home / "repo")
    assert settings.providers["w"].api_key_env_var == "W_KEY"
    assert len(settings.files) == 1


def test_files_that_can_not_be_read_are_named(home: Path) -> None:
    environ = {"HOME": str(home), "LLMWIRE_CONFIG": str(home / "nowhere.toml")}
    with pytest.raises(ConfigError, match=r"nowhere\.toml: can't be read: No such file"):
        load_settings(environ, home)
    bad = home / "bad.toml"
    bad.write_bytes(b"# fine\n# \xff")
    with pytest.raises(ConfigError, match=r"bad\.toml:2: not UTF-8"):
        load_settings(environ | {"LLMWIRE_CONFIG": str(bad)}, home)
    bad.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ConfigError, match="larger than 1048576 bytes"):
        load_settings(environ | {"LLMWIRE_CONFIG": str(bad)}, home)
