"""What a processor's payouts and their lines mean for the books, each once, in whatever order and how often they come.

    line   ─▶ whose is it? ─not known yet─▶ waits, and is asked again with every pull
                │
                ├▶ an operation of which nobody knows the outcome: the line proves it, by the same path as an answer
                └▶ what it is of is in the books: its fee, reserve, conversion ─▶ ledger
    payout ─▶ fold of its states ─▶ left our balance there ─▶ payout_in_transit ─▶ came back ─▶ processor_clearing

Called by pull_settlements.py, a line or a payout in a unit. The money of payments, refunds, returns and disputes, and
the fees of the last two, are booked by their own events; of their lines only what no event tells. The payment's row is
locked first, then the line's, the ledger comes last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ..config import Tenant
from ..db.unit import Tx
from ..domain.dispute import MoneyKind
from ..domain.money import Money
from ..domain.operation import OperationState
from ..domain.payout import BATCH, Folded, PayoutState
from ..domain.refund import RefundState
from ..domain.settlement import LineKind
from ..ledger import rules
from ..ledger import store as ledger
from ..ledger.entry import Entry
from ..log import Log
from ..payments import disputes, returns, store
from ..payments.port import Approved, OperationKind, Reference
from ..payments.records import Operation, Payment, Refund
from ..payments.settlement_port import PayoutSeen, SettlementLine
from ..settlement import store as settlement
from ..settlement.store import Line, LineState, Payout
from .lookup import settle_any
from .money_off import business_day
from .refund import ENDS as REFUND_ENDS
from .whose import payment_of, refund_of

log = Log("settlement")

CHANGED = "settlement_line_changed"  # breaks
ADJUSTED = "settlement_adjustment"
OTHER_CURRENCY = "settlement_currency"
PAYOUT_CHANGED = "payout_changed"
PAYOUT_STATES = "payout_states"
PAYOUT_FAILED = "payout_failed"
PAYOUT_SUM = "payout_sum"
NOT_ITEMISED = "payout_not_itemised"

_K = LineKind
_FEE_IS_TOLD_HERE = frozenset({_K.PAYMENT, _K.CAPTURE_RELEASE, _K.REFUND, _K.REFUND_FAILURE})
_TAKES = frozenset({OperationKind.SALE, OperationKind.AUTHORIZE, OperationKind.CAPTURE, OperationKind.HOSTED})
# By hand too: of what a person said was not done a line is the processor's word that it was.
_PROVABLE = frozenset({OperationState.SENT, OperationState.UNKNOWN, OperationState.BY_HAND})


# ── payouts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def hear_payout(tx: Tx, tenant: Tenant, merchant: str, seen: PayoutSeen) -> Payout:
    """Take in a payout as it was seen; the payout as it is then."""
    payout, folded = settlement.record_payout(tx, merchant, seen)
    key = f"{merchant}:{payout.processor_ref}"
    if seen.amount != payout.amount:
        says = f"payout {payout.processor_ref} was of {payout.amount}, and is said to be of {seen.amount}"
        store.open_break(tx, f"{key}:amount:{seen.amount.minor}", PAYOUT_CHANGED, says, merchant=merchant)
    for state in folded.unexplained:
        says = f"payout {payout.processor_ref} is said to be {state}, and can't have become so"
        store.open_break(tx, f"{key}:state:{state}", PAYOUT_STATES, says, merchant=merchant)
    if folded.state is PayoutState.FAILED:
        says = f"payout {payout.processor_ref} of {payout.amount} did not arrive: it is with the processor again"
        store.open_break(tx, f"{key}:failed", PAYOUT_FAILED, says, merchant=merchant, amount=payout.amount)
    if folded.left and not payout.itemised:
        says = f"payout {payout.processor_ref} of {payout.amount} can't be listed line by line: its fees are not known"
        store.open_break(tx, f"{key}:itemised", NOT_ITEMISED, says, merchant=merchant, amount=payout.amount)
    book_payout(tx, tenant, payout, folded)
    return payout


def book_payout(tx: Tx, tenant: Tenant, payout: Payout, folded: Folded) -> None:
    """What its states mean for the books, each once. A batch moves no money by itself."""
    if not payout.amount or not folded.left or BATCH & set(folded.path):
        return
    merchant, amount, debited = payout.merchant, abs(payout.amount), payout.amount.minor < 0
    refs = {"payout": payout.payout_id, "processor_payout": payout.processor_ref}
    key = f"{merchant}/{payout.processor_ref}"
    begun = _when(tenant, merchant, payout.created_at, refs)
    made = {f"payout-closed/{key}": rules.payout_closed(merchant, amount, debited=debited, **begun)}
    now = _when(tenant, merchant, tx.now, refs)
    at_bank = PayoutState.BANK_MATCHED in folded.path
    if at_bank:
        made[f"payout-at-bank/{key}"] = rules.payout_at_bank(merchant, amount, debited=debited, **now)
    if folded.came_back:
        if at_bank:
            made[f"payout-left-bank/{key}"] = rules.payout_left_bank(merchant, amount, debited=debited, **now)
        made[f"payout-failed/{key}"] = rules.payout_failed(merchant, amount, debited=debited, **now)
    _post(tx, made)


def all_lines_are_here(tx: Tx, payout: Payout) -> None:
    """Compare what they come to with the payout's amount: a difference is a break, until it is none any more."""
    count, net = settlement.net_of(tx, payout)
    key = f"{payout.merchant}:{payout.processor_ref}:sum"
    if net != payout.amount:
        says = f"payout {payout.processor_ref} is of {payout.amount}, and its {count} lines come to {net}"
        more = {"merchant": payout.merchant, "amount": payout.amount - net}
        store.open_break(tx, key, PAYOUT_SUM, says, **more, again=True)
    else:
        store.close_break(tx, key, by="settlement", why="its lines come to its amount")
    settlement.complete(tx, payout)


