"""Which providers and models there are: TOML files and the environment, made into values.

Layers, lowest first; a later one replaces single settings of an earlier one:

1. the rows of `providers.PROVIDERS`
2. what the vendors' own variables say (`OPENAI_BASE_URL`, `OLLAMA_HOST`, ...; `environment`)
3. `config.toml` in the user's configuration folder (`user_folder`)
4. `llmwire.toml` in the current folder or the nearest parent that has one: the *project file*
5. the file that `LLMWIRE_CONFIG` names
6. `LLMWIRE_MODEL`, for the default model

A file holds `default_model`, tables `[providers.NAME]` with the fields of `ProviderConfig`, and
tables `[models.ALIAS]` with those of `ModelConfig`.

**The project file is not trusted**: it may come with any folder that was downloaded. It chooses
models and tunes providers, but it can't make a key or a prompt go anywhere new. A provider it
touches must end at an address that is known for the same key variable (from a built-in row, the
environment or the user's own files), or at a loopback address without a key; headers, projects
and regions are not its business. `LLMWIRE_CONFIG=llmwire.toml` says that a file is trusted.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from .adapters import ADAPTERS
from .config import Dialect, ModelConfig, ProviderConfig, Timeouts, from_mapping
from .environment import environment_rows, is_loopback, origin, same_server, user_folder
from .errors import ConfigError
from .providers import GOOGLE_STYLES, PROVIDERS
from .toml_places import line_of

DEFAULT_MODELS: Mapping[str, str] = {
    "openai": "gpt-6-luna",
    "anthropic": "claude-haiku-5-5",
    "mistral": "mistral-small-latest",
}
"""The model used when nothing is configured and exactly one vendor's key is there: the small one
of its newest line. Source: the vendors' Python SDKs (openai 3.54.0, anthropic 2.12.0, mistralai
3.7.0), read 2026-11-24."""

OFFLINE = "offline"
"""What the command calls the embedded server's model; no provider or alias can have this name."""

_KEY_ENDINGS = ("_API_KEY", "_AUTH_TOKEN")

PROJECT_FILE = "llmwire.toml"
_SIZE_LIMIT = 1 << 20  # bytes of one file: a configuration is a page, not a megabyte

_PROJECT_FIELDS = frozenset(
    ("api_base", "api_key_env_var", "api_style", "reasoning_field_name", "timeouts", "dialect")
)


class ConfigSource(Struct, frozen=True):
    """The text of one configuration file, and whether it may say where keys and prompts go."""

    path: str
    text: str
    trusted: bool = True


class Settings(Struct, frozen=True):
    """What files and environment amount to. Holds names of variables, never their values."""

    providers: dict[str, ProviderConfig]
    models: dict[str, ModelConfig]
    """By alias."""
    default_model: str | None = None
    default_from: str = ""
    """Where the default model was chosen: a file or a variable."""
    ready: frozenset[str] = frozenset()
    """The providers whose key variable is set (Vertex: whose project is known)."""
    broken: dict[str, str] = {}
    """Providers that can't be used, and why: a variable with an address that is none."""
    files: tuple[str, ...] = ()


class Resolved(Struct, frozen=True):
    """A provider with a model, and why it was these (`implied`: only because its key is there)."""

    provider: ProviderConfig
    model: ModelConfig
    implied: bool = False


# --- resolving --------------------------------------------------------------------------------


def resolve_model(
    spec: str | None, settings: Settings | None = None
) -> tuple[ProviderConfig, ModelConfig]:
    """The provider and the model that `spec` means: an alias, `provider:model`, `provider/model`.

    The first `:` or `/` ends the provider's name; what follows may hold more of both
    (`openrouter:anthropic/claude-haiku-5-5`, `ollama:qwen3:8b`). None means the default model; if
    none is configured and exactly one vendor's key is there, the one of `DEFAULT_MODELS`. Without
    `settings` they are loaded from files and environment. Raises `ConfigError`.
    """
    found = resolve(spec, load_settings() if settings is None else settings)
    return found.provider, found.model


def resolve(spec: str | None, settings: Settings) -> Resolved:
    """As `resolve_model`, and says whether the choice was only implied by a key."""
    if spec is not None:
        return Resolved(*_named(spec, settings))
    if settings.default_model is not None:
        try:
            return Resolved(*_named(settings.default_model, settings))
        except ConfigError as e:
            raise ConfigError(f"{settings.default_from}: {e.message}") from None
    ready = sorted(settings.ready)
    # Tokens that serve more than models (HF_TOKEN, a Google Cloud project) imply no choice.
    # A service that has two rows, one for each of its wires, has one key; the first row is meant.
    by_key = {
        (row.api_key_env_var, row.api_base): name
        for name, row in reversed(settings.providers.items())
        if name in settings.ready and row.api_key_env_var.endswith(_KEY_ENDINGS)
    }
    keys = list(by_key.values())
    if len(keys) == 1 and keys[0] in DEFAULT_MODELS:
        return Resolved(*_named(f"{keys[0]}:{DEFAULT_MODELS[keys[0]]}", settings), implied=True)
    how = "name one (provider:model), or set LLMWIRE_MODEL or default_model in the configuration"
    if ready:
        raise ConfigError(f"no model is chosen, and there are keys for {', '.join(ready)}: {how}")
    raise ConfigError(f"no model is chosen, and no provider's key is in the environment: {how}")


