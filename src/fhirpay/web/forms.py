"""What a form sends: `application/x-www-form-urlencoded`, each parameter once. Called by oauth.py and launch/."""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import Request

from .hl7v2 import bounded_body

_BODY_MAX = 64_000
_FORM = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> dict[str, str] | None:
    """The parameters; None for what is no form, or has one twice, which no OAuth request may (RFC 6749 §3.2)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return None
    try:
        body = (await bounded_body(request, _BODY_MAX)).decode()
        pairs = parse_qsl(body, keep_blank_values=True, max_num_fields=50)
    except ValueError:
        return None
    return once(pairs)


def once(pairs: list[tuple[str, str]]) -> dict[str, str] | None:
    """Parameters by name; an empty one counts as not sent (RFC 6749 §3.1). None where one stands twice."""
    form = {name: value for name, value in pairs if value}
    return form if len({name for name, _ in pairs}) == len(pairs) else None
