"""What is of before a feed's watermark, apart from what is asked for. Pure; called by responsibility.py.

A feed that is taken over from another system is backfilled: its history comes in and is mapped, but what was owed for
it at go-live comes as an opening balance. So an account's facts are two halves that know nothing of each other. The one
is assessed and asked for as ever. The other is assessed in the same way, and only shown: its amounts are a `memo`, in
no book and never collectable. A credit of an old charge lowers that charge alone, and an Invoice for old charges asks
for nothing, however late they come.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from ..domain.money import Money
from ..domain.obligation import ObligationState
from .assessment import Assessment, Desired, Note, Says
from .facts import AccountFacts, Bill, Named

BEFORE = "before_watermark"  # on the worklist
_ENDS = frozenset({ObligationState.SUPERSEDED, ObligationState.VOID})
_NAMED = 3


def halves(facts: AccountFacts) -> tuple[AccountFacts, AccountFacts | None]:
    """What is asked for, and what is only shown; None: nothing is."""
    if not any(one.before or any(copay.before for copay in one.copays) for one in (facts, *facts.elsewhere)):
        return facts, None
    charges = {ref: amount for one in (facts, *facts.elsewhere) for ref, amount in _old_charges(one).items()}
    return _half(facts, charges, old=False), _half(facts, charges, old=True)


def _half(facts: AccountFacts, charges: Mapping[str, Money | None], *, old: bool) -> AccountFacts:
    bills = {bill.ref for bill in facts.invoices if _is_old(bill, facts, charges)}
    visits = frozenset(one.ref for one in facts.visits if (one.ref in facts.before) == old)
    return replace(
        facts,
        charges=tuple(one for one in facts.charges if (one.ref in charges) == old),
        invoices=tuple(one if old else _without(one, charges) for one in facts.invoices if (one.ref in bills) == old),
        copays=tuple(one for one in facts.copays if one.before == old),
        copay_visits=visits,
        staff=() if old else facts.staff,
        openings=() if old else facts.openings,
        write_offs=() if old else facts.write_offs,
        # What an insurance pays after go-live for an old charge lowers nothing that is asked for by others.
        relief=() if old else tuple(one for one in facts.relief if one.charge not in charges),
        elsewhere=tuple(_half(one, charges, old=old) for one in facts.elsewhere),
    )


def _old_charges(facts: AccountFacts) -> dict[str, Money | None]:
    """With their prices. Also what names an old one: its credit, or a part of it."""
    old = [one for one in facts.charges if one.ref in facts.before]
    named = Named(old)
    naming = [one for one in facts.charges if named.by(one)]
    return {one.ref: one.amount for one in (*old, *naming)}


def _is_old(bill: Bill, facts: AccountFacts, charges: Collection[str]) -> bool:
    """By its own day, or because all that it can stand for is old."""
    if bill.ref in facts.before:
        return True
    named = {line.charge for line in bill.lines}
    if named and "" not in named:
        return named <= set(charges)
    own = {one.ref for one in facts.charges}
    return bool(own) and own <= set(charges)


def _without(bill: Bill, charges: Mapping[str, Money | None]) -> Bill:
    """An Invoice without its lines for old charges: where it can't be told what they ask, nothing is left of it."""
    old = [line for line in bill.lines if line.charge in charges]
    if not old or bill.total is None:
        return bill
    currency = bill.total.currency
    amounts = [line.amount or charges[line.charge] for line in old]
    known = [one.minor for one in amounts if one is not None and one.currency == currency]
    less = min(bill.total.minor, sum(known)) if len(known) == len(old) else bill.total.minor
    lines = tuple(line for line in bill.lines if line.charge not in charges)
    return replace(bill, total=Money(bill.total.minor - less, currency), lines=lines, less=Money(less, currency))


# ── what is only shown ────────────────────────────────────────────────────────────────────────────────────────────────


def beside(found: Assessment, shown: Assessment, facts: AccountFacts) -> Assessment:
    """What is asked for, with what is only shown beside it. `facts` are those of what is shown."""
    asked = {one.key for one in found.obligations}
    memos = [_memo(one, facts) for one in shown.obligations if one.key not in asked]
    return replace(
        found,
        obligations=tuple(sorted((*found.obligations, *memos), key=lambda one: one.key)),
        notes=(*found.notes, *_came_late(facts, memos)),
    )


def _memo(one: Desired, facts: AccountFacts) -> Desired:
    zero, ended = Money.zero(one.currency), one.state in _ENDS
    why = facts.before.get(one.basis_key) or next(iter(sorted(facts.before.values())), "of before the watermark")
    says = () if ended else (Says("watermark", f"{why}: shown, in no book, never asked for", one.basis_key),)
    return replace(
        one,
        state=one.state if ended else ObligationState.PENDING,
        statement=(*one.statement, *says),
        memo=zero if ended else one.pending + one.patient,
        pending=zero,
        patient=zero,
        discount=None,
        draws={},
        collectable_from=None,
        hold="",
    )


def _came_late(facts: AccountFacts, memos: list[Desired]) -> Iterator[Note]:
    """What nobody may have in their books: it came after go-live, and is of before the watermark."""
    late = [one for one in memos if one.basis_key in facts.late and one.memo]
    late_credits = [one.ref for one in facts.charges if one.ref in facts.late and (one.credit or _negative(one.amount))]
    refs = sorted({*(one.basis_key for one in late), *late_credits})
    if not refs:
        return
    sums: dict[str, Money] = {}
    for one in late:
        if one.memo is not None:
            sums[one.currency] = sums.get(one.currency, Money.zero(one.currency)) + one.memo
    more = f" and {len(refs) - _NAMED} more" if len(refs) > _NAMED else ""
    worth = f", worth {' and '.join(map(str, sums.values()))}," if sums else ""
    says = f"{', '.join(refs[:_NAMED])}{more}{worth} came after go-live and of before the watermark: not asked for"
    yield Note(BEFORE, facts.ref, f"{says}; does the opening balance hold it?")


def _negative(amount: Money | None) -> bool:
    return amount is not None and amount.minor < 0
