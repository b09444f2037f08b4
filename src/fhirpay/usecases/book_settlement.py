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
from functools import partial

from ..bank import apart
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.operation import OperationState
from ..domain.payment import PaymentState
from ..domain.payout import BATCH, CAME_BACK, Folded, PayoutState
from ..domain.refund import RefundState
from ..domain.settlement import LineKind
from ..errors import ProcessorMisconfigured
from ..ledger import rules
from ..ledger import store as ledger
from ..ledger.entry import Entry
from ..log import Log
from ..payments import disputes, returns, store
from ..payments.by_hand import CAPTURES
from ..payments.port import Approved, OperationKind, Reference
from ..payments.records import Operation, Payment, Refund
from ..payments.settlement_port import PayoutSeen, SettlementLine
from ..reconciliation import line_matches
from ..reconciliation.gaps import PAYOUT_SUM, sum_key
from ..settlement import pairs as settlement_pairs
from ..settlement import store as settlement
from ..settlement.store import Line, LineState, Payout
from . import dispute_lines, post_payout
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
NOT_ITEMISED = "payout_not_itemised"

_K = LineKind
_FEE_IS_TOLD_HERE = frozenset({_K.PAYMENT, _K.CAPTURE_RELEASE, _K.REFUND, _K.REFUND_FAILURE})
_TAKES = CAPTURES | {OperationKind.AUTHORIZE}
# By hand too: of what a person said was not done a line is the processor's word that it was.
_PROVABLE = frozenset({OperationState.SENT, OperationState.UNKNOWN, OperationState.BY_HAND})
# Not a bank debit that failed: processors list what had been submitted, and take it back in another line.
_ENDED_WITHOUT_MONEY = frozenset({PaymentState.DECLINED, PaymentState.CANCELED, PaymentState.EXPIRED})


# ── payouts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def hear_payout(tx: Tx, tenant: Tenant, merchant: str, seen: PayoutSeen) -> Payout:
    """Take in a payout as it was seen; the payout as it is then. Raises ProcessorMisconfigured where it is another
    merchant's."""
    _is_theirs(tx, tenant, merchant, seen)
    payout, folded = settlement.record_payout(tx, merchant, seen)
    key = f"{merchant}:{payout.processor_ref}"
    tell = partial(store.open_break, tx, merchant=merchant, subject=payout.processor_ref)
    if seen.amount != payout.amount:
        says = f"payout {payout.processor_ref} was of {payout.amount}, and is said to be of {seen.amount}"
        off = seen.amount - payout.amount if seen.amount.currency == payout.amount.currency else seen.amount
        tell(f"{key}:amount:{seen.amount.minor}", PAYOUT_CHANGED, says, amount=off)
    for state in folded.unexplained:
        says = f"payout {payout.processor_ref} is said to be {state}, and can't have become so"
        tell(f"{key}:state:{state}", PAYOUT_STATES, says, amount=payout.amount)
    _tell_if_it_is_back(tx, payout, seen)
    if folded.state is PayoutState.FAILED:
        says = f"payout {payout.processor_ref} of {payout.amount} did not arrive: it is with the processor again"
        tell(f"{key}:failed", PAYOUT_FAILED, says, amount=payout.amount)
    if folded.left and not payout.itemised:
        says = f"payout {payout.processor_ref} of {payout.amount} can't be listed line by line: its fees are not known"
        tell(f"{key}:itemised", NOT_ITEMISED, says, amount=payout.amount)
    book_payout(tx, tenant, payout, folded)
    post_payout.consider(tx, tenant, payout)
    return payout


def _is_theirs(tx: Tx, tenant: Tenant, merchant: str, seen: PayoutSeen) -> None:
    mine = tenant.merchant(merchant)
    for other in tenant.merchants:
        same = (other.processor, other.base_url) == (mine.processor, mine.base_url) and other.name != merchant
        if same and settlement.is_known(tx, other.name, seen.reference):
            says = f"payout {seen.reference} is of merchant '{other.name}' already: it and '{merchant}' are one account"
            raise ProcessorMisconfigured(f"{says} at {mine.processor}; let facilities name the same merchant")