# ── lines ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def keep(tx: Tx, merchant: str, payout_ref: str, line: SettlementLine) -> None:
    """Keep a line as it came. What it is of is looked for by `book`."""
    kept, changed = settlement.record_line(tx, merchant, payout_ref, line)
    if changed:
        says = f"line {line.reference} was {kept.net} in payout {kept.payout_ref}, and is said to be {line.net} in"
        says += f" {payout_ref} now: it stands as it came first"
        key = f"{merchant}:{line.reference}:changed:{payout_ref}:{line.gross.minor}:{line.fee.minor}"
        store.open_break(tx, key, CHANGED, says, merchant=merchant, amount=line.net)
        log.warning("settlement.line_changed", merchant=merchant)


@dataclass(frozen=True, slots=True)
class About:
    """What a line is of."""

    payment_id: str
    refund: Refund | None = None


def about(tx: Tx, line: Line) -> About | None:
    """What a line is of, as far as it is known here. None: not yet."""
    if line.kind in (_K.REFUND, _K.REFUND_FAILURE):
        known = refund_of(tx, line.merchant, line.our_ref, line.of_ref)
        return None if known is None else About(known.payment_id, known)
    found = payment_of(tx, line.merchant, line.our_ref, line.payment_ref)
    if found is None and line.our_ref and (ours := store.by_operation_ref(tx, line.merchant, line.our_ref)):
        return About(ours)  # a processor that was told a shorter name
    if found is None and line.of_ref:  # a processor that names what it captured alone, or the dispute
        captured = [one for one in store.find(tx, line.of_ref) if one.merchant == line.merchant]
        disputed = disputes.by_processor_ref(tx, line.merchant, line.of_ref)
        return About(captured[0].payment_id) if captured else About(disputed.payment_id) if disputed else None
    return None if found is None else About(found.payment_id)


def book(tx: Tx, tenant: Tenant, line: Line) -> bool:
    """What follows of a line that waits; False where it goes on waiting."""
    if line.kind.of_no_payment:
        return _book_by_itself(tx, tenant, line)
    found = about(tx, line)
    if found is None:
        return False
    payment = store.lock(tx, found.payment_id)
    line = settlement.lock_line(tx, line)
    if line.state is not LineState.WAITING:
        return True
    if line.gross.currency != payment.currency:
        says = f"line {line.line_ref} of {line.net} is of {payment.payment_id}, which is in {payment.currency}"
        key = f"{line.merchant}:{line.line_ref}:currency"
        store.open_break(tx, key, OTHER_CURRENCY, says, payment=payment, amount=line.net)
        settlement.settle_line(tx, line, LineState.NOTED, payment_id=payment.payment_id)
        return True
    _prove(tx, tenant, payment, line, found)
    if not _in_the_books(tx, store.get(tx, payment.payment_id), line, found):
        return False
    made: dict[str, Entry] = {}
    if line.fee and line.kind in _FEE_IS_TOLD_HERE:
        refs = {"line": line.line_ref, "processor_payout": line.payout_ref}
        day = business_day(tenant, payment.facility, line.occurred_at)
        when = rules.When(occurred_at=line.occurred_at, business_date=day, refs=refs)
        back = line.fee.minor < 0
        made[_key("fee", line)] = rules.fee(line.merchant, abs(line.fee), payment=payment.payment_id, back=back, **when)
    settlement.settle_line(tx, line, LineState.BOOKED if made else LineState.NOTED, payment_id=payment.payment_id)
    _post(tx, made)
    return True


