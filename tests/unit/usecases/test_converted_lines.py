"""Lines of payouts in another currency than their payment's: what is sold is gone from the processor's balance, what is
bought comes to the payout, and each currency balances by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from random import Random

import pytest

from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.domain.payout import PayoutState
from fhirpay.domain.settlement import LineKind
from fhirpay.ledger import store as ledger
from fhirpay.ledger.verify import verify
from fhirpay.payments import store as payments
from fhirpay.payments import stored_methods
from fhirpay.payments.port import Method, Reference
from fhirpay.payments.settlement_port import PayoutSeen, SettlementLine
from fhirpay.settlement import store as settlement
from fhirpay.usecases.book_settlement import all_lines_are_here, book, hear_payout, keep
from fhirpay.usecases.doctor import examine
from fhirpay.usecases.refund import NewRefund, request
from fhirpay.usecases.start_payment import NewPayment, start
from payments_world import World, payments_world
from settlement_world import breaks, nothing_differs

K = LineKind
CARDS = ("tok_visa", "tok_mastercard")
WAYS = (  # taken in, settled in: of two payments that are paid out together
    (("JPY", "USD"), ("KWD", "USD")),
    (("USD", "JPY"), ("KWD", "JPY")),
    (("USD", "KWD"), ("USD", "USD")),
)


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock) as world:
        yield world


async def paid(world: World, name: str, amount: Money, card: str = CARDS[0], state: str = "captured") -> str:
    """A card payment in this currency; nothing of it is settled yet."""
    account = await world.invoiced(name, amount)

    def begin(tx: Tx) -> str:
        found = Method(card, "visa", "4242", "2031-12")
        kept = stored_methods.keep(tx, found, account_ref=account, debtor_ref="", merchant="main")
        stored_methods.record_consent(tx, kept.method_id, text="Yes", cap=amount, given_at=None, recorded_by="test")
        wish = NewPayment(account_ref=account, requested_by="test", amount=amount, method_id=kept.method_id)
        return start(tx, wish, world.tenant)

    payment = await world.units.write(begin)
    await world.work()
    assert await world.state(payment) == state
    return payment


async def refunded(world: World, payment: str, amount: Money) -> str:
    made = await world.units.write(request, NewRefund(payment, "a test", "test", amount), world.tenant)
    await world.work()
    return made


async def line_of(
    world: World, name: str, kind: LineKind, payment: str, of: str, gross: Money, fee: int, taken: Money
) -> SettlementLine:
    theirs = (await world.units.read(payments.get, payment)).processor_ref
    return SettlementLine(
        Reference(name),
        kind,
        str(kind),
        gross,
        Money(fee, gross.currency),
        world.clock.now(),
        payment=Reference(theirs or ""),
        of=Reference(f"ch_{name}") if kind is K.PAYMENT else None,
        our_reference=of,
        presentment=None if taken.currency == gross.currency else taken,
    )


def payout_of(world: World, name: str, lines: list[SettlementLine], currency: str) -> PayoutSeen:
    mine = sum((one.net for one in lines if one.net.currency == currency), Money.zero(currency))
    return PayoutSeen(Reference(name), PayoutState.IN_TRANSIT, mine, world.clock.now())


async def hears(world: World, seen: PayoutSeen, lines: list[SettlementLine]) -> None:
    def hear(tx: Tx) -> None:
        payout = hear_payout(tx, world.tenant, "main", seen)
        for line in lines:
            keep(tx, "main", seen.reference, line)
        all_lines_are_here(tx, payout)

    await world.units.write(hear)


async def books_what_waits(world: World) -> int:
    def all_of_it(tx: Tx) -> int:
        return sum(not book(tx, world.tenant, line) for line in settlement.waiting(tx, "main"))

    return await world.units.write(all_of_it)


async def stands(world: World, account: str) -> dict[str, int]:
    return summed(one.amount for one in await world.units.read(ledger.balances) if one.account == account)


def summed(amounts: Iterable[Money]) -> dict[str, int]:
    """By currency, those that come to something."""
    sums: dict[str, int] = {}
    for one in amounts:
        sums[one.currency] = sums.get(one.currency, 0) + one.minor
    return {currency: minor for currency, minor in sums.items() if minor}


@pytest.mark.parametrize("seed", range(len(WAYS)))
async def test_converted_lines_in_any_order_leave_nothing_of_what_was_sold(world: World, seed: int) -> None:
    """Captures in one payout, refunds of a part in another at another rate."""
    chance = Random(seed)
    lines: dict[str, list[SettlementLine]] = {"po_1": [], "po_2": []}
    for at, (taken_in, settled_in) in enumerate(WAYS[seed]):
        taken = Money(chance.randint(1_000, 60_000), taken_in)
        payment = await paid(world, f"p{at}", taken, CARDS[at])
        back = Money(chance.randint(1, taken.minor), taken_in)
        refund = await refunded(world, payment, back)
        rate = (lambda one: one) if taken_in == settled_in else lambda one: one * chance.randint(50, 150) // 100 + 1
        gross, given = Money(rate(taken.minor), settled_in), Money(rate(back.minor), settled_in)
        fee = chance.randint(0, 30)
        lines["po_1"].append(await line_of(world, f"l{at}", K.PAYMENT, payment, payment, gross, fee, taken))
        lines["po_2"].append(await line_of(world, f"r{at}", K.REFUND, payment, refund, -given, 0, -back))
    told = [
        (payout_of(world, f"{name}_{of}", some, of), [one for one in some if one.net.currency == of])
        for name, some in lines.items()
        for of in sorted({one.net.currency for one in some})
    ]
    for _ in range(2):  # all of it twice
        chance.shuffle(told)
        for seen, some in told:
            chance.shuffle(some)
            await hears(world, seen, [*some, *some[:2]])
            assert await books_what_waits(world) == 0
    assert await breaks(world) == set()
    assert await stands(world, "processor_clearing") == {}
    assert await stands(world, "payout_in_transit") == summed(seen.amount for seen, _ in told)
    converted = [one for some in lines.values() for one in some if one.presentment]
    sides = [side for one in converted if one.presentment for side in (one.presentment, -one.gross)]
    assert await stands(world, "fx_clearing") == summed(sides)
    assert converted
    assert (await world.units.read(verify)).ok
    assert await world.units.read(examine) == []
    await nothing_differs(world)


@pytest.mark.parametrize("kind", ["not told", "another currency"])
async def test_what_was_converted_and_nobody_says_from_what_is_for_a_person(world: World, kind: str) -> None:
    payment = await paid(world, "ann", Money(5_000, "JPY"))
    said = Money(33_00, "USD") if kind == "not told" else Money(10_000, "KWD")
    line = await line_of(world, "l1", K.PAYMENT, payment, payment, Money(33_00, "USD"), 1_00, said)
    await hears(world, payout_of(world, "po_1", [line], "USD"), [line])
    assert await books_what_waits(world) == 0
    assert await breaks(world) == {"settlement_currency"}
    assert await stands(world, "processor_clearing") == {"JPY": 5_000, "USD": -32_00}
    assert await stands(world, "fx_clearing") == {}
    await nothing_differs(world)
    assert await world.units.read(examine) == []


async def test_an_outcome_that_nobody_knows_is_proven_in_the_currency_of_its_payment(world: World) -> None:
    """The line is of 33 dollars, for which 5,000 yen were sold: as many yen are captured."""
    payment = await paid(world, "ann", Money(5_000, "JPY"), "tok_timeout", "created")
    line = await line_of(world, "l1", K.PAYMENT, payment, payment, Money(33_00, "USD"), 1_00, Money(5_000, "JPY"))
    await hears(world, payout_of(world, "po_1", [line], "USD"), [line])
    assert await books_what_waits(world) == 0
    assert (await world.units.read(payments.get, payment)).captured == Money(5_000, "JPY")
    assert await stands(world, "processor_clearing") == {}
    assert await stands(world, "unapplied_credit") == {}
    assert await stands(world, "fx_clearing") == {"JPY": 5_000, "USD": -33_00}
    assert await breaks(world) == set()
