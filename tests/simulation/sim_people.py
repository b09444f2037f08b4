"""The people of a simulation: a desk that asks for what may be asked, payers at the processor's pages, their cards.

The desk has its own list of what it did; it retries a call with the same Idempotency-Key until it has an answer, clicks
twice now and then, and gives money back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import httpx2
from sim_hospital import TOKEN, Patient, amount

from fhirpay.fhir.json import loads

if TYPE_CHECKING:
    from sim_world import World

Json = dict[str, Any]

# card numbers of the simulated processor, by how often they turn up
CARDS = {
    "4242424242424242": 50,
    "5555555555554444": 10,
    "4000000000000002": 5,
    "4000000000000341": 4,
    "4000000000003220": 5,
    "4000000000000077": 4,
    "4000000000000085": 4,
    "4000000000009235": 4,
    "4000000000000119": 8,
    "4000000000000127": 4,
    "4000000000007726": 5,
    "4000000000005126": 5,
}
API = "https://fhirpay.test/api/v1"


@dataclass
class People:
    """Everybody who pays, and who asks for it."""

    world: World
    chance: Random
    payments: dict[str, Patient] = field(default_factory=dict)
    refunds: list[str] = field(default_factory=list)
    methods: dict[str, str] = field(default_factory=dict)  # by patient
    pages: set[str] = field(default_factory=set)  # that a payer was sent to
    _keys: int = 0

    async def visit(self, patient: Patient) -> None:
        """Asks for what is owed some times in the day, as long as anything is."""
        chance = self.chance
        await asyncio.sleep(chance.uniform(60, 4000))
        if chance.random() < 0.6:
            await self._store_method(patient)
        for _ in range(chance.choice((2, 2, 3))):
            await self._ask(patient)
            await asyncio.sleep(chance.choice((20, 300, 5000, 40000)) * chance.random())
            if chance.random() < 0.5:
                await self._give_back(patient)

    # ── payments ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, patient: Patient) -> None:
        status, balance = await self._get(f"/balance?account={patient.account}")
        if status != 200 or not balance["askable"]:
            return
        owed = int(balance["askable"][0]["value"] * 100)
        body: Json = {"account": patient.account, "method": {"hosted": {}}}
        if patient.name in self.methods and self.chance.random() < 0.7:
            body["method"] = {"stored_method": self.methods[patient.name]}
        if owed > 200 and self.chance.random() < 0.25:
            body["amount"] = {"value": amount(self.chance.randrange(100, owed)), "currency": "USD"}
        self.world.chaos.asks()
        patient.asked.set()
        key = self._key()
        asking = [self._post("/payments", body, key)]
        roll = self.chance.random()
        if roll < 0.15:
            asking.append(self._post("/payments", body, key))  # a double click
        elif roll < 0.3:
            asking.append(self._post("/payments", body, self._key()))  # at two desks
        for status, answer in await asyncio.gather(*asking):
            if status == 201:
                self.payments[answer["id"]] = patient
                if "hosted" in body["method"]:
                    self.world.later(0, self._pay_page(answer["id"]))
            elif status not in (0, 422):  # 0: nobody answered for hours, and the desk went home
                self.world.trouble(f"a payment was answered {status}: {answer}")

    async def _pay_page(self, payment_id: str) -> None:
        """The payer comes to the page, sooner, later, too late or never."""
        url = None
        for _ in range(30):
            status, payment = await self._get(f"/payments/{payment_id}")
            if status == 200 and (payment["state"] not in ("created", "requires_action")):
                return
            if status == 200 and (url := payment["hosted_url"]):
                break
            await asyncio.sleep(30)
        if url is None:
            return
        self.pages.add(url)
        if self.chance.random() < 0.15:
            return
        await asyncio.sleep(self.chance.choice((5, 60, 600, 4000, 100_000)) * self.chance.random())
        await self._fill(url)
        if self.chance.random() < 0.1:
            await self._fill(url)

    async def _fill(self, url: str) -> None:
        """A card on a page of the processor, and a confirmation where the bank asks for one."""
        card = self.chance.choices(list(CARDS), list(CARDS.values()))[0]
        answer = await self._form(url, {"card": card, "action": "pay"})
        location = answer.headers.get("location", "") if answer is not None else ""
        if "/challenge/" in location and self.chance.random() < 0.8:
            await self._form(location, {"action": self.chance.choice(("confirm", "confirm", "refuse"))})

    async def _form(self, url: str, fields: dict[str, str]) -> httpx2.Response | None:
        try:
            return await self.world.browser.post(url, data=fields)
        except httpx2.TransportError:
            return None

    async def _store_method(self, patient: Patient) -> None:
        status, setup = await self._post("/method-setups", {"account": patient.account}, self._key(), tries=4)
        if status != 201:
            return
        await self._fill(setup["url"])
        consent = {"text": "Yes, charge it.", "cap": {"value": "400.00", "currency": "USD"}}
        body = {"account": patient.account, "setup": setup["setup"], "consent": consent}
        status, kept = await self._post("/stored-methods", body, self._key(), tries=4)
        if status == 201:
            self.methods[patient.name] = kept["id"]

    # ── refunds ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _give_back(self, patient: Patient) -> None:
        mine = [one for one, of in self.payments.items() if of is patient]
        if not mine:
            return
        payment_id = self.chance.choice(mine)
        status, payment = await self._get(f"/payments/{payment_id}")
        if status != 200 or payment["state"] != "captured":
            return
        captured = int(payment["captured"]["value"] * 100)
        body: Json = {"payment": payment_id, "reason": "asked for"}
        roll = self.chance.random()
        if roll < 0.5 and captured > 2:
            body["amount"] = {"value": amount(self.chance.randrange(1, captured)), "currency": "USD"}
        elif roll < 0.65:
            body["amount"] = {"value": amount(captured + 100), "currency": "USD"}
        asking = [self._post("/refunds", body, self._key())]
        if self.chance.random() < 0.3:
            asking.append(self._post("/refunds", body, self._key()))  # at two desks
        for status, answer in await asyncio.gather(*asking):
            if status == 201:
                self.refunds.append(answer["id"])
            elif status not in (0, 422):  # 0: nobody answered for hours, and the desk went home
                self.world.trouble(f"a refund was answered {status}: {answer}")

    # ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _key(self) -> str:
        self._keys += 1
        return f"key-{self._keys}"

    async def _post(self, path: str, body: Json, key: str, *, tries: int = 200) -> tuple[int, Json]:
        """The answer, however often it has to be asked for."""
        return await self._call("POST", path, {"json": body}, {"idempotency-key": key}, tries)

    async def _get(self, path: str) -> tuple[int, Json]:
        return await self._call("GET", path, {}, {}, 20)

    async def _call(
        self, method: str, path: str, content: Json, headers: dict[str, str], tries: int
    ) -> tuple[int, Json]:
        headers = {"authorization": f"Bearer {TOKEN}", **headers}
        for tried in range(1, tries + 1):
            try:
                answer = await self.world.desk.request(method, API + path, headers=headers, **content)
                if answer.status_code != 503:
                    return answer.status_code, loads(answer.content)
            except httpx2.TransportError:
                pass
            await asyncio.sleep(self.chance.uniform(0.5, 20) * min(tried, 200))
        return 0, {}