def _tell_if_it_is_back(tx: Tx, payout: Payout, seen: PayoutSeen) -> None:
    """One that came back stays so, whatever it is said to be later: no processor's reference knows a way from there,
    and the same money may be paid out anew as another payout."""
    key = f"{payout.merchant}:{payout.processor_ref}:again"
    if payout.state in CAME_BACK and seen.state in (PayoutState.IN_TRANSIT, PayoutState.PAID):
        says = (
            f"payout {payout.processor_ref} of {payout.amount} was {payout.state}, and is said to be {seen.state} now:"
        )
        says += " look it up at the processor, and at the bank; the books have it as come back"
        more = {"merchant": payout.merchant, "subject": payout.processor_ref, "amount": payout.amount}
        store.open_break(tx, key, PAYOUT_STATES, says, **more, again=True)
    else:
        store.close_break(tx, key, by="settlement", why=f"it is said to be {seen.state} again")


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
    ends = apart.again(tx, payout=payout.payout_id)
    at_bank = PayoutState.BANK_MATCHED in folded.path
    if at_bank:
        made[f"payout-at-bank/{key}{ends}"] = rules.payout_at_bank(merchant, amount, debited=debited, **now)
    if folded.came_back:
        if at_bank:
            made[f"payout-left-bank/{key}{ends}"] = rules.payout_left_bank(merchant, amount, debited=debited, **now)
        made[f"payout-failed/{key}"] = rules.payout_failed(merchant, amount, debited=debited, **now)
    _post(tx, made)


def all_lines_are_here(tx: Tx, payout: Payout) -> None:
    """Compare what they come to with the payout's amount: a difference is a break, and they are read again until it is
    none any more."""
    count, net = settlement.net_of(tx, payout)
    key = sum_key(payout.merchant, payout.processor_ref)
    if net != payout.amount:
        says = f"payout {payout.processor_ref} is of {payout.amount}, and its {count} lines come to {net}"
        tell = partial(store.open_break, tx, merchant=payout.merchant, subject=payout.processor_ref)
        tell(key, PAYOUT_SUM, says, amount=payout.amount - net, standing=True)
        return
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
        store.open_break(tx, key, CHANGED, says, merchant=merchant, subject=line.reference, amount=line.net)
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
    if found is None and line.kind is _K.PAYMENT:  # it names nothing, and was found to be the only one that it can be
        ruled = line_matches.payment_by_rule(tx, line)
        return About(ruled) if ruled else None
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
    if line.taken.currency != payment.currency:
        return _tell_of_other_currency(tx, payment, line)
    _prove(tx, tenant, payment, line, found)
    if not _in_the_books(tx, store.get(tx, payment.payment_id), line, found):
        return False
    once = not settlement_pairs.listed_before(tx, line, payment.payment_id)
    if line.presentment and once and not _is_told_alike(tx, line, found):
        return _tell_of_other_currency(tx, payment, line)
    again = settlement_pairs.listed_again(tx, line, payment.payment_id)
    for one in ([again] if again else []) + ([line] if once else []):
        made = _entries(tx, tenant, payment, one, found)
        settlement.settle_line(tx, one, LineState.BOOKED if made else LineState.NOTED, payment_id=payment.payment_id)
        _post(tx, made)
    if not once:
        settlement.settle_line(tx, line, LineState.NOTED, payment_id=payment.payment_id)
    return True


