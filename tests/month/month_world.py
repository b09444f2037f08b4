"""The practice of `month_plan.py` at the program: as `wiring` builds it, with a processor for each place and an EHR.

    acts ─▶ HL7v2 frames, the desk's API, payers at the processor's page, processors' own nights, bank files
              └▶ after each: workers to the end of what is due, events signed and delivered

Everybody is a real application on one clock, which stands still while anybody works and jumps to the next act. One
SQLite in memory, units run inline. `MonthWorld.play` does an act; a test that plants an error changes what others say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from datetime import date, datetime
from random import Random

import httpx2
from month_bank import Bank
from month_places import PLACES, Act, Place
from month_plan import Plan
from month_plants import BEFORE, NOT_OPEN, ONE_EACH, Error, Plant
from month_practice import (
    ACCOUNTS,
    DECLINED,
    EHR_TOKEN,
    GOOD,
    SECRET,
    TOKEN,
    Clock,
    Json,
    Stage,
    amount,
    money,
    tenant,
)

from fhirpay import wiring
from fhirpay.config import Settings
from fhirpay.fhir.json import loads
from fhirpay.simulators import ehr, processor
from fhirpay.simulators.processor_books import Books
from intake_world import ft1, message, verdict
from sim_net import Net, Outside, Server
from sim_time import SeededIds

API = "https://fhirpay.test/api/v1"


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
        self.swept: Counter[str] = Counter()  # by day, events that only the processor's list told of
        self.lost = 0  # events that were never delivered
        self.closes: list[Json] = []  # what was signed
        self.planted_all = False
        self.day = ""
        self._keys = 0
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
        self._keys += 1
        headers = {"authorization": f"Bearer {TOKEN}", "idempotency-key": f"key-{self._keys}"}
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

    # ── acts ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def play(self, act: Act, day: str) -> None:
        assert act.at >= self.clock.at, (act, self.clock.at)
        self.clock.at, self.day = act.at, day
        if act.kind in BEFORE:
            await self.planted(act)
        await self._acts[act.kind](self, act)
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

    async def _booked(self, act: Act) -> None:
        when = act.more["starts"]
        sch = (
            f"SCH|P-{act.name}|F-{act.name}||||VISIT^Visit|FOLLOWUP|OFFICE|30|min|^^^{when:%Y%m%d%H%M%S}+0000"
            + "|" * 14
        )
        await self.hl7(act.place, act.who, sch + "Booked", label="SIU^S12^SIU_S12", insured=False, visit=act.name)

    async def _arrives(self, act: Act) -> None:
        insured = act.more["insured"]
        await self.hl7(act.place, act.who, label="ADT^A04", insured=insured, visit=act.name)

    async def _copay(self, act: Act) -> None:
        line = ft1(
            1,
            "CO",
            amount(act.cents),
            {2: f"CO{act.name}", 4: self.today(act.place), 5: self.today(act.place), 7: "COPAY"},
        )
        await self.hl7(act.place, act.who, line, label="DFT^P03", insured=True, visit=act.name)

    async def _charge(self, act: Act) -> None:
        self.known[f"charge of {act.who}"] = f"CG{act.name}"
        line = ft1(1, "CG", amount(act.cents), {2: f"CG{act.name}", 4: self.today(act.place), 5: self.today(act.place)})
        await self.hl7(act.place, act.who, line, label="DFT^P03", insured=act.more["insured"], visit=act.name)

    def today(self, place: str) -> str:
        """As the place counts days."""
        here = next(one for one in PLACES if one.name == place)
        return here.business_day(self.clock.now()).replace("-", "")

    async def _pay(self, act: Act) -> None:
        account = f"urn:{act.place}|{act.who}"
        body: Json = {"account": account, "amount": money(act.cents)}
        if act.how in ("cash", "check"):
            tender: Json = {"kind": act.how, "till": act.place}
            tender |= {"check_number": str(1000 + self._keys)} if act.how == "check" else {}
            made = await self.post("/desk-payments", {**body, "by": "ann", "tender": tender})
            self.known[act.name] = made.get("id", "")
            return
        if act.how == "page":
            made = await self.post("/payments", {**body, "method": {"hosted": {}}})
            await self.settle(act.place)
            payment_id = self.known[act.name] = made.get("id", "")
            if not payment_id:
                return
            found = await self._get(f"/payments/{payment_id}")
            if act.more["declined"]:
                await self.form(found["hosted_url"], card=DECLINED, action="pay")
                await self.settle(act.place)
            await self.form(found["hosted_url"], card=GOOD, action="pay")
        else:
            method = await self._stored(act, account)
            made = await self.post("/payments", {**body, "method": {"stored_method": method}})
            self.known[act.name] = made.get("id", "")

    async def _authorize(self, act: Act) -> None:
        account = f"urn:{act.place}|{act.who}"
        body: Json = {"account": account, "amount": money(act.cents), "capture": "manual"}
        made = await self.post("/payments", {**body, "method": {"stored_method": await self._stored(act, account)}})
        self.known[act.name] = made.get("id", "")

    async def _take_part(self, act: Act) -> None:
        await self.post(f"/payments/{self.known[act.name]}/capture", {"amount": money(act.cents)})

    async def _stored(self, act: Act, account: str) -> str:
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

    async def _get(self, path: str) -> Json:
        answer = await self.http.get(API + path, headers={"authorization": f"Bearer {TOKEN}"})
        return loads(answer.content)

    async def _refund(self, act: Act) -> None:
        await self.post(
            "/refunds", {"payment": self.known[act.name], "amount": money(act.cents), "reason": "asked for"}
        )

    async def _hand_back(self, act: Act) -> None:
        tender = {"kind": "cash", "till": act.place}
        body = {"by": "ann", "payment": self.known[act.name], "amount": money(act.cents), "tender": tender}
        await self.post("/desk-refunds", {**body, "reason": "asked for"})

    async def _dispute(self, act: Act) -> None:
        tries = self.books(act.place).by_reference("payment", self.known[act.name])
        theirs = next(one for one in tries if one["capture"])
        made = await self.control(act.place, "disputes", {"payment": theirs["id"]})
        self.known[f"dispute {act.name}"] = made["id"]

    async def _dispute_again(self, act: Act) -> None:
        body = {"status": "needs_response", "withdraw": act.cents}
        await self.control(act.place, f"disputes/{self.known[f'dispute {act.name}']}", body)

    async def _dispute_ends(self, act: Act) -> None:
        body: Json = {"status": act.how} | ({"reinstate": act.cents} if act.how == "won" else {})
        await self.control(act.place, f"disputes/{self.known[f'dispute {act.name}']}", body)

    async def _bounce(self, act: Act) -> None:
        body = {"by": "ben", "payment": self.known[act.name], "reason": "insufficient_funds"}
        await self.post("/returned-checks", {**body, "fee": money(act.more["fee"])})

    async def _safe(self, act: Act) -> None:
        await self.post(f"/safes/{act.place}", {"by": "ben", "amount": money(act.cents), "source": "opening"})

    async def _open(self, act: Act) -> None:
        await self.post(f"/tills/{act.place}/open", {"by": "ann", "float": money(act.cents)})

    async def _drop(self, act: Act) -> None:
        await self.post(f"/tills/{act.place}/drop", {"by": "ann", "amount": money(act.cents)})

    async def _count(self, act: Act) -> None:
        await self.post(f"/tills/{act.place}/count", {"by": "ann", "counted": money(act.cents)})

    async def _close(self, act: Act) -> None:
        await self.post(f"/tills/{act.place}/close", {"by": "ann", "counted": money(act.cents)})

    async def _bag(self, act: Act) -> None:
        body: Json = {"by": "ann", "facility": act.place, "checks": [self.known[one] for one in act.more["checks"]]}
        body |= {"cash": money(act.cents)} if act.cents else {}
        await self.post("/bank-bags", {**body, "slip": f"{act.at:%y%m%d}"})

    # ── processors and banks ──────────────────────────────────────────────────────────────────────────────────────

    async def _tick(self, act: Act) -> None:
        for one in PLACES:
            await self.control(one.name, "clock", {"advance_s": 0})
            await self.settle(one.name)

    async def _monthly_fee(self, act: Act) -> None:
        await self.control(act.place, "lines", {"type": "fee", "amount": act.cents})

    async def _reserve(self, act: Act) -> None:
        type_ = "reserve_held" if act.cents > 0 else "reserve_released"
        await self.control(act.place, "lines", {"type": type_, "amount": abs(act.cents)})

    async def _pay_out(self, act: Act) -> None:
        made = await self.control(act.place, "payouts", {"status": "in_transit", "arrives_on": act.more["arrives"]})
        self.known[act.name] = made["id"]
        self.more[act.name] += self.more.pop(act.place, 0)
        if made["amount"] != act.cents + self.more[act.name]:
            self.wrong.append(f"payout {act.name} is of {made['amount']}, not {act.cents}")

    async def _payout_paid(self, act: Act) -> None:
        await self.control(act.place, f"payouts/{self.known[act.name]}", {"status": "paid"})

    async def _payout_fails(self, act: Act) -> None:
        await self.control(act.place, f"payouts/{self.known[act.name]}", {"status": "failed"})

    def _not_as_planned(self, place: str, slip: str) -> int:
        """How much more was in a bag than the plan has, which the bank counts."""
        more = self.more.pop(f"bag {place} {slip}", 0)
        self.apart["deposit", ""] -= more
        self.apart["bank", ""] += more
        return more

    async def _bank_file(self, act: Act) -> None:
        bank = self.bank[act.place]
        lines: list[tuple[str, int]] = []
        for name, cents in act.more["lines"]:
            more = self.more.pop(name, 0)
            lines.append((self.known[name], cents + more))
            self.apart["transit", act.place] -= more
            self.apart["bank", act.place] += more
        bank.booked(act.more["day"], lines)
        bags = [(slip, cents + self._not_as_planned(act.place, slip)) for slip, cents, _ in act.more["bags"]]
        bags += self.held_back.pop(act.place, [])
        bank.counted(act.more["day"], bags)
        await self.planted(act)
        data = bank.file(act.more["day"])
        if data is not None and act.more["day"] not in bank.lost:
            await self.house.bank.take(act.place, f"{act.more['day']}.{bank.format}", data)

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

    _acts: dict[str, Callable[[MonthWorld, Act], Awaitable[None]]] = {
        "booked": _booked,
        "arrives": _arrives,
        "copay": _copay,
        "charge": _charge,
        "pay": _pay,
        "authorize": _authorize,
        "take_part": _take_part,
        "refund": _refund,
        "hand_back": _hand_back,
        "dispute": _dispute,
        "dispute_again": _dispute_again,
        "dispute_ends": _dispute_ends,
        "bounce": _bounce,
        "safe": _safe,
        "open": _open,
        "drop": _drop,
        "count": _count,
        "close": _close,
        "bag": _bag,
        "tick": _tick,
        "monthly_fee": _monthly_fee,
        "reserve": _reserve,
        "pay_out": _pay_out,
        "payout_paid": _payout_paid,
        "payout_fails": _payout_fails,
        "bank_file": _bank_file,
    }
