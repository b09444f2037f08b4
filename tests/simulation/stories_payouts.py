"""Stories of what a processor pays out, seen now and then. As in stories.py."""

from __future__ import annotations

from sim_till import Till

from fhirpay.simulators import processor_payouts
from fhirpay.usecases.pull_settlements import PullSettlements
from stories import Moves, account, by_card, known


def _paid_out(till: Till, status: str = "pending") -> str:
    account(till)
    by_card(till)
    till.hand()
    till.tells()
    till.hand()
    return _pays_out(till, status)


def _pays_out(till: Till, status: str) -> str:
    made: list[str] = []
    till.at_processor(lambda books: made.append(processor_payouts.pay_out(books, {"status": status})["id"]))
    return made[0]


def _becomes(till: Till, payout: str, status: str) -> None:
    till.at_processor(lambda books: processor_payouts.change(books, books.get("payout", payout), {"status": status}))


def _pulled(till: Till) -> Moves:
    till.do(PullSettlements(till.units, till.tenant, till.registry, now=till.clock.now).pull("main"))
    yield


def payout_arrives(till: Till) -> Moves:
    payout = _paid_out(till)
    yield from _pulled(till)
    for status in ("in_transit", "paid"):
        _becomes(till, payout, status)
        yield from _pulled(till)
    yield from known(till)


def payout_fails_after_it_was_paid(till: Till) -> Moves:
    payout = _paid_out(till, "paid")
    yield from _pulled(till)
    _becomes(till, payout, "failed")
    yield from _pulled(till)


def payout_fails_on_its_way(till: Till) -> Moves:
    payout = _paid_out(till, "in_transit")
    yield from _pulled(till)
    _becomes(till, payout, "failed")
    yield from _pulled(till)


def payout_canceled(till: Till) -> Moves:
    for status in ("pending", "in_transit"):
        payout = _pays_out(till, status)
        yield from _pulled(till)
        _becomes(till, payout, "canceled")
        yield from _pulled(till)


STORIES = (payout_arrives, payout_fails_after_it_was_paid, payout_fails_on_its_way, payout_canceled)
