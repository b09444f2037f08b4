"""A clinic that gives a discount and whose staff give up balances: what it has adjusted, and what its EHR is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ehr_payments_world import Clinic
from fhirpay.billing import adjustments
from fhirpay.billing.adjustments import Adjustment
from fhirpay.billing.rows import ObligationView
from fhirpay.domain.money import Money
from fhirpay.flow.worker import Worker
from fhirpay.hl7.reader import Message
from fhirpay.ledger import store as ledger
from fhirpay.usecases import collect, staff
from fhirpay.usecases.post_dft import PostDft
from fhirpay.writeback import store as writeback

DISCOUNT = {"self_pay_discount_percent": 20}
BY = {"reason": "not worth a letter", "by": "ann"}


async def one_of(at: Clinic, account: str = "A100") -> ObligationView:
    (found,) = [one for one in await at.owed(account) if one.state not in ("superseded", "void")]
    return found


async def made(at: Clinic, account: str = "A100") -> list[Adjustment]:
    ids = [one.obligation_id for one in await at.owed(account)]
    found = await at.house.units.read(adjustments.of_obligations, ids)
    return sorted(found, key=lambda one: one.adjustment_id)


async def told(at: Clinic, account: str = "A100") -> list[str]:
    """What the engine is to be told, by kind and amount."""
    return [f"{one.kind} {one.amount.decimal}" for one in await made(at, account) if await queued(at, one)]


async def queued(at: Clinic, one: Adjustment) -> bool:
    return bool(await at.house.units.read(writeback.of_subject, one.adjustment_id))


async def days_pass(at: Clinic, days: int) -> None:
    at.clock.advance(timedelta(days=days))
    handlers = {collect.AGAIN: at.house.outbox[collect.AGAIN]}
    await Worker(at.system.database, at.house.units, queue="outbox", handlers=handlers).drain()


async def given_up(at: Clinic, obligation: str, kind: str = "small_balance", amount: str = "", **said: Any) -> str:
    money = Money.of(amount, "USD") if amount else None
    asked = {"kind": kind, "amount": money, **BY, **said}
    return await at.house.units.write(staff.write_off, obligation, **asked, tenant=at.house.tenant)


async def recovered(at: Clinic, entry: str) -> None:
    await at.house.units.write(staff.recover, entry, by="bob", why="they pay after all", tenant=at.house.tenant)


async def balance(at: Clinic, name: str) -> int:
    return await at.house.units.read(ledger.balance, name)


async def rendered(at: Clinic, adjustment_id: str) -> Message:
    to = at.house.tenant.destinations[0]
    post = PostDft(at.house.units, at.house.tenant, to, at.house.engines["engine"])
    (posting,) = await at.house.units.read(writeback.of_subject, adjustment_id)
    rendered, _, _ = await at.house.units.read(post._read, posting.posting_id)
    assert rendered.body is not None
    return Message.parse(rendered.body)
