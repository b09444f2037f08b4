"""Whom a simulator's own calls trust: the authorities of the system, read once, since that takes 40 ms."""

from __future__ import annotations

import ssl
from functools import cache

import httpx2


@cache
def trusted() -> ssl.SSLContext:
    return httpx2.create_ssl_context()
