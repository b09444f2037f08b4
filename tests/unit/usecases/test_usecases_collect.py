"""What a facility's policy does with what is owed: nothing, a line for the desk, or the stored method, once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from fhirpay.billing import entries
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.payments import store as payments
from fhirpay.payments import stored_methods
from fhirpay.payments.declines import DeclineCode
from fhirpay.payments.port import Approved, Declined, Outcome, Reference
from fhirpay.payments.records import Payment
from fhirpay.usecases.collect import act, reassess_accounts
from fhirpay.usecases.settle_outcome import settle
from intake_world import World, ft1, keep_method, message, world

pytestmark = pytest.mark.warns("message.parked")

COPAY = ft1(1, "CO", "25.00&USD")
REGISTERED = message("M0", label="ADT^A04")
DAY = timedelta(days=1)
Open = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def at(database: Database, clock: FrozenClock, ids: CountedIds) -> Open:
    """Opens the program under a facility's rules; at the end its books balance."""

    @asynccontextmanager
    async def opened(**facility: Any) -> AsyncIterator[World]:
        async with world(database, clock, ids, facility) as w:
            yield w
            await w.check_books()

    return opened


async def take(w: World, *messages: bytes) -> None:
    for one in messages:
        await w.send(one)
    await w.work()


async def with_method(w: World, cap: str = "100.00") -> str:
    """A registered patient with a stored method and a consent."""
    await take(w, REGISTERED)
    return await w.house.units.write(keep_method, await w.account(), cap)


async def paid(w: World) -> list[Payment]:
    return await w.house.units.read(_payments, await w.account())


def _payments(tx: Tx, account: str) -> list[Payment]:
    return payments.of_account(tx, account)


async def comes_out(w: World, payment: Payment, outcome: Outcome) -> None:
    """The processor's answer, as the payment's own worker settles it."""
    await w.house.units.write(_comes_out, w, payment.payment_id, outcome)


def _comes_out(tx: Tx, w: World, payment_id: str, outcome: Outcome) -> None:
    (operation,) = payments.operations_of(tx, payment_id)
    payments.sent(tx, operation, processor_ref="cs_1")
    settle(tx, w.house.tenant, operation.operation_id, outcome, source="test")


def approved(amount: str, reference: str = "ch_1") -> Approved:
    return Approved(Reference(reference), Money.of(amount, "USD"))


# ── hold and request ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_hold_asks_nobody(at: Open) -> None:
    async with at(policy="hold") as w:
        await with_method(w)
        await take(w, message("M1", COPAY))
        assert await w.list_of("payment_due") == []
        assert await w.autopay() == 0


async def test_request_is_a_line_for_the_desk_and_never_the_stored_method(at: Open) -> None:
    async with at(policy="request") as w:
        await with_method(w)
        await take(w, message("M1", COPAY))
        assert await w.list_of("payment_due") == ["25.00 USD may be asked for from 2026-11-20"]
        assert await w.autopay() == 0


async def test_a_line_follows_the_amount_and_goes_when_nothing_is_owed(at: Open) -> None:
    async with at(policy="request") as w:
        await take(w, message("M1", ft1(1, "CG", "100.00&USD")))
        await take(w, message("M2", ft1(1, "CD", "40.00&USD")))
        assert await w.list_of("payment_due") == ["60.00 USD may be asked for from 2026-11-20"]
        await take(w, message("M3", ft1(2, "CD", "60.00&USD")))
        assert await w.askable() == "0"
        assert await w.list_of("payment_due") == []


async def test_a_hold_takes_the_line_away_and_its_end_brings_it_back(at: Open) -> None:
    async with at(policy="request") as w:
        await take(w, message("M1", COPAY))
        account = await w.account()
        hold = await w.house.units.write(_hold, account, w)
        assert await w.list_of("payment_due") == []
        await w.house.units.write(_release, hold, w)
        assert await w.list_of("payment_due") == ["25.00 USD may be asked for from 2026-11-20"]


