"""Payouts and their lines as rows. Takes the caller's `tx`; called by usecases/ and web/, whose units these are.

Nothing that has come is ever overwritten: a line that comes again with other content is said to be `changed`, and a
payout's amount is the first that was told.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

from sqlalchemy import BigInteger, RowMapping, bindparam, cast, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.keyset import page
from ..db.metadata import table
from ..db.types import fitted, micros
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.payout import AT_BANK, ENDS, Folded, PayoutState, fold
from ..domain.settlement import LineKind
from ..errors import NotFound
from ..payments.settlement_port import PayoutSeen, SettlementLine
from .tables import PayoutFactRow, PayoutLineRow, PayoutRow, SettlementMarkRow

PAGE = 500
_payout, _fact = table(PayoutRow), table(PayoutFactRow)
_line, _mark = table(PayoutLineRow), table(SettlementMarkRow)

_ADD = insert(_payout).on_conflict_do_nothing(index_elements=["tenant_id", "merchant", "processor_ref"])
_PAYOUTS = select(_payout).where(_payout.c.tenant_id == bindparam("tenant"))
_BY_REF = _PAYOUTS.where(_payout.c.merchant == bindparam("of"), _payout.c.processor_ref == bindparam("ref"))
_LOCKED = _BY_REF.with_for_update()
_BY_ANY = _PAYOUTS.where(
    (_payout.c.payout_id == bindparam("some")) | (_payout.c.processor_ref == bindparam("some"))
).limit(PAGE)
_CHANGE = update(_payout).where(_payout.c.tenant_id == bindparam("tenant"), _payout.c.payout_id == bindparam("id"))
_ADD_FACT = insert(_fact).on_conflict_do_nothing()
_FACTS = select(_fact.c.state).where(_fact.c.tenant_id == bindparam("tenant"), _fact.c.payout_id == bindparam("id"))
_ADD_LINE = insert(_line).on_conflict_do_nothing()
_LINES = select(_line).where(_line.c.tenant_id == bindparam("tenant"))
_LINE = _LINES.where(_line.c.merchant == bindparam("of"), _line.c.line_ref == bindparam("ref"))
_LOCKED_LINE = _LINE.with_for_update()
_OF_PAYMENT = _LINES.where(_line.c.payment_id == bindparam("payment")).order_by(_line.c.occurred_at, _line.c.line_ref)
_SETTLED_OF = (_LINES.where(_line.c.payment_id == bindparam("payment"), _line.c.state != "waiting")).order_by(
    _line.c.booked_at, _line.c.line_ref
)
_WAITING = (
    _LINES.where(_line.c.merchant == bindparam("of"), _line.c.state == "waiting", _line.c.line_ref > bindparam("after"))
    .order_by(_line.c.line_ref)
    .limit(PAGE)
)
_BY_LINE = _LINES.where(_line.c.line_ref == bindparam("some")).limit(PAGE)
_NET = select(
    func.count().label("lines"), cast(func.coalesce(func.sum(_line.c.net_minor), 0), BigInteger).label("minor")
).where(
    _line.c.tenant_id == bindparam("tenant"),
    _line.c.merchant == bindparam("of"),
    _line.c.payout_ref == bindparam("payout"),
    _line.c.kind != str(LineKind.PAYOUT),
    _line.c.currency == bindparam("in_currency"),
)
_OLDEST_OPEN = select(func.min(_payout.c.created_at)).where(
    _payout.c.tenant_id == bindparam("tenant"),
    _payout.c.merchant == bindparam("of"),
    _payout.c.state.not_in([str(state) for state in ENDS | AT_BANK | {PayoutState.PAID, PayoutState.DEPOSIT_EXPECTED}])
    | ~_payout.c.complete,
    _payout.c.created_at > bindparam("not_before"),
)


class LineState(StrEnum):
    WAITING = "waiting"
    BOOKED = "booked"
    NOTED = "noted"


@dataclass(frozen=True, slots=True)
class Payout:
    payout_id: str
    merchant: str
    processor_ref: str
    state: PayoutState
    amount: Money
    itemised: bool
    complete: bool
    arrives_on: str
    created_at: datetime
    recorded_at: datetime
    changed_at: datetime
    trace: str

    @property
    def at_bank(self) -> tuple[str, ...]:
        """The words by which a bank's line may name it."""
        return tuple(one for one in (self.processor_ref, self.trace) if one)


