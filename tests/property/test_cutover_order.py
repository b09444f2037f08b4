"""A feed is taken over: history, opening balances, go-live, live messages, replays and corrections in any order.

What is asked for in the end is the opening balances and the live charges, each once, and nothing of the history; on the
way nothing is asked for before go-live. The books are the same, whatever came when.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import date

from databases import Databases
from fhirpay import wiring
from fhirpay.billing import store as obligations
from fhirpay.config import Facility, Merchant, Settings, Tenant
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.flow.worker import Worker
from fhirpay.ledger import store as ledger
from fhirpay.usecases import go_live
from fhirpay.usecases.doctor import examine
from fhirpay.usecases.opening_balances import import_file
from intake_world import FEED, World, ft1, message, msh, segment

ORDERS = 6
OLD, NEW = "20261101", "20261118"
HISTORY = [
    ("H1", "A1", 1, "100.00", OLD, "CG"),
    ("H2", "A1", 1, "30.00", OLD, "CD"),
    ("H3", "A2", 2, "55.00", OLD, "CG"),
    ("H4", "A1", 3, "25.00", OLD, "CO"),
    ("H5", "A1", 4, "8.00", OLD, "CD"),  # names no charge
]
LIVE = [
    ("L1", "A1", 11, "40.00", NEW, "CG"),
    ("L2", "A2", 12, "9.00", NEW, "CG"),
    ("L3", "A2", 12, "4.00", NEW, "CD"),
    ("L4", "A1", 13, "10.00", NEW, "CO"),
]
LATE = [
    ("C1", "A1", 1, "90.00", NEW, "CG"),  # the first charge again, on a later day
    ("C2", "A2", 2, "15.00", NEW, "CD"),  # a credit of history
]
FILE = "reference,account,amount,currency\nB1,A1,70.00,USD\nB2,A2,12.50,USD\n"
WANTED = {"A1": 70_00 + 40_00, "A2": 12_50 + 9_00 - 4_00}
BOOKS = {"ar_patient": 127_50, "charges_control": 45_00, "opening_balance": 82_50}


def _message(name: str, account: str, number: int, amount: str, day: str, kind: str) -> bytes:
    line = ft1(number, kind, amount, {4: day, 5: day})
    return message(name, line, account=account, pv1={19: f"V{account}{day}", 44: day})


def _merge() -> bytes:
    pid, mrg = {3: "MRN1^^^CLINIC^MR", 18: "A2"}, {1: "MRN1^^^CLINIC^MR", 3: "A1"}
    return ("\r".join([msh("X1", "ADT^A41"), segment("PID", pid), segment("MRG", mrg)]) + "\r").encode()


def _settings(name: str) -> Settings:
    tenant = Tenant(
        name=name,
        facilities=(Facility(name="main", bill_hold_days=0, zone="UTC"),),
        interfaces=(FEED.model_copy(update={"watermark": date(2026, 11, 15)}),),
        merchants=(Merchant(name="main", processor="simulated", base_url="https://processor.example", secret_key="k"),),
    )
    return Settings(hash_key="k" * 32, tenants=(tenant,))


class _Office:
    """What the billing office does, beside what the engine sends."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.live = False

    async def imports(self) -> None:
        units, tenant = self.world.house.units, self.world.house.tenant
        await import_file(units, tenant, FILE, "clinic", by="ann", why="trial balance", without_unknown=True)

    async def goes_live(self) -> None:
        self.live = True
        await self.world.house.units.write(
            go_live.go_live, "clinic", by="ann", why="through", tenant=self.world.house.tenant
        )
        await self.worked()

    async def worked(self) -> None:
        handlers = {go_live.KIND: self.world.house.outbox[go_live.KIND]}
        await Worker(self.world.system.database, self.world.house.units, queue="outbox", handlers=handlers).drain()


def _sent(world: World, data: bytes) -> Callable[[], Awaitable[None]]:
    async def send() -> None:
        await world.send(data)
        await world.work()

    return send


def _asked(tx: Tx, refs: dict[str, str]) -> dict[str, int]:
    return {name: sum(one.askable.minor for one in obligations.owed(tx, ref)) for name, ref in refs.items()}


def _books(tx: Tx) -> dict[str, int]:
    return {one.account: one.amount.minor for one in ledger.balances(tx) if one.amount.minor}


async def _play(world: World, rng: random.Random, *, merged: bool) -> None:
    office = _Office(world)
    messages = [_message(*one) for one in (*HISTORY, *LIVE)]
    again = rng.sample(messages, 3)
    steps = [_sent(world, one) for one in (*messages, *again)]
    steps += [office.imports, office.imports, office.goes_live]
    steps += [_sent(world, _merge())] if merged else []
    rng.shuffle(steps)
    for step in steps:
        await step()
        refs = await _refs(world)
        asked = await world.house.units.read(_asked, refs)
        if not office.live:
            assert not any(asked.values()), asked
    await office.imports()  # of accounts that were not known before
    for one in LATE:
        await _sent(world, _message(*one))()
    refs = await _refs(world)
    asked = await world.house.units.read(_asked, refs)
    wanted = {"A2": sum(WANTED.values())} if merged else WANTED
    assert {name: minor for name, minor in asked.items() if minor} == wanted
    assert await world.house.units.read(_books) == BOOKS
    assert await world.house.units.read(examine) == []


async def _refs(world: World) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in ("A1", "A2"):
        try:
            ref = await world.account(name)
        except ValueError:  # not known yet
            continue
        found = {one: known for one, known in found.items() if known != ref} | {name: ref}  # merged: one account
    return found


async def test_what_is_asked_for_in_the_end_is_the_opening_balances_and_the_live_charges(
    databases: Databases, open_it: Callable[[str], Database], clock: FrozenClock, ids: CountedIds
) -> None:
    with databases.url("sqlite") as url:
        database = open_it(url)
        await database.start()
        try:
            for order in range(ORDERS):
                name = f"t{order}"
                system = wiring.build(_settings(name), clock=clock, ids=ids, database=database)
                try:
                    await _play(World(system, clock, name), random.Random(order), merged=order % 2 == 1)
                finally:
                    await system.close()
        finally:
            await database.stop()
