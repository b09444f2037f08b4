"""What settlement says against itself: the part of doctor.py that looks at payouts and their lines. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import BigInteger, case, cast, func, select, union_all

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.payout import AT_BANK, BATCH, CAME_BACK, PayoutState, fold
from ..domain.settlement import LineKind
from ..ledger.as_of import AsOf, balances_as_of
from ..settlement.store import LineState
from ..settlement.tables import PayoutFactRow, PayoutLineRow, PayoutRow

_payout, _fact, _line = table(PayoutRow), table(PayoutFactRow), table(PayoutLineRow)
_CONVERTED = _line.c.presentment_minor.is_not(None)
_RESERVES = (str(LineKind.RESERVE_HELD), str(LineKind.RESERVE_RELEASED))


def fees_of_payments(tx: Tx) -> Mapping[str, int]:
    """What lines of payouts have taken from their payments in the books: fees, and of one that was converted what is
    sold, less what was bought for it."""
    sold = case((_CONVERTED, _line.c.presentment_minor - _line.c.gross_minor), else_=0)
    total = cast(func.sum(_line.c.fee_minor + sold), BigInteger)
    query = select(_line.c.payment_id, total.label("fee")).where(
        _line.c.tenant_id == tx.tenant, _line.c.state == str(LineState.BOOKED), _line.c.payment_id != ""
    )
    return {row["payment_id"]: int(row["fee"]) for row in tx.all(query.group_by(_line.c.payment_id))}


def problems(tx: Tx) -> Iterator[tuple[str, str]]:
    """What doesn't agree: the subject, and what is wrong with it."""
    yield from _states(tx)
    out = select(
        _payout.c.merchant, _payout.c.currency, cast(func.sum(_payout.c.amount_minor), BigInteger).label("minor")
    )
    out = out.where(_payout.c.tenant_id == tx.tenant)
    out = out.where(_payout.c.state.not_in([str(one) for one in BATCH | CAME_BACK | AT_BANK | {PayoutState.OPEN}]))
    yield from _compared(tx, "payout_in_transit", out)
    kept = select(_line.c.merchant, _line.c.currency, cast(func.sum(-_line.c.net_minor), BigInteger).label("minor"))
    kept = kept.where(_line.c.tenant_id == tx.tenant, _line.c.state == str(LineState.BOOKED))
    yield from _compared(tx, "reserve_held", kept.where(_line.c.kind.in_(_RESERVES)))
    yield from _compared(tx, "fx_clearing", _between_currencies(tx))


def _between_currencies(tx: Tx) -> Any:
    """What was sold, less what was bought, by merchant and currency: nothing else may stand in `fx_clearing`."""
    booked = (_line.c.tenant_id == tx.tenant, _line.c.state == str(LineState.BOOKED))
    sides = union_all(
        select(
            _line.c.merchant, _line.c.presentment_currency.label("currency"), _line.c.presentment_minor.label("minor")
        ).where(*booked, _CONVERTED),
        select(_line.c.merchant, _line.c.currency, -_line.c.gross_minor).where(*booked, _CONVERTED),
        select(_line.c.merchant, _line.c.currency, -_line.c.net_minor).where(
            *booked, _line.c.kind == str(LineKind.CONVERSION)
        ),
    ).subquery()
    return select(sides.c.merchant, sides.c.currency, cast(func.sum(sides.c.minor), BigInteger).label("minor"))


def _compared(tx: Tx, account: str, facts: Any) -> Iterator[tuple[str, str]]:
    """Merchants of which no payout is known are looked at too: nothing may stand there."""
    told = {
        (row["merchant"], row["currency"]): int(row["minor"]) for row in tx.all(facts.group_by("merchant", "currency"))
    }
    lines = balances_as_of(tx, AsOf(), by=["merchant"], accounts=[account])
    stands = {(one.dims["merchant"], one.amount.currency): one.amount.minor for one in lines}
    for merchant, currency in sorted(told.keys() | stands.keys()):
        books, wanted = stands.get((merchant, currency), 0), told.get((merchant, currency), 0)
        if books != wanted:
            yield merchant, f"{account} is {books} {currency}, its payouts and lines come to {wanted}"


def _states(tx: Tx) -> Iterator[tuple[str, str]]:
    seen: dict[str, set[PayoutState]] = {}
    for row in tx.all(select(_fact.c.payout_id, _fact.c.state).where(_fact.c.tenant_id == tx.tenant)):
        seen.setdefault(row["payout_id"], set()).add(PayoutState(row["state"]))
    for row in tx.all(select(_payout.c.payout_id, _payout.c.state).where(_payout.c.tenant_id == tx.tenant)):
        state = fold(seen[row["payout_id"]]).state
        if row["state"] != state:
            yield row["payout_id"], f"{row['state']} is kept, its facts come to {state}"
