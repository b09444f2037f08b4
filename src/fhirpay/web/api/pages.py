"""`GET /api/v1/page/{tenant}/{merchant}/{what}`: a page of ours that leads a payer on to the processor's, by a form.

Needed where the processor shows its page only to a browser that posts a token (usecases/to_page.py). The token comes
behind the `#`, which no browser sends; where it is posted to is the adapter's to say, never the address's. No card is
typed here, and the page has nothing else in it: one script, allowed by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from urllib.parse import urlsplit

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from ...errors import NotFound
from ...payments.port import Posting
from .deps import Deps

_SCRIPT = "const f=document.forms[0];f.elements.token.value=location.hash.slice(1);if(f.elements.token.value)f.submit()"
_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>Payment</title><h1>One moment</h1>"
    "<noscript>Please allow scripts for this page: it leads to the page where you enter your card.</noscript>"
    '<form method=post action="{action}"><input type=hidden name=token><button>Continue</button></form>'
    f"<script>{_SCRIPT}</script></html>"
)


def pages_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["payments"])

    @router.get("/page/{tenant}/{merchant}/{what}", include_in_schema=False)
    async def page(tenant: str, merchant: str, what: str) -> Response:
        """On to the processor's page; 404 for any other address."""
        known = {one.name for one in deps.tenant.merchants}
        processor = deps.registry.of(merchant) if tenant == deps.tenant.name and merchant in known else None
        if not isinstance(processor, Posting) or (what != "pay" and what != "store"):
            raise NotFound("there is no such page")
        action = processor.page_address(what)
        parts = urlsplit(action)
        policy = f"default-src 'none'; script-src 'sha256-{_HASH}'; form-action {parts.scheme}://{parts.netloc}"
        headers = {
            "Content-Security-Policy": f"{policy}; frame-ancestors 'none'; base-uri 'none'",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return HTMLResponse(_PAGE.replace("{action}", escape(action)), headers=headers)

    return router
