"""A match of bank lines that turns out wrong is taken back, whole: both sides are open again, and the books say so.
So is a line that was said to be a fee.

    the match's entries reversed ─▶ what it is of not at the bank, its lines of nothing ─▶ matched anew, not as before

Called by `fhirpay bank unmatch`. The reversal is of the day it is said on, so a closed period stays as it is. No rule
chooses the same pair again; `fhirpay bank match` may.
"""

from __future__ import annotations

from ..bank import apart, deposits, matches
from ..bank import store as bank
from ..bank.store import BankLine
from ..bank.turn import take_turn
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.payout import BATCH, CAME_BACK, PayoutState, fold
from ..errors import RuleBroken
from ..ledger import rules
from ..ledger import store as ledger
from ..log import Log
from ..payments import store
from ..settlement import store as settlement
from ..settlement.store import Payout
from ..writeback import store as writeback
from . import match_bags
from .decide_bank import named
from .match_bank import FEE_GAP, match_account, when_of

log = Log("bank")


def unmatch(tx: Tx, tenant: Tenant, key: bytes, line_id: str, *, by: str, why: str) -> str:
    """The line is not what it was matched with, nor are the other lines of that match; the match's id.

    Raises RuleBroken where nobody says who and why, it is of nothing, or its payout has come back or is at an EHR;
    NotFound.
    """
    by, why = named(by, why)
    take_turn(tx)
    line = bank.line(tx, line_id)
    if not line.match_id:
        raise RuleBroken(f"bank line {line_id} is matched with nothing")
    match_id, lines = line.match_id, bank.lines_of_match(tx, line.match_id)
    subjects = apart.subjects_of(tx, match_id)
    arrived = [settlement.lock(tx, one) for one, what in subjects if what == "arrival"]
    for payout in arrived:
        _may(tx, payout)
    batches = [one for one in arrived if BATCH & set(fold(settlement.states_of(tx, one.payout_id)).path)]
    if batches:
        _not_deposited(tx, tenant, batches[0], lines, match_id)
    else:
        for payout in arrived:
            _back(tx, tenant, payout, payout.amount, lines[0], match_id)
    if fee := matches.fee_of(tx, match_id):
        back = line.amount.minor < 0
        entry = rules.fee_at_bank(fee.merchant, abs(line.amount), back=back, **when_of(tx, tenant, line))
        ledger.post(tx, entry, key=f"bank-fee-unmatched/{match_id}")
    if in_bags := deposits.of_match(tx, subjects):
        match_bags.take_back(tx, tenant, match_id, in_bags, lines)
    for one in lines:
        if one.receipt_by:
            ends = apart.again(tx, line=one.line_id) or "/1"
            entry = rules.receipt_unidentified(one.amount, **when_of(tx, tenant, one))
            ledger.post(tx, entry, key=f"receipt-again/{one.line_id}{ends}")
    apart.take(tx, match_id, [one.line_id for one in lines], by=by, why=why)
    for payout in arrived:
        settlement.forget_state(tx, payout, PayoutState.BANK_MATCHED)
    log.info("bank.unmatched", match_id=match_id, bank_account=line.account)
    match_account(tx, tenant, tenant.bank_account(line.account), key)
    return match_id


def _may(tx: Tx, payout: Payout) -> None:
    if payout.state in CAME_BACK:
        raise RuleBroken(f"payout {payout.processor_ref} has come back since: what the bank had of it is booked back")
    if payout.state is PayoutState.POSTED or writeback.of_subject(tx, payout.payout_id):
        raise RuleBroken(f"payout {payout.processor_ref} is posted to an EHR as it is, and stays so")


def _back(tx: Tx, tenant: Tenant, payout: Payout, amount: Money, line: BankLine, match_id: str) -> None:
    debited = amount.minor < 0
    entry = rules.payout_left_bank(payout.merchant, abs(amount), debited=debited, **when_of(tx, tenant, line))
    ledger.post(tx, entry, key=f"payout-unmatched/{match_id}/{payout.payout_id}")


def _not_deposited(tx: Tx, tenant: Tenant, first: Payout, lines: list[BankLine], match_id: str) -> None:
    """Batches moved money as they arrived: out of the bank, and into the balance again."""
    total = Money(sum(one.amount.minor for one in lines), first.amount.currency)
    _back(tx, tenant, first, total, lines[0], match_id)
    debited = total.minor < 0
    entry = rules.payout_failed(first.merchant, abs(total), debited=debited, **when_of(tx, tenant, lines[0]))
    ledger.post(tx, entry, key=f"batch-unmatched/{match_id}")
    gap = f"bank:{FEE_GAP}:{first.merchant}/{first.processor_ref}"
    store.close_break(tx, gap, by="bank", why="its match was taken back")
