"""A destination by the program's own wiring: TLS, and one that is dead or silent delays nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from chain_built import charged, paid, tenant

from dft_world import receiving
from fhirpay.config import Settings
from fhirpay.config_destination import Destination
from fhirpay.db.unit import Tx, open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.hl7.tls import server_context
from fhirpay.simulators.ehr_dft import DftFault, DftReceiver
from fhirpay.wiring import System, build
from fhirpay.writeback import store
from tls_files import tls_files

pytestmark = pytest.mark.warns("posting.put_off", "call.parked", "work.parked")


@asynccontextmanager
async def program(
    databases: Any, clock: FrozenClock, ids: CountedIds, *destinations: Destination
) -> AsyncIterator[tuple[System, str]]:
    """Wired, with a payment of 80.00 to post to each; its id."""
    whose = tenant().model_copy(update={"connections": (), "destinations": destinations})
    async with AsyncExitStack() as stack:
        database = open_database(stack.enter_context(databases.url("sqlite")), clock=clock, ids=ids)
        await database.start()
        stack.push_async_callback(database.stop)
        settings = Settings(hash_key="k" * 32, tenants=(whose,))
        system = build(settings, clock=clock, ids=ids, database=database)
        stack.push_async_callback(system.close)
        built = await system.house("main").units.write(lambda tx: paid(tx, whose, charged(tx, whose)))
        yield system, built.payment


def to(receiver: DftReceiver, name: str = "engine", **profile: Any) -> Destination:
    return Destination(name=name, host="127.0.0.1", port=receiver.port, private_network=True, **profile)


async def states(system: System, payment: str) -> dict[str, str]:
    def read(tx: Tx) -> dict[str, str]:
        return {one.connection: one.state for one in store.of_payment(tx, payment)}

    return await system.house("main").units.read(read)


@pytest.mark.parametrize(
    ("trusted", "ours", "expected"),
    [
        ("ca", "sender", {"posted"}),
        ("", "sender", {"pending"}),
        # With TLS 1.3 a server refuses a certificate when we may have written already: then nobody knows.
        ("ca", "", {"pending", "unknown"}),
        ("ca", "stranger", {"pending", "unknown"}),
    ],
)
async def test_both_sides_prove_who_they_are_or_nothing_is_sent(
    databases: Any, clock: FrozenClock, ids: CountedIds, trusted: str, ours: str, expected: set[str]
) -> None:
    files = tls_files()
    async with receiving(tls=server_context(files.cert, files.key, client_ca=files.ca)) as receiver:
        own = getattr(files, ours) if ours else ""
        engine = to(receiver, tls=True, tls_ca=files.ca if trusted else "", tls_cert=own, tls_key=own)
        async with program(databases, clock, ids, engine) as (system, payment):
            await system.workers()[-1].drain()
            assert (await states(system, payment))["engine"] in expected
            assert len(receiver.book) == ("posted" in expected)


async def test_a_private_address_is_called_only_where_the_profile_says_so(
    databases: Any, clock: FrozenClock, ids: CountedIds
) -> None:
    async with receiving() as receiver:
        engine = to(receiver).model_copy(update={"private_network": False})
        async with program(databases, clock, ids, engine) as (system, payment):
            await system.workers()[-1].drain()
            assert await states(system, payment) == {"engine": "parked"}
            assert receiver.connections == 0


async def test_a_destination_that_is_silent_or_dead_delays_no_other(
    databases: Any, clock: FrozenClock, ids: CountedIds
) -> None:
    async with receiving(faults=[DftFault("silent", times=None)]) as silent, receiving() as dead, receiving() as good:
        await dead.stop()
        chosen = (to(silent, "silent", timeout_s=14), to(dead, "dead"), to(good, "good"))
        async with program(databases, clock, ids, *chosen) as (system, payment):
            stop = asyncio.Event()
            *others, last = system.workers()[2:]
            running = [asyncio.create_task(worker.run(stop)) for worker in others]
            while (await states(system, payment))["silent"] != "sent":
                pass
            running.append(asyncio.create_task(last.run(stop)))
            while (await states(system, payment))["good"] != "posted":
                pass
            assert (await states(system, payment))["silent"] == "sent"  # still waited for
            await silent.stop()  # which ends the wait
            stop.set()
            await asyncio.gather(*running)
            found = await states(system, payment)
    assert (found["dead"], found["silent"], found["good"]) == ("pending", "unknown", "posted")
