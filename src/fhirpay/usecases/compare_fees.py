"""What processors took as fees, payment by payment, against what was agreed with them (`[[tenants.merchants.fees]]`).

Called by reconcile.py, once its lines are matched, daily and by `fhirpay reconcile`. Reads look page by page; where
nothing is configured, nothing is read but what may be open from before. A difference that a person has marked done
stays done; another one of the same payment is another break.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..db.unit import Tx, Units
from ..domain.money import Money
from ..payments import store
from ..payments.many_breaks import NewBreak, open_breaks
from ..reconciliation import agreed_fees, differences
from ..reconciliation.fee_terms import Lines, Terms

KIND = "fee_not_as_agreed"  # a break
BY = "reconcile"  # who closes it, once it is no longer so
_AT_ONCE = 100  # breaks of a write
_BREAKS_MAX = 1_000_000  # open at a time
_LINES_SHOWN = 5


async def look(units: Units, terms: Sequence[Terms], days: tuple[str, str], *, closes: Collection[str]) -> int:
    """Tell of each payment, taken in these days, whose fees are off, and close what no longer is so, of the merchants
    in `closes`; how many are told."""
    found: list[NewBreak] = []
    after, more = "", bool(terms)
    while more:
        last = await units.read(differences.bound, after)
        off = await units.read(_off, terms, after, last, days)
        for start in range(0, len(off), _AT_ONCE):
            found += await units.read(_breaks, off[start : start + _AT_ONCE])
        after, more = last or after, last is not None
    keys = {one.key for one in found}
    told = await units.read(store.breaks, kind=KIND, accepted=True, limit=_BREAKS_MAX)
    says = {one.break_key: one.says for one in told}
    new = [one for one in found if says.get(one.key) != one.says]
    for start in range(0, len(new), _AT_ONCE):
        await units.write(open_breaks, new[start : start + _AT_ONCE])
    gone = [one.break_key for one in told if one.merchant in closes and one.break_key not in keys]
    for start in range(0, len(gone), _AT_ONCE):
        await units.write(_close, gone[start : start + _AT_ONCE])
    return len(found)


def _off(
    tx: Tx, terms: Sequence[Terms], after: str, last: str | None, days: tuple[str, str]
) -> list[tuple[Lines, Terms]]:
    rows = agreed_fees.not_as_agreed(tx, terms, after, last, days)
    mine = ((row, next(one for one in terms if one.count_for(row))) for row in rows)
    return [(row, one) for row, one in mine if one.off(row)]


def _breaks(tx: Tx, off: Sequence[tuple[Lines, Terms]]) -> list[NewBreak]:
    lines = agreed_fees.lines_by_payment(tx, [row.payment_id for row, _ in off])
    return [_break_of(row, one, lines[row.payment_id]) for row, one in off]


def _break_of(row: Lines, terms: Terms, lines: Sequence[str]) -> NewBreak:
    taken, agreed = (Money(minor, row.currency) for minor in (terms.compared(row), terms.agreed(row)))
    shown = ", ".join(lines[:_LINES_SHOWN]) + (" and more" if len(lines) > _LINES_SHOWN else "")
    of = f"a payment of {Money(row.taken, row.currency)} by {row.method}"
    says = f"the fees of {row.payment_id} are {taken} in its lines ({shown}); {agreed} is agreed for {of}"
    return NewBreak(
        f"reconcile:{KIND}:{row.payment_id}", KIND, row.payment_id, row.payment_id, row.merchant, taken - agreed, says
    )


def _close(tx: Tx, keys: Sequence[str]) -> None:
    for key in keys:
        store.close_break(tx, key, by=BY, why="it is no longer so")