def is_unconfigured(settings: Settings) -> bool:
    """Whether there is nothing to go by: no default model, no key, no model of one's own."""
    return settings.default_model is None and not settings.ready and not settings.models


def _named(spec: str, settings: Settings) -> tuple[ProviderConfig, ModelConfig]:
    spec = spec.strip()
    if spec in settings.models:
        model = settings.models[spec]
        return _provider(model.provider, settings), model
    separator = re.search("[:/]", spec)
    if separator is None:
        known = [*settings.models, *(f"{name}:MODEL" for name in settings.providers)]
        raise ConfigError(
            f"no model is called {spec!r}: write provider:model, or an alias from the "
            f"configuration{_did_you_mean(spec, known)}"
        )
    name, model_name = spec[: separator.start()], spec[separator.end() :]
    provider = _provider(name, settings)
    if not model_name:
        raise ConfigError(f"{spec!r} names no model: write {name}:MODEL")
    for model in settings.models.values():
        if model.provider == name and model.name == model_name:
            return provider, model
    return provider, ModelConfig(model_name, name, temperature=None)


def _provider(name: str, settings: Settings) -> ProviderConfig:
    if name in settings.broken:
        raise ConfigError(f"provider {name!r}: {settings.broken[name]}")
    if name not in settings.providers:
        guess = _did_you_mean(name, settings.providers)
        known = ", ".join(sorted(settings.providers))
        raise ConfigError(f"no provider is called {name!r}{guess}. Known: {known}")
    return settings.providers[name]


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f" (did you mean {close[0]}?)" if close else ""


# --- building ---------------------------------------------------------------------------------


def build_settings(sources: Sequence[ConfigSource], environ: Mapping[str, str]) -> Settings:
    """The settings from texts (lowest first) and an environment. Pure.

    Raises `ConfigError` that names the file, the line where it is known, and the key.
    """
    rows, broken = environment_rows(environ)
    parsed = [(source, _parsed(source)) for source in sources]
    trusted_rows = dict(rows)
    for source, data in parsed:
        if source.trusted:
            _overlay(trusted_rows, source, data)
    known = {_binding(row) for table in (PROVIDERS, rows, trusted_rows) for row in table.values()}

    touched: dict[str, ConfigSource] = {}
    models: dict[str, ModelConfig] = {}
    places: dict[str, str] = {}
    default_model, default_from = None, ""
    for source, data in parsed:
        named = _overlay(rows, source, data)
        for name in named:
            if data["providers"][name].keys() & {"api_base", "project_id", "region", "resource"}:
                broken.pop(name, None)
        if not source.trusted:
            touched |= dict.fromkeys(named, source)
        for alias, model in _models(source, data).items():
            models[alias], places[alias] = model, _at(source, "models", alias)
        if "default_model" in data:
            default_model = data["default_model"]
            default_from = _at(source, "default_model")
            if not isinstance(default_model, str) or not default_model.strip():
                raise ConfigError(f"{default_from} must be a text like 'provider:model'")
    for name, source in touched.items():
        _refuse_new_destination(rows[name], source, known)
    for alias, model in models.items():
        if model.provider not in rows:
            guess = _did_you_mean(model.provider, rows)
            raise ConfigError(f"{places[alias]}: no provider is called {model.provider!r}{guess}")
    if environ.get("LLMWIRE_MODEL", "").strip():
        default_model, default_from = environ["LLMWIRE_MODEL"], "LLMWIRE_MODEL"
    return Settings(
        rows,
        models,
        default_model,
        default_from,
        frozenset(name for name, row in rows.items() if _is_ready(row, environ)),
        broken,
        tuple(source.path for source in sources),
    )


def _is_ready(row: ProviderConfig, environ: Mapping[str, str]) -> bool:
    fields = address_fields(row)
    if row.api_key_env_var:
        if not environ.get(row.api_key_env_var, "").strip():
            return False
    elif not fields:
        return False  # a server of one's own may run or not
    return all(getattr(row, field) for field in fields)


def address_fields(row: ProviderConfig) -> list[str]:
    """The fields that stand in the address of a row."""
    if row.api_style in GOOGLE_STYLES and not row.api_base:
        return [] if row.api_key_env_var else ["project_id", "region"]  # a key: express mode
    return list(dict.fromkeys(re.findall(r"\{(\w+)\}", row.api_base)))