def _entries(tx: Tx, tenant: Tenant, payment: Payment, line: Line, found: About) -> dict[str, Entry]:
    """What a line tells besides the money of what it is of."""
    refs = {"line": line.line_ref, "processor_payout": line.payout_ref}
    day = business_day(tenant, payment.facility, line.occurred_at)
    when = rules.When(occurred_at=line.occurred_at, business_date=day, refs=refs)
    made: dict[str, Entry] = {}
    if line.presentment:
        for side, amount in (("sold", -line.presentment), ("bought", line.gross)):
            entry = rules.converted(
                line.merchant, abs(amount), bought=amount.minor > 0, payment=payment.payment_id, **when
            )
            made[_key(side, line)] = entry
    if fee := untold_fee(tx, line, found):
        amount, back = abs(fee), fee.minor < 0
        if line.kind in _FEE_IS_TOLD_HERE:
            entry = rules.fee(line.merchant, amount, payment=payment.payment_id, back=back, **when)
        else:
            entry = rules.dispute_fee(payment.payment_id, line.merchant, amount, back=back, **when)
        made[_key("fee", line)] = entry
    return made


def _tell_of_other_currency(tx: Tx, payment: Payment, line: Line) -> bool:
    says = f"line {line.line_ref} of {line.net} is of {payment.payment_id}, which is in {payment.currency}"
    key = f"{line.merchant}:{line.line_ref}:currency"
    store.open_break(tx, key, OTHER_CURRENCY, says, payment=payment, subject=line.line_ref, amount=line.net)
    settlement.settle_line(tx, line, LineState.NOTED, payment_id=payment.payment_id)
    return True


def _is_told_alike(tx: Tx, line: Line, found: About) -> bool:
    """Whether what is converted by this line stands in the books as it says that it was taken. A dispute may have been
    told in the currency of our balance, and of a return's fee nobody says in which it was."""
    if line.kind in (_K.DISPUTE, _K.DISPUTE_REVERSAL):
        told = dispute_lines.told_of(tx, line, found.payment_id)
        return told is not None and told.amount == abs(line.taken) and (told.fee is None or not told.fee)
    return line.kind in _FEE_IS_TOLD_HERE or not line.fee


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
            tell = partial(store.open_break, tx, merchant=line.merchant, subject=line.line_ref)
            tell(key, ADJUSTED, says, amount=line.net)
        case _ if not amount:
            pass
        case _K.FEE:
            made[_key("fee", line)] = rules.fee(line.merchant, amount, back=not taken, **when)
        case _K.RESERVE_HELD | _K.RESERVE_RELEASED:
            made[_key("reserve", line)] = rules.reserve(line.merchant, amount, released=not taken, **when)
        case _K.PAYOUT_RETURNED:
            _payout_returned(tx, tenant, line)
        case _K.CONVERSION:
            made[_key("conversion", line)] = rules.converted(line.merchant, amount, bought=not taken, **when)
        case _:
            pass  # of a payout: its own states tell
    settlement.settle_line(tx, line, LineState.BOOKED if made else LineState.NOTED)
    _post(tx, made)
    return True


def _payout_returned(tx: Tx, tenant: Tenant, line: Line) -> None:
    """The one earlier payout of its amount has failed. Where it may be of several, none is chosen."""
    others = [one for one in settlement.some(tx, merchant=line.merchant) if one.processor_ref != line.payout_ref]
    like = [one for one in others if one.amount == line.net and one.state not in CAME_BACK]
    like = [one for one in like if one.created_at <= line.occurred_at]
    if len(like) != 1:
        says = f"line {line.line_ref} says that a payout of {line.net} came back, and {len(like)} are of that amount"
        key = f"{line.merchant}:{line.line_ref}:returned"
        store.open_break(tx, key, ADJUSTED, says, merchant=line.merchant, amount=line.net)
        return
    one = like[0]
    seen = PayoutSeen(Reference(one.processor_ref), PayoutState.FAILED, one.amount, one.created_at)
    hear_payout(tx, tenant, line.merchant, seen)


