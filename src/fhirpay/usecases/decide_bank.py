"""What a person says of a bank line: which payouts or bags it is, whose fee, or that nobody knows whose it is.

Called by `fhirpay bank`; that it is a patient's after all is receipts.py's.

What staff match has to come to the same amount, but for batches, whose fees are not told, and for bags, which the bank
counts (match_bags.py). It stands as any match does.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..bank import matches
from ..bank import store as bank
from ..bank.expected import OF_PAYOUTS, Expected, Match, Rule
from ..bank.store import BankLine
from ..bank.turn import take_turn
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import RuleBroken
from ..ledger import rules
from ..ledger import store as ledger
from ..payments import store
from .match_bank import NOBODY, expected_at, identified, keep_match, match_account, merchants_of, when_of

BY_HAND = Rule("by_hand", "certain")
FEE = "fee"


def match_by_hand(
    tx: Tx, tenant: Tenant, key: bytes, *, lines: Sequence[str], payouts: Sequence[str], by: str, why: str
) -> str:
    """These lines are these payouts, by our id or the processor's, or bags, or checks that bounced, by their return's
    id; the match's id. Raises RuleBroken, NotFound."""
    by, why = named(by, why)
    take_turn(tx)
    found = [bank.line(tx, one) for one in dict.fromkeys(lines)]
    names = {one.account for one in found}
    if len(names) != 1:
        raise RuleBroken("name one line at least, and lines of one account")
    account = tenant.bank_account(names.pop())
    if taken := next((one for one in found if one.match_id), None):
        raise RuleBroken(f"bank line {taken.line_id} is matched: {taken.match_id}")
    if theirs := next((one for one in found if one.credited_minor), None):
        raise RuleBroken(f"bank line {theirs.line_id} is credited to an account: take that back first")
    open_ones = expected_at(tx, tenant, account, found[0].booked_on)
    total = Money(sum(one.amount.minor for one in found), account.currency)
    way = total.minor < 0
    chosen: list[Expected] = []
    for some in dict.fromkeys(payouts):
        ids = {some, *(one.payout_id for one in matches.named(tx, some))}
        mine = [one for one in open_ones if one.subject in ids and (one.amount.minor < 0) == way]
        if len(mine) > 1 and mine[0].what in ("bounce", "bounce_fee"):
            mine = [one for one in mine if one.amount == total] or mine
        elif len(mine) != 1:
            raise RuleBroken(f"payout or bag {some} isn't expected in '{account.name}', or was seen already")
        chosen += mine
    whose = {(one.what in OF_PAYOUTS, one.merchant, one.batch, one.group.rpartition("/")[0]) for one in chosen}
    if len(whose) != 1:
        raise RuleBroken("name one payout or bag at least, payouts of one merchant, or bags of one facility")
    wanted = Money(sum(one.amount.minor for one in chosen), account.currency)
    short = chosen[0].batch and 0 < total.minor < wanted.minor
    counted = chosen[0].what == "deposit" and total.minor > 0
    if total != wanted and not short and not counted:
        raise RuleBroken(f"the lines come to {total}, and the payouts to {wanted}: the rest would be nobody's")
    match_id = keep_match(tx, tenant, account, Match(BY_HAND, tuple(chosen), tuple(found)), by=by, why=why)
    match_account(tx, tenant, account, key)
    return match_id


def book_receipt(tx: Tx, tenant: Tenant, line_id: str, *, by: str, why: str) -> BankLine:
    """Nobody knows whose money it is: an unidentified receipt, until it is matched. Raises RuleBroken, NotFound."""
    by, why = named(by, why)
    take_turn(tx)
    line = bank.line(tx, line_id)
    if line.match_id or line.receipt_by:
        raise RuleBroken(f"bank line {line_id} is {'matched' if line.match_id else 'booked as a receipt'} already")
    if line.amount.minor <= 0:
        raise RuleBroken(f"bank line {line_id} of {line.amount} went out: it is no receipt")
    bank.receipt(tx, line_id, by=by, why=why)
    entry = rules.receipt_unidentified(line.amount, **when_of(tx, tenant, line))
    ledger.post(tx, entry, key=f"receipt/{line_id}")
    store.close_break(tx, f"bank:{NOBODY}:{line_id}", by=by, why=why)
    return line


def book_fee(tx: Tx, tenant: Tenant, line_id: str, *, merchant: str, by: str, why: str) -> str:
    """A line is a fee that this merchant's processor took at the bank, or gave back there; its match's id.

    Raises RuleBroken, NotFound.
    """
    by, why = named(by, why)
    take_turn(tx)
    line = bank.line(tx, line_id)
    account = tenant.bank_account(line.account)
    if merchant not in merchants_of(tenant, account):
        raise RuleBroken(f"merchant '{merchant}' has nothing to do with bank account '{account.name}'")
    if line.match_id:
        raise RuleBroken(f"bank line {line_id} is matched: {line.match_id}")
    if line.credited_minor:
        raise RuleBroken(f"{line.amount - line.uncredited} of bank line {line_id} is credited to accounts")
    nothing = Money.zero(account.currency)
    said = {"rule": FEE, "confidence": BY_HAND.confidence, "by": by, "why": why}
    match_id = matches.add(tx, account.name, (), gap=nothing, merchant=merchant, **said)
    bank.matched(tx, [line_id], match_id)
    identified(tx, tenant, line)
    back = line.amount.minor > 0
    entry = rules.fee_at_bank(merchant, abs(line.amount), back=back, **when_of(tx, tenant, line))
    ledger.post(tx, entry, key=f"bank-fee/{match_id}")
    store.close_break(tx, f"bank:{NOBODY}:{line_id}", by=by, why=why)
    return match_id


def named(by: str, why: str) -> tuple[str, str]:
    """Who says so, and why. Raises RuleBroken where one of them is missing."""
    if not by.strip() or not why.strip():
        raise RuleBroken("say who says so, and why (--by, --reason): it is kept")
    return by.strip(), why.strip()
