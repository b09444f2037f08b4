"""The same facts of a payment in shuffled orders, some told twice: one state, one ledger, one posting each.

A history begins by the real use cases, up to calls whose answers nobody has heard. Then everything that answers,
lookups and events can say of it is told, in any order and again, to the functions that settle, on SQLite; and the
program does what follows. What is compared in the end: states, amounts, what is owed, the ledger's entries with their
legs, and what is posted to the EHR. `make explore` tells each history a thousand times.
"""

from __future__ import annotations

import os
import random
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sim_till import Till

from fhirpay.db.unit import Tx
from fhirpay.domain.dispute import DisputeState
from fhirpay.domain.refund import RefundState
from fhirpay.payments import refunds, store
from fhirpay.payments.port import (
    ActionNeeded,
    Approved,
    Canceled,
    DeclineCode,
    Declined,
    DisputeMoney,
    DisputeSeen,
    OperationKind,
    Outcome,
    Pending,
    Reference,
    Return,
    Unknown,
)
from fhirpay.usecases import dispute
from fhirpay.usecases.collect import reassess_accounts
from fhirpay.usecases.lookup import settle_any
from fhirpay.writeback import store as writeback
from payments_world import usd
from stories import account, by_card, by_page
from told_law import check_told

pytestmark = pytest.mark.warns(
    "refund.failed",
    "refund.failed_late",
    "operation.unknown",
    "work.retry",
    "payment.returned",
    "dispute.opened",
    "dispute.lost",
)
ORDERS = int(os.environ.get("FHIRPAY_EXPLORE", "0")) or 10  # of each history
AT = datetime(2026, 11, 20, 13, 0, 5, tzinfo=UTC)
NOTHING_HEARD = ["", "lost_after"]  # of the two calls that take a payment: made, and its answer is lost


@dataclass(frozen=True)
class Told:
    """What somebody says of the nth operation of the payment."""

    operation: int
    outcome: Outcome
    source: str

    def tell(self, tx: Tx, till: Till, operations: list[str]) -> None:
        settle_any(tx, till.tenant, store.operation(tx, operations[self.operation]), self.outcome, source=self.source)


@dataclass(frozen=True)
class Shown:
    """A dispute of the payment as somebody saw it."""

    dispute: DisputeSeen
    source: str

    def tell(self, tx: Tx, till: Till, operations: list[str]) -> None:
        payment = store.operation(tx, operations[0]).payment_id
        dispute.settle(tx, till.tenant, payment, self.dispute, source=self.source)


Said = Told | Shown


def captured(minor: int, *, back: int = 0, capture: str = "ch_1") -> Approved:
    """The payment as the processor shows it once it is taken."""
    return Approved(
        Reference(capture), usd(minor), at=AT, payment=Reference("sp_1"), given_back=usd(back) if back else None
    )


def refunded(number: int, minor: int) -> Approved:
    return Approved(Reference(f"re_{number}"), usd(minor), at=AT + timedelta(seconds=number), payment=Reference("sp_1"))


def by(operation: int, *outcomes: Outcome) -> list[Said]:
    """Each said by an answer, a lookup and an event of its own."""
    return [
        Told(operation, outcome, f"{source}:{operation}:{number}")
        for number, outcome in enumerate(outcomes)
        for source in ("operation", "lookup", "event")
    ]


def sale_with_partial_refunds(till: Till) -> list[Said]:
    account(till, 80_00, 30_00)
    payment = by_card(till)
    till.hand()
    for minor in (10_00, 40_00, 60_00):
        till.do(till.refund(payment, minor))
    _with_the_processor(till, payment)
    of = till.rows("SELECT capture_ref FROM payment")[0][0]
    said = by(0, captured(110_00, capture=of), captured(110_00, back=10_00, capture=of), Unknown("no answer"))
    said += by(1, refunded(1, 10_00), Unknown("no answer"))
    said += by(2, Pending(Reference("re_2")), refunded(2, 40_00))
    return said + by(3, refunded(3, 60_00))


