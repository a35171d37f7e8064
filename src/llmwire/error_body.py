"""Reading error answers: any body into one `Report`, waiting times, and text without secrets.

Nothing here raises on what a server sends. Wire reference 9.1 and 9.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from .errors import clean_text
from .types import JSON, load_json

_BODY_READ = 65_536  # bytes of an error body that are looked at
_DEPTH = 6  # how deep errors are wrapped in errors before we stop looking
_WORDS = 16_384  # characters in which vendors' wordings are searched

# --- secrets ----------------------------------------------------------------------------------

_SECRET_HEADER = (
    r"(?:^|-)(?:authorization|cookie2?|api-?key|secret|signature|credentials?|password)(?:$|-)"
    r"|(?:security|access|auth|session|csrf|refresh|bearer|id)-token$|^x-auth"
)
_NAMED = (
    r"(\b(?:api[-_]?key|(?:access|auth|refresh|security)[-_]?token|client[-_]?secret|password|"
    r"secret)\b\\?[\"']?\s*[:=]\s*"
)
_SECRETS = (
    # A digit, a sign or length tells a token from a word: "Missing bearer or basic ...".
    (r"\b(Bearer )\s*(?=[^\s'\"]*[\d_=/+-]|[^\s'\"]{20})[^\s'\"<>\\,]+", True),
    (r"\b(Basic )\s*(?=[A-Za-z0-9+/]*[\d=+/])[A-Za-z0-9+/]{8,}={0,2}", True),
    (r"\b((?:sk|pk|rk|gsk|csk|xai|pplx|nvapi|hf|r8|fw|tgp|ghp|gho)[-_])"
     r"(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{12,}", False),
    (r"\b(AIza)[0-9A-Za-z_-]{16,}", False),
    (r"\b(AKIA|ASIA)[0-9A-Z]{12,}", False),
    (r"\b(ya29)\.[\w.-]{10,}", False),
    (r"\b(eyJ)[\w-]{8,}\.[\w-]+\.?[\w-]*", False),
    (r"(://)[^/@\s]{1,200}(?=@)", False),
    (_NAMED + r"\\?[\"'])[^\"'\\]{6,}", True),
    (_NAMED + r")(?=[^\s\"'&,;}\\]*\d|[^\s\"'&,;}\\]{20})[^\s\"'&,;}\\]{6,}", True),
    (r"([?&](?:key|token|sig|signature)=)[^\s&\"'#]+", True),
)  # fmt: skip


@cache
def _secrets() -> tuple[re.Pattern[str], ...]:
    """Compiled at the first error, not at import."""
    return tuple(re.compile(p, re.IGNORECASE if fold else 0) for p, fold in _SECRETS)


def mask_secrets(text: str) -> str:
    """The text with everything in it that looks like a key replaced by `***`."""
    for pattern in _secrets():
        text = pattern.sub(r"\1***", text)
    return text


def safe_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with lower-case names, without those that carry credentials."""
    out: dict[str, str] = {}
    for name, value in headers.items():
        lower = str(name).lower()
        if not re.search(_SECRET_HEADER, lower):
            out[lower] = mask_secrets(clean_text(str(value), 2000))
    return out


def excerpt(body: bytes, limit: int = 400) -> str:
    """The first characters of a body on one line, keys masked."""
    text = " ".join(body[: limit * 16].decode("utf-8", "replace").split())
    text = mask_secrets(text)
    return text[:limit] + "…" if len(text) > limit else text


# --- bodies -----------------------------------------------------------------------------------

_REQUEST_IDS = (
    "x-request-id",
    "request-id",
    "x-amzn-requestid",
    "x-goog-request-id",
    "apim-request-id",
    "mistral-correlation-id",
    "x-generation-id",
)


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """The id under which the provider knows the call (header names in lower case)."""
    for name in _REQUEST_IDS:
        if value := headers.get(name):
            return value
    return None


_TEXT_KEYS = (
    "message",
    "Message",
    "error_message",
    "errorMessage",
    "error_msg",
    "status_msg",
    "msg",
    "detail",
    "error_description",
    "title",
    "reason",
)
_HTML = r"(?i)<(?:!doctype|html|head|body|title|h1|center)\b"
_TITLES = tuple(rf"(?is)<{tag}\b[^>]*>(.{{1,1000}}?)</{tag}\s*>" for tag in ("title", "h1", "h2"))


