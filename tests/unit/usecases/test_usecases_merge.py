"""Merges move who owes and where it stands: amounts stay, nothing is asked for twice, what comes late lands right."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from fhirpay.billing import entries
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.dispute import DisputeState
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.errors import RuleBroken
from fhirpay.fhir import replaced
from fhirpay.fhir import store as fhir
from fhirpay.ledger import store as ledger
from fhirpay.parties import merges
from fhirpay.payments import store as payments
from fhirpay.payments import stored_methods
from fhirpay.payments.port import Approved, DisputeMoney, DisputeSeen, Reference
from fhirpay.usecases import dispute
from fhirpay.usecases.settle_outcome import settle
from fhirpay.usecases.start_payment import NewPayment, start
from fhirpay.usecases.undo_merge import undo
from intake_world import SYSTEM, World, ft1, keep_method, message, msh, segment, verdict, world

pytestmark = pytest.mark.warns("message.parked", "work.parked")
CLINIC = f"{SYSTEM}:CLINIC"


@pytest.fixture
async def w(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[World]:
    async with world(database, clock, ids) as made:
        yield made
        await made.check_books()


def merge(
    control_id: str, event: str, *, mrg: dict[int, str], pid: dict[int, str] | None = None, pv1: str = ""
) -> bytes:
    who = {3: "MRN1^^^CLINIC^MR", 5: "Doe^Ann", **(pid or {})}
    lines = [msh(control_id, f"ADT^{event}"), segment("PID", who), segment("MRG", mrg)]
    lines += [segment("PV1", {2: "O", 19: pv1})] if pv1 else []
    return "\r".join(lines).encode() + b"\r"


def into(control_id: str, old: str, new: str) -> bytes:
    """Account `old` into `new`."""
    return merge(control_id, "A41", mrg={1: "MRN1^^^CLINIC^MR", 3: old}, pid={18: new})


def patients_into(control_id: str, old: str, new: str) -> bytes:
    return merge(control_id, "A40", mrg={1: f"{old}^^^CLINIC^MR"}, pid={3: f"{new}^^^CLINIC^MR"})


def charge(control_id: str, account: str, number: int, amount: str, kind: str = "CG", mrn: str = "MRN1") -> bytes:
    who = {3: f"{mrn}^^^CLINIC^MR"}
    return message(control_id, ft1(number, kind, f"{amount}&USD"), account=account, pid=who)


async def take(w: World, *messages: bytes) -> None:
    for one in messages:
        assert verdict((await w.send(one))[0]) == "AA"
    await w.work()


def _ref(tx: Tx, kind: str, value: str) -> str:
    system = SYSTEM if kind == "Account" else CLINIC
    (found,) = replaced.find(tx, kind, system, value)
    return found.reference


def _stands(tx: Tx, account: str) -> dict[str, int]:
    of = ("ar_patient", "ar_pending")
    ref = account if "/" in account else _ref(tx, "Account", account)
    return {one: found for one in of if (found := ledger.balance(tx, one, account_ref=ref))}


def _pay(tx: Tx, w: World, account: str, amount: str) -> str:
    ref = account if "/" in account else _ref(tx, "Account", account)
    return start(tx, NewPayment(ref, "desk", amount=Money.of(amount, "USD")), w.house.tenant)


def _captured(tx: Tx, w: World, payment_id: str) -> None:
    (operation,) = payments.operations_of(tx, payment_id)
    payments.sent(tx, operation, processor_ref=f"cs_{payment_id}")
    amount = payments.get(tx, payment_id).amount
    outcome = Approved(Reference(f"ch_{payment_id}"), amount, payment=Reference(f"pi_{payment_id}"))
    settle(tx, w.house.tenant, operation.operation_id, outcome, source=f"operation:{operation.operation_id}")


# ── accounts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_owed_on_an_account_is_owed_on_its_survivor(w: World) -> None:
    await take(w, charge("M1", "A1", 1, "100.00"), charge("M2", "A2", 2, "40.00"))
    old = await w.account("A1")
    before = {one.obligation_id: one.patient for one in (*await w.owed("A1"), *await w.owed("A2"))}
    await take(w, into("M3", "A1", "A2"))
    assert await w.askable("A2") == "140.00 USD"
    units = w.house.units
    assert await units.read(_stands, "A2") == {"ar_patient": 140_00}
    assert await units.read(_stands, old) == {}
    assert {one.obligation_id: one.patient for one in await w.owed("A2")} == before
    stored = await units.read(fhir.get, *old.split("/"))
    assert stored is not None
    assert stored.resource["status"] == "inactive"
    assert await units.read(replaced.survivor, old) == await units.read(_ref, "Account", "A2")


async def test_what_was_paid_on_the_old_account_is_not_asked_for_again(w: World) -> None:
    await take(w, charge("M1", "A1", 1, "100.00"))
    payment = await w.house.units.write(_pay, w, "A1", "60.00")
    await w.house.units.write(_captured, w, payment)
    await take(w, into("M2", "A1", "A2"))
    assert await w.askable("A2") == "40.00 USD"
    await take(w, charge("M3", "A1", 1, "100.00"))
    assert await w.askable("A2") == "40.00 USD"


async def test_a_payment_under_way_ends_on_the_survivor(w: World) -> None:
    await take(w, charge("M1", "A1", 1, "100.00"), charge("M2", "A2", 2, "5.00"))
    payment = await w.house.units.write(_pay, w, "A1", "100.00")
    await take(w, into("M3", "A1", "A2"))
    assert await w.askable("A2") == "5.00 USD"
    await w.house.units.write(_captured, w, payment)
    assert await w.askable("A2") == "5.00 USD"
    assert await w.house.units.read(_stands, "A2") == {"ar_patient": 5_00}
    assert (await w.house.units.read(payments.get, payment)).account_ref == await w.house.units.read(
        _ref, "Account", "A2"
    )


async def test_what_comes_late_for_the_old_account_lands_on_the_survivor(w: World) -> None:
    await take(w, charge("M1", "A1", 1, "100.00"), into("M2", "A1", "A2"), charge("M3", "A1", 2, "7.00"))
    assert await w.askable("A2") == "107.00 USD"
    assert len(await w.house.units.read(fhir.find, "Account", SYSTEM, "A1")) == 2  # the old one, and its survivor


async def test_an_unknown_account_is_noted_so_that_its_messages_land_right(w: World) -> None:
    await take(w, into("M1", "A1", "A2"), charge("M2", "A1", 1, "100.00"))
    assert await w.askable("A2") == "100.00 USD"
    assert len(await w.house.units.read(fhir.find, "Account", SYSTEM, "A1")) == 1


async def test_chains_end_at_the_last_and_a_merge_is_made_once(w: World) -> None:
    await take(w, charge("M1", "A1", 1, "1.00"), charge("M2", "A2", 2, "2.00"), charge("M3", "A3", 3, "4.00"))
    await take(w, into("M4", "A1", "A2"), into("M5", "A2", "A3"), into("M6", "A1", "A2"), into("M7", "A1", "A3"))
    await take(w, charge("M8", "A1", 4, "8.00"))
    assert await w.askable("A3") == "15.00 USD"
    assert len(await w.house.units.read(merges.listed)) == 2


@pytest.mark.parametrize(("first", "then"), [(("A1", "A2"), ("A2", "A1")), (("A1", "A1"), ("A1", "A1"))])
async def test_into_itself_or_back_again_changes_nothing(
    w: World, first: tuple[str, str], then: tuple[str, str]
) -> None:
    await take(w, charge("M1", "A1", 1, "1.00"), charge("M2", "A2", 2, "2.00"))
    await take(w, into("M3", *first), into("M4", *then), charge("M5", "A1", 3, "4.00"), charge("M6", "A2", 4, "8.00"))
    amounts = {await w.askable("A1"), await w.askable("A2")}
    assert amounts == ({"15.00 USD"} if first[0] != first[1] else {"5.00 USD", "10.00 USD"})


async def test_a_source_that_was_merged_elsewhere_is_for_a_person(w: World) -> None:
    await take(w, charge("M1", "A1", 1, "1.00"), charge("M2", "A3", 3, "4.00"))
    await take(w, into("M3", "A1", "A2"), into("M4", "A1", "A3"))
    assert await w.state("M4") == "parked"
    assert await w.house.units.read(_stands, "A2") == {"ar_patient": 1_00}
    assert await w.house.units.read(_stands, "A3") == {"ar_patient": 4_00}


async def test_a_stored_method_moves_and_is_not_charged_without_asking_any_more(w: World) -> None:
    await take(w, charge("M1", "A1", 1, "100.00"))
    method = await w.house.units.write(keep_method, await w.account("A1"))
    await take(w, into("M2", "A1", "A2"))
    ref = await w.house.units.read(_ref, "Account", "A2")
    assert (await w.house.units.read(stored_methods.get, method)).account_ref == ref
    assert await w.house.units.read(stored_methods.live_consent, method) is None
    assert len(await w.list_of("consent_anew")) == 1


# ── patients ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_merged_patients_owe_as_one_and_accounts_keep_their_numbers(w: World) -> None:
    await take(w, charge("M1", "A1", 1, "100.00", mrn="P1"), charge("M2", "A2", 2, "40.00", mrn="P2"))
    await take(w, patients_into("M3", "P1", "P2"))
    survivor = await w.house.units.read(_ref, "Patient", "P2")
    for account in ("A1", "A2"):
        assert {one.debtor_ref for one in await w.owed(account)} == {survivor}
    assert (await w.askable("A1"), await w.askable("A2")) == ("100.00 USD", "40.00 USD")
    await take(w, charge("M4", "A1", 3, "1.00", mrn="P1"))
    assert {one.debtor_ref for one in await w.owed("A1")} == {survivor}
    old, new = await w.house.units.read(fhir.find, "Patient", CLINIC, "P1")
    assert (old.resource["active"], old.resource["link"][0]["type"]) == (False, "replaced-by")
    assert new.resource["link"] == [{"other": {"reference": old.reference}, "type": "replaces"}]


async def test_an_account_that_is_given_to_another_patient_is_held(w: World) -> None:
    await take(w, charge("M1", "A1", 1, "100.00", mrn="P1"))
    moved = {1: "P1^^^CLINIC^MR", 3: "A1"}
    await take(w, merge("M2", "A44", mrg=moved, pid={3: "P2^^^CLINIC^MR"}))
    owner = await w.house.units.read(_ref, "Patient", "P2")
    await take(w, charge("M3", "A1", 2, "5.00", mrn="P1"), charge("M4", "A1", 3, "7.00", mrn="P2"))
    owed = await w.owed("A1")
    assert {(one.debtor_ref, one.hold) for one in owed} == {(owner, "owner_changed")}
    assert sum(one.patient.minor for one in owed) == 112_00
    assert await w.askable("A1") == "0"
    assert len(await w.list_of("owner_changed")) == 1


async def test_a_charge_of_the_old_number_is_corrected_under_the_new_one(w: World) -> None:
    await take(w, charge("M1", "A1", 1, "100.00"), charge("M2", "A2", 2, "1.00"), into("M3", "A1", "A2"))
    await take(w, charge("M4", "A2", 1, "80.00"), charge("M5", "A1", 2, "2.00"))
    assert await w.askable("A2") == "82.00 USD"
    await take(w, charge("M6", "A2", 1, "30.00", "CD"))
    assert await w.askable("A2") == "52.00 USD"
    assert await w.list_of("credit_unlinked") == []


# ── undone ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _undo(tx: Tx, w: World) -> str:
    (latest, *_) = merges.listed(tx)
    return undo(tx, latest.merge_id, by="ann", why="other people", tenant=w.house.tenant).merge_id


async def test_undone_all_stands_where_it_stood(w: World) -> None:
    await take(w, charge("M1", "A1", 1, "100.00"), charge("M2", "A2", 2, "40.00"))
    units = w.house.units
    method = await units.write(keep_method, await w.account("A1"))
    await units.write(_captured, w, await units.write(_pay, w, "A1", "60.00"))
    before = [await units.read(_stands, one) for one in ("A1", "A2")]
    old = await w.account("A1")
    await take(w, into("M3", "A1", "A2"))
    assert await w.askable("A2") == "80.00 USD"
    await units.write(_undo, w)
    assert [await units.read(_stands, one) for one in ("A1", "A2")] == before
    assert (await w.askable("A1"), await w.askable("A2")) == ("40.00 USD", "40.00 USD")
    assert await units.read(stored_methods.live_consent, method) is not None
    assert await w.list_of("consent_anew") == []
    stored = await units.read(fhir.get, *old.split("/"))
    assert stored is not None
    assert (stored.resource["status"], "extension" in stored.resource) == ("active", True)
    await take(w, charge("M4", "A1", 3, "5.00"))
    assert (await w.askable("A1"), await w.askable("A2")) == ("45.00 USD", "40.00 USD")
    with pytest.raises(RuleBroken, match="was undone by ann"):
        await units.write(_undo, w)


async def test_a_merge_is_not_undone_over_what_came_since(w: World) -> None:
    await take(w, charge("M1", "A1", 1, "100.00"), into("M2", "A1", "A2"), charge("M3", "A1", 2, "5.00"))
    with pytest.raises(RuleBroken, match="messages came for its number since: M3"):
        await w.house.units.write(_undo, w)


async def test_a_merge_is_not_undone_where_one_payment_pays_both_sides(w: World) -> None:
    await take(w, charge("M1", "A1", 1, "100.00"), charge("M2", "A2", 2, "40.00"), into("M3", "A1", "A2"))
    await w.house.units.write(_captured, w, await w.house.units.write(_pay, w, "A2", "140.00"))
    with pytest.raises(RuleBroken, match="pays what was moved"):
        await w.house.units.write(_undo, w)


@pytest.mark.warns("dispute.opened", "dispute.lost")
@pytest.mark.parametrize(("ends", "held"), [("won", set()), ("lost", {"dispute_lost"})])
async def test_what_a_dispute_holds_goes_back_with_its_payment(w: World, ends: str, held: set[str]) -> None:
    """Nobody releases that hold by hand: left on the survivor it would stop it for ever."""
    await take(w, charge("M1", "A1", 1, "100.00"), charge("M2", "A2", 2, "40.00"))
    units, owner = w.house.units, w.house.tenant
    payment_id = await units.write(_pay, w, "A1", "60.00")
    await units.write(_captured, w, payment_id)
    old, new = await w.account("A1"), await w.account("A2")
    await take(w, into("M3", "A1", "A2"))

    async def see(state: str) -> list[set[str]]:
        seen = _seen(payment_id, DisputeState(state), w.clock.now())
        await units.write(dispute.settle, owner, payment_id, seen, source=f"event:{state}")
        return [{one.name for one in await units.read(entries.holds_of, ref)} for ref in (old, new)]

    assert await see("needs_response") == [set(), {"card_dispute"}]
    await units.write(_undo, w)
    assert await see("under_review") == [{"card_dispute"}, set()]
    assert await w.askable("A2") == "40.00 USD"
    assert await see(ends) == [held, set()]


def _seen(payment_id: str, state: DisputeState, at: datetime) -> DisputeSeen:
    amount, none = Money.of("60.00", "USD"), Money.zero("USD")
    money = [DisputeMoney(Reference("out"), amount, False, none, at)]
    money += [DisputeMoney(Reference("back"), amount, True, none, at)] if state is DisputeState.WON else []
    theirs = Reference(f"pi_{payment_id}")
    return DisputeSeen(Reference("dp_1"), theirs, state, amount, at, tuple(money))


async def test_patients_part_again(w: World) -> None:
    await take(w, charge("M1", "A1", 1, "100.00", mrn="P1"), charge("M2", "A2", 2, "40.00", mrn="P2"))
    debtors = [one.debtor_ref for account in ("A1", "A2") for one in await w.owed(account)]
    await take(w, patients_into("M3", "P1", "P2"))
    await w.house.units.write(_undo, w)
    assert [one.debtor_ref for account in ("A1", "A2") for one in await w.owed(account)] == debtors
    for mrn in ("P1", "P2"):
        (patient,) = await w.house.units.read(fhir.find, "Patient", CLINIC, mrn)
        assert "link" not in patient.resource


async def test_a_move_is_taken_back_with_its_hold(w: World) -> None:
    await take(w, charge("M1", "A1", 1, "100.00", mrn="P1"))
    before = [(one.debtor_ref, one.askable) for one in await w.owed("A1")]
    await take(w, merge("M2", "A44", mrg={1: "P1^^^CLINIC^MR", 3: "A1"}, pid={3: "P2^^^CLINIC^MR"}))
    await w.house.units.write(_undo, w)
    assert [(one.debtor_ref, one.askable) for one in await w.owed("A1")] == before
    assert await w.list_of("owner_changed") == []


async def test_a_patient_moved_after_their_accounts_were_merged_holds_the_account_that_stands(w: World) -> None:
    moved = merge("M3", "A43", mrg={1: "MRN1^^^CLINIC^MR"}, pid={3: "MRN2^^^CLINIC^MR"})
    await take(w, charge("M1", "A1", 1, "100.00"), into("M2", "A1", "A2"), moved)
    assert await w.list_of("owner_changed")
    assert await w.askable("A2") == "0"
