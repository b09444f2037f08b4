"""Payments and refunds posted to one server while answers get lost, and the judgement by the server's own list.

What holds at any time: for each payment and each refund the server has one PaymentReconciliation at most. What holds
when nothing moves any more: each is known to be there and is there, or is on the worklist, or waits behind a payment
that is; and once a person has looked and said what they saw, each is there once.

Time is a virtual clock's. Every fate follows from the seed, the payment and the number of the call, not from the order
in which tasks happen to run.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from cutting import Cut, Proxy, Request, cutting
from takers import LAGS_S, Taker

from fhirpay.billing.worklist import list_open
from fhirpay.db.unit import Tx, open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.flow.backoff import fraction
from fhirpay.usecases.postings import by_hand
from fhirpay.writeback import store
from writeback_world import Desk, refund_of

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
WRITES_CUT, LOOKS_CUT = 0.6, 0.25
WRITE_CUTS = (*Cut, Cut.WORKING, Cut.BEFORE_ANSWER)  # these two weigh double: they are what a network does
PAUSES = [timedelta(seconds=s) for s in (0, 0, 2, 15, 120, 3600)]
QUIET = timedelta(minutes=20)
PEOPLE_LOOK_EVERY = 4  # rounds
PAYMENTS = 25  # a round
REFUNDED = 0.4


class Fates:
    """Where each call is cut. `on` false: the network is sound."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.on = True
        self._calls: Counter[tuple[str, str]] = Counter()

    def __call__(self, request: Request) -> Cut | None:
        subject = _subject(request)
        if not self.on or not subject:
            return None
        write = request.method in ("POST", "PUT")
        self._calls[subject, request.method] += 1
        number = self._calls[subject, request.method]
        name = f"{self.seed}:{subject}:{request.method}:{number}"
        if fraction(name) >= (WRITES_CUT if write else LOOKS_CUT):
            return None
        cuts = WRITE_CUTS if write else tuple(Cut)
        return cuts[int(fraction(name + ":where") * len(cuts))]


def _subject(request: Request) -> str:
    """The payment or refund that a call is about; empty for what is about none."""
    if request.body:
        return str(json.loads(request.body)["identifier"][0]["value"])
    path = unquote(request.path)
    return path.rpartition("|")[2] if "identifier=" in path else path.rpartition("/")[2].replace("metadata", "")


@dataclass
class Counts:
    """What is reported of one kind of server."""

    payments: int = 0
    refunds: int = 0
    twice: int = 0
    lost: int = 0
    unknown: set[str] = field(default_factory=set)  # was once for a person to look at
    looked_at: set[str] = field(default_factory=set)  # of these: nothing had cleared it up before somebody looked
    there: int = 0  # of what people looked at: it had arrived
    absent: int = 0
    troubles: list[str] = field(default_factory=list)

    @property
    def facts(self) -> int:
        return self.payments + self.refunds