def _hold(tx: Tx, account: str, w: World) -> str:
    hold = entries.open_hold(tx, account, "dispute", says="the patient disputes it", by="desk")
    reassess_accounts(tx, [account], w.house.tenant)
    return hold


def _release(tx: Tx, hold: str, w: World) -> None:
    reassess_accounts(tx, [entries.release_hold(tx, hold, by="desk", why="settled").account_ref], w.house.tenant)


# ── autopay ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_autopay_charges_a_fact_once(at: Open) -> None:
    async with at(policy="autopay") as w:
        await with_method(w)
        await take(w, message("M1", COPAY))
        (payment,) = await paid(w)
        assert (str(payment.amount), payment.initiated_by) == ("25.00 USD", "merchant")
        # The same fact told again, by a replay, another message or a look at the account.
        await take(w, message("M2", COPAY), message("M3", label="ADT^A08"))
        await w.house.units.write(act, await w.account(), w.house.tenant)
        assert await w.autopay() == 0
        await comes_out(w, payment, approved("25.00"))
        await take(w, message("M4", label="ADT^A08", pid={5: "Doe^Anna"}))
        assert await w.autopay() == 0
        assert [one.state for one in await paid(w)] == ["captured"]
        assert await w.list_of("payment_due") == []


async def test_a_charge_is_never_taken_by_autopay(at: Open) -> None:
    async with at(policy="autopay") as w:
        await with_method(w)
        await take(w, message("M1", ft1(1, "CG", "100.00&USD")))
        assert await w.autopay() == 0
        (line,) = await w.list_of("payment_due")
        assert line.endswith("not by autopay: charges are gross until they are invoiced")


async def test_a_decline_is_not_tried_again_by_itself_and_the_desk_is_told(at: Open) -> None:
    async with at(policy="autopay") as w:
        await with_method(w)
        await take(w, message("M1", COPAY))
        (payment,) = await paid(w)
        await comes_out(w, payment, Declined(DeclineCode.INSUFFICIENT_FUNDS, said="51"))
        assert await w.askable() == "25.00 USD"
        told = (
            "25.00 USD may be asked for from 2026-11-20; not by autopay: the stored method was tried and did not pay it"
        )
        assert await w.list_of("payment_due") == [told]
        for turn in range(3):
            w.clock.advance(DAY)
            await take(w, message(f"M{turn + 2}", label="ADT^A08", pid={5: f"Doe^Ann{turn}"}))
            assert await w.autopay() == 0
        assert len(await paid(w)) == 1


async def test_another_amount_of_what_was_declined_is_for_a_person_too(at: Open) -> None:
    async with at(policy="autopay") as w:
        await with_method(w)
        await take(w, message("M1", COPAY))
        (payment,) = await paid(w)
        await comes_out(w, payment, Declined(DeclineCode.INSUFFICIENT_FUNDS, said="51"))
        await take(w, message("M2", ft1(1, "CO", "20.00&USD")))
        assert await w.autopay() == 0
        (line,) = await w.list_of("payment_due")
        assert line.startswith("20.00 USD")


async def test_the_rest_of_a_partial_approval_is_asked_for(at: Open) -> None:
    async with at(policy="autopay") as w:
        await with_method(w)
        await take(w, message("M1", COPAY))
        (payment,) = await paid(w)
        await comes_out(w, payment, approved("20.00"))
        assert await w.askable() == "5.00 USD"
        assert await w.autopay() == 0
        (line,) = await w.list_of("payment_due")
        assert line.startswith("5.00 USD may be asked for")


async def test_notice_days_really_elapse_and_a_look_at_the_account_does_not_shift_them(at: Open) -> None:
    async with at(policy="autopay", autopay_notice_days=10) as w:
        await with_method(w)
        await take(w, message("M1", COPAY))
        for turn in range(9):
            w.clock.advance(DAY)
            await take(w, message(f"N{turn}", label="ADT^A08", pid={5: f"Doe^Ann{turn}"}))
            assert await w.autopay() == 0
        w.clock.advance(DAY)
        assert await w.autopay() == 1
        assert [str(one.amount) for one in await paid(w)] == ["25.00 USD"]