@dataclass(frozen=True, slots=True)
class Line:
    merchant: str
    line_ref: str
    payout_ref: str
    kind: LineKind
    raw_type: str
    gross: Money
    fee: Money
    net: Money
    presentment: Money | None  # of gross, in the currency in which it was taken; None: in this one, or not stated
    payment_ref: str
    of_ref: str
    our_ref: str
    occurred_at: datetime
    state: LineState
    payment_id: str
    recorded_at: datetime

    @property
    def taken(self) -> Money:
        """Its gross amount in the currency of what it is of, as far as that is stated."""
        return self.presentment or self.gross


@dataclass(frozen=True, slots=True)
class Mark:
    watermark: datetime
    read_at: datetime | None


# ── payouts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def record_payout(tx: Tx, merchant: str, seen: PayoutSeen) -> tuple[Payout, Folded]:
    """Keep the state in which it was seen; the payout, locked, and what its states come to now."""
    row: dict[str, Any] = {"tenant_id": tx.tenant, "payout_id": tx.ids.new("pyo"), "merchant": merchant}
    row |= {"processor_ref": seen.reference, "state": str(seen.state), "itemised": seen.itemised, "complete": False}
    row |= {"amount_minor": seen.amount.minor, "currency": seen.amount.currency, "arrives_on": seen.arrives_on}
    row |= {"created_at": seen.created_at, "recorded_at": tx.now, "changed_at": tx.now, "trace": seen.trace}
    tx.put(_ADD, row)
    found = tx.one(_LOCKED, of=merchant, ref=seen.reference)
    assert found is not None
    if seen.trace and not found["trace"]:  # a bank tells it days later
        _change(tx, found["payout_id"], trace=seen.trace)
    return note_state(tx, _payout_of(found), seen.state)


def note_state(tx: Tx, payout: Payout, state: PayoutState) -> tuple[Payout, Folded]:
    """It was seen in this state, be it at the bank; the payout and what its states come to now."""
    found = tx.one(_LOCKED, of=payout.merchant, ref=payout.processor_ref)
    assert found is not None
    payout_id = found["payout_id"]
    row = {"tenant_id": tx.tenant, "payout_id": payout_id, "state": str(state), "recorded_at": tx.now}
    tx.put(_ADD_FACT, row)
    folded = fold(states_of(tx, payout_id))
    if str(folded.state) != found["state"]:
        _change(tx, payout_id, state=str(folded.state))
    return get(tx, payout.merchant, payout.processor_ref), folded


def forget_state(tx: Tx, payout: Payout, state: PayoutState) -> None:
    """It was not seen in this state after all, somebody said: its state is what the others come to."""
    where = (_fact.c.tenant_id == tx.tenant, _fact.c.payout_id == payout.payout_id, _fact.c.state == str(state))
    tx.execute(delete(_fact).where(*where))
    _change(tx, payout.payout_id, state=str(fold(states_of(tx, payout.payout_id)).state))


def states_of(tx: Tx, payout_id: str) -> set[PayoutState]:
    """Those that it was seen in."""
    return {PayoutState(one["state"]) for one in tx.all(_FACTS, id=payout_id)}


def by_id(tx: Tx, payout_id: str) -> Payout:
    """By our id of it. Raises NotFound."""
    found = [one for one in find(tx, payout_id) if one.payout_id == payout_id]
    if not found:
        raise NotFound(f"there is no payout {payout_id}")
    return found[0]


def lock(tx: Tx, payout_id: str) -> Payout:
    """As it is now that nobody else can change it. Raises NotFound."""
    found = by_id(tx, payout_id)
    row = tx.one(_LOCKED, of=found.merchant, ref=found.processor_ref)
    assert row is not None
    return _payout_of(row)


def complete(tx: Tx, payout: Payout) -> None:
    """All of its lines are here."""
    _change(tx, payout.payout_id, complete=True)


