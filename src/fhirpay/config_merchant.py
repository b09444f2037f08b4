"""Merchants that can't be told apart: read by config.py when the configuration is checked.

What a processor pays out belongs to one merchant here, and each payout is in the books once. Two that are configured on
one account of it would each have all of its payouts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class _Merchant(Protocol):
    name: str
    processor: str
    base_url: str
    live_prefix: str
    location: str
    account: str
    secret_key: str


def check(merchants: Iterable[_Merchant]) -> None:
    """Raises ValueError for two of one name, or on one account as far as the configuration shows it: the account's own
    name, else the location, else the key. Two keys of one account show when its first payout comes in twice."""
    names: set[str] = set()
    seen: dict[tuple[str, str, str, str], str] = {}
    for one in merchants:
        if one.name in names:
            raise ValueError(f"two merchants are named '{one.name}': their payments are told apart by it")
        names.add(one.name)
        account = one.account or one.location or one.secret_key
        other = seen.setdefault((one.processor, one.base_url.rstrip("/"), one.live_prefix, account), one.name)
        if other != one.name:
            says = f"merchants '{other}' and '{one.name}' are one account at {one.processor}"
            raise ValueError(f"{says}: each would have all of its payouts; let facilities name the same merchant")