class Report:
    """What an error body said.

    `message`, `type` and `code` are the provider's own; `upstream` is the sentence of an error
    inside the error (OpenRouter's provider). `codes` are all its code words in lower case,
    `texts` all its sentences, `statuses` the HTTP statuses it names. `day_quota` says what
    Google's details say of a quota: True used up for the day, False a matter of seconds, None
    nothing.
    """

    __slots__ = (
        "code", "codes", "day_quota", "html", "message", "request_id", "statuses", "texts", "type",
        "upstream",
    )  # fmt: skip

    def __init__(self) -> None:
        self.message: str | None = None
        self.type: str | None = None
        self.code: str | None = None
        self.upstream: str | None = None
        self.request_id: str | None = None
        self.codes: list[str] = []
        self.texts: list[str] = []
        self.statuses: list[int] = []
        self.day_quota: bool | None = None
        self.html = False

    @property
    def words(self) -> str:
        """Everything it said, for searching."""
        return "\n".join(self.texts)[:_WORDS]


def read_body(body: bytes, headers: Mapping[str, str] | None = None) -> tuple[Report, JSON]:
    """The report of a body, and its JSON (None if it is none)."""
    text = body[:_BODY_READ].decode("utf-8", "replace").lstrip("\ufeff").strip()
    value: JSON = None
    if text[:1] in ("{", "[", '"'):
        value = _json(text)
    elif text.startswith(("data:", "event:")):  # an event stream with an error status
        lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
        value = next((v for line in lines if (v := _json(line)) is not None), None)
    report = Report()
    if value is not None:
        report = read_value(value)
    elif re.search(_HTML, text[:2000]):
        report.html = True
        for pattern in _TITLES:
            if (m := re.search(pattern, text)) and (title := _plain(m[1])):
                report.message = title
                break
        report.texts = [report.message] if report.message else []
    elif text and text not in ("null", "true", "false"):
        report.message = text
        report.texts = [text]
    if headers:
        report.request_id = request_id_of(headers) or headers.get("cf-ray") or None
    if headers and (aws := headers.get("x-amzn-errortype")):
        aws = aws.split(":")[0].strip()
        report.type = report.type or aws
        report.codes.append(aws.lower())
    return report, value


def _json(text: str) -> JSON:
    try:
        return load_json(text)
    except ValueError:
        return None


def _plain(markup: str) -> str:
    from html import unescape  # its tables are for this rare case only

    return " ".join(unescape(re.sub(r"<[^>]{0,2000}>", " ", markup)).split())


def read_value(value: JSON) -> Report:
    """The report of a decoded body or event, whatever its shape."""
    report = Report()
    _read(value, report, _DEPTH)
    return report


def _read(value: JSON, report: Report, depth: int) -> None:
    if depth == 0:
        return
    if isinstance(value, list):  # Google wraps its error in a list
        if value and all(isinstance(v, dict) and "msg" in v for v in value):
            _say(report, _text_of(value, depth))
            return
        for item in value[:8]:
            if isinstance(item, dict | list | str):
                _read(item, report, depth - 1)
                return
        return
    if not isinstance(value, dict):
        if value is not None and not isinstance(value, bool):
            _say(report, str(value))
        return
    inner = value.get("error")
    if isinstance(inner, dict | list) and inner:
        _read(inner, report, depth - 1)
    elif isinstance(inner, str) and inner.strip():
        _say(report, inner)
    choices = value.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    for box in (value.get("response"), value.get("x_groq"), choice):  # response.failed; Groq
        if isinstance(box, dict) and isinstance(box.get("error"), dict | str):
            _read(box["error"], report, depth - 1)
    if isinstance(base := value.get("base_resp"), dict):  # MiniMax
        _say(report, base.get("status_msg"))
        number = base.get("status_code")
        report.code = report.code or _word(number)
        report.codes.append(f"base_resp {number}")
    if isinstance(errors := value.get("errors"), list | dict | str):
        _say(report, _text_of(errors, depth))
    for name in _TEXT_KEYS:
        if name in value and not (name == "reason" and report.message):
            _say(report, _text_of(value[name], depth))
    _read_words(value, report)
    _read_details(value.get("details"), report)
    if isinstance(more := value.get("innererror"), dict):  # Azure
        _read_words(more, report, only_codes=True)
    if isinstance(meta := value.get("metadata"), dict):  # OpenRouter
        _read_metadata(meta, report, depth)
    for name in ("request_id", "requestId", "RequestId"):
        if report.request_id is None and isinstance(value.get(name), str):
            report.request_id = value[name] or None