def authorized_captured_in_part_and_voided(till: Till) -> list[Said]:
    account(till, 80_00)
    payment = by_card(till, capture=False)
    till.hand()
    till.do(till.capture(payment, 30_00))
    till.net.fates = ["lost_after"]
    till.hand()
    held = till.rows("SELECT reference FROM payment_fact WHERE kind = 'authorized'")[0][0]
    whole = Approved(Reference(held), usd(80_00), captured=False)
    gone = Canceled(Reference("vo_1"), undoes=Reference("ch_1"), amount=usd(30_00), at=AT + timedelta(seconds=9))
    return by(0, whole, gone) + by(1, captured(30_00), Unknown("no answer"))


def voided_after_a_sale(till: Till) -> list[Said]:
    account(till, 80_00)
    by_card(till)
    till.net.fates = list(NOTHING_HEARD)
    till.hand()
    gone = Canceled(Reference("vo_1"), undoes=Reference("ch_1"), amount=usd(80_00), at=AT + timedelta(seconds=9))
    return by(0, captured(80_00), gone, Unknown("no answer"))


def page_paid_after_failed_tries(till: Till) -> list[Said]:
    account(till, 80_00)
    by_page(till)
    till.hand()
    page = ActionNeeded("https://processor.test/checkout/1", Reference("cs_1"))
    return by(0, page, captured(80_00), Unknown("no answer"))


def page_expired_and_paid_late(till: Till) -> list[Said]:
    account(till, 80_00)
    by_page(till)
    till.hand()
    return by(0, Canceled(Reference("cs_1"), expired=True), captured(80_00))


def action_confirmed_in_the_end(till: Till) -> list[Said]:
    account(till, 80_00)
    by_card(till, "tok_action")
    till.net.fates = list(NOTHING_HEARD)
    till.hand()
    return by(0, ActionNeeded("https://bank.test/1", Reference("sp_1")), captured(80_00))


def processed_and_failed(till: Till) -> list[Said]:
    account(till, 80_00)
    by_card(till, "tok_returns")
    till.net.fates = list(NOTHING_HEARD)
    till.hand()
    return by(0, Pending(Reference("sp_1")), Declined(DeclineCode.FAILED))


def refund_that_fails_late(till: Till) -> list[Said]:
    account(till, 80_00)
    payment = by_card(till)
    till.hand()
    till.do(till.refund(payment, 30_00))
    _with_the_processor(till, payment)
    # A look is made anew when the refund has moved meanwhile (lookup.py, webhook.py): only an answer can be so late.
    said = [one for one in by(1, refunded(1, 30_00)) if one.source.startswith("operation")]
    return said + by(1, Pending(Reference("re_1")), Declined(DeclineCode.FAILED))


def capture_that_came_back(till: Till) -> list[Said]:
    account(till, 80_00, 30_00)
    by_card(till)
    till.net.fates = list(NOTHING_HEARD)
    till.hand()
    came_back = Return(Reference("rt_1"), usd(110_00), AT + timedelta(days=2), "R01", "no money there", usd(15_00))
    whole = captured(110_00)
    return by(0, Pending(Reference("sp_1")), whole, replace(whole, returns=(came_back,)), Unknown("no answer"))


def capture_that_came_back_and_came_again(till: Till) -> list[Said]:
    said = capture_that_came_back(till)
    shown = (one.outcome for one in said if isinstance(one, Told))
    last = next(one for one in shown if isinstance(one, Approved) and one.returns)
    again = replace(last.returns[0], reversed_by=Reference("rr_1"), reversed_at=AT + timedelta(days=5))
    return said + by(0, replace(last, returns=(again,)))


def _came_back(till: Till, *, again: bool = False) -> list[Said]:
    """A captured payment of 110.00 that came back, whole; and came again."""
    of, theirs = till.rows("SELECT capture_ref, processor_ref FROM payment")[0]
    back = Return(Reference("rt_1"), usd(110_00), AT + timedelta(days=2), "R01", "no money there", usd(15_00))
    seen = [replace(captured(110_00, capture=of), payment=Reference(theirs), returns=(back,))]
    if again:
        back = replace(back, reversed_by=Reference("rr_1"), reversed_at=AT + timedelta(days=5))
        seen.append(replace(seen[0], returns=(back,)))
    return by(0, *seen)


def returned_while_a_refund_is_under_way_that_fails(till: Till) -> list[Said]:
    account(till, 80_00, 30_00)
    payment = by_card(till)
    till.hand()
    till.do(till.refund(payment, 40_00))
    _with_the_processor(till, payment)
    return _came_back(till) + by(1, Pending(Reference("re_1")), Declined(DeclineCode.FAILED))


