"""Operation × fault: how each cell of the matrix is run, what must be true after it, and how it says it was resolved.

A cell is a payment of its own in a world that a file's cells share. The oracle is the processor's own list of money
movements; beside it our recorder stands between use cases and adapter and notes every call with its key and outcome, so
that a blind resend shows. `matrices.py` prints what the cells say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from fhirpay.db.metadata import table
from fhirpay.db.unit import Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.dispute import GONE
from fhirpay.domain.operation import OperationState
from fhirpay.errors import ProcessorUnavailable, RuleBroken
from fhirpay.net.http import client
from fhirpay.payments import refunds, store
from fhirpay.payments.port import ActionNeeded, DisputeSeen, InReview, ProvenAbsent, Unknown
from fhirpay.payments.tables import StoredMethodRow
from fhirpay.usecases import on_terminal
from payments_world import World, usd

CALLS = (
    "never sent",
    "before",
    "lost request",
    "after",
    "lost answer",
    "error500",
    "hang",
    "rate limited",
    "weird",
    "late",
)
EVENTS = ("event late", "duplicated", "out of order", "forged", "dropped", "silent 48 h")
COLUMNS = (*CALLS, *EVENTS)
MONEY = frozenset(
    {"submit", "capture", "void", "refund", "accept_dispute", "start_on_reader", "cancel_on_reader"}
)  # calls that may move money, or stop it from moving
NOBODY = "http://127.0.0.1:9"
ALWAYS = 1_000_000
TROUBLE = pytest.mark.warns("operation.unknown", "webhook.refused", "work.retry")  # what every cell is about
PAID = 80_00
GIVEN_UP = "proven absent, given up"
# How a call that may move money is resolved. What was done is found by looking; what was lost goes out again, same key.
RESOLVED = {
    "never sent": ("retry (never sent)",),
    "before": ("same key",),
    "lost request": ("same key",),
    "after": ("lookup",),
    "lost answer": ("lookup",),
    "error500": ("proven absent, anew", GIVEN_UP),
    "hang": ("lookup", "retry (never sent)"),  # its second may be over before there is a connection
    "rate limited": ("retry (never sent)",),
    "weird": ("lookup",),
    "late": ("same key", "lookup"),
    "event late": ("lookup",),
    "duplicated": ("webhook",),
    "out of order": ("webhook",),
    "forged": ("same key",),
    "dropped": ("lookup",),
    "silent 48 h": ("unknown, listed; lookup",),
}
# Where no key is honoured nothing goes out again before it is proven absent.
WITHOUT_KEYS = {
    "before": ("proven absent, anew",),
    "lost request": ("proven absent, anew",),
    "late": ("lookup",),
    "forged": ("proven absent, anew",),
}
# The same where nothing can be read: the same call again is the question, and the signed event the other answer.
_TOLD = ("same key", "same key, event")
RESOLVED_UNREADABLE = {
    "never sent": ("retry (never sent)", "retry (never sent), event"),
    "before": _TOLD,
    "lost request": _TOLD,
    "after": ("event",),  # its key repeats the error
    "lost answer": _TOLD,
    "hang": (*_TOLD, "retry (never sent)", "retry (never sent), event"),
    "rate limited": _TOLD,
    "weird": _TOLD,
    "late": _TOLD,
    "event late": _TOLD,
    "duplicated": ("event",),
    "out of order": ("event",),
    "forged": _TOLD,
    "dropped": ("same key", "listed; same key, event"),
    "silent 48 h": ("unknown, listed; same key", "unknown, listed; same key, event"),
}
BACK = 30_00


# ── what goes through the port ────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Call:
    name: str
    key: str
    at: datetime
    by_event: bool
    outcome: Any = None  # or the exception

    @property
    def never_sent(self) -> bool:
        return isinstance(self.outcome, ProcessorUnavailable)

    @property
    def known(self) -> bool:
        """Whether it says what became of the call: done, refused, or taken in (a refund that is on its way)."""
        return not isinstance(
            self.outcome, ProcessorUnavailable | Unknown | ProvenAbsent | ActionNeeded | InReview | None
        )


class Recorder:
    """The adapter, with every call noted. `unreachable` and `impatient` are told for which call, and for how many."""

    def __init__(self, adapter: Any, clock: FrozenClock) -> None:
        self.adapter = adapter
        self.clock = clock
        self.calls: list[Call] = []
        self.by_event = False
        self._other_network: dict[str, list[Any]] = {}

    def unreachable(self, name: str, times: int) -> None:
        self._other_network[name] = [client(NOBODY, allow_private=True) for _ in range(times)]

    def impatient(self, name: str) -> None:
        """The next call waits one second, and no longer."""
        self._other_network[name] = [client(self.adapter._http.base_url, timeout_s=1, allow_private=True)]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.adapter, name)
        if name not in {*MONEY, "prepare", "open_page", "open_setup_page", "lookup", "read_dispute"}:
            return found

        async def noted(*args: Any, **more: Any) -> Any:
            call = Call(name, more.get("idempotency_key", ""), self.clock.now(), self.by_event)
            self.calls.append(call)
            usual = self.adapter._http
            others = self._other_network.get(name)
            if others:
                self.adapter._http = others.pop()
            try:
                call.outcome = await found(*args, **more)
            except ProcessorUnavailable as error:
                call.outcome = error
                raise
            finally:
                if self.adapter._http is not usual:
                    await self.adapter._http.aclose()
                    self.adapter._http = usual
            return call.outcome

        return noted


def no_blind_resend(calls: list[Call], ttl: timedelta | None) -> None:
    """A second call with the same key only while the key lives; with another key only after proof of no effect."""
    first_sent: dict[str, datetime] = {}
    last: dict[str, Call] = {}
    absent = False
    for call in calls:
        if call.name == "lookup":
            absent = absent or isinstance(call.outcome, ProvenAbsent)
        if call.name not in MONEY:
            continue
        before = last.get(call.name)
        if before is not None and before.key == call.key:
            assert ttl is not None, calls
            assert call.at < first_sent[call.key] + ttl, calls
        elif before is not None:
            assert before.never_sent or absent, calls
        first_sent.setdefault(call.key, call.at)
        last[call.name] = call
        absent = False


# ── rows ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Case:
    """One cell under way."""

    bench: Bench
    account: str
    payment_id: str = ""
    refund_id: str = ""
    method_id: str = ""
    setup_url: str = ""

    @property
    def world(self) -> World:
        return self.bench.world

    async def state(self) -> str:
        return await self.world.state(self.payment_id)


Does = Callable[[Case], Awaitable[None]]


@dataclass(frozen=True)
class Row:
    """One operation. `asked` is the processor's name of the call, `call` the port's."""

    name: str
    asked: str
    call: str
    stage: Does
    act: Does
    again: Does  # must be refused while nobody knows
    done: Callable[[Case], Awaitable[bool]]
    moves: tuple[int, ...]  # every movement of money of this payment, at the processor
    state: str
    askable: int
    finish: Does | None = None  # what the payer does afterwards
    breaks: frozenset[str] = frozenset()
    first_lose: str = ""  # rows about questions: the call whose answer is lost, so that there is something to ask
    only: str = ""  # the one processor that can be brought to it
    needs: str = ""  # the capability without which there is no such operation
    not_here: dict[str, str] = field(default_factory=dict)  # columns without a meaning, and why
    given_up: bool = False  # proven absent too late, it is not tried again: nobody may stand at the reader any more


async def nothing(case: Case) -> None:
    """Nothing to prepare."""


async def pays(case: Case) -> None:
    case.method_id = case.method_id or await case.bench.method(case.account)
    case.payment_id = await case.world.start(case.account, method_id=case.method_id)


async def holds(case: Case) -> None:
    case.method_id = await case.bench.method(case.account)
    case.payment_id = await case.world.start(case.account, method_id=case.method_id, capture=False)


async def paid(case: Case) -> None:
    await pays(case)
    await case.world.work()
    assert await case.state() == "captured"


async def refundable(case: Case) -> None:
    """Paid, and settled where that has to be before anything goes back."""
    await paid(case)
    if not case.bench.recorder.capabilities.refund_before_settlement:
        await case.world.processor.settle()


async def held(case: Case) -> None:
    await holds(case)
    await case.world.work()
    assert await case.state() == "authorized"


async def captures(case: Case) -> None:
    await case.world.capture(case.payment_id)


async def voids(case: Case) -> None:
    await case.world.void(case.payment_id)


async def refunds_a_part(case: Case) -> None:
    case.refund_id = await case.world.refund(case.payment_id, BACK)


async def refunds_more_than_the_rest(case: Case) -> None:
    await case.world.refund(case.payment_id, PAID - BACK + 1)


async def opens(case: Case) -> None:
    case.payment_id = await case.world.start(case.account)


async def opened(case: Case) -> None:
    await opens(case)
    await case.world.work()
    assert await has_page(case)


async def payer_pays(case: Case) -> None:
    payment = await case.world.units.read(store.get, case.payment_id)
    assert payment.hosted_url
    await case.world.processor.pay_page(payment.hosted_url)


async def opened_and_expired(case: Case) -> None:
    await opened(case)
    await case.world.work(hours=25)
    assert await case.state() == "expired"


async def payer_pays_late(case: Case) -> None:
    payment = await case.world.units.read(store.get, case.payment_id)
    assert payment.hosted_url
    page = payment.hosted_url.rpartition("/")[2]
    await case.world.processor.control("late_success", {"checkout": page, "card": "4242424242424242"})


async def has_page(case: Case) -> bool:
    return bool((await case.world.units.read(store.get, case.payment_id)).hosted_url)


async def asks_for_setup(case: Case) -> None:
    """The client asks for a page to store a method on, and after an error again: with a new key when it may."""
    for attempt in range(6):
        answer = await case.world.api.post(
            "/api/v1/method-setups",
            json={"account": case.account},
            headers={"Idempotency-Key": f"{case.account}-{attempt // 3}"},
        )
        if answer.status_code == 201:
            case.setup_url = answer.json()["url"]
            return
        assert answer.status_code == 503, answer.text


async def has_setup(case: Case) -> bool:
    return bool(case.setup_url)


def is_(state: str) -> Callable[[Case], Awaitable[bool]]:
    async def reached(case: Case) -> bool:
        return await case.state() == state

    return reached


async def is_refunded(case: Case) -> bool:
    return (await case.world.units.read(refunds.get, case.refund_id)).state == "succeeded"


async def starts_on_reader(case: Case) -> None:
    case.payment_id = await case.world.start(case.account, terminal="front")


async def on_reader(case: Case) -> None:
    await starts_on_reader(case)
    await case.world.work()
    assert await case.state() == "requires_action"


async def taps(case: Case) -> None:
    """The payer, if the reader still asks."""
    if await case.state() == "requires_action":
        await case.world.processor.at_reader(case.world.side.readers[0], "tap")


async def cancels(case: Case) -> None:
    await case.world.units.write(on_terminal.cancel, case.payment_id)


async def is_started(case: Case) -> bool:
    """It waits on the reader, or was given up."""
    return await case.state() in ("requires_action", "canceled")


_UNTOLD = dict.fromkeys(EVENTS, "no event tells of it")
_BY_PAYER = dict.fromkeys(CALLS, "the payer's call, not ours")
_WITHOUT = {
    "void_after_capture": "this processor does not do it: a captured payment is refunded",
    "setup_page": "this processor has no page to store a method on without paying",
    "prepares": "nothing is prepared: it is no call",
    "readable": "no payment can be read",
    "bank_debits": "no bank account is debited by this processor's adapter",
    "terminals": "no card reader is driven through this processor's adapter",
    "accept_disputes": "a dispute is given up at this processor's own site",
}
_ONLY = {
    "page paid, expired": "an expired page of this processor can't be paid",
    "bank debit, returned": "what comes back after it cleared is a dispute here",
    "bank debit, disputed": "what comes back after it cleared is a return here",
}
_QUESTION = {
    "error500": "a question has no key to spoil",
    "after": "for a question the same as before",
    "late": "a question has no effect",
    **dict.fromkeys(EVENTS, "a question has no effect"),
}

ROWS = (
    Row("prepare", "create", "prepare", nothing, pays, pays, is_("captured"), (PAID,), "captured", 0, not_here=_UNTOLD,
        needs="prepares"),
    Row("sale", "confirm", "submit", nothing, pays, pays, is_("captured"), (PAID,), "captured", 0),
    Row("authorize", "confirm", "submit", nothing, holds, holds, is_("authorized"), (), "authorized", 0),
    Row("capture", "capture", "capture", held, captures, captures, is_("captured"), (PAID,), "captured", 0),
    Row("void, held", "void", "void", held, voids, voids, is_("canceled"), (), "canceled", PAID),
    Row(
        "void, taken",
        "void",
        "void",
        paid,
        voids,
        voids,
        is_("voided"),
        (PAID, -PAID),
        "voided",
        PAID,
        needs="void_after_capture",
    ),
    Row(
        "refund",
        "refund",
        "refund",
        refundable,
        refunds_a_part,
        refunds_more_than_the_rest,
        is_refunded,
        (PAID, -BACK),
        "captured",
        0,
    ),
    Row(
        "page opened",
        "checkout",
        "open_page",
        nothing,
        opens,
        opens,
        has_page,
        (PAID,),
        "captured",
        0,
        finish=payer_pays,
        not_here=_UNTOLD,
    ),
    Row("page paid", "", "lookup", opened, payer_pays, opens, is_("captured"), (PAID,), "captured", 0,
        not_here=_BY_PAYER),
    Row(
        "page paid, expired",
        "",
        "lookup",
        opened_and_expired,
        payer_pays_late,
        opens,
        is_("captured"),
        (PAID,),
        "captured",
        0,  # what it was for had become free; the late money is credit beside it, so nothing more is asked for
        breaks=frozenset({"late_success"}),
        only="simulated",
        not_here={**_BY_PAYER, **dict.fromkeys(("dropped", "silent 48 h"), "only a settlement report would tell")},
    ),
    Row("setup page", "checkout", "open_setup_page", nothing, asks_for_setup, nothing, has_setup, (), "", PAID,
        needs="setup_page", not_here={**_UNTOLD}),
    Row(
        "lookup",
        "get",
        "lookup",
        nothing,
        pays,
        pays,
        is_("captured"),
        (PAID,),
        "captured",
        0,
        first_lose="confirm",
        needs="readable",
        not_here=_QUESTION,
    ),
    Row(
        "list",
        "list",
        "lookup",
        refundable,
        refunds_a_part,
        refunds_more_than_the_rest,
        is_refunded,
        (PAID, -BACK),
        "captured",
        0,
        first_lose="refund",
        needs="readable",
        not_here=_QUESTION,
    ),
    Row(
        "terminal start",
        "process",
        "start_on_reader",
        nothing,
        starts_on_reader,
        cancels,
        is_started,
        (PAID,),
        "captured",
        0,
        finish=taps,
        needs="terminals",
        not_here=_UNTOLD,
        given_up=True,
    ),
    Row(
        "terminal paid",
        "",
        "lookup",
        on_reader,
        taps,
        starts_on_reader,
        is_("captured"),
        (PAID,),
        "captured",
        0,
        needs="terminals",
        not_here={**_BY_PAYER, "silent 48 h": "it is canceled after three minutes, and that tells"},
    ),
    Row(
        "terminal cancel",
        "void",
        "cancel_on_reader",
        on_reader,
        cancels,
        cancels,
        is_("canceled"),
        (),
        "canceled",
        PAID,
        needs="terminals",
    ),
)  # fmt: skip


def cells(*rows: str) -> list[Any]:
    """The cells of these rows, as pytest's parameters."""
    return cells_of([row for row in ROWS if row.name in rows])