def _parsed(source: ConfigSource) -> dict[str, Any]:
    try:
        data = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as e:
        what, _, place = str(e).rpartition(" (at ")
        numbers = re.findall(r"\d+", place) or [str(source.text.count("\n") + 1)]
        raise ConfigError(f"{':'.join([source.path, *numbers])}: not TOML: {what or e}") from None
    except RecursionError:
        raise ConfigError(f"{source.path}: nested too deeply") from None
    for key, value in data.items():
        if key not in ("providers", "models", "default_model"):
            raise ConfigError(
                f"{_at(source, key)}: unknown; a file has default_model, [providers.NAME] and "
                "[models.ALIAS]"
            )
        if key == "default_model":
            continue
        if not isinstance(value, dict):
            raise ConfigError(f"{_at(source, key)} must be tables [{key}.NAME]")
        for name, table in value.items():
            if not isinstance(table, dict):
                raise ConfigError(f"{_at(source, key, name)} must be a table [{key}.{name}]")
            if name == OFFLINE:
                raise ConfigError(f"{_at(source, key, name)}: this name is the stand-in's")
            if not name or re.search(r"[:/\s\x00-\x1f]", name):
                raise ConfigError(
                    f"{_at(source, key, name)}: a name can't be empty or hold ':', '/' or spaces"
                )
    return data


def _overlay(
    rows: dict[str, ProviderConfig], source: ConfigSource, data: Mapping[str, Any]
) -> list[str]:
    """Lays a file's provider tables over the rows; gives the names it has."""
    for name, table in data.get("providers", {}).items():
        if not source.trusted and (alien := table.keys() - _PROJECT_FIELDS):
            key = min(alien)
            raise ConfigError(
                f"{_at(source, 'providers', name, key)}: a project file can't set this; put it "
                f"into your own configuration, or trust the file: LLMWIRE_CONFIG={source.path}"
            )
        rows[name] = _overlaid(rows.get(name) or ProviderConfig(name), table, source)
    return list(data.get("providers", {}))


def _overlaid(
    row: ProviderConfig, table: Mapping[str, Any], source: ConfigSource
) -> ProviderConfig:
    path = ("providers", row.name)
    changes = dict(table)
    timeouts = _sub(Timeouts, row.timeouts, changes.pop("timeouts", {}), source, *path, "timeouts")
    if changes.get("name", row.name) != row.name:
        raise ConfigError(f"{_at(source, *path, 'name')}: the table's name is the provider's")
    checked = _convert(
        ProviderConfig, {"name": row.name, **_without(changes, "dialect")}, source, *path
    )
    values = {k: getattr(checked, k) for k in changes if k not in ("dialect", "name")}
    if "extra_headers" in values:
        values["extra_headers"] = row.extra_headers | values["extra_headers"]
    new = replace(row, timeouts=timeouts, **values)
    if new.api_style not in ADAPTERS:
        raise ConfigError(
            f"{_at(source, *path, 'api_style')}: {new.api_style!r} is not one of "
            f"{', '.join(ADAPTERS)}"
        )
    for field in ("project_id", "region", "resource"):
        _check_name(getattr(new, field), _at(source, *path, field))
    dialect = row.dialect if same_server(row, new) else None
    if "dialect" in changes:
        dialect = _sub(Dialect, dialect or Dialect(), changes["dialect"], source, *path, "dialect")
    new = replace(new, dialect=dialect)
    if not new.api_base and new.api_style not in GOOGLE_STYLES:
        raise ConfigError(f"{_at(source, *path)}: api_base is missing")
    return new


def _sub(kind: type[Any], old: Any, table: Any, source: ConfigSource, *path: str) -> Any:
    """A nested struct with the table's settings over the old ones; "none" means None."""
    if not isinstance(table, dict):
        raise ConfigError(f"{_at(source, *path)} must be a table")
    new = _convert(kind, _nones(kind, table), source, *path)
    return replace(old, **{k: getattr(new, k) for k in table})


def _nones(kind: type[Any], table: Mapping[str, Any]) -> dict[str, Any]:
    # TOML has no null. Only numbers are meant: "none" is a word in some text fields.
    numbers = {f.name for f in msgspec.structs.fields(kind) if f.type == (float | None)}
    return {k: None if v == "none" and k in numbers else v for k, v in table.items()}


