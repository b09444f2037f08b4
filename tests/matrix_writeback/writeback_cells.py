"""Way × fault: one play for every cell, judged by the EHR's own books.

A payment and its refund are to be posted to an EHR that goes wrong in one way. It has never had anything from us (the
hard case: nothing is known of what it really does), or it has taken a payment before. Time passes, what is passing
passes, another payment comes, two days go by. At no time are there two of one, or a refund without its payment; in the
end each is there once and known to be, or it is on the worklist (the cells of `LISTED`), and once a person has looked
and said what they saw, it is there once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fhirpay.simulators.ehr_faults import Fault
from fhirpay.usecases.postings import by_hand
from writeback_world import KIND, PAYMENT, R4, R5, WAYS, Desk, refund_of

REFUND = refund_of(PAYMENT)
WRITES = ["PUT", "POST"]
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
SIX_HOURS_S = 6 * 3600


@dataclass(frozen=True)
class Row:
    """What goes wrong. `faults` are there from the start, those that are `lasting` for good; `amid` happens later."""

    faults: tuple[Fault, ...] = ()
    lasting: tuple[Fault, ...] = ()
    switches: tuple[tuple[str, Any], ...] = ()
    strangers: int = 0
    at_its_id: bool = False  # one of them
    amid: Callable[[Desk], None] | None = None
    hours: int = 0  # how long the passing ones last


def once(mode: str, seconds: float = 1) -> Fault:
    """On the first write."""
    return Fault(mode, times=1, seconds=seconds, methods=WRITES)


def always(mode: str, seconds: float = 1, methods: list[str] | None = None) -> Fault:
    return Fault(mode, seconds=seconds, methods=methods or [])


def deleted(desk: Desk) -> None:
    for one in desk.there(PAYMENT):
        desk.ehr.store.delete(desk.kind, one["id"])


def restored(desk: Desk) -> None:
    desk.ehr.store.restore(120)


def stranger(id: str, r5: bool) -> dict[str, Any]:
    amount = {"value": 7, "currency": "USD"}
    paid: dict[str, Any] = {"paymentDate": "2026-11-20", "paymentAmount": amount}
    if r5:
        paid = {"date": "2026-11-20", "amount": amount, "type": {"text": "payment"}}
    return {
        "resourceType": KIND,
        "id": id,
        "identifier": [{"system": "urn:somebody", "value": id}],
        "status": "active",
        "created": "2026-11-20T14:05:09-05:00",
        **paid,
    }


LOST = once("lost_answer")
ROWS: dict[str, Row] = {
    "nothing goes wrong": Row(),
    "cut before anything is stored": Row((once("cut"),)),
    "cut after it is stored": Row((LOST,)),
    "cut in the middle of the answer": Row((once("half_answer"),)),
    "cut, and stored a minute later": Row((once("late", 60),)),
    "silence, nothing stored": Row((once("hang", 0.02),)),
    "silence, stored": Row((once("hang_after", 0.02),)),
    "500, nothing stored": Row((once("error"),)),
    "500, stored": Row((once("error_after"),)),
    "500 to every write for a day": Row((always("error", methods=WRITES),), hours=24),
    "429 with Retry-After": Row((once("busy", 120),)),
    "503 with Retry-After": Row((once("down", 120),)),
    "503 without Retry-After": Row((once("unavailable"),)),
    "503 for a day": Row((always("down", 60),), hours=24),
    "401 to every write for a day": Row((always("expired", methods=WRITES),), hours=24),
    "201 without body and Location": Row((once("silent"),)),
    "201 without body and Location, index 6 h late": Row((once("silent"),), (always("index_lag", SIX_HOURS_S),)),
    "another id than was asked for": Row(lasting=(always("other_id"),)),
    "another id than was asked for, answer lost": Row((LOST,), (always("other_id"),)),
    "announces all and can what it can": Row(lasting=(always("boast"),)),
    "announces all, answer lost": Row((LOST,), (always("boast"),)),
    "refuses our ids with 404": Row(
        lasting=(always("boast"),), switches=(("update_create", False), ("update_refusal", 404))
    ),
    "announces a search that it hasn't, answer lost": Row((LOST,), (always("boast"),), (("search", False),)),
    "If-None-Exist forgotten, answer lost": Row((LOST,), (always("forget_if_none_exist"),)),
    "If-None-Exist forgotten, index 30 s late, answer lost": Row(
        (LOST,), (always("forget_if_none_exist"), always("index_lag", 30))
    ),
    "every index 6 h late, answer lost": Row(
        (LOST,), (always("lagging_if_none_exist", SIX_HOURS_S), always("index_lag", SIX_HOURS_S))
    ),
    "every index 6 h late, cut before": Row(
        (once("cut"),), (always("lagging_if_none_exist", SIX_HOURS_S), always("index_lag", SIX_HOURS_S))
    ),
    "conditions match all, two strangers": Row(lasting=(always("match_all"),), strangers=2),
    "conditions match all, one stranger": Row(lasting=(always("match_all"),), strangers=1),
    "conditions match all, answer lost": Row((LOST,), (always("match_all"),), strangers=2),
    "ours on the fourth page, answer lost": Row((LOST,), (always("match_all"),), (("page_max", 1),), strangers=3),
    "our identifiers rewritten": Row(lasting=(always("rewrite"),)),
    "our identifiers rewritten, answer lost": Row((LOST,), (always("rewrite"),)),
    "stored, answer lost, deleted by staff": Row((LOST,), amid=deleted),
    "stored, answer lost, restored from before": Row((LOST,), amid=restored),
    "a stranger's resource at its id": Row(at_its_id=True),
}

_ANSWERED = {
    "nothing goes wrong",
    "429 with Retry-After",
    "503 with Retry-After",
    "503 for a day",
    "401 to every write for a day",
    "201 without body and Location",
    "201 without body and Location, index 6 h late",
    "another id than was asked for",
    "announces all and can what it can",
    "refuses our ids with 404",
    "conditions match all, two strangers",
    "conditions match all, one stranger",
    "our identifiers rewritten",
    "a stranger's resource at its id",
}
_NOBODY_CAN_TELL = {"announces a search that it hasn't, answer lost", "our identifiers rewritten, answer lost"}

# A financial transaction is created and can't be looked at: what matters is whether an answer came.
BASIC_ROWS = [
    "nothing goes wrong",
    "cut before anything is stored",
    "cut after it is stored",
    "cut, and stored a minute later",
    "silence, stored",
    "500, nothing stored",
    "500, stored",
    "429 with Retry-After",
    "503 without Retry-After",
    "503 for a day",
    "401 to every write for a day",
    "201 without body and Location",
    "announces all, answer lost",
]

# way → where it is for a person; everywhere else it gets there by itself
LISTED: dict[str, set[str]] = {
    "PUT": {"stored, answer lost, deleted by staff"},
    "IF_NONE_EXIST": _NOBODY_CAN_TELL,
    "SEARCH": _NOBODY_CAN_TELL,
    "BLIND": set(ROWS) - _ANSWERED,  # a lost answer is all it takes
    "BASIC": set(BASIC_ROWS) - _ANSWERED,
}

# What is read there by its content, which is where the versions differ.
_BY_CONTENT = {
    "conditions match all, answer lost",
    "our identifiers rewritten",
    "our identifiers rewritten, answer lost",
    "a stranger's resource at its id",
}
# FHIR version, way, row. In R5 every row goes one way in turn: how a posting gets lost has no version.
CELLS = [
    *((R4, way, row) for way in WAYS for row in ROWS),
    *(
        (R5, way, row)
        for turn, way in enumerate(WAYS)
        for place, row in enumerate(ROWS)
        if row in _BY_CONTENT or place % len(WAYS) == turn
    ),
]


async def play(desk: Desk, way: str, row: Row, *, known: bool, version: str = R4) -> str:
    """What came of it, in a few words. Asserts what must hold for every cell."""
    desk.can(**WAYS.get(way, {"financial_transactions": True}), fhir_version=version)
    if known:
        await desk.another("pay-before")
    desk.can(**dict(row.switches))
    for id in [f"stranger-{number}" for number in range(row.strangers)] + [PAYMENT] * row.at_its_id:
        desk.ehr.ehr.chart(stranger(id, desk.ehr.ehr.switches.r5))
    passing = [Fault(**vars(fault)) for fault in row.faults]
    desk.ehr.ehr.faults.set += [*passing, *(Fault(**vars(fault)) for fault in row.lasting)]
    ids = [await desk.settle(), await desk.settle(refund=True)]
    await desk.work()
    never_twice(desk)
    if row.amid:
        row.amid(desk)
    for step in (10 * SECOND, 3 * MINUTE, *[4 * HOUR] * (row.hours // 4)):
        await step_on(desk, step)
    for fault in passing:
        if fault in desk.ehr.ehr.faults.set:
            desk.ehr.ehr.faults.set.remove(fault)
    await step_on(desk, 25 * MINUTE)
    alone = (await desk.posting(ids[0])).state == "posted"
    await desk.settle("pay-after")
    await desk.work()
    for step in (25 * MINUTE, 4 * HOUR, 12 * HOUR, 25 * HOUR):
        await step_on(desk, step)
    items = {item.subject for item in await desk.open_items()}
    payment, _ = [await judge(desk, posting_id, items) for posting_id in ids]
    for posting_id in ids:
        if (await desk.posting(posting_id)).state in ("unknown", "parked"):
            await resolve(desk, posting_id)
            await step_on(desk, 25 * MINUTE)
    assert [await judge(desk, posting_id, set()) for posting_id in ids] == ["once", "once"]
    assert await desk.open_items() == []
    return "once, later" if payment == "once" and not alone else payment


async def step_on(desk: Desk, by: timedelta) -> None:
    await desk.later(by)
    await desk.ehr.control("calls")  # what was to come late comes now
    never_twice(desk)


def never_twice(desk: Desk) -> None:
    for subject in (PAYMENT, REFUND, "pay-after"):
        assert desk.count(subject) <= 1, f"{subject} is at the EHR {desk.count(subject)} times"


async def judge(desk: Desk, posting_id: str, items: set[str]) -> str:
    posting = await desk.posting(posting_id)
    count = desk.count(posting.subject)
    if posting.state == "posted":
        assert count == 1, f"{posting.subject} counts as posted and is there {count} times"
        (there,) = desk.live(posting.subject)
        assert posting.remote_id in (there.id, ""), "another one's id is noted"
        return "once"
    assert posting.work_id in items, f"{posting.subject} is {posting.state} and nobody is told"
    assert posting.reason or posting.is_refund, f"{posting.subject} is {posting.state}, and nobody is told why"
    return f"listed, {'there' if count else 'absent'}"


async def resolve(desk: Desk, posting_id: str) -> None:
    """What a person does with a listed one: look, and say what they saw."""
    posting = await desk.posting(posting_id)
    found = desk.live(posting.subject)
    await desk.units.write(by_hand, posting_id, remote_id=found[0].id if found else None)