def _change(tx: Tx, payout_id: str, **values: Any) -> None:
    tx.put(_CHANGE, {"tenant": tx.tenant, "id": payout_id, "changed_at": tx.now, **values})


def get(tx: Tx, merchant: str, reference: str) -> Payout:
    """Raises NotFound."""
    row = tx.one(_BY_REF, of=merchant, ref=reference)
    if row is None:
        raise NotFound(f"there is no payout {reference} of merchant '{merchant}'")
    return _payout_of(row)


def is_known(tx: Tx, merchant: str, reference: str) -> bool:
    """Whether this merchant has a payout that its processor calls so."""
    return tx.one(_BY_REF, of=merchant, ref=reference) is not None


def find(tx: Tx, some_id: str) -> list[Payout]:
    """By our id of it, or the processor's."""
    return [_payout_of(row) for row in tx.all(_BY_ANY, some=some_id)]


def some(
    tx: Tx, *, merchant: str = "", state: str = "", after: tuple[datetime, str] | None = None, limit: int = PAGE
) -> list[Payout]:
    """The newest first. `after` is the moment and id of the last one seen."""
    statement = _PAYOUTS
    if merchant:
        statement = statement.where(_payout.c.merchant == merchant)
    if state:
        statement = statement.where(_payout.c.state == state)
    statement = page(statement, (_payout.c.created_at, _payout.c.payout_id), after, limit, newest=True)
    return [_payout_of(row) for row in tx.all(statement, tenant=tx.tenant)]


def _payout_of(row: RowMapping) -> Payout:
    plain: dict[str, Any] = {name: row[name] for name in Payout.__slots__ if name not in ("amount", "state")}
    plain |= {"itemised": bool(row["itemised"]), "complete": bool(row["complete"])}
    return Payout(**plain, state=PayoutState(row["state"]), amount=Money(row["amount_minor"], row["currency"]))


def net_of(tx: Tx, payout: Payout) -> tuple[int, Money]:
    """How many lines of it there are, and what they come to, but for its own."""
    row = tx.one(_NET, of=payout.merchant, payout=payout.processor_ref, in_currency=payout.amount.currency)
    assert row is not None
    return row["lines"], Money(int(row["minor"]), payout.amount.currency)


# ── lines ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def record_line(tx: Tx, merchant: str, payout_ref: str, line: SettlementLine) -> tuple[Line, bool]:
    """Keep it, `waiting`; the line as it stands, and whether it had come before with other content."""
    said = {
        "kind": str(line.kind),
        "raw_type": line.raw_type[:100],
        "gross_minor": line.gross.minor,
        "fee_minor": line.fee.minor,
        "net_minor": line.net.minor,
        "currency": line.gross.currency,
        "payment_ref": fitted(line.payment or ""),
        "of_ref": fitted(line.of or ""),
        "our_ref": fitted(line.our_reference),
    }
    presentment = line.presentment
    content = json.dumps({**said, "occurred_at": micros(line.occurred_at)}, sort_keys=True)
    row: dict[str, Any] = {"tenant_id": tx.tenant, "merchant": merchant, "line_ref": line.reference, **said}
    if presentment:
        row |= {"presentment_minor": presentment.minor, "presentment_currency": presentment.currency}
    row |= {"payout_ref": payout_ref, "occurred_at": line.occurred_at, "available_at": line.available_at}
    row |= {"raw": json.dumps(dict(line.raw), sort_keys=True), "content_hash": sha256(content.encode()).hexdigest()}
    row |= {"state": str(LineState.WAITING), "payment_id": "", "recorded_at": tx.now}
    tx.put(_ADD_LINE, row)
    found = tx.one(_LOCKED_LINE, of=merchant, ref=line.reference)
    assert found is not None
    kept = _line_of(found)
    # One that was kept when nobody read what it was converted from has not changed by that.
    other = found["content_hash"] != row["content_hash"] or kept.presentment not in (None, presentment)
    return kept, other or found["payout_ref"] != payout_ref


def lock_line(tx: Tx, line: Line) -> Line:
    """As it is now that nobody else can change it."""
    found = tx.one(_LOCKED_LINE, of=line.merchant, ref=line.line_ref)
    assert found is not None
    return _line_of(found)


