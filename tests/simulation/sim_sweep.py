"""How a simulation ends: three books that say the same, nothing lost, nobody asked for more than was owed.

Every check is by what the others hold (the processor's and the EHR's own books, the hospital's statements, what senders
were told) against our database; a check that fails is one line of `world.troubles`, named by what it is about.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sim_hospital import Patient, applied_at

from fhirpay.billing import worklist
from fhirpay.db.types import moment
from fhirpay.db.unit import Tx
from fhirpay.domain.operation import OPEN, OperationState
from fhirpay.domain.payment import CLOSED, PaymentState
from fhirpay.domain.refund import RefundState
from fhirpay.fhir import store as fhir
from fhirpay.ledger import store as ledger
from fhirpay.ledger.verify import verify
from fhirpay.payments import refunds, store
from fhirpay.payments.records import Payment
from fhirpay.usecases.doctor import examine

if TYPE_CHECKING:
    from sim_world import World

Doc = dict[str, Any]
_FINAL = CLOSED | {PaymentState.CAPTURED, PaymentState.RETURNED}
_REFUND_FINAL = {
    RefundState.REJECTED,
    RefundState.SUCCEEDED,
    RefundState.FAILED,
    RefundState.CANCELED,
    RefundState.REPLACED,
}


async def sweep(world: World) -> None:
    """Every check, each under its name."""
    units = world.web().system.house("main").units
    await units.read(lambda tx: Sweep(world, tx).all())


class Sweep:
    """One look at everything, in one reading unit."""

    def __init__(self, world: World, tx: Tx) -> None:
        self.world = world
        self.tx = tx
        books = world.processor.books
        self.theirs: dict[str, list[Doc]] = defaultdict(list)
        for doc in books.all("payment"):
            self.theirs[doc["reference"]].append(doc)
        self.their_refunds = books.all("refund")
        self.payments = [
            store.get(tx, row[0]) for row in self._rows("SELECT payment_id FROM payment ORDER BY payment_id")
        ]
        self.refunds = {one.payment_id: refunds.of_payment(tx, one.payment_id) for one in self.payments}
        self.breaks = {(one.payment_id, one.kind) for one in store.breaks(tx)}

    def all(self) -> None:
        for check in (
            self.ledger_is_whole,
            self.our_books_agree,
            self.processor_equals_ledger,
            self.payments_equal_processor,
            self.refunds_equal_processor,
            self.ehr_equals_ledger,
            self.accepted_messages_are_kept,
            self.nobody_paid_too_much,
            self.nothing_is_asked_of_whom_it_may_not,
            self.nothing_is_left_open,
            self.parked_is_listed,
        ):
            name = check.__name__
            for says in check():
                self.world.trouble(f"{name}: {says}")

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.world.inline.raw.execute(query)]

    # ── money ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def ledger_is_whole(self) -> list[str]:
        report = verify(self.tx)
        return [] if report.ok else [str(report.problems)]

    def our_books_agree(self) -> list[str]:
        """What `fhirpay doctor` finds, as at the end of every test."""
        return [str(finding) for finding in examine(self.tx)]

    def processor_equals_ledger(self) -> list[str]:
        held = self.world.processor.books.totals().get("USD", {}).get("balance", 0)
        ours = sum(one.amount.minor for one in ledger.balances(self.tx) if one.account == "processor_clearing")
        return [] if ours == held else [f"clearing is {ours}, the processor holds {held}"]

    def payments_equal_processor(self) -> list[str]:
        found: list[str] = []
        ours = {one.payment_id for one in self.payments}
        for reference, docs in self.theirs.items():
            taken = [doc for doc in docs if doc["capture"] and not doc["voided"]]
            if reference not in ours:
                found.append(f"the processor has {reference}, which we haven't")
            if len(taken) > 1:
                found.append(f"{reference} was taken {len(taken)} times")
        for one in self.payments:
            docs = self.theirs.get(one.payment_id, [])
            captured = sum(doc["amount_captured"] for doc in docs if not doc["voided"])
            if captured != one.captured.minor:
                found.append(f"{one.payment_id} is {one.captured} here, {captured} there")
        return found

    def refunds_equal_processor(self) -> list[str]:
        found: list[str] = []
        there: dict[str, list[Doc]] = defaultdict(list)
        for doc in self.their_refunds:
            there[doc["reference"]].append(doc)
        for one in (refund for of in self.refunds.values() for refund in of):
            docs = there.pop(one.refund_id, [])
            done = sum(doc["amount"] for doc in docs if doc["status"] == "succeeded")
            booked = one.amount.minor if one.state is RefundState.SUCCEEDED else 0
            if len(docs) > 1:
                found.append(f"{one.refund_id} is there {len(docs)} times")
            if done != booked:
                found.append(f"{one.refund_id} is {one.state} of {booked} here, {done} there")
        found += [f"the processor has a refund {reference}, which we haven't" for reference in there]
        for one in self.payments:
            back = sum(doc["amount"] for doc in self.their_refunds if doc["payment_reference"] == one.payment_id)
            failed = sum(
                doc["amount"]
                for doc in self.their_refunds
                if doc["payment_reference"] == one.payment_id and doc["status"] == "failed"
            )
            if back - failed > one.captured.minor:
                found.append(f"{one.payment_id}: {back - failed} was given back of {one.captured}")
        return found

    def ehr_equals_ledger(self) -> list[str]:
        """Each captured payment, each refund that went out and each move since is there once, with its amount."""
        found: list[str] = []
        there: dict[str, list[int]] = defaultdict(list)
        for version in self._latest("PaymentReconciliation"):
            (subject,) = [one["value"] for one in version["identifier"]]
            there[subject].append(int(version["paymentAmount"]["value"] * 100))
        # For a person: it may be there, or not; `parked_is_listed` sees to it that the person knows.
        excused = {
            row[0]
            for row in self._rows(
                "SELECT posting.subject FROM posting JOIN work ON work.work_id = posting.work_id"
                " WHERE work.state = 'parked'"
            )
        }
        expected = {one.payment_id: one.captured.minor for one in self.payments if one.captured.minor}
        for one in (refund for of in self.refunds.values() for refund in of):
            if one.state is RefundState.SUCCEEDED or (one.state is RefundState.FAILED and one.succeeded_at is not None):
                expected[one.refund_id] = -one.amount.minor
        moved = self._rows("SELECT movement_id, sum(amount_minor) FROM movement_line GROUP BY movement_id")
        expected |= dict(moved)
        for subject, amounts in there.items():
            if len(amounts) > 1:
                found.append(f"{subject} is at the EHR {len(amounts)} times")
            if subject not in expected:
                found.append(f"{subject} is at the EHR, and nothing of it is booked")
            elif amounts[0] != expected[subject]:
                found.append(f"{subject} is {amounts[0]} at the EHR, {expected[subject]} here")
        for subject in expected.keys() - there.keys() - excused:
            found.append(f"{subject} of {expected[subject]} is not at the EHR")
        return found

    def _latest(self, kind: str) -> list[Doc]:
        last: dict[str, Doc] = {}
        for version in self.world.ehr.store.everything(kind):
            last[version.id] = version.resource
        return list(last.values())

    # ── messages ──────────────────────────────────────────────────────────────────────────────────────────────────

    def accepted_messages_are_kept(self) -> list[str]:
        kept: dict[bytes | None, list[str]] = defaultdict(list)
        for body, state, _ in self.world.inbox_rows():
            kept[body].append(state)
        found: list[str] = []
        for sent in self.world.hospital.accepted:
            states = kept.get(sent.body, [])
            if not states:
                found.append(f"{sent.control_id} was acknowledged and is not there")
            elif len(states) > 1:
                found.append(f"{sent.control_id} was stored {len(states)} times")
            elif states[0] not in ("applied", "parked"):
                found.append(f"{sent.control_id} is {states[0]}")
        events = self._rows(
            "SELECT control_id, count(*) FROM inbox_message WHERE kind = 'webhook'"
            " GROUP BY control_id HAVING count(*) > 1"
        )
        found += [f"event {event} was stored {count} times" for event, count in events]
        return found

    # ── what was owed ─────────────────────────────────────────────────────────────────────────────────────────────

    def nobody_paid_too_much(self) -> list[str]:
        """At no moment was an account asked for more than the hospital had stated by then, less what it had paid."""
        found: list[str] = []
        for patient in self.world.hospital.patients:
            before: list[Payment] = []
            for sent_at, asked, one in self._asked(patient):
                taken = sum(other.captured.minor for other in before if not self._came_late(other, sent_at))
                bound = self._stated(patient, sent_at) - taken + self._given_back(patient, sent_at)
                if asked > bound:
                    found.append(f"{one.payment_id} asked {patient.account} for {asked} when {bound} was owed")
                before.append(one)
        return found

    def _came_late(self, one: Payment, at: datetime) -> bool:
        """It had ended when it was paid, and nobody here knew of that yet."""
        if (one.payment_id, "late_success") not in self.breaks:
            return False
        known = self._rows("SELECT payment_id, recorded_at FROM payment_fact WHERE kind = 'captured'")
        return min(moment(since) for payment, since in known if payment == one.payment_id) > at

    def nothing_is_asked_of_whom_it_may_not(self) -> list[str]:
        found: list[str] = []
        for patient in self.world.hospital.patients:
            for hold in patient.holds:
                since = applied_at(self.world, hold)
                for sent_at, _, one in self._asked(patient):
                    if since is not None and sent_at > since:
                        found.append(f"{one.payment_id} was sent while {patient.account} was on hold")
        return found

    def _asked(self, patient: Patient) -> list[tuple[datetime, int, Payment]]:
        """What was sent to the processor of this patient's account, in that order."""
        account = self._account_of(patient)
        sent: list[tuple[datetime, int, Payment]] = []
        for one in self.payments:
            if one.account_ref != account:
                continue
            first = [op.sent_at for op in store.operations_of(self.tx, one.payment_id) if op.refund_id is None]
            if first and first[0] is not None:
                sent.append((first[0], one.amount.minor, one))
        return sorted(sent, key=lambda each: (each[0], each[2].payment_id))

    def _stated(self, patient: Patient, at: datetime) -> int:
        total = 0
        for said in patient.statements:
            if said.minor > 0:
                total += said.minor if said.said_at <= at else 0
            elif (since := applied_at(self.world, said)) is not None and since <= at:
                total += said.minor
        return total

    def _given_back(self, patient: Patient, at: datetime) -> int:
        account = self._account_of(patient)
        mine = [one for one in self.payments if one.account_ref == account]
        return sum(
            refund.amount.minor
            for one in mine
            for refund in self.refunds[one.payment_id]
            if refund.state is not RefundState.REJECTED and refund.created_at <= at
        )

    def _account_of(self, patient: Patient) -> str:
        if patient.kind == "invoice":
            return patient.account
        system, _, value = patient.account.rpartition("|")
        found = fhir.find(self.tx, "Account", system, value)
        return f"Account/{found[0].id}" if found else ""

    # ── nothing left ──────────────────────────────────────────────────────────────────────────────────────────────

    def nothing_is_left_open(self) -> list[str]:
        found: list[str] = []
        for one in self.payments:
            operations = store.operations_of(self.tx, one.payment_id)
            open_ones = [op for op in operations if op.state in OPEN]
            if one.state not in _FINAL and (one.payment_id, "unknown_outcome") not in self.breaks:
                found.append(f"{one.payment_id} is still {one.state}")
            for op in open_ones:
                if op.state is not OperationState.UNKNOWN or (one.payment_id, "unknown_outcome") not in self.breaks:
                    found.append(f"{op.operation_id} of {one.payment_id} is still {op.state}")
            found += [
                f"{refund.refund_id} is still {refund.state}"
                for refund in self.refunds[one.payment_id]
                if refund.state not in _REFUND_FINAL
            ]
        reserved = self._rows("SELECT obligation_id, in_flight_minor FROM obligation WHERE in_flight_minor != 0")
        found += [f"{minor} of {obligation} is still in flight" for obligation, minor in reserved]
        over = self._rows("SELECT obligation_id FROM obligation WHERE paid_minor > patient_minor AND patient_minor > 0")
        found += [f"{obligation} holds more than is owed" for (obligation,) in over]
        left = self._rows("SELECT kind, ref, error FROM work WHERE state = 'ready'")
        found += [f"work is left: {row}" for row in left]
        return found

    def parked_is_listed(self) -> list[str]:
        listed = {item.subject for item in worklist.list_open(self.tx, limit=1000)}
        found: list[str] = []
        for work_id, queue, ref, error in self._rows(
            "SELECT work_id, queue, ref, error FROM work WHERE state = 'parked' ORDER BY work_id"
        ):
            if not {work_id, ref} & listed and not str(error).startswith("waits for "):
                found.append(f"{queue} {ref} is parked and not listed: {error}")
        return found
