"""The models of an account: those that are called by their ids, then the profiles for the others.

Two lists of Bedrock's control plane, ListFoundationModels and ListInferenceProfiles. Wire reference
11; their fields: botocore 1.44.8, bedrock 2023-04-20.
"""

from __future__ import annotations

import re
from urllib.parse import quote

import msgspec
from msgspec import Struct

from ...config import ModelInfo, ProviderConfig
from ...errors import DecodeError
from ...providers import dialect_of
from ...sigv4 import scope_of
from ..base import ModelPage, PreparedRequest, decode_json, scheme_at
from ..listing import get

_PROFILES = "profiles:"
"""The mark of a page of profiles; the API's own mark follows it."""


class _Model(Struct, rename="camel"):
    model_id: str


class _Part(Struct, rename="camel"):
    model_arn: str = ""


class _Profile(Struct, rename="camel"):
    inference_profile_id: str
    models: list[_Part] = []


class _Page(Struct, rename="camel"):
    model_summaries: list[_Model] | None = None
    inference_profile_summaries: list[_Profile] | None = None
    next_token: str | None = None


_PAGE = msgspec.json.Decoder(_Page)


def prepare_models(
    provider: ProviderConfig, after: str, vendor: str = ""
) -> PreparedRequest | None:
    """A page of the lists; `vendor` leaves out the models of all others. None where the control
    plane's address is not known: behind a private endpoint."""
    dialect, base = dialect_of(provider), _control_plane(provider.address)
    if not (dialect.model_list and base):
        return None
    if after.startswith(_PROFILES):
        mark = quote(after.removeprefix(_PROFILES), safe="")
        path = "/inference-profiles?maxResults=1000" + (f"&nextToken={mark}" if mark else "")
    else:
        of = f"&byProvider={vendor}" if vendor else ""
        path = f"/foundation-models?byInferenceType=ON_DEMAND&byOutputModality=TEXT{of}"
    return get(path, base, auth=scheme_at(dialect, base, "bearer"))


def parse_models(body: bytes, vendor: str = "") -> ModelPage:
    """Raises `DecodeError` for what is no list."""
    page = decode_json(_PAGE, body, "the list of models")
    if page.inference_profile_summaries is not None:
        profiles = [
            profile.inference_profile_id
            for profile in page.inference_profile_summaries
            if all(f"/{vendor}" in part.model_arn for part in profile.models)
        ]
        after = f"{_PROFILES}{page.next_token}" if page.next_token else ""
        return ModelPage(tuple(map(ModelInfo, profiles)), after)
    if page.model_summaries is None:
        raise DecodeError(
            "that is no list of models: there is none in it",
            body_excerpt=body[:200].decode("utf-8", "replace"),
            phase="response",
        )
    names = [model.model_id for model in page.model_summaries]
    return ModelPage(tuple(map(ModelInfo, names)), _PROFILES)


def _control_plane(address: str) -> str:
    """Where the lists are; "" if that is not known. A gateway is asked itself."""
    if scope_of(address) is None:
        return address.rstrip("/")
    base, count = re.subn(r"^https://bedrock-runtime(-fips)?\.", r"https://bedrock\1.", address)
    return base.rstrip("/") if count else ""
