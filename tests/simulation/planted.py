"""Bugs, planted on purpose: each takes one guard away, and a simulation must turn red by it.

`PLANTED` is the list: what is taken away, and how; `DIRECT` names the guards that a test of their own watches instead.
Run by `test_simulation_planted.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import sim_chaos
from pytest import MonkeyPatch  # noqa: PT013 (one name, for a list of functions)
from sim_process import SharedDatabase

from fhirpay.billing import money as billing_money
from fhirpay.billing import rows as billing_rows
from fhirpay.db.metadata import table
from fhirpay.db.unit import Tx
from fhirpay.domain.money import Money
from fhirpay.flow.tables import WorkRow
from fhirpay.hl7 import ack
from fhirpay.inbox import gate
from fhirpay.ledger import store as ledger
from fhirpay.payments import refunds, store
from fhirpay.payments.port import Capabilities, OperationRef, ProvenAbsent
from fhirpay.payments.records import Operation
from fhirpay.usecases import keep_events, post_back, postings, settle_outcome, start_payment
from fhirpay.usecases.receive_hl7 import Hl7Intake, Source
from fhirpay.usecases.seek_posting import Answer

_work = table(WorkRow)
Plant = Callable[[MonkeyPatch], None]


@dataclass(frozen=True)
class Planted:
    """`theme` is the one of the seeds on which it is looked for (see sim_chaos.THEMES); "" is all of them."""

    name: str
    plant: Plant
    theme: str = ""


def _same(value: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: value


def _other_hashes(patch: MonkeyPatch, module: Any) -> None:
    numbers = count()
    patch.setattr(module, "keyed_hash", lambda *_: f"another {next(numbers)}")


def _absent_at_once(patch: MonkeyPatch) -> None:
    def absence(self: Capabilities, operation: OperationRef) -> ProvenAbsent:
        return ProvenAbsent()

    patch.setattr(Capabilities, "absence", absence)


def _new_key(patch: MonkeyPatch) -> None:
    numbers = count()
    patch.setattr(Operation, "key", property(lambda self: f"{self.operation_id}-{next(numbers)}"))


def _in_a_unit_of_its_own(patch: MonkeyPatch, module: Any, name: str, after: str) -> None:
    """What this function enqueues is enqueued after the unit that it belongs to."""
    real = getattr(module, name)
    waiting: list[tuple[Any, Any]] = []
    write_unit = SharedDatabase.write_unit

    def later(tx: Tx, *args: Any, **kwargs: Any) -> None:
        waiting.append((args, kwargs))

    async def write(self: SharedDatabase, tenant: str, fn: Any, args: Any, kwargs: Any, urgent: bool) -> Any:
        waiting.clear()
        value = await write_unit(self, tenant, fn, args, kwargs, urgent)
        while waiting:
            more, named = waiting.pop(0)
            await write_unit(self, tenant, real, more, named, False)
        return value

    patch.setattr(module, name, later)
    patch.setattr(SharedDatabase, "write_unit", write)
    _dies(patch, after)


def _dies(patch: MonkeyPatch, point: str) -> None:
    """Processes die at this point, if they die."""
    patch.setattr(sim_chaos, "_POINTS", (point,))


def _unseen(patch: MonkeyPatch) -> None:
    async def absent(*given: Any) -> Answer:
        return Answer(ways=next(one for one in given if isinstance(one, tuple)))

    patch.setattr(post_back, "before_first", absent)
    patch.setattr(post_back, "in_doubt", absent)


def _effects_again(patch: MonkeyPatch) -> None:
    numbers = count()
    post = ledger.post
    patch.setattr(store, "first_time", _same(True))
    patch.setattr(ledger, "post", lambda tx, entry, *, key: post(tx, entry, key=f"{key}/{next(numbers)}"))


def _in_flight_forgotten(patch: MonkeyPatch) -> None:
    real = billing_rows.count_money

    def counted(tx: Tx, obligation_id: str, **amounts: int) -> None:
        amounts.pop("in_flight", None)
        real(tx, obligation_id, **amounts)

    patch.setattr(billing_money.rows, "count_money", counted)


def _refunds_without_limit(patch: MonkeyPatch) -> None:
    patch.setattr(refunds, "claimed", lambda tx, payment: Money.zero(payment.currency))


def _ack_first(patch: MonkeyPatch) -> None:
    real = Hl7Intake.answers

    async def answers(self: Hl7Intake, data: bytes, *, source: Source) -> AsyncIterator[bytes]:
        try:
            admitted = gate.admit(data, self.interface, hash_key=self.hash_key)
        except Exception:
            async for answer in real(self, data, source=source):
                yield answer
            return
        yield ack.build(admitted.message, "AA", control_id="1", now=self.clock.now())
        async for _ in real(self, data, source=source):
            pass

    patch.setattr(Hl7Intake, "answers", answers)
    _dies(patch, "before Hl7Intake._record")


PLANTED = (
    Planted("an event comes in once", lambda patch: _other_hashes(patch, keep_events)),
    Planted("a message comes in once", lambda patch: _other_hashes(patch, gate)),
    Planted("not found is no proof before the horizon", _absent_at_once, "lost answers"),
    Planted("an unknown outcome is sent again with its own key only", _new_key, "lost answers"),
    Planted(
        "the write-back is queued in the unit that settles",
        lambda patch: _in_a_unit_of_its_own(patch, postings, "enqueue", "after Webhooks._settle"),
        "deaths",
    ),
    Planted(
        "the call is queued in the unit that starts the payment",
        lambda patch: _in_a_unit_of_its_own(patch, start_payment, "outbox_add", "after _make"),
        "deaths",
    ),
    Planted("what may be at the EHR is looked for first", _unseen, "leases"),
    Planted("an effect is had once", _effects_again),
    Planted("money in flight is subtracted", _in_flight_forgotten),
    Planted("no more is given back than is left", _refunds_without_limit),
    Planted(
        "a payment that came to nothing releases what it held",
        lambda patch: patch.setattr(settle_outcome.billing, "release", _same(None)),
    ),
    Planted("a message is stored before it is acknowledged", _ack_first, "deaths"),
)

# Guards that have others behind them, so that a world hardly ever shows their loss: the tests that do.
DIRECT = {
    "one payment for each business fact": "unit/payments/test_payments_store.py::test_a_fact_has_one_payment",
    "only who holds the lease ends the work": (
        "unit/flow/test_flow_lane.py::test_a_dead_workers_item_is_taken_over_and_the_dead_one_is_refused"
    ),
    "the lease is looked at before a payment is sent": (
        "unit/usecases/test_usecases_lease_run_out.py::test_a_payment_is_not_submitted"
    ),
    "the lease is looked at before a refund is sent": (
        "unit/usecases/test_usecases_lease_run_out.py::test_a_refund_is_not_sent"
    ),
    "the lease is looked at before a posting is written": (
        "unit/usecases/test_usecases_lease_run_out.py::test_a_posting_is_not_written"
    ),
    "what a start takes over is fenced off": (
        "unit/flow/test_flow_lane.py::test_what_a_start_takes_over_is_refused_to_who_had_it"
    ),
    "no key is used after its life": (
        "unit/usecases/test_usecases_payments_races.py::test_a_key_that_has_died_is_never_resent"
    ),
    "what is owed is read again before sending": (
        "unit/usecases/test_usecases_payments_faults.py::test_insurance_found_before_it_is_sent_stops_the_payment"
    ),
}
