"""What must be true after any number of deaths, once it is quiet: by the processor's books, the EHR's, and ours.

Each function gives back what is wrong, in words; nothing, when all is well. A case's amount is its own, so the others'
books are read without asking ours what belongs to what.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from crash_load import CHARGES, Case
from sqlalchemy import select

from fhirpay.billing import store as obligations
from fhirpay.db.metadata import table
from fhirpay.db.unit import Tx, Units, open_database
from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.domain.operation import OPEN
from fhirpay.domain.payment import PaymentState
from fhirpay.fhir import store as fhir
from fhirpay.flow.lane import parked
from fhirpay.flow.tables import WorkRow
from fhirpay.inbox.store import find_by_control_id
from fhirpay.ledger import store as ledger
from fhirpay.payments import store as payments
from fhirpay.usecases import pull_settlements, sweep
from fhirpay.usecases.doctor import examine
from fhirpay.writeback import store as writeback

Doc = dict[str, Any]
_work = table(WorkRow)
_STANDING = frozenset({pull_settlements.KIND, sweep.KIND})
_LOOKUPS = ("payment.lookup", "refund.lookup")


def _compared(what: str, wanted: Counter[Any], found: Counter[Any]) -> list[str]:
    lost = [f"{what} of {one} is lost" for one in (wanted - found).elements()]
    return lost + [f"{what} of {one} is there {found[one]} times" for one in found - wanted]


def movements(cases: Iterable[Case], processor: Doc) -> list[str]:
    """The processor's own list of money: a payment for each fact, a refund for each that was asked for."""
    wanted = [case for case in cases if case.paid]
    taken = Counter(one["amount_captured"] for one in processor["payments"] if one["amount_captured"])
    given = Counter(one["amount"] for one in processor["refunds"] if one["status"] == "succeeded")
    wrong = _compared("payment", Counter(case.amount for case in wanted), taken)
    wrong += _compared("refund", Counter(case.given_back for case in wanted if case.given_back), given)
    return wrong + [f"payment {one['id']} was voided" for one in processor["payments"] if one["voided"]]


def postings(cases: Iterable[Case], resources: Sequence[Doc]) -> list[str]:
    """The EHR's own store: a PaymentReconciliation for each payment, a negative one for each refund."""
    wanted: Counter[Decimal] = Counter()
    for case in cases:
        if case.paid:
            wanted[case.money] += 1
        if case.given_back:
            wanted[Decimal(-case.given_back).scaleb(-2)] += 1
    stored = {one["id"]: one["resource"] for one in resources}
    amounts = Counter(Decimal(str(one["paymentAmount"]["value"])) for one in stored.values())
    identifiers = Counter(one["identifier"][0]["value"] for one in stored.values())
    wrong = _compared("PaymentReconciliation", wanted, amounts)
    return wrong + [f"{name} was posted {count} times" for name, count in identifiers.items() if count > 1]


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[Units]:
    clock = SystemClock()
    database = open_database(url, clock=clock, ids=RandomIds(clock), read_only=True)
    await database.start()
    try:
        yield database.units("main")
    finally:
        await database.stop()


async def unfinished(url: str) -> list[str]:
    """What is still to be done, in words."""
    async with reading(url) as units:
        return await units.read(_unfinished)


async def in_hand(url: str) -> list[str]:
    """What a worker still holds a lease of."""
    async with reading(url) as units:
        return await units.read(_in_hand)


def _in_hand(tx: Tx) -> list[str]:
    held = (_work.c.tenant_id == tx.tenant, _work.c.state == "ready", _work.c.owner.is_not(None))
    return [f"{row['kind']} {row['ref']}" for row in tx.all(select(_work).where(*held))]


def _unfinished(tx: Tx) -> list[str]:
    left: list[str] = []
    for row in tx.all(select(_work).where(_work.c.tenant_id == tx.tenant, _work.c.state == "ready")):
        if row["kind"] in _STANDING and not row["error"]:
            continue  # comes back by itself for ever
        if row["kind"] in _LOOKUPS and _settled(tx, row["ref"]):
            continue  # comes by once more, to see that there is nothing to see
        left.append(f"{row['kind']} {row['ref']} attempt {row['attempt']} due {row['claim_at']}: {row['error']}")
    return left + [f"posting of {one.subject} is {one.state}" for one in writeback.unfinished(tx)]


def _settled(tx: Tx, operation_id: str) -> bool:
    operation = payments.operation(tx, operation_id)
    payment = payments.get(tx, operation.payment_id)
    return operation.state not in OPEN and payment.state is PaymentState.CAPTURED


async def our_books(
    url: str, *, cases: Sequence[Case], acknowledged: Collection[str], delivered: Collection[str], held: int
) -> list[str]:
    """Ours: what was acknowledged is here once and has taken effect once, the ledger is whole and says what the
    processor holds, nothing is unknown, and nothing waits for a person."""
    async with reading(url) as units:
        wrong = await units.read(_stored_once, [*acknowledged, *delivered])
        for some in range(0, len(cases), 100):
            wrong += await units.read(_effects, cases[some : some + 100])
        return wrong + await units.read(_books, held)


def _stored_once(tx: Tx, ids: Iterable[str]) -> list[str]:
    wrong: list[str] = []
    for name in ids:
        states = [message.state for message in find_by_control_id(tx, name)]
        if states not in (["applied"], ["ignored"]):
            wrong.append(f"message {name}, acknowledged, is {states}")
    return wrong


def _effects(tx: Tx, cases: Iterable[Case]) -> list[str]:
    wrong: list[str] = []
    for case in cases:
        if case.kind == "charges":
            (account,) = fhir.find(tx, "Account", *case.account.split("|"))
            owed = [one.pending.minor for one in obligations.obligations_of(tx, f"Account/{account.id}")]
            if sorted(owed) != [(turn + 1) * 100 for turn in range(CHARGES)]:
                wrong.append(f"the charges of case {case.number} are {owed}")
        elif case.kind != "copay" and fhir.get(tx, "Invoice", f"i{case.number}") is None:
            wrong.append(f"the invoice of case {case.number} is lost")
    return wrong


def _books(tx: Tx, held: int) -> list[str]:
    wrong = [str(finding) for finding in examine(tx)]
    clearing = ledger.balance(tx, "processor_clearing")
    if clearing != held:
        wrong.append(f"the ledger says that the processor holds {clearing}, and it holds {held}")
    wrong += [f"{one.operation_id} is unknown" for one in payments.unknown_operations(tx)]
    wrong += [
        f"{one.kind} {one.ref} is parked: {one.reason}" for queue in ("inbox", "outbox") for one in parked(tx, queue)
    ]
    return wrong + [f"a break: {one.kind} {one.says}" for one in payments.breaks(tx)]