def _prove(tx: Tx, tenant: Tenant, payment: Payment, line: Line, found: About) -> None:
    """An outcome that nobody knows is proven by a line: its money has moved."""
    if line.kind is _K.PAYMENT:
        operation = _whose_money_moved(tx, payment)
        kept = settlement_pairs.kept(tx, line, payment.payment_id)
        if operation is None or payment.captured_at is not None or not 0 < kept.minor <= operation.amount.minor:
            return
        proof = _proof(line, kept, captured=True)
    elif line.kind is _K.REFUND and found.refund is not None:
        operation = _sent_for(tx, found.refund)
        if operation is None or found.refund.succeeded_at is not None or line.gross.minor >= 0:
            return
        if operation.state not in _PROVABLE and not _was_refused(tx, found.refund, line):
            return
        proof = _proof(line, -line.taken, captured=False)
    else:
        return
    log.info("settlement.proves", operation_id=operation.operation_id, payment_id=payment.payment_id)
    settle_any(tx, tenant, operation, proof, source=f"settlement:{line.line_ref}")


def _proof(line: Line, amount: Money, *, captured: bool) -> Approved:
    payment = Reference(line.payment_ref) if line.payment_ref else None
    return Approved(Reference(line.of_ref), amount, captured=captured, at=line.occurred_at, payment=payment)


def _whose_money_moved(tx: Tx, payment: Payment) -> Operation | None:
    """The operation that a line of this payment proves: one without an outcome, or, of a payment that has ended without
    money, the last that was to take any: a late success."""
    takes = [one for one in store.operations_of(tx, payment.payment_id) if one.kind in _TAKES and not one.refund_id]
    unknown = [one for one in takes if one.state in _PROVABLE]
    sent = [one for one in takes if one.sent_at is not None]
    ended = sent if payment.state in _ENDED_WITHOUT_MONEY else []
    return next(reversed([*ended, *unknown]), None)


def _was_refused(tx: Tx, refund: Refund, line: Line) -> bool:
    """Whether the processor had said that it makes no such refund: it never had a name there. One that had may still be
    listed as come back."""
    refused = refund.state in (RefundState.FAILED, RefundState.CANCELED) and refund.processor_ref is None
    return refused and not settlement_pairs.came_back(tx, line)


def _sent_for(tx: Tx, refund: Refund) -> Operation | None:
    mine = [one for one in store.operations_of(tx, refund.payment_id) if one.refund_id == refund.refund_id]
    return mine[-1] if mine else None


def _in_the_books(tx: Tx, payment: Payment, line: Line, found: About) -> bool:
    """Whether the money that the line is of is booked by its own event."""
    match line.kind:
        case _K.PAYMENT | _K.CAPTURE_RELEASE:
            voided = payment.state is PaymentState.VOIDED and line.kind is _K.PAYMENT
            return payment.captured_at is not None and not (
                voided and settlement_pairs.kept(tx, line, payment.payment_id)
            )
        case _K.REFUND:
            known = refund_of(tx, line.merchant, line.our_ref, line.of_ref)
            return known is not None and known.state in REFUND_ENDS
        case _K.REFUND_FAILURE:
            return found.refund is not None and found.refund.state is RefundState.FAILED
        case _K.RETURN | _K.RETURN_REVERSAL:
            return any(one.booked_at for one in returns.of_payment(tx, payment.payment_id))
        case _:
            return dispute_lines.told_of(tx, line, found.payment_id) is not None


def untold_fee(tx: Tx, line: Line, found: About) -> Money | None:
    """The fee that no event tells: all of a payment's or a refund's; of a dispute's, what is beyond what was told."""
    if line.kind in _FEE_IS_TOLD_HERE:
        return line.fee
    if line.kind not in (_K.DISPUTE, _K.DISPUTE_REVERSAL):
        return None
    told = dispute_lines.told_of(tx, line, found.payment_id)
    return line.fee - told.fee if told and told.fee else line.fee


def _key(what: str, line: Line) -> str:
    return f"settlement-{what}/{line.merchant}/{line.line_ref}"


def _when(tenant: Tenant, merchant: str, at: datetime, refs: Mapping[str, str]) -> rules.When:
    facility = next((one for one in tenant.facilities if one.merchant == merchant), tenant.facilities[0])
    day = business_day(tenant, facility.name, at)
    return rules.When(occurred_at=at, business_date=day, refs=refs)


def _post(tx: Tx, made: Mapping[str, Entry]) -> None:
    for key, entry in made.items():
        ledger.post(tx, entry, key=key)