class LostAnswers:
    """One kind of server, one seed."""

    def __init__(self, desk: Desk, taker: Taker, proxy: Proxy, fates: Fates) -> None:
        self.desk, self.taker, self.proxy, self.fates = desk, taker, proxy, fates
        self.counts = Counts()
        self.rounds = 0
        self._ids: dict[str, str] = {}  # posting by payment or refund
        self._open: set[str] = set()  # not yet known to be there

    @property
    def lost_answers(self) -> int:
        """How often a server had done what was asked, and the answer to it didn't come."""
        return sum(n for (method, cut), n in self.proxy.cuts.items() if method != "GET" and cut.loses_answer)

    async def round(self, payments: int = PAYMENTS, *, lag_s: float | None = None) -> None:
        """Some payments, some of them refunded; then time passes until nothing moves. `lag_s`: of its index."""
        chance = random.Random(f"{self.fates.seed} {self.rounds}")
        self.rounds += 1
        drawn = chance.choice(LAGS_S)
        self.taker.lag(drawn if lag_s is None else lag_s)
        paid: list[str] = []
        for _ in range(payments):
            self.counts.payments += 1
            paid.append(f"pay{self.counts.payments}")
            await self._settle(paid[-1])
            await self._step(chance.choice(PAUSES))
            if chance.random() < REFUNDED:
                self.counts.refunds += 1
                await self._settle(chance.choice(paid), refund=True)
                await self._step(chance.choice(PAUSES))
        await self._until_quiet()
        await self._judge()
        if self.rounds % PEOPLE_LOOK_EVERY == 0:
            await self.people_look()

    async def people_look(self) -> None:
        """Each one on the list is looked at and said what it is, until none is left."""
        self.taker.lag(0)
        while waiting := [subject for subject in sorted(self._open) if await self._state(subject) == "unknown"]:
            for subject in waiting:
                if await self._state(subject) != "unknown":  # the one before has cleared it up
                    continue
                there = {subject: id for id, subject in self._listed()}.get(subject)
                self.counts.looked_at.add(subject)
                self.counts.there += there is not None
                self.counts.absent += there is None
                await self.desk.units.write(by_hand, self._ids[subject], remote_id=there)
                await self._step(timedelta())
            await self._until_quiet()
            await self._judge()

    async def end(self) -> None:
        """The network is sound again, people look, and each is there once."""
        self.fates.on = False
        await self._until_quiet()
        await self.people_look()
        for subject in self._open:
            self._trouble(f"{subject} is {await self._state(subject)} in the end")
            self.counts.lost += 1
        counted = Counter(subject for _, subject in self._listed())
        for subject in self._ids:
            if not counted[subject]:
                self._trouble(f"{subject} is not there in the end")

    async def _settle(self, payment_id: str, *, refund: bool = False) -> None:
        subject = refund_of(payment_id) if refund else payment_id
        if refund and subject in self._ids:
            self.counts.refunds -= 1
            return
        self._ids[subject] = await self.desk.settle(payment_id, refund=refund)
        self._open.add(subject)

    async def _step(self, by: timedelta) -> None:
        await self.desk.work()
        await self.proxy.quiet()
        if by:
            self.taker.at(self.desk.clock.now() + by)
            await self.desk.later(by)
            await self.proxy.quiet()

    async def _until_quiet(self) -> None:
        for _ in range(400):
            if not await self._moving():
                return
            await self._step(QUIET)
        self._trouble("it doesn't come to rest")

    async def _moving(self) -> bool:
        """Whether something is on its way, and not for a person or behind a payment that is."""
        for subject in self._open:
            state = await self._state(subject)
            if state == "sent" or (state == "pending" and not await self._behind(subject)):
                return True
        return False

    async def _behind(self, subject: str) -> bool:
        posting = await self.desk.posting(self._ids[subject])
        return posting.is_refund and await self._state(posting.payment_id) in ("unknown", "pending")

    async def _state(self, subject: str) -> str:
        return (await self.desk.posting(self._ids[subject])).state

    async def _judge(self) -> None:
        listed = self._listed()
        counted = Counter(subject for _, subject in listed)
        for subject in [subject for subject, number in counted.items() if number > 1]:
            self.counts.twice += 1
            self._trouble(f"{subject} is there {counted[subject]} times")
        items = {item.subject for item in await self.desk.units.read(list_open)}
        postings = await self.desk.units.read(_all, [self._ids[subject] for subject in self._open])
        for posting in postings:
            subject = posting.subject
            if posting.state == "posted":
                self._open.discard(subject)
                if (posting.remote_id, subject) not in listed:
                    self._trouble(f"{subject} counts as posted, and is not there as {posting.remote_id}")
            elif posting.state == "unknown":
                self.counts.unknown.add(subject)
                if posting.work_id not in items or not posting.reason:
                    self._trouble(f"{subject} is unknown, and nobody is told")
            elif not await self._behind(subject):
                self._trouble(f"{subject} is {posting.state}: {posting.reason}")

    def _listed(self) -> list[tuple[str, str]]:
        return self.taker.listed()

    def _trouble(self, says: str) -> None:
        self.counts.troubles.append(says)


def _all(tx: Tx, ids: list[str]) -> list[Any]:
    return [store.get(tx, id) for id in ids]


@dataclass(frozen=True)
class _Behind:
    """The server as our client sees it: behind the proxy."""

    base_url: str
    at: Any


@asynccontextmanager
async def lost_answers(server: Taker, seed: int, url: str) -> AsyncIterator[LostAnswers]:
    """A desk whose one EHR is that server; `url` is a migrated database."""
    fates, clock = Fates(seed), FrozenClock(START)
    database = open_database(url, clock=clock, ids=CountedIds(), database_clock=False)
    await database.start()
    async with cutting(server.port, fates) as proxy:
        behind = _Behind(f"http://127.0.0.1:{proxy.port}{server.base}", server.at)
        desk = Desk(database, clock, {"ehr": behind})
        try:
            yield LostAnswers(desk, server, proxy, fates)
        finally:
            await desk.aclose()
            await database.stop()