async def test_another_amount_has_its_own_notice(at: Open) -> None:
    async with at(policy="autopay", autopay_notice_days=10) as w:
        await with_method(w)
        await take(w, message("M1", COPAY))
        w.clock.advance(5 * DAY)
        await take(w, message("M2", ft1(1, "CO", "30.00&USD")))
        w.clock.advance(5 * DAY)
        assert await w.autopay() == 1  # finds nothing to do: this amount is no longer owed
        assert await paid(w) == []
        w.clock.advance(5 * DAY)
        assert await w.autopay() == 1
        assert [str(one.amount) for one in await paid(w)] == ["30.00 USD"]


async def test_what_a_hold_kept_from_autopay_is_collected_at_its_end(at: Open) -> None:
    async with at(policy="autopay", autopay_notice_days=2) as w:
        await with_method(w)
        await take(w, message("M1", COPAY))
        hold = await w.house.units.write(_hold, await w.account(), w)
        w.clock.advance(5 * DAY)
        assert await w.autopay() == 1
        assert await paid(w) == []
        await w.house.units.write(_release, hold, w)
        assert await w.autopay() == 1
        assert [str(one.amount) for one in await paid(w)] == ["25.00 USD"]


async def test_a_hold_that_ends_before_the_notice_shortens_nothing(at: Open) -> None:
    async with at(policy="autopay", autopay_notice_days=10) as w:
        await with_method(w)
        await take(w, message("M1", COPAY))
        hold = await w.house.units.write(_hold, await w.account(), w)
        w.clock.advance(DAY)
        await w.house.units.write(_release, hold, w)
        assert await w.autopay() == 0
        w.clock.advance(9 * DAY)
        assert await w.autopay() == 1
        assert len(await paid(w)) == 1


async def test_what_becomes_due_meanwhile_is_taken_together_and_not_lost(at: Open) -> None:
    """Two visits: by the time the first notice has run, the second copay is due too."""
    async with at(policy="autopay", autopay_notice_days=3) as w:
        await with_method(w)
        first, second = {19: "V1", 44: "20261120"}, {19: "V2", 44: "20261122"}
        await take(w, message("M1", COPAY, pv1=first))
        await take(w, message("M2", ft1(2, "CO", "15.00&USD", {4: "20261122"}), pv1=second))
        for _ in range(12):
            w.clock.advance(DAY)
            await w.autopay()
        assert sorted(str(one.amount) for one in await paid(w)) == ["40.00 USD"]
        assert await w.list_of("payment_due") == []


async def test_a_consent_that_was_taken_back_or_is_too_small_sends_it_to_the_desk(at: Open) -> None:
    async with at(policy="autopay") as w:
        method = await with_method(w, cap="20.00")
        await take(w, message("M1", COPAY))
        (line,) = await w.list_of("payment_due")
        assert line.endswith("25.00 USD is above the 20.00 USD that was consented to")
        await w.house.units.write(stored_methods.revoke, method)
        await w.house.units.write(act, await w.account(), w.house.tenant)
        (line,) = await w.list_of("payment_due")
        assert line.endswith("there is no stored method with a recorded consent")
        assert await w.autopay() == 0


async def test_a_consent_taken_back_after_it_was_queued_stops_it(at: Open) -> None:
    async with at(policy="autopay", autopay_notice_days=1) as w:
        method = await with_method(w)
        await take(w, message("M1", COPAY))
        await w.house.units.write(stored_methods.revoke, method)
        w.clock.advance(DAY)
        assert await w.autopay() == 1
        assert await paid(w) == []
        assert len(await w.list_of("payment_due")) == 1


async def test_a_message_that_parks_while_notice_runs_stops_it(at: Open) -> None:
    async with at(policy="autopay", autopay_notice_days=3) as w:
        await with_method(w)
        await take(w, message("M1", COPAY))
        await take(w, message("M2", ft1(9, "AJ", "1.00&USD")))  # parks: collection on the account is suspended
        w.clock.advance(3 * DAY)
        assert await w.autopay() == 1
        assert await paid(w) == []
