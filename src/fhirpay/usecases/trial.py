"""Messages tried out: the intake, the mapping and the billing of the real program, on a database that is thrown away.

Called by `fhirpay map`, so that what it shows as owed is what a server would ask for; nothing here computes an amount.
The messages of one trial follow each other as on a feed: a credit finds its charge, an ADT lifts a hold. Nothing is
kept, nothing is sent, and no stored method exists, so no policy charges anything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from ..billing import store as obligations
from ..billing.assessment import AT_ONCE
from ..billing.rows import ObligationView
from ..config import Interface, Tenant
from ..db.inline import InlineDatabase
from ..db.migrations import migrate_here
from ..db.unit import Tx, Units
from ..db.wakeups import Wakeups
from ..domain.clock import Clock, FrozenClock
from ..domain.ids import CountedIds, Ids
from ..domain.money import Money
from ..errors import FhirpayError
from ..fhir import store as fhir
from ..flow.worker import Worker
from ..inbox import gate
from ..inbox.store import QUEUE, InboxMessage, find_by_control_id
from ..mapping.loader import Maps
from . import desk_list
from .apply_message import ApplyMessage, accounts_named
from .desk_list import Line
from .receive_hl7 import Hl7Intake

_LINES_MAX = 10_000
_KEY = b"a key that guards nothing: thrown away with the trial"


@dataclass(frozen=True, slots=True)
class Owed:
    """One obligation on an account of the message, as it stands after it."""

    account: str  # its number
    kind: str
    basis: str  # what it rests on, by the sender's own number
    identifiers: tuple[str, ...]  # of what it rests on: system|value
    state: str
    patient: Money
    pending: Money
    askable: Money
    memo: Money  # of before the watermark
    since: datetime | None
    why: tuple[str, ...]

    @property
    def says(self) -> str:
        """In words, with the amount that it is about."""
        amount = self.patient if self.patient or not self.pending else self.pending
        text = f"{amount} {self.state.replace('_', ' ')}"
        if self.memo:
            return f"{self.memo} of before the watermark, not asked for"
        if self.state == "pending":
            text = f"{amount} pending insurance"
        if self.askable:
            text = f"{self.askable} may be asked for"
        elif self.since is not None and self.state == "collectable":
            text += f", from {self.since:%Y-%m-%d}"
        return text


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one message. `refused`: the gate would answer AE or AR, and nothing would be kept."""

    control_id: str
    refused: FhirpayError | None
    state: str
    detail: str
    owed: tuple[Owed, ...]
    accounts: tuple[str, ...] = ()  # the numbers of those that it names, also where nothing is owed any more


class Trial:
    """A world of one tenant and one feed, until it is closed."""

    def __init__(self, units: Units, interface: Interface, intake: Hl7Intake, inbox: Worker) -> None:
        self._units = units
        self._interface = interface
        self._intake = intake
        self._inbox = inbox

    async def run(self, data: bytes) -> Tried:
        """Take in one message and let it take effect."""
        try:
            admitted = gate.admit(data, self._interface, hash_key=_KEY)
        except FhirpayError as error:
            return Tried("", error, "refused", str(error), ())
        async for _ in self._intake.answers(data, source="file"):
            pass
        await self._inbox.drain()
        return await self._units.read(_became, admitted.key[-1])

    async def waiting(self) -> tuple[Line, ...]:
        """What would be on the worklist after all that was run."""
        return (await self._units.read(desk_list.read, limit=_LINES_MAX)).lines


@asynccontextmanager
async def trial(tenant: Tenant, interface: Interface, maps: Maps, *, now: datetime) -> AsyncIterator[Trial]:
    """A fresh world, in which it is `now`."""
    clock = FrozenClock(now)
    ids = CountedIds()
    database = _database(clock, ids)
    await database.start()
    try:
        units = database.units(tenant.name)
        messages = ApplyMessage(units, tenant, lambda _: maps, _KEY)
        inbox = Worker(database, units, queue=QUEUE, handlers={"hl7": messages.hl7}, on_parked=messages.on_parked)
        yield Trial(units, interface, _intake(units, interface, clock, ids, database.wakeups), inbox)
    finally:
        await database.stop()


def _intake(units: Units, interface: Interface, clock: Clock, ids: Ids, wakeups: Wakeups) -> Hl7Intake:
    return Hl7Intake(units, interface, _KEY, clock, ids, wakeups)


def _database(clock: Clock, ids: Ids) -> InlineDatabase:
    made = InlineDatabase(Path(":memory:"), clock=clock, ids=ids)
    made.raw.deserialize(_schema())
    return made


@cache
def _schema() -> bytes:
    """A database with the tables and nothing in them: migrated once in a process."""
    clock = FrozenClock(AT_ONCE)
    made = InlineDatabase(Path(":memory:"), clock=clock, ids=CountedIds())
    migrate_here(made.connection)
    image = made.raw.serialize()
    made.close()
    return image


def _became(tx: Tx, control_id: str) -> Tried:
    message = find_by_control_id(tx, control_id)[-1]
    accounts = tuple(_account(tx, ref) for ref in sorted(accounts_named(tx, message)))
    return Tried(control_id, None, message.state, message.detail, tuple(owed_by(tx, message)), accounts)


def owed_by(tx: Tx, message: InboxMessage) -> list[Owed]:
    """What is owed on the accounts that the message names."""
    return [one for ref in sorted(accounts_named(tx, message)) for one in owed_on(tx, ref)]


def owed_on(tx: Tx, account_ref: str) -> list[Owed]:
    """What is owed on one account, by the senders' own numbers; not what has come to its end without money."""
    views = obligations.obligations_of(tx, account_ref)
    return [_owed(tx, account_ref, one) for one in views if one.patient or one.pending or one.paid or one.memo]


def _owed(tx: Tx, account_ref: str, one: ObligationView) -> Owed:
    basis = _resource(tx, one.basis_key)
    return Owed(
        account=_account(tx, account_ref),
        kind=one.basis_kind,
        basis=_number(basis, last=True) or one.basis_key,
        identifiers=tuple(f"{item.get('system', '')}|{item.get('value', '')}" for item in basis.get("identifier", ())),
        state=str(one.state),
        patient=one.patient,
        pending=one.pending,
        askable=one.askable,
        memo=one.memo,
        since=None if one.collectable_from in (None, AT_ONCE) else one.collectable_from,
        why=tuple(reason.says for reason in one.statement),
    )


def _account(tx: Tx, ref: str) -> str:
    return _number(_resource(tx, ref)) or ref


def _resource(tx: Tx, ref: str) -> dict[str, Any]:
    kind, _, resource_id = ref.partition("/")
    stored = fhir.get(tx, kind, resource_id)
    return stored.resource if stored is not None else {}


def _number(resource: dict[str, Any], *, last: bool = False) -> str:
    values = [str(one.get("value", "")) for one in resource.get("identifier", ())]
    return (values[-1] if last else values[0]) if values else ""