def returned_and_come_again_while_two_refunds_are_under_way(till: Till) -> list[Said]:
    account(till, 80_00, 30_00)
    payment = by_card(till)
    till.hand()
    for minor in (20_00, 40_00):
        till.do(till.refund(payment, minor))
    _with_the_processor(till, payment)
    failed = by(1, Pending(Reference("re_1")), Declined(DeclineCode.FAILED))
    return _came_back(till, again=True) + failed + by(2, Pending(Reference("re_2")), refunded(2, 40_00))


def _dispute(state: DisputeState, *money: DisputeMoney) -> DisputeSeen:
    return DisputeSeen(Reference("dp_1"), Reference("sp_1"), state, usd(50_00), AT + timedelta(days=3), money)


def _moved(back: bool, days: int) -> DisputeMoney:
    fee = usd(-15_00 if back else 15_00)
    return DisputeMoney(Reference(f"dm_{days}"), usd(50_00), back, fee, AT + timedelta(days=days))


def disputed_and_lost(till: Till) -> list[Said]:
    account(till, 80_00, 30_00)
    by_card(till)
    till.net.fates = list(NOTHING_HEARD)
    till.hand()
    taken, s = _moved(False, 3), DisputeState
    seen = [
        _dispute(s.INQUIRY),
        _dispute(s.NEEDS_RESPONSE),
        _dispute(s.NEEDS_RESPONSE, taken),
        _dispute(s.UNDER_REVIEW, taken),
        _dispute(s.LOST, taken),
    ]
    return by(0, captured(110_00)) + [
        Shown(one, f"{way}:{at}") for at, one in enumerate(seen) for way in ("event", "look")
    ]


def disputed_lost_and_won_late(till: Till) -> list[Said]:
    won = _dispute(DisputeState.WON, _moved(False, 3), _moved(True, 40))
    return [*disputed_and_lost(till), Shown(won, "event:won"), Shown(won, "look:won")]


HISTORIES: list[Callable[[Till], list[Said]]] = [
    sale_with_partial_refunds,
    authorized_captured_in_part_and_voided,
    voided_after_a_sale,
    page_paid_after_failed_tries,
    page_expired_and_paid_late,
    action_confirmed_in_the_end,
    processed_and_failed,
    refund_that_fails_late,
    capture_that_came_back,
    capture_that_came_back_and_came_again,
    returned_while_a_refund_is_under_way_that_fails,
    returned_and_come_again_while_two_refunds_are_under_way,
    disputed_and_lost,
    disputed_lost_and_won_late,
]


def _with_the_processor(till: Till, payment: str) -> None:
    """Each refund is there, and what becomes of it is to come."""

    def sent(tx: Tx) -> None:
        smallest_first = sorted(refunds.of_payment(tx, payment), key=lambda one: one.amount.minor)
        for number, one in enumerate(smallest_first, start=1):
            made = store.add_operation(tx, payment, OperationKind.REFUND, one.amount, refund_id=one.refund_id)
            refunds.move(tx, one, RefundState.SUBMITTED)
            store.sent(tx, store.operation(tx, made))
            waits = Pending(Reference(f"re_{number}"))
            settle_any(tx, till.tenant, store.operation(tx, made), waits, source="operation:0")

    till.write(sent)


# ── the comparison ────────────────────────────────────────────────────────────────────────────────────────────────

