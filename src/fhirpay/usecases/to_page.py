"""The way to a processor's page that is shown only to a browser which posts a token to it (`Prepared.posts`).

A payer gets an address that can be opened: one of ours, whose page posts the token on (web/api/pages.py). The token
stands behind the `#`: no server of ours is ever sent it, and no log has it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal
from urllib.parse import quote

from ..payments.port import Prepared


def through_ours(
    prepared: Prepared, *, public_url: str, tenant: str, merchant: str, what: Literal["pay", "store"]
) -> Prepared:
    """The same page by an address of ours, where it has to be."""
    if not prepared.posts:
        return prepared
    token = prepared.url.partition("#")[2]
    ours = f"{public_url.rstrip('/')}/api/v1/page/{quote(tenant, safe='')}/{quote(merchant, safe='')}/{what}"
    return replace(prepared, url=f"{ours}#{token}", posts=False)