def _read_words(value: dict[str, JSON], report: Report, only_codes: bool = False) -> None:
    aws = _word(value.get("__type"))
    kind = aws.rpartition("#")[2] if aws else _word(value.get("type"))
    # An envelope's own type ("error") says nothing.
    kind = None if kind == "error" and "code" not in value else kind
    code = _word(value.get("code"))
    status = _word(value.get("status"))
    for word in (kind, code, status, _word(value.get("reason")), _word(value.get("error_code"))):
        if word and len(word) < 200:
            report.codes.append(word.lower())
    for name in ("code", "status", "status_code", "statusCode", "StatusCode", "http_code"):
        if (number := _http_status(value.get(name))) is not None:
            report.statuses.append(number)
    if not only_codes:
        report.code = report.code or code
        report.type = report.type or kind or status or code


def _read_details(details: JSON, report: Report) -> None:
    """Google's list of typed details; Anthropic's object with an `error_code`; texts."""
    if isinstance(details, dict):
        code = _word(details.get("error_code"))
        if code:
            report.codes.append(code.lower())
            report.code = report.code or code
    elif isinstance(details, str):
        report.texts.append(details)
    elif isinstance(details, list):
        for detail in details[:32]:
            if not isinstance(detail, dict):
                continue
            if reason := _word(detail.get("reason")):
                report.codes.append(reason.lower())
            kind = str(detail.get("@type", ""))
            if kind.endswith("RetryInfo") and report.day_quota is None:
                report.day_quota = False
            for violation in _dicts(detail.get("violations")):
                quota = str(violation.get("quotaId", ""))
                report.texts.append(quota)
                used_up = "PerDay" in quota or str(violation.get("quotaValue")) == "0"
                report.day_quota = bool(report.day_quota) or used_up


def _read_metadata(meta: dict[str, JSON], report: Report, depth: int) -> None:
    for name in ("error_type", "reasons"):
        if isinstance(word := meta.get(name), str):
            report.codes.append(word.lower())
    if "flagged_input" in meta:
        report.codes.append("flagged_input")
    raw = meta.get("raw")
    if isinstance(raw, str) and raw.lstrip()[:1] in ("{", "["):
        raw = _json(raw) if _json(raw) is not None else raw
    if raw:
        nested = Report()
        _read(raw, nested, depth - 1)
        report.upstream = nested.upstream or nested.message
        report.codes += nested.codes
        report.texts += nested.texts
        report.statuses += nested.statuses
        report.day_quota = nested.day_quota if report.day_quota is None else report.day_quota


def _say(report: Report, text: JSON) -> None:
    if isinstance(text, str) and text.strip():
        report.texts.append(text)
        report.message = report.message or text


def _text_of(value: JSON, depth: int) -> str:
    """The sentence in a message that may be a list of FastAPI details, an object or anything."""
    if isinstance(value, str):
        return value
    if depth == 0 or value is None or isinstance(value, bool):
        return ""
    if isinstance(value, list):
        return "; ".join(t for v in value[:16] if (t := _text_of(v, depth - 1)))
    if not isinstance(value, dict):
        return str(value)
    for name in ("msg", *_TEXT_KEYS, "error"):
        if value.get(name):
            text = _text_of(value[name], depth - 1)
            place = value.get("loc")
            if text and isinstance(place, list) and place:
                return f"{'.'.join(map(str, place[:16]))}: {text}"
            if text:
                return text
    return ""


def _word(value: JSON) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def _http_status(value: JSON) -> int | None:
    text = _word(value)
    if text is None or not re.fullmatch(r"[45][0-9]{2}", text, re.ASCII):
        return None
    return int(text)


def _dicts(value: JSON) -> Iterator[dict[str, JSON]]:
    if isinstance(value, list):
        yield from (v for v in value[:32] if isinstance(v, dict))