def _models(source: ConfigSource, data: Mapping[str, Any]) -> dict[str, ModelConfig]:
    out = {}
    for alias, table in data.get("models", {}).items():
        where = ("models", alias)
        values = {"temperature": None, "alias": alias, **_nones(ModelConfig, table)}
        if values["alias"] != alias:
            raise ConfigError(f"{_at(source, *where, 'alias')}: the table's name is the alias")
        if "name" not in table:
            raise ConfigError(f"{_at(source, *where)}: name is missing")
        name = table["name"]
        if "provider" not in table and isinstance(name, str):
            separator = re.search("[:/]", name)
            if separator is None:
                raise ConfigError(f"{_at(source, *where)}: provider is missing")
            values["provider"] = name[: separator.start()]
            values["name"] = name[separator.end() :]
        out[alias] = _convert(ModelConfig, values, source, *where)
    return out


def _convert(kind: type[Any], table: Mapping[str, Any], source: ConfigSource, *path: str) -> Any:
    known = [f.name for f in msgspec.structs.fields(kind)]
    for key in table:
        if key not in known:
            guess = _did_you_mean(key, known)
            raise ConfigError(f"{_at(source, *path, key)}: unknown setting{guess}")
    try:
        return from_mapping(kind, table, ".".join(path))
    except ConfigError as e:
        # From msgspec with the place at the end, or from the struct itself with it in front.
        place = re.search(r" - at `\$\.(\w+)", e.message)
        message = e.message.partition(" - at `")[0].removeprefix(".".join(path) + ": ")
        own = re.match(r"provider '[^']*': (\w+): ", message)
        message = message[own.end() :] if own else message
        found = place or own
        raise ConfigError(
            f"{_at(source, *path, *found.groups() if found else ())}: {message}"
        ) from None


def _without(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in table.items() if k != key}


def _check_name(value: str, where: str) -> None:
    # Both stand in the address the Google token is sent to.
    if not re.fullmatch(r"[A-Za-z0-9.:_-]*", value):
        raise ConfigError(f"{where}: {value!r} is not a project or region")


# --- addresses and trust ----------------------------------------------------------------------


def _binding(row: ProviderConfig) -> tuple[str, str, bool]:
    # Without an address a Vertex row goes to Google, with Google's own credential.
    google = row.api_style in GOOGLE_STYLES and not row.api_base
    google = google or (row.dialect is not None and row.dialect.auth == "google")
    return row.api_key_env_var, origin(row.api_base), google


def _refuse_new_destination(
    row: ProviderConfig, source: ConfigSource, known: set[tuple[str, str, bool]]
) -> None:
    binding = _binding(row)
    secret = row.api_key_env_var or row.extra_headers or binding[2]
    if binding in known or (not secret and is_loopback(row.api_base)):
        return
    where = _at(source, "providers", row.name)
    what = f"the key in {row.api_key_env_var}" if row.api_key_env_var else "prompts"
    raise ConfigError(
        f"{where}: a project file can't send {what} to {origin(row.api_base) or 'Google'}, which "
        "your own configuration does not name; put the table there, or trust this file: "
        f"LLMWIRE_CONFIG={source.path}"
    )


# --- where things stand -----------------------------------------------------------------------


def _at(source: ConfigSource, *path: str) -> str:
    """`file:line: key.path` for messages; the line as far as it can be found."""
    line = line_of(source.text, path)
    dotted = ".".join(key if re.fullmatch(r"[\w-]+", key) else repr(key) for key in path)
    return f"{source.path}:{line}: {dotted}" if line else f"{source.path}: {dotted}"


# --- loading ----------------------------------------------------------------------------------


def load_settings(
    environ: Mapping[str, str] | None = None, folder: str | os.PathLike[str] | None = None
) -> Settings:
    """The settings of this process: reads the files that apply to `folder` (the current one).

    Raises `ConfigError` for a file that can't be read or understood.
    """
    environ = os.environ if environ is None else environ
    try:
        here = Path(os.getcwd() if folder is None else folder).absolute()
    except OSError:  # the current folder was deleted
        here = Path(os.sep)
    sources: list[ConfigSource] = []
    user = user_folder(environ) / "config.toml"
    if user.is_file():
        sources.append(_read(user))
    named = environ.get("LLMWIRE_CONFIG", "").strip()
    named_path = here / Path(named).expanduser() if named else None
    project = next((p for d in (here, *here.parents) if (p := d / PROJECT_FILE).is_file()), None)
    if project is not None and not (named_path and _same_file(project, named_path)):
        sources.append(_read(project, trusted=False))
    if named_path is not None:
        sources.append(_read(named_path))
    return build_settings(sources, environ)


def _same_file(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b)
    except OSError:
        return False


def _read(path: Path, trusted: bool = True) -> ConfigSource:
    try:
        with path.open("rb") as file:
            data = file.read(_SIZE_LIMIT + 1)
        if len(data) > _SIZE_LIMIT:
            raise ConfigError(f"{path}: larger than {_SIZE_LIMIT} bytes, so no configuration")
        return ConfigSource(str(path), data.decode("utf-8-sig"), trusted)
    except OSError as e:
        raise ConfigError(f"{path}: can't be read: {e.strerror or e}") from None
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text") from None