_OPERATIONS = (
    "SELECT o.operation_id FROM operation o LEFT JOIN refund r ON r.refund_id = o.refund_id"
    " ORDER BY coalesce(r.amount_minor, 0), o.created_at, o.operation_id"
)
_COMPARED = {
    "payment": "SELECT state, authorized_minor, captured_minor, voided_minor, refunded_minor, capture_ref FROM payment",
    "open": "SELECT operation_id FROM operation WHERE state IN ('prepared', 'sent', 'unknown')",
    "refunds": "SELECT refund_id, amount_minor, state FROM refund ORDER BY refund_id",
    "owed": "SELECT obligation_id, state, paid_minor, in_flight_minor FROM obligation"
    " WHERE state <> 'void' OR paid_minor + in_flight_minor > 0 ORDER BY obligation_id",
    "credit": "SELECT payment_id, sum(amount_minor) FROM account_credit WHERE amount_minor > 0 GROUP BY payment_id",
    "balances": "SELECT account, payment_id, refund_id, sum(CASE side WHEN 'debit' THEN amount_minor"
    " ELSE -amount_minor END) AS kept FROM ledger_posting GROUP BY 1, 2, 3 HAVING kept <> 0",
    "entries": "SELECT e.kind, p.account, p.side, p.amount_minor, p.obligation_id, p.refund_id FROM ledger_entry e"
    " JOIN ledger_posting p ON p.entry_id = e.entry_id AND p.tenant_id = e.tenant_id ORDER BY 1, 2, 3, 4, 5, 6",
    "postings": "SELECT subject, connection FROM posting",
    "accounts": "SELECT account, sum(CASE side WHEN 'debit' THEN amount_minor ELSE -amount_minor END) AS kept"
    " FROM ledger_posting GROUP BY 1 HAVING kept <> 0",
    "disputes": "SELECT dispute_id, state, lost_minor FROM dispute",
    "returns": "SELECT reference, amount_minor, recovered_minor FROM payment_return ORDER BY 1",
    "breaks": "SELECT DISTINCT payment_id, kind FROM payment_break WHERE closed_at IS NULL ORDER BY 1, 2",
}
# A refund that is said to have failed before we heard that it had gone out went nowhere by our books: no entry of its
# going and coming back, and nothing to tell the EHR.
# What comes late is a credit first, and the EHR is told by a movement what it pays; the sums are the same.
# What is lost and won, or comes back and comes again, moves there and back only where the first was heard first; what
# was being refunded when it came back is a recovery only until that is heard to have failed.
_BY_ARRIVAL: dict[Callable[[Till], list[Said]], set[str]] = {
    refund_that_fails_late: {"entries", "postings"},
    page_expired_and_paid_late: {"postings"},
    disputed_lost_and_won_late: {"entries", "balances", "postings"},
    returned_while_a_refund_is_under_way_that_fails: {"entries", "postings"},
    returned_and_come_again_while_two_refunds_are_under_way: {"entries", "balances", "postings"},
}


_LONG = {returned_while_a_refund_is_under_way_that_fails, returned_and_come_again_while_two_refunds_are_under_way}
_MADE_ON_THE_WAY = re.compile(r"\b(mov|ret|dsl|dsp)[0-9a-f]{20,}")  # ids that follow from the order of telling


def _end(till: Till, without: set[str]) -> dict[str, list[str]]:
    return {
        name: sorted(_MADE_ON_THE_WAY.sub(r"\1", repr(row)) for row in till.rows(query))
        for name, query in _COMPARED.items()
        if name not in without
    }


def _told_as_booked(tx: Tx, till: Till) -> None:
    for payment_id in {one.payment_id for one in writeback.of_connection(tx, "ehr")}:
        check_told(tx, payment_id, till.tenant, connection="ehr")


@pytest.mark.parametrize("history", HISTORIES, ids=lambda one: one.__name__)
def test_any_order_ends_the_same(history: Callable[[Till], list[Said]], request: pytest.FixtureRequest) -> None:
    till = Till()
    request.addfinalizer(till.close)
    told = history(till)
    before = sqlite3.connect(":memory:")
    request.addfinalizer(before.close)
    till.inline.raw.backup(before)
    ids = [row[0] for row in till.rows(_OPERATIONS)]
    chance = random.Random(history.__name__)

    def tell(tx: Tx, order: list[Said]) -> None:
        for one in order:
            one.tell(tx, till, ids)
        reassess_accounts(tx, ["Account/ana"], till.tenant)

    ends: dict[str, tuple[list[Said], Any]] = {}
    for number in range(ORDERS if history not in _LONG else max(4, ORDERS // 5)):
        before.backup(till.inline.raw)
        order = [*told, *chance.choices(told, k=len(told) // 2)] if number else [*told]
        if number:
            chance.shuffle(order)
        till.write(tell, order)
        assert till.refused == []
        till.write(_told_as_booked, till)
        end = _end(till, _BY_ARRIVAL.get(history, set()))
        ends.setdefault(repr(end), (order, end))
        if number % 25 == 0:
            assert till.findings() == []
    (_, first), *others = ends.values()
    for order, end in others:
        differs = {name: (rows, end[name]) for name, rows in first.items() if end[name] != rows}
        raise AssertionError(f"{len(ends)} ends; {differs} after {order}")
