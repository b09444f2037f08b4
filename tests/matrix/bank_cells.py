"""More rows of the fault matrix: a bank debit from its start to what comes back, and a dispute that is given up.

Cells are run, checked and named by fault_cells.py. A debit that has cleared may come back for sixty days and is looked
at weekly meanwhile, so each cell ends after that time, or its questions would be the next cell's.
"""

from __future__ import annotations

from typing import Any

import pytest
from fault_cells import (
    _BY_PAYER,
    _QUESTION,
    BACK,
    PAID,
    Case,
    Row,
    cells_of,
    is_,
    is_refunded,
    paid,
    refunds_more_than_the_rest,
)

from fhirpay.domain.mandate import MandateState
from fhirpay.payments import disputes
from fhirpay.payments.records import Dispute
from fhirpay.usecases import accept_dispute, bank_codes
from fhirpay.usecases.refund import NewRefund, request
from payments_world import usd

CLEARS_S = 4.1 * 24 * 3600
LATER = dict.fromkeys(("dropped", "silent 48 h"), "a look a week finds what no event tells of; or a person does")


async def with_account(case: Case) -> None:
    case.method_id = case.method_id or await case.bench.account_of_payer(case.account)


async def debits(case: Case) -> None:
    await with_account(case)
    case.payment_id = await case.world.start(case.account, method_id=case.method_id)


async def is_taken_on(case: Case) -> bool:
    """On its way; after a long silence it may have cleared."""
    return await case.state() in ("processing", "captured")


async def clears(case: Case) -> None:
    await case.bench.pass_time(CLEARS_S)
    await case.bench.tell(case.bench.unseen())
    await case.bench.outbox()
    assert await case.state() == "captured"


async def cleared(case: Case) -> None:
    await debits(case)
    await case.world.work()
    assert await case.state() == "processing"
    await clears(case)


async def cleared_of_its_own(case: Case) -> None:
    """By an account that no other cell debits: what comes back ends its mandate."""
    case.method_id = await case.bench.account_of_payer(case.account, fresh=True)
    await cleared(case)


async def refunds_early(case: Case) -> None:
    wish = NewRefund(case.payment_id, "a test", "test", usd(BACK), while_returnable=True)
    case.refund_id = await case.world.units.write(request, wish, case.world.tenant)


async def bank_returns(case: Case) -> None:
    theirs = next(one for one in await case.world.processor.payments(case.payment_id))
    body = {"id": theirs["id"], "result": "returned", "code": "R11"}
    await case.world.processor.control("decide", body)


async def is_agreed_anew(case: Case) -> None:
    def agree(tx: Any) -> None:
        bank_codes.decided(tx, case.method_id, MandateState.ACTIVE, by="ann", why="put right")

    await case.world.units.write(agree)


async def the_dispute(case: Case) -> Dispute | None:
    found = await case.world.units.read(disputes.of_payment, case.payment_id)
    return found[0] if found else None


async def is_lost(case: Case) -> bool:
    found = await the_dispute(case)
    return found is not None and found.lost == usd(PAID)


async def disputed(case: Case) -> None:
    await paid(case)
    theirs = next(one for one in await case.world.processor.payments(case.payment_id))
    await case.world.processor.control("disputes", {"payment": theirs["id"]})
    await case.bench.tell(case.bench.unseen())
    assert await the_dispute(case)


async def gives_up(case: Case) -> None:
    found = await the_dispute(case)
    assert found is not None

    def accept(tx: Any) -> str:
        return accept_dispute.request(tx, found.dispute_id, case.world.registry, by="ann", why="the patient is right")

    await case.world.units.write(accept)


BANK_ROWS = (
    Row("bank debit", "confirm", "submit", with_account, debits, debits, is_taken_on, (PAID,), "captured", 0,
        finish=clears, needs="bank_debits"),
    Row("bank debit, looked up", "get", "lookup", with_account, debits, debits, is_taken_on, (PAID,), "captured",
        0, finish=clears, needs="bank_debits", first_lose="confirm", not_here=_QUESTION),
    Row("bank debit, refunded", "refund", "refund", cleared, refunds_early, refunds_more_than_the_rest, is_refunded,
        (PAID, -BACK), "captured", 0, needs="bank_debits"),
    Row("bank debit, returned", "", "lookup", cleared, bank_returns, debits, is_("returned"), (PAID, -PAID),
        "returned", PAID, needs="bank_debits", only="simulated", finish=is_agreed_anew,
        not_here={**_BY_PAYER, **LATER}),
    Row("bank debit, disputed", "", "read_dispute", cleared_of_its_own, bank_returns, debits, is_lost, (PAID, -PAID),
        "captured", 0, needs="bank_debits", only="stripe", not_here={**_BY_PAYER, **LATER}),
    Row("dispute given up", "accept", "accept_dispute", disputed, gives_up, gives_up, is_lost, (PAID, -PAID),
        "captured", 0, needs="accept_disputes"),
)  # fmt: skip


def bank_cells() -> list[Any]:
    return cells_of(BANK_ROWS, pytest.mark.warns("dispute.opened", "dispute.lost", "payment.returned"))
