"""What goes wrong in a simulation, while it does: faults of the processor, the EHR, the network and our processes.

Everything is drawn from one chance, and everything ends with `end`. A seed has a theme, which makes one kind of trouble
likely where it hurts: a hundred worlds with a little of everything would hardly ever meet a crash between two units.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

import httpx2
from sim_process import Trap

from fhirpay.simulators import processor_rules
from fhirpay.simulators.ehr_faults import Fault as EhrFault
from fhirpay.simulators.processor_faults import FAULTS, Fault

if TYPE_CHECKING:
    from sim_process import Process
    from sim_world import World

THEMES = (
    "anything",
    "deaths",  # of processes, at the points between two steps of a story
    "leases",  # two processes, one stands still past its lease where it hurts, and the EHR offers nothing but search
    "lost answers",  # of calls that move money, and lists that are behind
    "long silence",  # a lost answer, then nothing for a day or three, then a processor that can't be asked
    "changes of mind",  # the hospital takes back what is being paid
)
_OPERATIONS = ("create", "confirm", "confirm", "confirm", "refund", "refund", "get", "list", "checkout", "method", "*")
_EHR = (
    "down busy unavailable expired cut lost_answer half_answer late error error_after slow hang hang_after silent"
    " index_lag"
).split()
# The points at which something has just become true, and nobody has been told yet.
_POINTS = (
    "after TakePayment._finish",
    "after TakePayment._sending",
    "after Webhooks._settle",
    "after LookUp._finish",
    "after Refunds._sending",
    "after Refunds._finish",
    "after _make",
    "after _sending",
    "after _posted",
    "after _record",
    "after Hl7Intake._record",
    "after ApplyMessage._apply",
    "before sending",
    "answered",
    "answers a frame",
)
# Where it hurts to stand still past a lease: before it is looked at again.
_STILL = (
    "before TakePayment._sending",
    "before Refunds._sending",
    "before _sending",
    "before LookUp._resending",
    "before TakePayment._finish",
    "before LookUp._finish",
    "before Webhooks._settle",
    "before _posted",
    "answered",
)


class Chaos:
    """The one who breaks things."""

    def __init__(self, world: World, chance: Random) -> None:
        self._world = world
        self._chance = chance
        self._on = True
        self.theme = THEMES[world.seed % len(THEMES)]
        self._deaths = chance.choice((2, 3, 4)) if self.theme == "deaths" else chance.choice((0, 0, 1, 2))
        self._units = world.chances("units")

    def open(self) -> None:
        """How things stand at the beginning."""
        world, chance, theme = self._world, self._chance, self.theme
        world.net.bad = chance.choice((0.0, 0.5, 1.0, 2.0))
        world.net.lossy = theme == "lost answers"
        switches = world.ehr.switches
        if theme == "leases" or chance.random() < 0.3:
            switches.update_create = False
            switches.conditional_create = theme != "leases" and chance.random() < 0.5
        self._webhooks()
        for _ in range(chance.choice((0, 1, 2))):
            self._processor_fault()
        for _ in range(chance.choice((0, 0, 1, 2))):
            self._ehr_fault()
        if theme in ("lost answers", "long silence"):
            faults = world.processor.faults.waiting
            for operation in ("confirm", "refund", "refund"):
                faults.append(Fault(operation, chance.choice(("lost_answer", "after", "late")), 1, 20.0))
            with world.processor.books.transaction():
                world.processor.books.set("list_lag_s", chance.choice((0, 20, 50)))
                world.processor.books.set("webhooks", {"hold": True})
        if theme == "long silence":
            for operation in ("list", "get"):
                world.processor.faults.waiting.append(Fault(operation, "before", 2))

    async def run(self) -> None:
        while self._on:
            await asyncio.sleep(self._chance.choice((30, 600, 4000)) * self._chance.random())
            if self._on:
                self._chance.choice(self._means)()

    @property
    def _means(self) -> tuple[Callable[[], None], ...]:
        return (
            self._processor_fault,
            self._processor_fault,
            self._ehr_fault,
            self._webhooks,
            self._kill,
            self._stand_still,
            self._jump,
            self._decide,
            self._forge,
        )

    def end(self) -> None:
        """From now on everything works."""
        self._on = False
        world = self._world
        world.net.bad = 0
        world.processor.faults.waiting.clear()
        world.ehr.faults.set.clear()
        with world.processor.books.transaction():
            world.processor.books.set("webhooks", {})
            world.processor.books.set("list_lag_s", 0)
        world.messenger.wake()
        for process in world.processes.values():
            process.traps.clear()
            process.go_on()

    # ── seams ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def storage_fails(self) -> str:
        if not self._on:
            return ""
        roll = self._units.random()
        return "before" if roll < 0.002 else "after" if roll < 0.004 else ""

    def pause(self) -> float:
        """Between a unit and what comes before and after it: others get their turn."""
        return self._units.random() * (0.3 if self._units.random() < 0.05 else 0.01)

    def traps(self) -> list[Trap]:
        """What waits for a process that starts."""
        chance = self._chance
        if not self._on:
            return []
        traps: list[Trap] = []
        if self._deaths > 0:
            self._deaths -= 1
            point = chance.choice(_POINTS) if chance.random() < 0.7 else ""
            traps.append(Trap(point, chance.randint(1, 3) if point else chance.randint(1, 400)))
        if self.theme in ("leases", "long silence") or chance.random() < 0.2:
            for _ in range(3):
                long = self.theme == "long silence" and chance.random() < 0.5
                seconds = 100_000.0 if long else chance.uniform(60, 400)
                traps.append(Trap(chance.choice(_STILL), chance.randint(1, 6), seconds))
        return traps

    def restart_after(self) -> float:
        return self._chance.choice((0.2, 5.0, 200.0)) * (0.5 + self._chance.random())

    def asks(self) -> None:
        """The desk is about to ask for money."""
        if self._on and self.theme == "changes of mind":
            for operation in ("create", "checkout"):
                self._world.processor.faults.waiting.append(Fault(operation, "before", self._chance.randint(2, 6)))

    # ── what it does ──────────────────────────────────────────────────────────────────────────────────────────────

    def _processor_fault(self) -> None:
        chance = self._chance
        operation, fault = chance.choice(_OPERATIONS), chance.choice(FAULTS)
        # What is done late is done within the time that the adapter allows for (`lookup_settles_after`).
        seconds = chance.choice((0.5, 15.0, 40.0)) if fault == "late" else chance.choice((0.5, 15.0, 45.0, 400.0))
        self._world.processor.faults.waiting.append(Fault(operation, fault, chance.choice((1, 1, 2, 5)), seconds))
        self._world.tell("chaos", "processor", operation, fault)

    def _ehr_fault(self) -> None:
        chance = self._chance
        mode = chance.choice(_EHR)
        seconds = chance.choice((3.0, 30.0, 60.0))
        methods = chance.choice(([], ["POST", "PUT"]))
        self._world.ehr.faults.set.append(EhrFault(mode, chance.choice((1, 1, 2, 6)), seconds, methods))
        self._world.tell("chaos", "EHR", mode)

    def _webhooks(self) -> None:
        chance, books = self._chance, self._world.processor.books
        mode = chance.choice(
            (
                {},
                {"hold": True},
                {"newest_first": True, "duplicates": 1},
                {"delay_s": chance.choice((5, 300, 20_000)), "duplicates": chance.choice((0, 2))},
                {"drop_next": chance.choice((1, 3))},
                {"silent_until": books.now() + chance.choice((3600, 172_800))},
            )
        )
        with books.transaction():
            books.set("webhooks", mode)
        self._world.messenger.wake()
        self._world.tell("chaos", "webhooks", json.dumps(mode))

    def _some_process(self) -> Process:
        return self._chance.choice(list(self._world.processes.values()))

    def _kill(self) -> None:
        process = self._some_process()
        if self._deaths > 0 and not process.dead:
            self._deaths -= 1
            process.kill("killed")

    def _stand_still(self) -> None:
        self._some_process().stop(self._chance.choice((1.0, 30.0, 200.0, 900.0)) * self._chance.random())

    def _jump(self) -> None:
        """The machines were asleep: it is later than everybody thinks."""
        world = self._world
        world.clock.jumped += timedelta(seconds=self._chance.choice((60, 900, 86_400, 3 * 86_400)))
        world.tell("chaos", "jump")
        world.committed()
        world.messenger.wake()

    def _decide(self) -> None:
        """Late news from the processor: a page paid after it had expired, a refund that comes back, a review ends."""
        world, chance = self._world, self._chance
        books = world.processor.books
        choices = [
            ("late", page["id"])
            for page in books.all("checkout")
            if page["status"] == "expired" and page["url"] in world.people.pages and not page["payment"]
        ]
        choices += [("failed", refund["id"]) for refund in books.all("refund") if refund["status"] == "succeeded"]
        choices += [("captured", one["id"]) for one in books.all("payment") if one["status"] == "in_review"]
        if not choices:
            return
        result, id_ = chance.choice(choices)
        with books.transaction():  # nobody looks again at what has ended: an event is all there is, so it isn't dropped
            books.set("webhooks", {**books.setting("webhooks", {}), "drop_next": 0})
        if result == "late":
            with books.transaction():
                page = books.get("checkout", id_)
                processor_rules.pay_on_page(
                    books, page, "4242424242424242", base_url="https://processor.test/", late=True
                )
                world.tell("processor", "paid late", id_)
        elif result != "failed" or chance.random() < 0.4:
            with books.transaction():
                world.processor_decides(id_, result)
        world.messenger.wake()

    def _forge(self) -> None:
        """Somebody else sends an event: signed with another secret, or an old one sent again."""
        events = self._world.processor.books.events()
        if events:
            self._world.later(0, self._forged(self._chance.choice(events), wrong=self._chance.random() < 0.7))

    async def _forged(self, event: dict[str, object], *, wrong: bool) -> None:
        body = json.dumps({**event, "id": f"evt_forged{len(self._world.log)}"} if wrong else event).encode()
        at = int(self._world.clock.seconds())
        secret = b"whsec_guessed" if wrong else b"whsec_sim"
        mac = hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {"simulator-signature": f"t={at},v1={mac}"}
        try:
            url = "https://fhirpay.test/webhooks/simulated/main"
            answer = await self._world.browser.post(url, content=body, headers=headers)
        except httpx2.TransportError:
            return
        if answer.status_code not in ((401, 503) if wrong else (200, 503)):
            self._world.trouble(f"a forged event was answered {answer.status_code}")
