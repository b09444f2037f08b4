"""Every way by which a payment comes to be read at our FHIR endpoint, or is changed there, is told."""

from __future__ import annotations

from ehr_payments_world import Clinic, charge, clinic, py
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.subscriptions import store
from intake_world import msh, segment
from subscribers_world import subscribed


def _told(tx: Tx, id: str) -> list[tuple[int, int]]:
    """The events: number, and version of the payment."""
    return [(one.number, one.version) for one in store.between(tx, id, 0, 99, 99)]


def _merge(control_id: str, old: str, new: str) -> bytes:
    lines = [
        msh(control_id, "ADT^A41"),
        segment("PID", {3: "MRN1^^^CLINIC^MR", 18: new}),
        segment("MRG", {1: "MRN1^^^CLINIC^MR", 3: old}),
    ]
    return "\r".join(lines).encode() + b"\r"


async def test_what_an_ehr_says_that_it_took_is_told_and_again_when_its_account_is_merged(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with clinic(database, clock, ids) as house:
        id = await house.house.units.write(subscribed)
        nothing = await house.house.units.write(subscribed, "system/PaymentReconciliation.r?status=draft")
        await house.say(charge("M1", "T1", "100.00"), py("M2", "E1", "30.00"))
        assert await _events(house, id) == [(1, 1)]
        await house.say(py("M3", "E1", "30.00"))  # said again: nothing has changed
        assert await _events(house, id) == [(1, 1)]
        await house.say(charge("M4", "T4", "5.00", account="A200"), _merge("M5", "A100", "A200"))
        assert await _events(house, id) == [(1, 1), (2, 2)]
        assert await _events(house, nothing) == []


async def _events(house: Clinic, id: str) -> list[tuple[int, int]]:
    return await house.house.units.read(_told, id)
