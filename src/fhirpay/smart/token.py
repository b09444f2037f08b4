"""What a token endpoint answers: a token, or why there is none, in words for who set up the connection. Pure.

RFC 6749 §5 and SMART 2.2 backend-services ("Access token"): access_token, token_type `bearer`, expires_in and scope are
all required there; of a launch (app-launch, "Access token response") expires_in isn't, and of a refresh scope isn't.
What it grants is compared with what was asked, never assumed: a server may grant less. Called by backend.py and
launch.py. No token, and nothing that looks like one, stands in an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ..errors import EhrMisconfigured, EhrUnavailable
from ..net.http import Response
from .asking import granted_in, missing
from .configuration import what_it_is
from .scopes import Scope

LIVES_MAX_S = 3600  # what is said to live longer is renewed after that
_MARGIN_MAX_S = 60
_VALUE = re.compile(r"[A-Za-z0-9._~+/-]{1,16000}=*\Z")  # b64token of RFC 6750: nothing else may go into a header
_SECRET = re.compile(r"[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}(?:\.[A-Za-z0-9_-]*)?|[A-Za-z0-9_-]{40,}")
_SKEW_WORTH_SAYING_S = 60


@dataclass(frozen=True, slots=True)
class Token:
    """Times are of the event loop's clock, which nobody sets back. Renewed from `renew_at` on, dead at `dies_at`."""

    value: str = field(repr=False)
    granted: tuple[Scope, ...]
    short: tuple[Scope, ...]
    renew_at: float
    dies_at: float

    @property
    def authorization(self) -> str:
        return f"Bearer {self.value}"


@dataclass(frozen=True, slots=True)
class Answered:
    """A token response that can be used, as it was answered. `doc` has what else it says."""

    value: str = field(repr=False)
    scope: str
    lives_s: int | None
    doc: Mapping[str, Any] = field(repr=False)


def read_token(answer: Response, *, ehr: str, asked: Sequence[Scope], asked_at: float) -> Token:
    """`asked_at` is when the request went out: the token's life is counted from then. Raises EhrMisconfigured."""
    read = read_answer(answer, ehr=ehr)
    assert read.lives_s is not None
    granted = granted_in(read.scope)
    short = missing(asked, granted)
    if asked and sum(len(one.letters) for one in short) == sum(len(one.letters) for one in asked):
        wanted = " ".join(str(one) for one in asked)
        why = f"granted nothing of what was asked: asked {wanted}, granted {_clean(read.scope)}"
        raise EhrMisconfigured(f"the token endpoint of '{ehr}' {why}", connection=ehr)
    lives_s = min(read.lives_s, LIVES_MAX_S)
    dies_at = asked_at + lives_s
    return Token(read.value, granted, short, renew_at=dies_at - min(_MARGIN_MAX_S, lives_s / 4), dies_at=dies_at)


def read_answer(answer: Response, *, ehr: str, needs_life: bool = True, needs_scope: bool = True) -> Answered:
    """Raises EhrMisconfigured for what is no token response, or lacks what it needs."""
    said = f"the token endpoint of '{ehr}'"

    def refused(why: str) -> EhrMisconfigured:
        return EhrMisconfigured(f"{said} {why}", connection=ehr)

    doc = answer.json_object()
    if not doc:
        raise refused(f"answered {answer.status} with {what_it_is(answer)}, not with a token")
    value = doc.get("access_token")
    if not isinstance(value, str) or not value:
        raise refused("answered without an access_token")
    if not _VALUE.match(value):
        raise refused("gave an access_token that can't stand in a header")
    kind = doc.get("token_type")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise refused(f"gave a token of type {_quoted(kind)}, and we can use Bearer only")
    lives_s = _seconds(doc.get("expires_in"))
    if lives_s is None and (needs_life or "expires_in" in doc):
        what = "without expires_in" if "expires_in" not in doc else f"with expires_in {_quoted(doc['expires_in'])}"
        raise refused(f"gave a token {what}: SMART requires how many seconds it lives")
    text = doc.get("scope")
    if not isinstance(text, str) or not text.strip():
        if needs_scope:
            raise refused("gave a token without scope: SMART requires it, and without it we don't know what we may do")
        text = ""
    return Answered(value, text, lives_s, doc)


def refusal(answer: Response, *, ehr: str, client_id: str, kid: str, now: datetime) -> EhrUnavailable:
    """Why there is no token: what a person has to change (EhrMisconfigured), or nothing but time. `kid` is of the key
    that signed, where one did."""
    status, doc = answer.status, answer.json_object()
    said = f"the token endpoint of '{ehr}' answered {status}"
    error = doc.get("error") if isinstance(doc.get("error"), str) else ""
    if status == 429 or (status >= 500 and not error):
        return EhrUnavailable(f"{said}: not now", retry_after_s=answer.retry_after_s, connection=ehr)
    if not error:
        what = "that it has moved" if 300 <= status < 400 else f"{what_it_is(answer)}, and no OAuth error"
        return EhrMisconfigured(f"{said}, {what}: is its token_endpoint right?", connection=ehr)
    words = f": {_clean(doc['error_description'])}" if isinstance(doc.get("error_description"), str) else ""
    known_by = f"does it know our key {kid}" if kid else "is our secret right, where it gave us one"
    hint = _HINTS.get(error, "").format(client_id=client_id, known_by=known_by)
    if error == "invalid_client":
        hint += _clocks(answer.headers, now)
    return EhrMisconfigured(f"{said} {_clean(error)}{words}{hint}", connection=ehr, error=_clean(error))


_HINTS = {
    "invalid_client": "; is '{client_id}' our client id there, and {known_by}?",
    "invalid_scope": "; ask in `scopes` for what our registration there has",
    "unauthorized_client": "; '{client_id}' has to be registered there for client_credentials",
    "unsupported_grant_type": "; it has no backend services",
}


def skew_s(headers: Mapping[str, str], now: datetime) -> int | None:
    """By how much their clock is ahead of ours, in seconds; None where an answer has no Date."""
    try:
        theirs = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return None
    return round((theirs - now).total_seconds()) if theirs.tzinfo else None


def clocks_differ(skew: int | None) -> str:
    """In words, when it is worth saying."""
    if skew is None or abs(skew) < _SKEW_WORTH_SAYING_S:
        return ""
    return f"its clock is {abs(skew)} s {'ahead of' if skew > 0 else 'behind'} ours, and what we sign lives minutes"


def _clocks(headers: Mapping[str, str], now: datetime) -> str:
    words = clocks_differ(skew_s(headers, now))
    return f"; {words}" if words else ""


def _seconds(value: Any) -> int | None:
    """A positive number of seconds; also one that is written as text, as some servers do."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        return None
    return value


def _clean(text: str) -> str:
    """Somebody else's words, short, on one line, and without what looks like a token or an assertion."""
    return _SECRET.sub("…", " ".join(text.split()))[:200]


def _quoted(value: Any) -> str:
    return f"'{_clean(str(value))}'"[:60] if value is not None else "none"
