"""The practice of `month_plan.py` at the program: as `wiring` builds it, with a processor for each place and an EHR.

    acts ─▶ HL7v2 frames, the desk's API, payers at the processor's page, processors' own nights, bank files
              └▶ after each: workers to the end of what is due, events signed and delivered

Everybody is a real application on one clock, which stands still while anybody works and jumps to the next act. One
SQLite in memory, units run inline. `MonthWorld.play` does an act; a test that plants an error changes what others say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import date, datetime
from random import Random

import httpx2
import month_acts
import month_acts_outside
from month_bank import Bank
from month_places import PLACES, Act, Place
from month_plan import Plan
from month_plants import BEFORE, NOT_OPEN, ONE_EACH, Error, Plant
from month_practice import (
    ACCOUNTS,
    EHR_TOKEN,
    GOOD,
    SECRET,
    TOKEN,
    Clock,
    Json,
    Stage,
    money,
    tenant,
)

from fhirpay import wiring
from fhirpay.config import Settings
from fhirpay.fhir.json import loads
from fhirpay.simulators import ehr, processor
from fhirpay.simulators.processor_books import Books
from intake_world import message, verdict
from sim_net import Net, Outside, Server
from sim_time import SeededIds

API = "https://fhirpay.test/api/v1"
ACTS = month_acts.ACTS | month_acts_outside.ACTS


class MonthWorld:
    """`ids` of ours by the plan's names; `said` is by act what was answered wrongly."""

    def __init__(self, plan: Plan) -> None:
        self.plan, seed = plan, plan.seed
        self.clock = Clock()
        self.ids = SeededIds(self.clock, Random(f"{seed}:ids"))  # type: ignore[arg-type]
        self.net = Net(Random(f"{seed}:net"), lambda *_: None, lambda *_: None, bad=0)
        self.inline = Stage.set_for(self)
        settings = Settings(hash_key="k" * 32, public_url="https://fhirpay.test", tenants=(tenant(),))
        outside = self.net.transport(Outside("us"))
        self.system = wiring.build(settings, clock=self.clock, ids=self.ids, transport=outside, database=self.inline)
        self.house = self.system.house("main")
        self.units = self.house.units
        self.workers = self.system.workers("month")
        self.net.hosts["fhirpay.test"] = Server(self.system.web)
        self.processors = {one.name: self._processor(seed, one) for one in PLACES}
        app = ehr.create_app(token=EHR_TOKEN, clock=self.clock.now, new_id=lambda: SeededIds.new(self.ids, "ehr-"))
        self.ehr: ehr.Ehr = app.state.ehr
        self.net.hosts["ehr.test"] = Server(app)
        self.http = self.net.client(Outside("people"))
        self.known: dict[str, str] = {}  # by names of the plan, our ids or theirs
        self.bank = {one.name: Bank(one.name) for one in PLACES}
        self.wrong: list[str] = []
        self.plants: list[tuple[str, Plant]] = []  # that aren't planted yet, by the day from which on
        self.errors: list[Error] = []
        self.apart: Counter[tuple[str, str]] = Counter()  # how far planted errors take the books from the plan's
        self.also: Counter[tuple[str, int]] = Counter()  # what is open, or no more, because of them
        self.taken: Counter[tuple[str, str]] = Counter()  # what was captured because of them, by place and day
        self.put_right: list[tuple[date, tuple[str, str], int]] = []  # what is so no longer, from this night on
        self.held_back: dict[str, list[tuple[str, int]]] = {}  # bags that stand in the bank's next file
        self.more: Counter[str] = Counter()  # by payouts of the plan, what is in them besides
        self.refused: dict[str, str] = {}  # by what was planted, what its sender is told
        self.by_rule: dict[
            str, tuple[str, str]
        ] = {}  # by what was planted, a bank line's reference, and its match's rule
        self.swept: Counter[str] = Counter()  # by day, events that only the processor's list told of
        self.lost = 0  # events that were never delivered
        self.closes: list[Json] = []  # what was signed
        self.planted_all = False
        self.day = ""
        self.keys = 0
        self._messages = 0
        self._cards: dict[tuple[str, str], str] = {}

    def _processor(self, seed: int, place: Place) -> processor.Simulator:
        ids = SeededIds(self.clock, Random(f"{seed}:{place.name}"))  # type: ignore[arg-type]
        app = processor.create_app(
            secret_key=f"sk_{place.name}",
            webhook_url=f"https://fhirpay.test/webhooks/simulated/{place.name}",
            webhook_secrets=[SECRET],
            clock=self.clock.seconds,
            token=ids.token,
        )
        self.net.hosts[f"{place.name}.test"] = Server(app)
        simulator: processor.Simulator = app.state.simulator
        with simulator.books.transaction():
            simulator.books.set("fees", {"per_mille": 29, "fixed": 30})
            simulator.books.set("keys_live_s", 10**9)
        return simulator

    def who(self, name: str) -> str:
        """Whose account a payment of the plan is for."""
        return self.plan.payments[name].who if name in self.plan.payments else self.plan.unpaid[name]

    def books(self, place: str) -> Books:
        return self.processors[place].books

    # ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def post(self, path: str, body: Json) -> Json:
        self.keys += 1
        headers = {"authorization": f"Bearer {TOKEN}", "idempotency-key": f"key-{self.keys}"}
        answer = await self.http.post(API + path, json=body, headers=headers)
        if answer.status_code >= 300:
            self.wrong.append(f"{path} {body} was answered {answer.status_code}: {answer.text}")
            return {}
        return loads(answer.content)

    async def control(self, place: str, path: str, body: Json) -> Json:
        answer = await self.http.post(f"https://{place}.test/control/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def form(self, url: str, **fields: str) -> httpx2.Response:
        """A payer at the processor's page, behind the link that we gave."""
        shown = await self.http.get(url)
        if "location" in shown.headers:
            url = shown.headers["location"]
        return await self.http.post(url, data=fields)

    async def settle(self, place: str = "") -> None:
        """Events are delivered, and everybody works until nothing is due."""
        for _ in range(6):
            done = 0
            for worker in self.workers:
                done += await worker.drain()
            for name in [place] if place else [one.name for one in PLACES]:
                done += await self.processors[name].messenger.deliver(self.http)
            if not done:
                return
        self.wrong.append("it never comes to rest")

    async def hl7(self, place: str, who: str, *lines: str, label: str, insured: bool, **pv1: str) -> None:
        self._messages += 1
        stamp = f"{self.clock.now():%Y%m%d%H%M%S}+0000"
        if insured:
            lines = ("IN1|1|P|77|Payor", *lines)
        body = message(
            f"M{self._messages}",
            *lines,
            label=label,
            account=who,
            header={3: "EHR", 4: place.upper(), 7: stamp},
            pid={3: f"{who}^^^{place.upper()}^MR", 5: f"Doe^{who}"},
            pv1={19: pv1.get("visit", ""), 20: "COM" if insured else "SP", 44: self.today(place)},
        )
        answers = [one async for one in self.house.intakes[place].answers(body, source="mllp")]
        if [verdict(one) for one in answers] != ["AA"]:
            self.wrong.append(f"{label} of {who} was answered {answers}")

    async def get(self, path: str) -> Json:
        answer = await self.http.get(API + path, headers={"authorization": f"Bearer {TOKEN}"})
        return loads(answer.content)

    async def stored(self, act: Act, account: str) -> str:
        """The method that the payer stored before, or stores now."""
        kind = "card" if act.how == "card" else "bank"
        if (act.who, act.how) not in self._cards:
            setup = await self.post("/method-setups", {"account": account, "kind": kind, "facility": act.place})
            await self.form(setup["url"], card=ACCOUNTS.get(act.how, GOOD), action="pay")
            consent: Json = {"text": "Yes, charge it.", "cap": money(5000_00)}
            consent |= {"sec_code": "WEB"} if kind == "bank" else {}
            body = {"account": account, "setup": setup["setup"], "consent": consent, "facility": act.place}
            kept = await self.post("/stored-methods", body)
            self._cards[act.who, act.how] = kept.get("id", "")
        return self._cards[act.who, act.how]

    def today(self, place: str) -> str:
        """As the place counts days."""
        here = next(one for one in PLACES if one.name == place)
        return here.business_day(self.clock.now()).replace("-", "")

    # ── acts ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def play(self, act: Act, day: str) -> None:
        assert act.at >= self.clock.at, (act, self.clock.at)
        self.clock.at, self.day = act.at, day
        if act.kind in BEFORE:
            await self.planted(act)
        await ACTS[act.kind](self, act)
        if act.kind not in (*BEFORE, "bank_file"):
            await self.planted(act)
        await self.settle(act.place)

    async def planted(self, act: Act) -> None:
        """What somebody has planted right here."""
        for since, one in list(self.plants):
            if (act.kind, act.place) != (one.act, one.place) or self.day < since:
                continue
            cents = await one.hook(self, act)
            await self.settle()
            if cents is None:
                continue
            self.plants.remove((since, one))
            if one.kind != NOT_OPEN:
                self.errors.append(Error(one.name, one.kind, cents))
            if act.kind in ONE_EACH:
                return

    async def night(self, over: datetime, worked: Collection[str]) -> None:
        """What the worker role does by itself in an hour of the night, and the practice's close of each place's day."""
        self.clock.at = over
        for one in PLACES:
            self.swept[self.day] += await self.house.sweep.whole(one.name)
        await self.settle()
        for one in PLACES:
            await self.house.pulls.pull(one.name)
        await self.house.reconcile.look()
        await self.house.back.read("ehr")
        await self.settle()
        for due in [one for one in self.put_right if one[0] <= over.date()]:
            self.put_right.remove(due)
            self.apart[due[1]] += due[2]
        for one in PLACES:
            body = {"by": "kim", "facility": one.name, "day": self.day, "reason": "it is on the worklist"}
            if one.name in worked:
                self.closes.append((await self.post("/closes", {**body, "till": one.name})).get("document", {}))
            self.closes.append((await self.post("/closes", body)).get("document", {}))
