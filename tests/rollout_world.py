"""A receiver of postings whose stage is changed by restarts: over FHIR, over HL7v2, and of adjustments. For tests of
rollout. `got` is what reached it, by its own book; `touched` any call that could change something there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dft_world import Engine, adjusted, engine_of, facts, refund_of
from ehr_running import Running
from fhirpay.billing.worklist import list_open
from fhirpay.config import Tenant
from fhirpay.config_section import Stage
from fhirpay.db.unit import Database, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.flow.worker import Worker
from fhirpay.usecases.confirm_posting import confirm, confirm_all, reject
from fhirpay.usecases.parked import note_parked_call
from fhirpay.usecases.post_back import PostBack
from fhirpay.usecases.post_dft import PostDft
from fhirpay.usecases.postings import KIND, kind_of
from fhirpay.writeback.store import Posting, of_subject
from writeback_world import Desk
from writeback_world import facts as fhir_facts
from writeback_world import refund_of as fhir_refund_of

PATHS = ("fhir", "dft", "adjustment")
SAYS = {"by": "ann", "why": "as in the chart"}


class Site:
    """One receiver, by any path. `PAYMENT` and its refund, or an adjustment and what takes it back."""

    def __init__(self, world: Desk | Engine, path: str) -> None:
        self.world, self.path = world, path
        self.units: Units = world.units

    def restart(self, stage: Stage) -> None:
        """The same program with the other line in its configuration."""
        world = self.world
        if isinstance(world, Desk):
            world.tenant = with_stage(world.tenant, stage)
            world.post_back = PostBack(world.units, world.tenant, world.clients, facts=fhir_facts)
            handlers = {KIND: world.post_back.run}
        else:
            world.tenant = with_stage(world.tenant, stage)
            (world.to,) = world.tenant.destinations
            said = adjusted if world.adjusts else facts
            world.post = PostDft(world.units, world.tenant, world.to, world.client, facts=said)
            handlers = {kind_of("engine"): world.post.run}
        more: dict[str, Any] = {} if isinstance(world, Desk) else {"concurrency": 1}
        world.worker = Worker(
            world.database, world.units, queue="outbox", handlers=handlers, on_parked=note_parked_call, **more
        )

    @property
    def tenant(self) -> Tenant:
        return self.world.tenant

    async def settle(self, *, refund: bool = False) -> str:
        return await self.world.settle(refund=refund)

    async def work(self) -> None:
        await self.world.work()
        await self.world.later()

    async def state(self, posting_id: str) -> str:
        return (await self.world.posting(posting_id)).state

    async def confirm(self, posting_id: str, **said: Any) -> Posting:
        return await self.units.write(_confirm, posting_id, self.tenant, {**SAYS, **said})

    async def confirm_all(self) -> list[str]:
        return [one.posting_id for one in await self.units.write(_confirm_all, self.tenant)]

    async def reject(self, posting_id: str, why: str = "posted by hand") -> Posting:
        return await self.units.write(_reject, posting_id, why)

    async def on_the_list(self) -> list[str]:
        return [one.kind for one in await self.units.read(list_open)]

    def got(self) -> list[str]:
        """Amounts, in the order in which they came."""
        if isinstance(self.world, Desk):
            return [str(one["paymentAmount"]["value"]) for one in self.world.there()]
        return [one.amount for one in self.world.receiver.book]

    def touched(self) -> int:
        if isinstance(self.world, Desk):
            return sum(count for method, count in self.world.ehr.ehr.faults.calls.items() if method != "GET")
        return len(self.world.receiver.read)

    def subject(self, *, refund: bool = False) -> str:
        back = fhir_refund_of if self.path == "fhir" else refund_of
        return back("pay1") if refund else "pay1"

    async def postings(self) -> list[Posting]:
        return await self.units.read(of_subject, self.subject())


def with_stage(tenant: Tenant, stage: Stage) -> Tenant:
    changed = {"stage": stage}
    return tenant.model_copy(
        update={
            "connections": tuple(one.model_copy(update=changed) for one in tenant.connections),
            "destinations": tuple(one.model_copy(update=changed) for one in tenant.destinations),
        }
    )


def _confirm(tx: Any, posting_id: str, tenant: Tenant, said: dict[str, str]) -> Posting:
    return confirm(tx, posting_id, **said, tenant=tenant)


def _confirm_all(tx: Any, tenant: Tenant) -> list[Posting]:
    return confirm_all(tx, **SAYS, tenant=tenant)


def _reject(tx: Any, posting_id: str, why: str) -> Posting:
    return reject(tx, posting_id, by="bob", why=why)


@asynccontextmanager
async def site_of(path: str, stage: Stage, database: Database, clock: FrozenClock, ehr: Running) -> AsyncIterator[Site]:
    if path == "fhir":
        desk = Desk(database, clock, {"ehr": ehr})
        try:
            site = Site(desk, path)
            site.restart(stage)
            yield site
        finally:
            await desk.aclose()
        return
    async with engine_of(database, clock, adjusts=path == "adjustment") as engine:
        site = Site(engine, path)
        site.restart(stage)
        yield site