def cells_of(rows: Sequence[Row], *marks: pytest.MarkDecorator) -> list[Any]:
    found, marked = list(rows), (TROUBLE, *marks)
    return [pytest.param(row, column, id=f"{row.name}-{column}", marks=marked) for row in found for column in COLUMNS]


# ── running one ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _run(tx: Tx, statement: Any) -> None:
    tx.execute(statement)


@dataclass
class Bench:
    """The world that cells share."""

    world: World
    recorder: Recorder
    method_id: str = ""
    bank_id: str = ""
    by_event: bool = False  # an event ended the cell

    async def method(self, account: str) -> str:
        """The stored method that always pays; it is this account's now."""
        if not self.method_id:
            self.method_id = await self.world.method(account)
        moved = update(table(StoredMethodRow)).values(account_ref=account)
        await self.world.units.write(_run, moved)
        return self.method_id

    async def account_of_payer(self, account: str, *, fresh: bool = False) -> str:
        """The stored bank account whose debits clear; it is this account's now. `fresh`: one of its own."""
        if fresh:
            return await self.world.method(account, self.world.side.banks["clears"], bank=True)
        if not self.bank_id:
            self.bank_id = await self.world.method(account, self.world.side.banks["clears"], bank=True)
        mine = table(StoredMethodRow)
        await self.world.units.write(
            _run, update(mine).where(mine.c.method_id == self.bank_id).values(account_ref=account)
        )
        return self.bank_id

    def not_here(self, row: Row, column: str) -> str:
        """Why the cell has no meaning. Empty: it has."""
        if row.needs and not getattr(self.recorder.capabilities, row.needs):
            return _WITHOUT[row.needs]
        if row.call == "prepare" and not self.recorder.capabilities.prepares:
            return "this processor prepares nothing: there is no call"
        if row.only and row.only != self.world.side.name:
            return _ONLY[row.name]
        if column == "error500" and row.call in MONEY and not self.readable:
            return "its key repeats the error and nothing can be read: listed, for a person"
        return row.not_here.get(column, "")

    @property
    def readable(self) -> bool:
        return self.recorder.capabilities.readable

    async def pass_time(self, seconds: float) -> None:
        self.world.clock.advance(timedelta(seconds=seconds))
        await self.world.processor.control("clock", {"advance_s": seconds})

    async def outbox(self) -> None:
        await self.world.outbox.drain()

    async def inbox(self) -> None:
        self.recorder.by_event = True
        await self.world.inbox.drain()
        self.recorder.by_event = False

    def unseen(self) -> list[dict[str, Any]]:
        id_ = self.world.side.event_id
        new = [event for event in self.world.events() if event[id_] not in self.world.seen_events]
        self.world.seen_events |= {event[id_] for event in new}
        return new

    async def tell(self, events: list[dict[str, Any]], row: Row | None = None, case: Case | None = None) -> None:
        """With `row` and `case` it is noted whether it was an event that ended the cell."""
        before = row is not None and case is not None and not await row.done(case)
        for event in events:
            assert (await self.world.event(event)).status_code == 200
        await self.inbox()
        if before and row is not None and case is not None and await row.done(case):
            self.by_event = True

    async def clear_faults(self) -> None:
        await self.world.processor.http.delete(f"{self.world.processor.base_url}/control/faults")

    async def until_done(self, row: Row, case: Case, *, told: bool = False) -> None:
        """`told`: after five minutes events come in as well, where there is nothing to read instead."""
        for seconds in (0, 2, 10, 60, 120, 300, 600, 1800, 3600):
            if seconds:
                await self.pass_time(seconds)
            await self.outbox()
            if await row.done(case):
                return
            if told and seconds >= 300 and not self.readable:
                await self.tell(self.unseen(), row, case)
                if await row.done(case):
                    return

    async def run(self, row: Row, column: str) -> str:
        """Run the cell; how it was resolved. Raises AssertionError."""
        name = f"{row.name}-{column}".replace(" ", "-").replace(",", "")
        case = Case(self, await self.world.invoiced(name, PAID))
        await row.stage(case)
        self.unseen()  # what was before is told no more
        self.recorder.calls.clear()
        self.by_event = False
        try:
            said = await self._faulted(row, column, case)
            assert row.call not in MONEY or said in self.resolved(row, column), self.recorder.calls
        finally:
            await self.clear_faults()
        assert await row.done(case), self.recorder.calls
        if row.given_up and said == GIVEN_UP:
            row = replace(row, state="canceled", moves=(), askable=PAID)
        if row.finish:
            await row.finish(case)
        # Whatever is told afterwards, twice and backwards, changes nothing.
        late = self.unseen()
        if column != "dropped":
            await self.tell([*late, *reversed(late)])
        elif row.finish:
            await self.tell(late)
        await self.pass_time(7200)
        await self.outbox()
        if row.needs == "bank_debits":  # or it would be looked at every week of the cells to come
            await self.pass_time(61 * 24 * 3600)
            await self.outbox()
        await self.check(row, case)
        if row.state == "authorized":  # or it would be looked at every day of the cells to come
            await voids(case)
            await self.outbox()
        return said

    def resolved(self, row: Row, column: str) -> tuple[str, ...]:
        """Where no key keeps a 500, the same one does it; where no call has a key, nothing is sent again."""
        if not self.readable:
            return RESOLVED_UNREADABLE[column]
        if self.recorder.capabilities.idempotency_ttl is None:
            return (RESOLVED | WITHOUT_KEYS)[column]
        return RESOLVED["before" if column == "error500" and self.world.side.forgets_errors else column]

    async def _faulted(self, row: Row, column: str, case: Case) -> str:
        if row.first_lose:
            await self.world.processor.fault(row.first_lose, "lost_answer", times=4)
        if column in CALLS:
            return await self._call_fault(row, column, case)
        if column == "silent 48 h":
            return await self._silent(row, case)
        return await self._event_fault(row, column, case)

    async def _call_fault(self, row: Row, column: str, case: Case) -> str:
        if column == "never sent":
            self.recorder.unreachable(row.call, times=2)
        else:
            if column == "hang":
                self.recorder.impatient(row.call)
            await self.world.processor.fault(row.asked, column.replace(" ", "_"), seconds=30)
        await row.act(case)
        await self.until_done(row, case, told=True)
        return self.resolution(row)

    def resolution(self, row: Row) -> str:
        if self.readable:
            return resolution(self.recorder.calls, row.call)
        return resolution_unreadable(self.recorder.calls, row.call, by_event=self.by_event)

    async def _event_fault(self, row: Row, column: str, case: Case) -> str:
        if row.asked:
            fault = "lost_request" if column == "forged" else "lost_answer"
            await self.world.processor.fault(row.asked, fault)
        await row.act(case)
        await self.outbox()
        if row.asked:
            await self.is_unknown_and_blocks(row, case)
        told, dropped = self.unseen(), list[dict[str, Any]]()
        match column:
            case "forged":
                await self._forged(row, case, told)
            case "duplicated":
                await self.tell([event for event in told for _ in range(3)], row, case)
            case "out of order":
                await self.tell(told[::-1], row, case)
            case "dropped":
                dropped, told = told, []
        if column in ("duplicated", "out of order"):
            assert await row.done(case), self.recorder.calls
        await self.until_done(row, case)
        listed = ""
        if not self.readable:
            told += self.unseen()
        if column == "event late":
            await self.pass_time(7200)
            await self.tell(told, row, case)
        elif column == "dropped" and not self.readable and not await row.done(case):
            await self.is_listed_after_a_day(case)
            listed = "listed; "
            await self.tell([*dropped, *told], row, case)  # it is said again for weeks, or by hand at the processor
        elif not await row.done(case):  # only an event can tell, and it is the true one that does
            await self.tell(told, row, case)
        return f"{listed}{self.resolution(row)}"

    async def is_listed_after_a_day(self, case: Case) -> None:
        for hours in (6, 6, 6, 6, 6):
            await self.pass_time(hours * 3600)
            await self.outbox()
        listed = await self.world.units.read(lambda tx: store.breaks(tx, payment_id=case.payment_id))
        assert "unknown_outcome" in {one.kind for one in listed}

    async def _forged(self, row: Row, case: Case, told: list[dict[str, Any]]) -> None:
        """Somebody else says that it has happened, by an event that we would take if our processor had signed it."""
        template = next(event for event in reversed(self.world.events()) if event not in told)
        asked = len(self.recorder.calls)
        answer = await self.world.event(
            {**template, self.world.side.event_id: "evt_forged"}, secret="whsec_somebody_else"
        )
        assert answer.status_code == 401
        await self.inbox()
        assert len(self.recorder.calls) == asked
        assert not await row.done(case)

    async def _silent(self, row: Row, case: Case) -> str:
        """No answer, no event, nothing to read for two days; the key dies after one."""
        if row.asked:
            await self.world.processor.fault(row.asked, "lost_answer", times=ALWAYS)
        await row.act(case)
        await self.outbox()  # sent; what an adapter reads before it sends was read
        for operation in ("get", "list"):
            await self.world.processor.fault(operation, "before", times=ALWAYS)
        for hours in (0.1, 1, 6, 16, 1, 24):
            await self.pass_time(hours * 3600)
            await self.outbox()
            if hours == 1:
                await self.is_unknown_and_blocks(row, case)
        assert not await row.done(case)
        listed = await self.world.units.read(lambda tx: store.breaks(tx, payment_id=case.payment_id))
        assert "unknown_outcome" in {one.kind for one in listed}
        await self.clear_faults()
        await self.pass_time(6 * 3600)
        await self.outbox()
        if not self.readable and not await row.done(case):
            await self.tell(self.unseen(), row, case)
        return f"unknown, listed; {self.resolution(row)}"

    async def is_unknown_and_blocks(self, row: Row, case: Case) -> None:
        if row.asked:
            unknown = await self.world.units.read(store.unknown_operations)
            assert [one.payment_id for one in unknown] == [case.payment_id]
            assert unknown[0].state is OperationState.UNKNOWN
        with pytest.raises(RuleBroken):
            await row.again(Case(self, case.account, case.payment_id, method_id=case.method_id))

    async def check(self, row: Row, case: Case) -> None:
        books = await self.world.processor.books()
        no_blind_resend(self.recorder.calls, self.recorder.capabilities.idempotency_ttl)
        assert moved(books, self.world.side.known_as(case.payment_id)) == list(row.moves)
        balances = await self.world.balances()
        held = books["totals"].get("USD", {}).get("balance", 0)
        assert balances.get("processor_clearing", 0) == held, (balances, books["totals"])
        assert await self.world.askable(case.account) == row.askable
        assert await self.world.units.read(store.unknown_operations) == []
        if case.payment_id:
            payment = await self.world.units.read(store.get, case.payment_id)
            assert payment.state == row.state
            assert (payment.captured, payment.refunded) == (
                usd(PAID if row.state in ("captured", "returned") else 0),
                usd(BACK if -BACK in row.moves else 0),
            )
            open_ = await self.world.units.read(lambda tx: store.breaks(tx, payment_id=case.payment_id))
            assert {one.kind for one in open_} == row.breaks


