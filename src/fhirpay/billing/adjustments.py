"""What an account's EHR is told of what we took off its charges: the self-pay discount, and what staff gave up.

The ledger follows each assessment; an EHR is told what came of it. Nothing before the obligation may be asked for:
until then late charges and credits come and go. Then the amount, and each change as an adjustment of its own. So what
stands is compared with what was told, under the account's lock, by store.reassess; usecases/postings.py posts what is
new. What stands no more is taken back at once, the newest adjustment first. Nothing here is ever edited.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.obligation import ObligationState
from ..errors import InvariantBroken, NotFound
from .holds import NOT_LIVE
from .tables import Adjustment as AdjustmentRow
from .write_offs import booked

DISCOUNT = "discount"
_rows = table(AdjustmentRow)
_TENANT = bindparam("tenant")
_OF = (
    select(_rows)
    .where(_rows.c.tenant_id == _TENANT, _rows.c.obligation_id.in_(bindparam("obligations", expanding=True)))
    .order_by(_rows.c.obligation_id, _rows.c.kind, _rows.c.number)
)
_BY_ID = select(_rows).where(_rows.c.tenant_id == _TENANT, _rows.c.adjustment_id == bindparam("adjustment"))
_ADD = insert(_rows)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """`amount` lowers what is owed; below zero it takes back what earlier ones of its obligation and kind lowered."""

    adjustment_id: str
    obligation_id: str
    kind: str  # discount, charity, bad_debt, small_balance
    number: int
    amount: Money
    made_at: datetime

    @property
    def takes_back(self) -> bool:
        return self.amount.minor < 0


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an adjustment: all of one that lowers, or what it takes back of an earlier one (`of`)."""

    amount: Money
    of: str = ""


def tell(
    tx: Tx, before: Iterable[RowMapping], after: Iterable[RowMapping]
) -> tuple[tuple[Adjustment, ...], datetime | None]:
    """What is to be told now of these obligations as they are `after`, kept; and from when on there is more to tell."""
    after = list(after)
    touched = {row["obligation_id"] for side in (before, after) for row in side if stands(row) or row["superseded_by"]}
    if not touched:
        return (), None
    told: dict[tuple[str, str], list[Adjustment]] = {}
    for one in of_obligations(tx, touched):
        told.setdefault((one.obligation_id, one.kind), []).append(one)
    made: list[Adjustment] = []
    later: list[datetime] = []
    for row in (one for one in after if one["obligation_id"] in touched):
        standing, left = stands(row), row["pending_minor"] if row["superseded_by"] else 0
        for kind in sorted({*standing, *(kind for of, kind in told if of == row["obligation_id"])}):
            known = told.get((row["obligation_id"], kind), [])
            was, now = sum(one.amount.minor for one in known), standing.get(kind, 0)
            if now < was:
                # What asks for the charge now, such as an Invoice, may have left out what its EHR was told.
                kept = min(left, was - now)
                left, now = left - kept, now + kept
            elif now > was and not _is_real(row, kind, tx.now):
                later += [row["collectable_from"]] if _waits(row, kind, tx.now) else []
                continue
            if now != was:
                made.append(_add(tx, row, kind, len(known) + 1, now - was))
    return tuple(made), min(later, default=None)


def stands(row: RowMapping) -> dict[str, int]:
    """By kind, what of the obligation is taken off in the books."""
    found = {DISCOUNT: int(row["discount_minor"])} if row["discount_minor"] else dict[str, int]()
    if row["written_off"] != "{}":
        found |= booked(json.loads(row["written_off"]), sum(json.loads(row["draws"]).values()))
    return found


def _is_real(row: RowMapping, kind: str, now: datetime) -> bool:
    """Whether it may be told: a discount once its charge may be asked for, what a person gave up at once."""
    if kind != DISCOUNT:
        return row["hold"] != NOT_LIVE
    due = row["collectable_from"]
    return row["basis_state"] == ObligationState.COLLECTABLE and due is not None and due <= now


def _waits(row: RowMapping, kind: str, now: datetime) -> bool:
    """For its day alone; the end of a hold is a change of its own."""
    due = row["collectable_from"]
    return kind == DISCOUNT and row["basis_state"] == ObligationState.COLLECTABLE and due is not None and due > now


def _add(tx: Tx, row: RowMapping, kind: str, number: int, minor: int) -> Adjustment:
    made = Adjustment(tx.ids.new("adj"), row["obligation_id"], kind, number, Money(minor, row["currency"]), tx.now)
    columns = {"adjustment_id": made.adjustment_id, "obligation_id": made.obligation_id, "kind": kind, "number": number}
    columns |= {"currency": row["currency"], "amount_minor": minor, "made_at": made.made_at}
    tx.put(_ADD, {"tenant_id": tx.tenant, **columns})
    return made


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def find(tx: Tx, adjustment_id: str) -> Adjustment | None:
    row = tx.one(_BY_ID, adjustment=adjustment_id)
    return None if row is None else _read(row)


def get(tx: Tx, adjustment_id: str) -> Adjustment:
    """Raises NotFound."""
    found = find(tx, adjustment_id)
    if found is None:
        raise NotFound(f"there is no adjustment {adjustment_id}")
    return found


def of_obligations(tx: Tx, obligation_ids: Iterable[str]) -> list[Adjustment]:
    """By obligation and kind, in the order in which they were made."""
    return [_read(row) for row in tx.all(_OF, obligations=sorted(set(obligation_ids)))]


def parts_of(tx: Tx, adjustment: Adjustment) -> list[Part]:
    """What it says, line by line. It follows from what was before it alone: the same however often it is asked."""
    if not adjustment.takes_back:
        return [Part(adjustment.amount)]
    left: list[Part] = []  # of those before it, the newest last
    for one in of_obligations(tx, [adjustment.obligation_id]):
        if one.kind != adjustment.kind or one.number > adjustment.number:
            continue
        if not one.takes_back:
            left.append(Part(one.amount, one.adjustment_id))
            continue
        taken = list(_taken(left, -one.amount))
        if one.number == adjustment.number:
            return taken
    raise InvariantBroken(f"{adjustment.adjustment_id} isn't among its obligation's own")


def taken_back_by(tx: Tx, adjustment: Adjustment) -> list[str]:
    """The adjustments that it takes back, whole or in part."""
    return [part.of for part in parts_of(tx, adjustment) if part.of]


def _taken(left: list[Part], amount: Money) -> Iterator[Part]:
    while amount.minor:
        if not left:
            raise InvariantBroken(f"{amount} more is taken back than was adjusted")
        last = left.pop()
        part = min(last.amount, amount, key=lambda money: money.minor)
        if part != last.amount:
            left.append(Part(last.amount - part, last.of))
        amount = amount - part
        yield Part(part, last.of)


def _read(row: RowMapping) -> Adjustment:
    return Adjustment(
        adjustment_id=row["adjustment_id"],
        obligation_id=row["obligation_id"],
        kind=row["kind"],
        number=row["number"],
        amount=Money(row["amount_minor"], row["currency"]),
        made_at=row["made_at"],
    )
