"""One bill paid by several tenders at once: cash, a check, cards, each part a payment of its own.

Called by web/api/splits.py. `take` begins all parts in one unit, or none: what a desk takes is captured in it, what a
processor takes is on its way. From then on each goes its own way: one that is declined or never paid frees what it was
for, and leaves the others standing. Credit is no part: it pays by itself before anybody is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ..billing import store as obligations
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import RuleBroken, ValueInvalid
from ..log import Log
from ..payments import splits, store
from . import desk, tills
from .desk import DeskPayment, Handed
from .settle_outcome import ENDS
from .start_payment import NewPayment, asked_of, start

log = Log("payments")


@dataclass(frozen=True, slots=True)
class Part:
    """Either `handed` at a desk, or by a stored method, on a reader, or (with neither) on the processor's page."""

    amount: Money
    handed: Handed | None = None
    method_id: str | None = None
    terminal: str = ""
    return_url: str = ""


@dataclass(frozen=True, slots=True)
class NewSplit:
    """A wish. Without `obligations`: of the account, oldest first; a processor's parts before a desk's."""

    account_ref: str
    requested_by: str
    parts: tuple[Part, ...]
    obligations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """What has become of a split. `done`: all of it is paid; `open`: a part may yet be; `short`: the rest is owed."""

    state: Literal["done", "open", "short"]
    paid: Money
    under_way: Money


def take(tx: Tx, wish: NewSplit, tenant: Tenant) -> str:
    """Begin it, as part of the caller's unit; the split's id.

    Raises as `desk.take` and `start_payment.start` do, and RuleBroken when the whole may not be asked for now.
    """
    currencies = {one.amount.currency for one in wish.parts}
    if len(wish.parts) < 2 or len(currencies) > 1:
        raise ValueInvalid("a split has two parts or more, in one currency", location="tenders")
    total = sum((one.amount for one in wish.parts), Money.zero(currencies.pop()))
    for till in sorted({one.handed.till for one in wish.parts if one.handed}):
        tills.till_of(tenant, till)
        tills.lock_open(tx, till)
    wish = replace(wish, account_ref=desk.lock_account(tx, wish.account_ref))
    asked = asked_of(tx, wish.account_ref, wish.obligations, total)
    most = sum(asked.most, Money.zero(total.currency))
    if total > most:
        raise RuleBroken(f"{most} may be asked for now, not {total}")
    made: dict[int, str] = {}
    for number in sorted(range(len(wish.parts)), key=lambda one: wish.parts[one].handed is not None):
        made[number] = _begin(tx, wish, wish.parts[number], tenant)
    split_id = splits.add(tx, total, [made[number] for number in sorted(made)], by=wish.requested_by)
    log.info("payment.split", count=len(made))
    return split_id


def standing(tx: Tx, split_id: str) -> Standing:
    """Raises NotFound."""
    split = splits.get(tx, split_id)
    paid = under_way = Money.zero(split.amount.currency)
    waits = False
    for payment in (store.get(tx, one) for one in split.payments):
        paid = paid + payment.captured - payment.returned
        if payment.state not in ENDS:
            waits, under_way = True, under_way + payment.amount
    return Standing("done" if paid == split.amount else "open" if waits else "short", paid, under_way)


def _begin(tx: Tx, wish: NewSplit, part: Part, tenant: Tenant) -> str:
    """The part's payment. Of what is named it is for what the parts before have left."""
    left = [one.obligation_id for one in obligations.owed(tx, wish.account_ref)]
    named = tuple(one for one in wish.obligations if one in left)
    if part.handed is not None:
        return desk.take(tx, DeskPayment(wish.account_ref, part.handed, part.amount, named), tenant)
    begun = NewPayment(
        account_ref=wish.account_ref,
        requested_by=wish.requested_by,
        amount=part.amount,
        obligations=named,
        method_id=part.method_id,
        terminal=part.terminal,
        return_url=part.return_url,
    )
    return start(tx, begun, tenant)
