"""The demo's play: three patients, each followed from the first message to what the EHR has stored.

Every step may be repeated: messages keep their control ids, resources their ids, calls their Idempotency-Key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from ..errors import InvariantBroken, NotFound
from ..fhir.json import dumps, loads
from ..hl7.reader import Message
from ..net.http import Response, client
from ..simulators.ehr_outbound import Outbound
from ..usecases.explain import explain
from ..usecases.explain_text import Chain
from . import demo_patients as patients
from .demo_world import TOKENS, World

PATIENCE_S = 45.0
POSTING = "PaymentReconciliation"
CARD = "4242 4242 4242 4242"
_FORM = {"content-type": "application/x-www-form-urlencoded"}


class Play:
    """What the EHR, the payer and the desk do. `say` takes each line of the story."""

    def __init__(self, world: World, *, say: Callable[[str], None]) -> None:
        self._world = world
        self._say = say
        self._day = patients.Day(world.day)
        self._units = world.system.house("main").units
        base = world.system.settings.base_url
        bearer = {"authorization": f"Bearer {TOKENS['client']}"}
        self._api = client(base, headers=bearer, allow_private=True)
        self._processor = client(world.processor_url, allow_private=True)
        self._ehr = client(world.ehr_url, headers={"authorization": f"Bearer {TOKENS['ehr']}"}, allow_private=True)
        self._desk = client(world.ehr_url.removesuffix("/fhir"), allow_private=True)
        self._sender = Outbound(("127.0.0.1", world.mllp_port))

    async def all(self) -> dict[str, Any]:
        """The whole play; the last PaymentReconciliation as the EHR has it."""
        try:
            await self._ana()
            last = await self._bea()
            await self._carl()
            return last
        finally:
            for one in (self._api, self._processor, self._ehr, self._desk):
                await one.aclose()

    # ── Ana: a copay, collected by policy ─────────────────────────────────────────────────────────────────────────

    async def _ana(self) -> None:
        self._title("Ana: a copay, collected by policy")
        await self._send(patients.ana_arrives(self._day), "registers for a visit")
        account = await self._account("urn:clinic:CLINIC", "ACC1001")
        await self._store_card(account)
        await self._send(patients.ana_is_charged(self._day), "is charged 180.00, copay 25.00 due today")
        chain = await self._posted("DEMO0002")
        self._show(chain)
        await self._stored_by_ehr(chain)

    async def _store_card(self, account: str) -> None:
        setup = await self._call("/api/v1/method-setups", {"account": account}, key="demo-ana-setup")
        await self._fill(setup["url"])
        self._step(f"stores a card on the processor's page, {setup['url']}")
        consent = {"text": patients.CONSENT, "cap": {"value": Decimal("50.00"), "currency": "USD"}}
        body = {"account": account, "setup": setup["setup"], "consent": consent}
        method = await self._call("/api/v1/stored-methods", body, key="demo-ana-method")
        self._step(f"{method['brand']} ending {method['last4']}, consent to copays up to 50.00 USD")

    # ── Bea: an Invoice, paid on the processor's page ─────────────────────────────────────────────────────────────

    async def _bea(self) -> dict[str, Any]:
        self._title("Bea: an Invoice, paid by herself")
        for resource in patients.bea_is_invoiced(self._day):
            status = await self._chart(resource)
            self._step(f"FHIR {resource['resourceType']}/{resource['id']} → {status}")
        await self._owed("Account/bea-2026")
        body = {"account": "Account/bea-2026", "method": {"hosted": {}}}
        started = await self._call("/api/v1/payments", body, key="demo-bea-payment")
        payment = await self._until(lambda: self._page_of(started["id"]), "the payment has a page to pay on")
        if payment["state"] == "requires_action":
            self._step(f"opens the processor's page to pay {payment['amount']['value']}: {payment['hosted_url']}")
            await self._fill(payment["hosted_url"])
        chain = await self._posted(payment["id"])
        self._show(chain)
        return await self._stored_by_ehr(chain)

    # ── Carl: not collected, and why ──────────────────────────────────────────────────────────────────────────────

    async def _carl(self) -> None:
        self._title("Carl: an insured charge that is not collected")
        await self._send(patients.carl_is_charged(self._day), "is charged 240.00")
        self._show(await self._until(lambda: self._explained("DEMO0003"), "the charge is assessed"))

    # ── what everybody does ───────────────────────────────────────────────────────────────────────────────────────

    def _title(self, text: str) -> None:
        self._say(f"\n━━ {text}")

    def _step(self, text: str) -> None:
        self._say(f" • {text}")

    def _show(self, chain: Chain) -> None:
        for line in chain.as_text().splitlines():
            self._say(f"   {line}")

    async def _send(self, message: bytes, what: str) -> None:
        answer = Message.parse(await self._sender.send_hl7(message))
        sent = Message.parse(message)
        self._step(f"{sent.label} over MLLP, {what}: {answer.get('MSA-1')} {answer.get('MSA-2')}")

    async def _chart(self, resource: dict[str, Any]) -> int:
        """The EHR stores the resource and sends it on to our FHIR endpoint; our status."""
        params = {"to": f"{self._api.base_url}/fhir/R4", "token": TOKENS["client"]}
        charted = _read(
            await self._desk.send("POST", "/control/chart", body=dumps(resource).encode(), params=params), "chart"
        )
        if charted["status"] not in (200, 201):
            raise InvariantBroken(f"our FHIR endpoint refused {resource['resourceType']}: {dumps(charted['answer'])}")
        return charted["status"]

    async def _call(self, path: str, body: dict[str, Any], *, key: str) -> dict[str, Any]:
        headers = {"content-type": "application/json", "idempotency-key": key}
        answer = await self._api.send("POST", path, body=dumps(body).encode(), headers=headers)
        return _read(answer, f"POST {path}")

    async def _page_of(self, payment_id: str) -> dict[str, Any] | None:
        payment = _read(await self._api.send("GET", f"/api/v1/payments/{payment_id}"), "GET payment")
        return payment if payment["hosted_url"] or payment["state"] != "created" else None

    async def _account(self, system: str, value: str) -> str:
        async def look() -> str | None:
            answer = await self._api.send("GET", "/fhir/R4/Account", params={"identifier": f"{system}|{value}"})
            entries = _read(answer, "GET Account").get("entry", [])
            return f"Account/{entries[0]['resource']['id']}" if entries else None

        return await self._until(look, f"account {value} is known")

    async def _owed(self, account: str) -> None:
        async def look() -> dict[str, Any] | None:
            answer = await self._api.send("GET", "/api/v1/obligations", params={"account": account})
            found = _read(answer, "GET obligations")
            # Paid already, where an interrupted demo goes on: then nothing of it may be asked any more.
            return found if any(one["basis"]["kind"] == "invoice" for one in found["obligations"]) else None

        await self._until(look, "the Invoice is assessed")

    async def _fill(self, url: str) -> None:
        """What a payer does on the processor's page. Filled in already, it says so."""
        path = url.removeprefix(self._world.processor_url)
        form = urlencode({"card": CARD, "action": "pay"}).encode()
        await self._processor.send("POST", path, body=form, headers=_FORM)

    async def _explained(self, id: str) -> Chain | None:
        try:
            chain = await self._units.read(explain, id)
        except NotFound:
            return None
        return chain if _nodes(chain, "obligation") else None

    async def _posted(self, id: str) -> Chain:
        async def look() -> Chain | None:
            chain = await self._explained(id)
            return chain if chain and any(node.get("state") == "posted" for node in _nodes(chain, POSTING)) else None

        return await self._until(look, f"{id} is posted at the EHR")

    async def _stored_by_ehr(self, chain: Chain) -> dict[str, Any]:
        (posting, *_) = _nodes(chain, POSTING)
        answer = await self._ehr.send("GET", f"/PaymentReconciliation/{posting['remoteId']}")
        stored = _read(answer, "the EHR's PaymentReconciliation")
        self._step("PaymentReconciliation as the EHR has stored it:")
        for line in dumps(stored, indent=2).splitlines():
            self._say(f"   {line}")
        return stored

    async def _until(self, look: Callable[[], Any], what: str) -> Any:
        """What `look` finds, as soon as it finds something. Raises InvariantBroken when patience ends."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + PATIENCE_S
        while (found := await look()) is None:
            if loop.time() > ends:
                raise InvariantBroken(f"after {PATIENCE_S:.0f} s it has not come to this: {what}")
            await asyncio.sleep(0.1)
        return found


def _read(answer: Response, what: str) -> dict[str, Any]:
    if not answer.ok:
        raise InvariantBroken(f"{what} was answered {answer.status}: {answer.body[:300].decode(errors='replace')}")
    return loads(answer.body)


def _nodes(chain: Chain, kind: str) -> list[Mapping[str, Any]]:
    """The nodes of a kind, as `explain --json` shows them, in order."""
    found: list[Mapping[str, Any]] = []

    def walk(nodes: list[dict[str, Any]]) -> None:
        for node in nodes:
            if node["kind"] == kind:
                found.append(node)
            walk(node.get("then", []))

    walk(chain.as_json()["chain"])
    return found
