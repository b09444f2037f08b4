"""Charges, credits, payments at the EHR, merges, and what comes late for old numbers, in any order: the same balances,
the same owners, and money that pays what it was paid for."""

from __future__ import annotations

import random
from collections.abc import Callable

from databases import Databases
from fhirpay import wiring
from fhirpay.billing import money
from fhirpay.billing import store as obligations
from fhirpay.config import Facility, Merchant, Settings, Tenant
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.fhir import replaced
from fhirpay.ledger import store as ledger
from intake_world import FEED, SYSTEM, World, ft1, message, msh, segment

ORDERS = 6


def _mrn(value: str) -> str:
    return f"{value}^^^CLINIC^MR"


def _charge(name: str, account: str, mrn: str, number: int, amount: str, kind: str = "CG") -> bytes:
    return message(name, ft1(number, kind, f"{amount}&USD"), account=account, pid={3: _mrn(mrn)})


def _paid(name: str, account: str, mrn: str, number: int, amount: str) -> bytes:
    line = ft1(number, "PY", f"{amount}&USD", {7: "CASH"})
    return message(name, line, account=account, pid={3: _mrn(mrn)})


def _adt(name: str, event: str, pid: dict[int, str], mrg: dict[int, str]) -> bytes:
    lines = [msh(name, f"ADT^{event}"), segment("PID", pid), segment("MRG", mrg)]
    return ("\r".join(lines) + "\r").encode()


def _link(name: str, first: str, second: str) -> bytes:
    lines = [msh(name, "ADT^A24"), segment("PID", {3: _mrn(first)}), segment("PID", {3: _mrn(second)})]
    return ("\r".join(lines) + "\r").encode()


# A1 is P1's, A2 is P2's: both become one (A40, A41). A3 is P1's and turns out to be P3's (A44). A1 once was A0.
# A charge of A5 is moved to A6 (credited, and charged there under its number). A7 goes on as A8 (A06 with MRG).
MESSAGES = [
    _charge("C1", "A1", "P1", 1, "100.00"),
    _charge("C2", "A1", "P1", 1, "30.00", "CD"),
    _charge("C3", "A2", "P2", 2, "40.00"),
    _charge("C4", "A2", "P1", 3, "5.00"),
    _charge("C5", "A3", "P1", 4, "7.00"),
    _charge("C6", "A3", "P3", 5, "9.00"),
    _charge("C7", "A0", "P1", 6, "11.00"),
    _charge("C8", "A5", "P1", 7, "12.00"),
    _charge("C9", "A5", "P1", 7, "12.00", "CD"),
    _charge("C10", "A6", "P1", 7, "12.00"),
    _charge("C11", "A7", "P1", 8, "13.00"),
    _charge("C12", "A8", "P2", 9, "1.00"),
    _paid("C13", "A1", "P1", 11, "60.00"),
    _paid("C14", "A2", "P2", 12, "10.00"),
    _paid("C15", "A0", "P1", 13, "3.00"),
    _paid("C16", "A3", "P1", 14, "4.00"),
    _paid("C17", "A7", "P1", 15, "2.00"),
    _paid("C18", "A1", "P1", 11, "-10.00"),  # a part of C13 taken back
    _paid("C19", "A2", "P2", 13, "-1.00"),  # of C15, under the number that stands
    _adt("X1", "A40", {3: _mrn("P2")}, {1: _mrn("P1")}),
    _adt("X2", "A41", {3: _mrn("P2"), 18: "A2"}, {1: _mrn("P1"), 3: "A1"}),
    _adt("X3", "A44", {3: _mrn("P3")}, {1: _mrn("P1"), 3: "A3"}),
    _adt("X4", "A41", {3: _mrn("P1"), 18: "A1"}, {1: _mrn("P1"), 3: "A0"}),
    _adt("X5", "A06", {3: _mrn("P1"), 18: "A8"}, {1: _mrn("P1"), 3: "A7"}),
    _link("X6", "P3", "P2"),
]
# who owes, how much, what of it is paid, and what holds it
WANTED = {
    "A2": ("P2", 126_00, 62_00, ""),
    "A3": ("P3", 16_00, 4_00, "owner_changed"),
    "A5": ("", 0, 0, ""),
    "A6": ("P2", 12_00, 0, ""),
    "A7": ("P2", 14_00, 2_00, ""),
    "A8": ("P2", 14_00, 2_00, ""),
}


def _found(tx: Tx) -> dict[str, tuple[str, int, int, str]]:
    found: dict[str, tuple[str, int, int, str]] = {}
    for number in ("A0", "A1", *WANTED):
        (account,) = replaced.find(tx, "Account", SYSTEM, number)
        owed = [one for one in obligations.obligations_of(tx, account.reference) if one.patient]
        owners = {_name(tx, one.debtor_ref) for one in owed}
        holds = {one.hold for one in owed}
        patient, paid = (sum(getattr(one, name).minor for one in owed) for name in ("patient", "paid"))
        assert ledger.balance(tx, "ar_patient", account_ref=account.reference) == patient - paid
        assert money.credits_of(tx, account.reference) == []
        found[number] = ("+".join(sorted(owners)), patient, paid, "+".join(sorted(holds)))
    return found


def _name(tx: Tx, debtor: str) -> str:
    for mrn in ("P2", "P3", "P1"):
        if [one.reference for one in replaced.find(tx, "Patient", f"{SYSTEM}:CLINIC", mrn)] == [debtor]:
            return mrn
    return debtor


def _settings(name: str) -> Settings:
    tenant = Tenant(
        name=name,
        facilities=(Facility(name="main", bill_hold_days=0, zone="UTC"),),
        interfaces=(FEED.model_copy(update={"payment_sign": "positive", "payments_from": "patient"}),),
        merchants=(Merchant(name="main", processor="simulated", base_url="https://processor.example", secret_key="k"),),
    )
    return Settings(hash_key="k" * 32, tenants=(tenant,))


async def test_any_order_ends_in_the_same_balances_and_owners(
    databases: Databases, open_it: Callable[[str], Database], clock: FrozenClock, ids: CountedIds
) -> None:
    rng = random.Random(20261129)
    with databases.url("sqlite") as url:
        database = open_it(url)
        await database.start()
        try:
            for order in range(ORDERS):
                name = f"t{order}"
                system = wiring.build(_settings(name), clock=clock, ids=ids, database=database)
                try:
                    world = World(system, clock, name)
                    played = rng.sample(MESSAGES, len(MESSAGES))
                    for one in played:
                        await world.send(one)
                        await world.work()
                    found = await world.house.units.read(_found)
                    said = [one.split(b"|")[9].decode() for one in played]
                    wanted = {"A0": WANTED["A2"], "A1": WANTED["A2"], **WANTED}
                    assert found == wanted, said
                    await world.check_books()
                finally:
                    await system.close()
        finally:
            await database.stop()
