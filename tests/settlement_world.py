"""Payments of one world, paid out by its processor and pulled into our books: moves that tests of settlement share."""

from __future__ import annotations

from typing import Any

from fhirpay.ledger import store as ledger
from fhirpay.payments import store as payments
from fhirpay.reconciliation.verdicts import KINDS
from fhirpay.settlement import store
from fhirpay.settlement.store import Line, Payout
from fhirpay.usecases.pull_settlements import Pulled, PullSettlements
from fhirpay.usecases.reconcile import Reconcile
from payments_world import USD, World

FEES = {"per_mille": 29, "fixed": 30}


async def pays_out(world: World, **body: Any) -> dict[str, Any]:
    return await world.processor.control("payouts", body)


async def becomes(world: World, payout: dict[str, Any], status: str) -> None:
    await world.processor.control(f"payouts/{payout['id']}", {"status": status})


def pull_of(world: World) -> PullSettlements:
    return PullSettlements(world.units, world.tenant, world.registry, now=world.clock.now)


async def pulled(world: World) -> Pulled:
    return await pull_of(world).pull("main")


async def payout(world: World, seen: dict[str, Any]) -> Payout:
    return await world.units.read(store.get, "main", seen["id"])


async def lines(world: World, seen: dict[str, Any]) -> list[Line]:
    return await world.units.read(store.lines_of, await payout(world, seen))


async def entries(world: World) -> list[tuple[str, str, int]]:
    """What settlement has booked: kind, key without our ids, amount."""
    found = await world.units.read(ledger.entries_for, merchant="main")
    return sorted(
        (str(one.entry.kind), one.key, one.entry.postings[0].amount.minor)
        for one in found
        if one.key.startswith(("settlement", "payout"))
    )


async def controls(world: World) -> None:
    """Our books against the processor's, and against the payouts that are out."""
    books = await world.processor.books()
    balances = await world.balances()
    held = -sum(one["amount"] for one in books["movements"] if one["type"].startswith("reserve"))
    assert balances.get("reserve_held", 0) == held
    assert balances.get("processor_clearing", 0) == books["totals"][USD]["balance"], (balances, books["totals"])
    out = [one for one in await world.units.read(store.some) if one.state not in ("failed", "canceled")]
    assert balances.get("payout_in_transit", 0) == sum(one.amount.minor for one in out)
    await nothing_differs(world)


async def nothing_differs(world: World) -> None:
    """Compared as sets, lines and payments are the same, whatever has become of them."""
    await Reconcile(world.units, world.tenant).look()
    found = await world.units.read(payments.breaks)
    says = [one.says for one in found if one.kind in KINDS]
    assert not says, says


async def breaks(world: World) -> set[str]:
    return {one.kind for one in await world.units.read(payments.breaks)}
