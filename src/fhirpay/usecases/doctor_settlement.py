"""What settlement says against itself: the part of doctor.py that looks at payouts and their lines. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import BigInteger, cast, func, select

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.payout import BATCH, CAME_BACK, PayoutState, fold
from ..domain.settlement import LineKind
from ..ledger import store as ledger
from ..settlement.store import LineState
from ..settlement.tables import PayoutFactRow, PayoutLineRow, PayoutRow

_payout, _fact, _line = table(PayoutRow), table(PayoutFactRow), table(PayoutLineRow)
_RESERVES = (str(LineKind.RESERVE_HELD), str(LineKind.RESERVE_RELEASED))


def fees_of_payments(tx: Tx) -> Mapping[str, int]:
    """What lines of payouts have booked as fees, by payment."""
    total = cast(func.sum(_line.c.fee_minor), BigInteger)
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
    out = out.where(_payout.c.state.not_in([str(one) for one in BATCH | CAME_BACK | {PayoutState.OPEN}]))
    yield from _compared(tx, "payout_in_transit", out)
    kept = select(_line.c.merchant, _line.c.currency, cast(func.sum(-_line.c.net_minor), BigInteger).label("minor"))
    kept = kept.where(_line.c.tenant_id == tx.tenant, _line.c.state == str(LineState.BOOKED))
    yield from _compared(tx, "reserve_held", kept.where(_line.c.kind.in_(_RESERVES)))


def _compared(tx: Tx, account: str, facts: Any) -> Iterator[tuple[str, str]]:
    for row in tx.all(facts.group_by("merchant", "currency")):
        merchant, currency, wanted = row["merchant"], row["currency"], int(row["minor"])
        stands = ledger.balance(tx, account, currency=currency, merchant=merchant)
        if stands != wanted:
            yield merchant, f"{account} is {stands} {currency}, its payouts and lines come to {wanted}"


def _states(tx: Tx) -> Iterator[tuple[str, str]]:
    seen: dict[str, set[PayoutState]] = {}
    for row in tx.all(select(_fact.c.payout_id, _fact.c.state).where(_fact.c.tenant_id == tx.tenant)):
        seen.setdefault(row["payout_id"], set()).add(PayoutState(row["state"]))
    for row in tx.all(select(_payout.c.payout_id, _payout.c.state).where(_payout.c.tenant_id == tx.tenant)):
        state = fold(seen[row["payout_id"]]).state
        if row["state"] != state:
            yield row["payout_id"], f"{row['state']} is kept, its facts come to {state}"
