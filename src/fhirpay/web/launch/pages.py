"""The pages of a launch as HTML: templates/ filled in, and the headers that go with all of them.

Every value is escaped (Jinja2, autoescape), a name that a template lacks is a bug and no empty text. No script, no
image, nothing of another site: what a page may do is said in its Content-Security-Policy, the one stylesheet by its
hash. To change how pages look: templates/ alone.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from ...errors import FhirpayError, UpstreamUnavailable

_STYLE = (files(__package__ or "") / "templates" / "style.css").read_text(encoding="utf-8")
_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_SILENT = "The EHR doesn't answer now. Nothing is lost: try again in a moment."
_env = Environment(
    loader=PackageLoader("fhirpay.web.launch"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(template: str, status: int = 200, **given: object) -> Response:
    return HTMLResponse(_env.get_template(template).render(style=_STYLE, **given), status, HEADERS)


def go(url: str) -> Response:
    """On to another page, as a GET."""
    return RedirectResponse(url, 303, HEADERS)


def refused(error: FhirpayError) -> Response:
    """The page for an error: its sentence, and nothing else of it."""
    says = _SILENT if isinstance(error, UpstreamUnavailable) else error.message
    return page("refused.html", error.http_status, says=says, code=error.code)