def moved(books: dict[str, Any], our_reference: str) -> list[int]:
    """Each movement of this payment's money at the processor, in order."""
    mine = {
        doc["id"]
        for doc in books["payments"]
        if our_reference and our_reference in doc.get("references", [doc["reference"]])
    }
    return [
        one["amount"]
        for one in books["movements"]
        if one.get("payment_intent", one.get("payment")) in mine and not one.get("type", "").endswith("_fee")
    ]


def resolution(calls: list[Call], name: str) -> str:
    """By which call the outcome became known."""
    asks = ("lookup", "read_dispute")
    mine = [call for call in calls if call.name in (name, *asks)]
    for number, call in enumerate(mine):
        waits = name == "start_on_reader" and isinstance(call.outcome, ActionNeeded)
        if (not call.known and not waits) or (isinstance(call.outcome, DisputeSeen) and call.outcome.state not in GONE):
            continue
        if call.name == name and name in asks:
            return "webhook" if call.by_event else f"lookup, asked {number + 1} ×"
        if call.name in asks:
            return "webhook" if call.by_event else "lookup"
        earlier = [one for one in mine[:number] if one.name == name]
        if not earlier:
            return "answer"
        if earlier[-1].never_sent:
            known = "never sent" if name in MONEY else "no money moves"
            return f"retry ({known})"
        return "same key" if earlier[-1].key == call.key else "proven absent, anew"
    absent = any(isinstance(call.outcome, ProvenAbsent) for call in mine)
    return GIVEN_UP if absent and name == "start_on_reader" else "unknown, listed"


def resolution_unreadable(calls: list[Call], name: str, *, by_event: bool) -> str:
    """The same where nothing can be read: by the answer to which call, and whether an event ended it."""
    mine = [call for call in calls if call.name == name]
    answered = [call for call in mine if not isinstance(call.outcome, ProcessorUnavailable | Unknown | None)]
    event = ", event" if by_event else ""
    if name not in (*MONEY, "lookup"):
        return resolution(calls, name)
    if name not in MONEY or not answered:
        return "event" if by_event else "unknown, listed"
    earlier = mine[: mine.index(answered[0])]
    if not earlier:
        return f"answer{event}"
    if earlier[-1].never_sent:
        return f"retry (never sent){event}"
    return f"same key{event}" if earlier[-1].key == answered[0].key else f"anew{event}"


@asynccontextmanager
async def bench_of(world: World) -> Any:
    recorder = Recorder(world.registry.of("main"), world.clock)
    world.registry._processors["main"] = recorder  # type: ignore[assignment]
    yield Bench(world, recorder)