# --- waiting times ----------------------------------------------------------------------------

LONGEST_WAIT = 2_592_000.0
"""30 days in seconds; what is longer is a mistake (a date as a number, say)."""

_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{0,12})?"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART = (
    r"([0-9]{1,9}(?:\.[0-9]{1,12})?)\s?"
    r"(ms|milliseconds?|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)(?![a-z])"
    r"|([0-9]{1,9}(?:\.[0-9]{1,12})?)(ms|s|m|h|d)(?=[0-9])"
)
_PROSE = (
    r"(?i)\b(?:try again|retry|wait)(?: your request)?(?: (?:in|after|for))(?: about| approximately)?\s"
    r"((?:[0-9.]{1,20}\s?[a-z]{1,12}[\s,]{0,2}(?:and )?){1,5})"
)


def parse_retry_after(
    headers: Mapping[str, str], error_json: JSON, text: str, now: float | None = None
) -> float | None:
    """How long the provider asks to wait, in seconds. None: it did not say, or said nonsense.

    In this order: retry-after-ms; retry-after as seconds, a duration ("6m0s") or an HTTP date;
    Google's RetryInfo in `error_json`; prose ("Please try again in 1.2s."). A date counts from
    the answer's own Date header, else from `now` (seconds since 1970). Header names in lower
    case. Wire reference 9.3.
    """
    for found in (
        _scaled(headers.get("retry-after-ms"), 0.001),
        _retry_after(headers, now),
        _retry_info(error_json),
        _prose(text),
    ):
        if found is not None and 0 <= found <= LONGEST_WAIT:
            return found
    return None


def _scaled(text: str | None, factor: float) -> float | None:
    text = (text or "").strip()
    return float(text) * factor if re.fullmatch(_NUMBER, text) else None


def _retry_after(headers: Mapping[str, str], now: float | None) -> float | None:
    text = (headers.get("retry-after") or "").strip()
    if not text or len(text) > 100:
        return None
    seconds = _scaled(text, 1.0)
    if seconds is None:
        seconds = parse_duration(text)
    if seconds is not None:
        return seconds
    when, today = _date(text), _date(headers.get("date") or "")
    start = now if today is None else today
    if when is None or start is None:
        return None
    return max(0.0, when - start)


def _date(text: str) -> float | None:
    from email.utils import parsedate_to_datetime  # imports much

    try:
        return parsedate_to_datetime(text.strip()).timestamp() if "," in text else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def parse_duration(text: str) -> float | None:
    """Seconds from `1.2s`, `6m0s`, `88ms`, `2 minutes`, `1h2m3s`. None for anything else."""
    text, total, at = text.strip().lower(), 0.0, 0
    while at < len(text):
        m = re.match(_DURATION_PART, text[at:])
        if m is None:
            return None
        unit = m[2] or m[4]
        total += float(m[1] or m[3]) * _UNITS["ms" if unit.startswith(("ms", "mil")) else unit[0]]
        at += m.end()
        while at < len(text) and text[at] in " ,":
            at += 1
        if text.startswith("and ", at):
            at += 4
    return total if at else None


def _retry_info(value: JSON, depth: int = 4) -> float | None:
    if depth == 0:
        return None
    if isinstance(value, list):
        return next((d for v in value[:8] if (d := _retry_info(v, depth - 1)) is not None), None)
    if not isinstance(value, dict):
        return None
    for detail in _dicts(value.get("details")):
        delay = detail.get("retryDelay")
        if isinstance(delay, dict):  # a protobuf Duration written out
            delay = f"{delay.get('seconds', 0)}s"
        if isinstance(delay, str) and (seconds := parse_duration(delay)) is not None:
            return seconds
    return _retry_info(value.get("error"), depth - 1)


def _prose(text: str) -> float | None:
    m = re.search(_PROSE, text[:_WORDS])
    if m is None:
        return None
    # Trim a word too many ("in 5 seconds or") from the right until the rest is a duration.
    phrase = m[1].strip().rstrip(".,")
    while phrase:
        if (seconds := parse_duration(phrase)) is not None:
            return seconds
        phrase = phrase.rpartition(" ")[0].rstrip(".,")
    return None
