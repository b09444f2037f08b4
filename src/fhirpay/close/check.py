"""Closes against themselves: the part of `fhirpay doctor` that looks at them, and `fhirpay close verify`. Reads only.

Each close's text is the one that its hash is of, says what its row says, and names the close before it; numbers have no
gap; what others say of a close (a facility's, of its tills'; a re-opening; a part that it counted) is of one that is
there; and the ledger went through the head that it names. So none was changed, taken out or put between. The last ones
of a facility or till, with all that is beside them, are missed by whoever kept one as it was printed (`kept`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select

from ..db.metadata import table
from ..db.unit import Tx
from ..ledger.chain import digest
from ..ledger.tables import LedgerEntry
from .tables import DayClosePartRow, DayCloseReopenedRow, DayCloseRow

_close, _part, _reopened = table(DayCloseRow), table(DayClosePartRow), table(DayCloseReopenedRow)
_entry = table(LedgerEntry)


def problems(tx: Tx, kept: Mapping[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """What doesn't agree: the close, and what is wrong with it. `kept` are hashes by close, as they were printed."""
    ids = select(_close.c.close_id).where(_close.c.tenant_id == tx.tenant)
    former: dict[tuple[str, str], tuple[int, str, str]] = {}
    there: dict[str, str] = {}
    opened = {row["close_id"]: row for row in tx.all(select(_reopened).where(_reopened.c.tenant_id == tx.tenant))}
    beside: dict[str, str] = {}  # closes that others name, with the hash where they say it
    for found in tx.all(ids.order_by(_close.c.facility, _close.c.till, _close.c.number)):
        is_it = (_close.c.tenant_id == tx.tenant, _close.c.close_id == found["close_id"])
        row = tx.one(select(_close).where(*is_it))
        if row is None:
            continue
        there[row["close_id"]] = row["hash"]
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
        if _repeated(said) != {name: row[name] for name in _repeated(said)}:
            yield row["close_id"], "its row says something else than its text"
        beside |= {one["close"]: one["hash"] for one in said["tills"]}
        if replaced := said["replaces"]:
            again = opened.get(replaced["close"])
            if again is None or (again["reopened_by"], again["why"]) != (replaced["reopened_by"], replaced["why"]):
                yield replaced["close"], f"it was opened again otherwise, by what {row['close_id']} says"
        if (seq := said["ledger"]["seq"]) and _hash_of(tx, seq) != said["ledger"]["hash"]:
            yield row["close_id"], f"the ledger has another entry {seq} than when it was signed"
    parts = tx.all(select(_part.c.part, _part.c.close_id).where(_part.c.tenant_id == tx.tenant))
    beside = {**{one["close_id"]: "" for one in parts}, **dict.fromkeys(opened, ""), **beside, **(kept or {})}
    for close_id, hashed in sorted(beside.items()):
        if close_id not in there:
            yield close_id, "it was signed, and is not there any more"
        elif hashed not in ("", there[close_id]):
            yield close_id, "another close was signed under this name"


def _repeated(said: Mapping[str, Any]) -> dict[str, Any]:
    """What a row repeats of its text."""
    signed, replaces = said["signed"], said["replaces"]
    return {
        **{name: said[name] for name in ("facility", "till", "number")},
        "close_id": said["close"],
        "business_date": said["day"],
        "seq": said["ledger"]["seq"],
        "replaces": replaces["close"] if replaces else "",
        "signed_by": signed["by"],
        "reason": signed["reason"],
        "signed_at": datetime.fromisoformat(signed["at"]),
    }


def _hash_of(tx: Tx, seq: int) -> str:
    return tx.scalar(select(_entry.c.hash).where(_entry.c.tenant_id == tx.tenant, _entry.c.seq == seq)) or ""