def _book_by_itself(tx: Tx, tenant: Tenant, line: Line) -> bool:
    line = settlement.lock_line(tx, line)
    if line.state is not LineState.WAITING:
        return True
    when = _when(tenant, line.merchant, line.occurred_at, {"line": line.line_ref, "processor_payout": line.payout_ref})
    amount, taken = abs(line.net), line.net.minor < 0
    made: dict[str, Entry] = {}
    match line.kind:
        case _K.ADJUSTMENT | _K.OTHER:
            says = f"line {line.line_ref} of {line.net} ('{line.raw_type}') is of nothing that we know: not booked"
            key = f"{line.merchant}:{line.line_ref}:adjustment"
            store.open_break(tx, key, ADJUSTED, says, merchant=line.merchant, amount=line.net)
        case _ if not amount:
            pass
        case _K.FEE:
            made[_key("fee", line)] = rules.fee(line.merchant, amount, back=not taken, **when)
        case _K.RESERVE_HELD | _K.RESERVE_RELEASED:
            made[_key("reserve", line)] = rules.reserve(line.merchant, amount, released=not taken, **when)
        case _K.CONVERSION:
            made[_key("conversion", line)] = rules.converted(line.merchant, amount, bought=not taken, **when)
        case _:
            pass  # of a payout: its own states tell
    settlement.settle_line(tx, line, LineState.BOOKED if made else LineState.NOTED)
    _post(tx, made)
    return True


def _prove(tx: Tx, tenant: Tenant, payment: Payment, line: Line, found: About) -> None:
    """An outcome that nobody knows is proven by a line: its money has moved."""
    if line.kind is _K.PAYMENT:
        operation = store.open_operation(tx, payment.payment_id) or _said_by_hand(tx, payment)
        takes = operation is not None and operation.kind in _TAKES and operation.refund_id is None
        if not takes or operation is None or payment.captured_at is not None:
            return
        if operation.state not in _PROVABLE or not 0 < line.gross.minor <= operation.amount.minor:
            return
        proof = _proof(line, line.gross, captured=True)
    elif line.kind is _K.REFUND and found.refund is not None:
        operation = _sent_for(tx, found.refund)
        if operation is None or operation.state not in _PROVABLE or line.gross.minor >= 0:
            return
        if found.refund.succeeded_at is not None:
            return
        proof = _proof(line, -line.gross, captured=False)
    else:
        return
    log.info("settlement.proves", operation_id=operation.operation_id, payment_id=payment.payment_id)
    settle_any(tx, tenant, operation, proof, source=f"settlement:{line.line_ref}")


def _proof(line: Line, amount: Money, *, captured: bool) -> Approved:
    payment = Reference(line.payment_ref) if line.payment_ref else None
    return Approved(Reference(line.of_ref), amount, captured=captured, at=line.occurred_at, payment=payment)


def _said_by_hand(tx: Tx, payment: Payment) -> Operation | None:
    mine = store.operations_of(tx, payment.payment_id)
    return next((one for one in reversed(mine) if one.state is OperationState.BY_HAND and one.kind in _TAKES), None)


def _sent_for(tx: Tx, refund: Refund) -> Operation | None:
    mine = [one for one in store.operations_of(tx, refund.payment_id) if one.refund_id == refund.refund_id]
    return mine[-1] if mine else None


def _in_the_books(tx: Tx, payment: Payment, line: Line, found: About) -> bool:
    """Whether the money that the line is of is booked by its own event."""
    match line.kind:
        case _K.PAYMENT | _K.CAPTURE_RELEASE:
            return payment.captured_at is not None
        case _K.REFUND:
            known = refund_of(tx, line.merchant, line.our_ref, line.of_ref)
            return known is not None and known.state in REFUND_ENDS
        case _K.REFUND_FAILURE:
            return found.refund is not None and found.refund.state is RefundState.FAILED
        case _K.RETURN | _K.RETURN_REVERSAL:
            return any(one.booked_at for one in returns.of_payment(tx, payment.payment_id))
        case _:
            about_it = disputes.by_processor_ref(tx, line.merchant, line.of_ref)
            facts = disputes.facts_of(tx, about_it.dispute_id) if about_it else []
            kind = MoneyKind.WITHDRAWN if line.kind is _K.DISPUTE else MoneyKind.REINSTATED
            # Where its money has no lines of its own at the processor, by what it comes to.
            like = [one for one in facts if one.kind is kind and one.amount == abs(line.gross)]
            return bool(like) or any(one.reference == line.line_ref for one in facts)


def _key(what: str, line: Line) -> str:
    return f"settlement-{what}/{line.merchant}/{line.line_ref}"


def _when(tenant: Tenant, merchant: str, at: datetime, refs: Mapping[str, str]) -> rules.When:
    facility = next((one for one in tenant.facilities if one.merchant == merchant), tenant.facilities[0])
    day = business_day(tenant, facility.name, at)
    return rules.When(occurred_at=at, business_date=day, refs=refs)


def _post(tx: Tx, made: Mapping[str, Entry]) -> None:
    for key, entry in made.items():
        ledger.post(tx, entry, key=key)
