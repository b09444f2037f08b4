"""Postings that aren't sent: what would have been posted, and what staff said. Takes the caller's `tx`.

Called by usecases/rollout.py and confirm_posting.py. Each change is made only as long as the posting is what it was
taken for: two people, or a person and a worker, who decide at the same time are told apart by the row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from .posted import Posted, PostedAdjustment, lines_for
from .store import Held, State
from .tables import PostingFactRow, PostingRow

_posting, _fact = table(PostingRow), table(PostingFactRow)
_KEEP = insert(_fact).on_conflict_do_nothing()

Kind = Literal["payment", "refund", "adjustment"]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a posting says of one account. `amount` is below zero where money, or an adjustment, is taken back."""

    posting_id: str
    account_ref: str
    kind: Kind
    amount: Money
    day: date


def said_by(posting_id: str, posted: Posted, numbers: Collection[int], zone: str = "") -> list[Kept]:
    """What it says in those of its lines, summed by account. Pure. `zone`: of its dates, where not the facility's."""
    back = posted.back if isinstance(posted, PostedAdjustment) else bool(posted.refund_of)
    kind: Kind = "adjustment" if isinstance(posted, PostedAdjustment) else "refund" if back else "payment"
    day = posted.at.astimezone(ZoneInfo(zone or posted.zone)).date()
    sums: dict[tuple[str, str], int] = {}
    for line in lines_for(posted, numbers):
        key = line.of_account or posted.of_account, line.amount.currency
        sums[key] = sums.get(key, 0) + (-line.amount.minor if back and not line.forward else line.amount.minor)
    return [Kept(posting_id, account, kind, Money(minor, code), day) for (account, code), minor in sums.items()]


def keep(tx: Tx, kept: Iterable[Kept]) -> None:
    """What was kept first stays."""
    for one in kept:
        row = {"tenant_id": tx.tenant, "posting_id": one.posting_id, "account_ref": one.account_ref, "kind": one.kind}
        worth = {"amount_minor": one.amount.minor, "currency": one.amount.currency, "day": one.day.isoformat()}
        tx.put(_KEEP, {**row, **worth})


def kept_of(tx: Tx, posting_ids: Iterable[str]) -> dict[str, list[Kept]]:
    """By posting, what was kept of it."""
    found: dict[str, list[Kept]] = {}
    wanted = sorted(set(posting_ids))
    for start in range(0, len(wanted), 500):
        some = (_fact.c.tenant_id == tx.tenant, _fact.c.posting_id.in_(wanted[start : start + 500]))
        for row in tx.all(select(_fact).where(*some).order_by(_fact.c.posting_id, _fact.c.account_ref)):
            amount = Money(row["amount_minor"], row["currency"])
            one = Kept(row["posting_id"], row["account_ref"], row["kind"], amount, date.fromisoformat(row["day"]))
            found.setdefault(one.posting_id, []).append(one)
    return found


def hold(tx: Tx, posting_id: str, state: Held, reason: str, *, was: State) -> bool:
    """It isn't sent; False where it is no longer what it was, or may have arrived."""
    return _moved(tx, posting_id, (was,), state=state, reason=reason)


def decide(
    tx: Tx, posting_id: str, state: State, *, was: Collection[State], by: str, why: str, reason: str | None
) -> bool:
    """A person's word; False where it is no longer any of what it `was`."""
    said = {"decided_by": by, "decided_at": tx.now, "decided_why": why}
    return _moved(tx, posting_id, was, state=state, reason=reason, **said)


def _moved(tx: Tx, posting_id: str, was: Collection[State], **values: Any) -> bool:
    is_it = (_posting.c.tenant_id == tx.tenant, _posting.c.posting_id == posting_id)
    unsent = (_posting.c.state.in_(was), _posting.c.sent_at.is_(None))
    return tx.execute(update(_posting).where(*is_it, *unsent).values(values)).rowcount == 1