def settle_line(tx: Tx, line: Line, state: LineState, *, payment_id: str = "") -> None:
    """What it is of is known, and what follows of it is in the books (`booked`), or nothing does (`noted`)."""
    where = (_line.c.tenant_id == tx.tenant, _line.c.merchant == line.merchant, _line.c.line_ref == line.line_ref)
    tx.execute(update(_line).where(*where).values(state=str(state), payment_id=payment_id, booked_at=tx.now))


def waiting(tx: Tx, merchant: str, *, after: str = "") -> list[Line]:
    """A page of those whose payment isn't known yet, by their ids."""
    return [_line_of(row) for row in tx.all(_WAITING, of=merchant, after=after)]


def lines_of(tx: Tx, payout: Payout, *, after: str = "", limit: int = PAGE) -> list[Line]:
    """A page of a payout's lines, by their ids."""
    statement = _LINES.where(_line.c.merchant == payout.merchant, _line.c.payout_ref == payout.processor_ref)
    statement = statement.where(_line.c.line_ref > after).order_by(_line.c.line_ref).limit(limit)
    return [_line_of(row) for row in tx.all(statement, tenant=tx.tenant)]


def lines_of_payment(tx: Tx, payment_id: str) -> list[Line]:
    """Oldest first."""
    return [_line_of(row) for row in tx.all(_OF_PAYMENT, payment=payment_id)]


def settled_of_payment(tx: Tx, payment_id: str) -> list[Line]:
    """In the order in which they were settled."""
    return [_line_of(row) for row in tx.all(_SETTLED_OF, payment=payment_id)]


def lines_about(tx: Tx, like: Line, **refs: str) -> list[Line]:
    """Those of the same payout that are of `payment_ref`, or `of_ref`."""
    statement = _LINES.where(_line.c.merchant == like.merchant, _line.c.payout_ref == like.payout_ref)
    statement = statement.where(*(_line.c[name] == value for name, value in refs.items()))
    return [_line_of(row) for row in tx.all(statement, tenant=tx.tenant)]


def find_lines(tx: Tx, some_id: str) -> list[Line]:
    """By the processor's id."""
    return [_line_of(row) for row in tx.all(_BY_LINE, some=some_id)]


def _line_of(row: RowMapping) -> Line:
    amounts = ("gross", "fee", "net")
    other = (*amounts, "presentment", "kind", "state")
    plain: dict[str, Any] = {name: row[name] for name in Line.__slots__ if name not in other}
    plain |= {name: Money(row[f"{name}_minor"], row["currency"]) for name in amounts}
    taken = row["presentment_minor"]
    plain["presentment"] = None if taken is None else Money(taken, row["presentment_currency"])
    return Line(**plain, kind=LineKind(row["kind"]), state=LineState(row["state"]))


# ── how far we are ────────────────────────────────────────────────────────────────────────────────────────────────


def mark(tx: Tx, merchant: str) -> Mark | None:
    row = tx.one(select(_mark).where(_mark.c.tenant_id == tx.tenant, _mark.c.merchant == merchant))
    return None if row is None else Mark(row["watermark"], row["read_at"])


def move_mark(tx: Tx, merchant: str, watermark: datetime) -> None:
    """All that was made before is here. It never goes back."""
    row = {"tenant_id": tx.tenant, "merchant": merchant, "watermark": watermark, "read_at": tx.now}
    statement = insert(_mark).values(row)
    later = {"watermark": statement.excluded.watermark, "read_at": tx.now}
    on = ["tenant_id", "merchant"]
    tx.execute(
        statement.on_conflict_do_update(
            index_elements=on, set_=later, where=_mark.c.watermark <= statement.excluded.watermark
        )
    )


def oldest_unfinished(tx: Tx, merchant: str, *, not_before: datetime) -> datetime | None:
    """When the oldest payout was made that may still change, or whose lines aren't all here."""
    row = tx.one(_OLDEST_OPEN, of=merchant, not_before=not_before)
    return None if row is None else row[next(iter(row))]
