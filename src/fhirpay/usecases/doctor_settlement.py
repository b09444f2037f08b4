"""What settlement says against itself: the part of doctor.py that looks at payouts and their lines. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, bindparam, case, cast, func, select, union_all

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.payout import AT_BANK, BATCH, CAME_BACK, PayoutState, fold
from ..domain.settlement import LineKind
from ..ledger.as_of import AsOf, Line, balances_as_of
from ..settlement.store import LineState
from ..settlement.tables import PayoutFactRow, PayoutLineRow, PayoutRow

_payout, _fact, _line = table(PayoutRow), table(PayoutFactRow), table(PayoutLineRow)
_CONVERTED = _line.c.presentment_minor.is_not(None)
_RESERVES = (str(LineKind.RESERVE_HELD), str(LineKind.RESERVE_RELEASED))


def fees_of_payments(tx: Tx) -> Mapping[str, int]:
    """What lines of payouts have taken from their payments in the books: fees, and of one that was converted what is
    sold, less what was bought for it."""
    return {row["payment_id"]: int(row["fee"]) for row in tx.all(_FEES, tenant=tx.tenant)}


def problems(tx: Tx) -> Iterator[tuple[str, str]]:
    """What doesn't agree: the subject, and what is wrong with it."""
    yield from _states(tx)
    lines = balances_as_of(tx, AsOf(), by=["merchant"], accounts=_STANDS)
    for account, facts in _STANDS.items():
        yield from _compared(tx, account, facts, [one for one in lines if one.account == account])


def _compared(tx: Tx, account: str, facts: Any, lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """Merchants of which no payout is known are looked at too: nothing may stand there."""
    told = {(row["merchant"], row["currency"]): int(row["minor"]) for row in tx.all(facts, tenant=tx.tenant)}
    stands = {(one.dims["merchant"], one.amount.currency): one.amount.minor for one in lines}
    for merchant, currency in sorted(told.keys() | stands.keys()):
        books, wanted = stands.get((merchant, currency), 0), told.get((merchant, currency), 0)
        if books != wanted:
            yield merchant, f"{account} is {books} {currency}, its payouts and lines come to {wanted}"


def _states(tx: Tx) -> Iterator[tuple[str, str]]:
    seen: dict[str, set[PayoutState]] = {}
    for row in tx.all(_FACTS, tenant=tx.tenant):
        seen.setdefault(row["payout_id"], set()).add(PayoutState(row["state"]))
    for row in tx.all(_PAYOUTS, tenant=tx.tenant):
        state = fold(seen[row["payout_id"]]).state
        if row["state"] != state:
            yield row["payout_id"], f"{row['state']} is kept, its facts come to {state}"


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _between_currencies() -> Any:
    """What was sold, less what was bought, by merchant and currency: nothing else may stand in `fx_clearing`."""
    sides = union_all(
        select(
            _line.c.merchant, _line.c.presentment_currency.label("currency"), _line.c.presentment_minor.label("minor")
        ).where(*_BOOKED, _CONVERTED),
        select(_line.c.merchant, _line.c.currency, -_line.c.gross_minor).where(*_BOOKED, _CONVERTED),
        select(_line.c.merchant, _line.c.currency, -_line.c.net_minor).where(
            *_BOOKED, _line.c.kind == str(LineKind.CONVERSION)
        ),
    ).subquery()
    return _sums(sides, sides.c.minor)


def _sums(of: Any, minor: Any) -> Any:
    total = cast(func.sum(minor), BigInteger).label("minor")
    return select(of.c.merchant, of.c.currency, total).group_by(of.c.merchant, of.c.currency)


_BOOKED = (_line.c.tenant_id == bindparam("tenant"), _line.c.state == str(LineState.BOOKED))
_SOLD = case((_CONVERTED, _line.c.presentment_minor - _line.c.gross_minor), else_=0)
_FEES = (
    select(_line.c.payment_id, cast(func.sum(_line.c.fee_minor + _SOLD), BigInteger).label("fee"))
    .where(*_BOOKED, _line.c.payment_id != "")
    .group_by(_line.c.payment_id)
)
_FACTS = select(_fact.c.payout_id, _fact.c.state).where(_fact.c.tenant_id == bindparam("tenant"))
_PAYOUTS = select(_payout.c.payout_id, _payout.c.state).where(_payout.c.tenant_id == bindparam("tenant"))
_NOT_OUT = [str(one) for one in sorted(BATCH | CAME_BACK | AT_BANK | {PayoutState.OPEN})]
# By account: what its facts come to, by merchant and currency.
_STANDS = {
    "payout_in_transit": _sums(_payout, _payout.c.amount_minor).where(
        _payout.c.tenant_id == bindparam("tenant"), _payout.c.state.not_in(_NOT_OUT)
    ),
    "reserve_held": _sums(_line, -_line.c.net_minor).where(*_BOOKED, _line.c.kind.in_(_RESERVES)),
    "fx_clearing": _between_currencies(),
}
