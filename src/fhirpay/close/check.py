"""Closes against themselves: the part of `fhirpay doctor` that looks at them. Reads only.

Each close's text is the one that its hash is of, says what its row says, and names the close before it; numbers have no
gap. So none was changed, taken out or put between, but for the last ones of a facility or till: whoever keeps a printed
close sees that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from sqlalchemy import select

from ..db.metadata import table
from ..db.unit import Tx
from ..ledger.chain import digest
from .tables import DayCloseRow

_close = table(DayCloseRow)


def problems(tx: Tx) -> Iterator[tuple[str, str]]:
    """What doesn't agree: the close, and what is wrong with it."""
    ids = select(_close.c.close_id).where(_close.c.tenant_id == tx.tenant)
    former: dict[tuple[str, str], tuple[int, str, str]] = {}
    for found in tx.all(ids.order_by(_close.c.facility, _close.c.till, _close.c.number)):
        is_it = (_close.c.tenant_id == tx.tenant, _close.c.close_id == found["close_id"])
        row = tx.one(select(_close).where(*is_it))
        if row is None:
            continue
        whose = row["facility"], row["till"]
        number, *before = former.get(whose, (0, "", ""))
        former[whose] = row["number"], row["close_id"], row["hash"]
        if digest(row["body"]) != row["hash"]:
            yield row["close_id"], "its text is not the one that its hash is of"
            continue
        said = json.loads(row["body"])
        chained = {"close": before[0], "hash": before[1]} if number else None
        if row["number"] != number + 1 or said["former"] != chained:
            yield row["close_id"], f"it doesn't follow {before[0] or 'nothing'}"
        names = ("facility", "till", "number")
        repeated = {name: row[name] for name in names} | {"day": row["business_date"], "close": row["close_id"]}
        if {name: said[name] for name in repeated} != repeated or said["ledger"]["seq"] != row["seq"]:
            yield row["close_id"], "its row says something else than its text"
