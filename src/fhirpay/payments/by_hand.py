"""What people found out about operations that nobody knew, kept beside them, and what the processor says of it later.

Written by usecases/by_hand.py; asked wherever an outcome is taken in. A person names the processor's id of what was
done, a later answer may name another one of the same (a charge, and its payment): it is the same money, taken once.
What differs from the word of a person is a break, `by_hand_differs`, whatever follows of it: money that moved after all
is booked as late money is, and what is in the books by hand is never taken back by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from sqlalchemy import RowMapping, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from . import store
from .port import Approved, Canceled, Declined, OperationKind, Outcome, ProvenAbsent, Reference
from .records import Operation, Payment
from .tables import ByHandRow

_word = table(ByHandRow)
_OF = (
    select(_word)
    .where(_word.c.tenant_id == bindparam("tenant"), _word.c.payment_id == bindparam("id"))
    .order_by(_word.c.at, _word.c.operation_id)
)

DIFFERS = "by_hand_differs"  # a break
SOURCE = "by_hand:"  # of facts
Became = Literal["done", "not_done"]
CAPTURES = frozenset({OperationKind.SALE, OperationKind.HOSTED, OperationKind.CAPTURE, OperationKind.TERMINAL})
_ENDS_NOTHING = frozenset({OperationKind.CAPTURE, OperationKind.VOID, OperationKind.ACCEPT_DISPUTE})
_NOT_DONE = (Declined, ProvenAbsent)


@dataclass(frozen=True, slots=True)
class Word:
    """See tables.py."""

    operation_id: str
    payment_id: str
    became: Became
    reference: str
    amount: Money
    said_by: str
    why: str
    evidence: str
    at: datetime

    @classmethod
    def of(cls, row: RowMapping) -> Word:
        names = ("operation_id", "payment_id", "became", "reference", "said_by", "why", "evidence", "at")
        return cls(**{name: row[name] for name in names}, amount=Money(row["amount_minor"], row["currency"]))


def add(tx: Tx, word: Word) -> None:
    """Keep it. One an operation: the table of moves leads out of `unknown` once."""
    row = {name: getattr(word, name) for name in Word.__slots__ if name != "amount"}
    row |= {"tenant_id": tx.tenant, "amount_minor": word.amount.minor, "currency": word.amount.currency}
    tx.execute(insert(_word).values(row))


def of_payment(tx: Tx, payment_id: str) -> list[Word]:
    """Oldest first."""
    return [Word.of(row) for row in tx.all(_OF, id=payment_id)]


def reconciled(tx: Tx, payment: Payment, operation: Operation, outcome: Outcome, *, source: str) -> Outcome:
    """The outcome as it is to be taken in, after a person's word: itself, where there is none. Under the payment's
    lock."""
    if source.startswith(SOURCE):
        return outcome
    for word in of_payment(tx, payment.payment_id):
        said = store.operation(tx, word.operation_id)
        if said.refund_id != operation.refund_id:
            continue
        if said.refund_id is not None:
            _compare_refund(tx, payment, word, outcome)
        elif isinstance(outcome, _NOT_DONE) and operation.kind in _ENDS_NOTHING - {said.kind}:
            pass  # a void, a capture or a cancel that came to nothing: what was said to be taken or held still is
        elif said.kind in CAPTURES:
            outcome = _after_capture(tx, payment, word, outcome)
        elif said.kind is OperationKind.AUTHORIZE:
            outcome = _after_authorization(tx, payment, word, outcome)
        elif said.kind is OperationKind.VOID:
            _compare_void(tx, payment, word, outcome)
    return outcome


def may_be(tx: Tx, payment: Payment, outcome: Approved) -> bool:
    """Whether a refund that nobody here made may be one that a person has told of under another id: then a break says
    so, and nothing is booked twice."""
    for word in of_payment(tx, payment.payment_id):
        is_refund = store.operation(tx, word.operation_id).refund_id is not None
        if (
            is_refund
            and word.became == "done"
            and word.amount == outcome.amount
            and word.reference != outcome.reference
        ):
            _differs(tx, payment, word, f"shows a refund of {outcome.amount} as {outcome.reference}: is it the same?")
            return True
    return False


def _after_capture(tx: Tx, payment: Payment, word: Word, outcome: Outcome) -> Outcome:
    if word.became == "not_done":
        if isinstance(outcome, Approved):
            _differs(tx, payment, word, f"says {outcome.amount} was taken or held")
        return outcome
    same = Reference(word.reference)
    match outcome:
        case Approved(captured=True, amount=amount):
            if amount != word.amount:
                _differs(tx, payment, word, f"says {amount} was taken")
            return replace(outcome, reference=same, amount=word.amount)
        case Canceled(undoes=str()):
            return replace(outcome, undoes=same, amount=word.amount if outcome.amount else None)
        case Declined() | Canceled() | ProvenAbsent():
            _differs(tx, payment, word, "says that nothing was taken")
            return ProvenAbsent()
        case _:
            return outcome


def _after_authorization(tx: Tx, payment: Payment, word: Word, outcome: Outcome) -> Outcome:
    if isinstance(outcome, Approved) and (word.became == "not_done" or outcome.amount > word.amount):
        _differs(tx, payment, word, f"says {outcome.amount} was taken or held")
    if word.became == "done" and isinstance(outcome, Declined | ProvenAbsent):
        _differs(tx, payment, word, "says that nothing was held")
        return ProvenAbsent()
    return outcome


def _compare_refund(tx: Tx, payment: Payment, word: Word, outcome: Outcome) -> None:
    if isinstance(outcome, Approved) and (word.became == "not_done" or outcome.amount != word.amount):
        _differs(tx, payment, word, f"says {outcome.amount} went back")
    if isinstance(outcome, Declined | Canceled | ProvenAbsent) and word.became == "done":
        _differs(tx, payment, word, "says that nothing went back")


def _compare_void(tx: Tx, payment: Payment, word: Word, outcome: Outcome) -> None:
    if word.became == "done" and isinstance(outcome, Approved) and outcome.captured:
        _differs(tx, payment, word, f"says that {outcome.amount} is still taken")
    if word.became == "not_done" and isinstance(outcome, Canceled):
        _differs(tx, payment, word, "says that the payment has ended")


def _differs(tx: Tx, payment: Payment, word: Word, says: str) -> None:
    said = "was done" if word.became == "done" else "was not done"
    text = f"{word.said_by} said that {word.operation_id} {said} ({word.amount}), and the processor {says}"
    key = f"{payment.payment_id}:by-hand:{word.operation_id}"
    store.open_break(tx, key, DIFFERS, text, payment=payment, amount=word.amount)
