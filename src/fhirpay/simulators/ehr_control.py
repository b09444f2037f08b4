"""The handles of the simulated EHR: its books, clock, faults and switches, its staff, and what it is to send.

For those who run the play: not FHIR, and not an EHR's. No token is asked for, so a simulator belongs on a machine's own
loopback address. The oracle of write-back is `/control/count`: what is there, by the identifier that it came with.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from .ehr_faults import Fault
from .ehr_json import read, write
from .ehr_outbound import Outbound

if TYPE_CHECKING:
    from .ehr import Ehr


def control(ehr: Ehr) -> APIRouter:
    router = APIRouter(prefix="/control")

    @router.get("/resources")
    async def resources(type: str = "") -> Response:
        versions = ehr.store.everything(type)
        shown = [
            {"type": v.type, "id": v.id, "version": v.version, "method": v.method, "resource": v.resource}
            for v in versions
        ]
        return _json({"resources": shown})

    @router.get("/count")
    async def count(type: str, identifier: str) -> Response:
        """How many are there now that came with this identifier (`system|value`), and their ids."""
        system, _, value = identifier.rpartition("|")
        found = ehr.store.live(type, system, value)
        return _json({"count": len(found), "ids": [one.id for one in found]})

    @router.get("/calls")
    async def calls() -> dict[str, int]:
        """How many requests came, by method, whatever became of them."""
        return dict(ehr.faults.calls)

    @router.get("/faults")
    @router.delete("/faults")
    async def faults(request: Request) -> dict[str, Any]:
        if request.method == "DELETE":
            ehr.faults.set.clear()
        return {"faults": ehr.faults.shown()}

    @router.post("/faults")
    async def add_fault(fault: Fault) -> dict[str, Any]:
        ehr.faults.set.append(fault)
        return {"faults": ehr.faults.shown()}

    @router.post("/switches")
    async def switch(values: dict[str, bool | int | str]) -> dict[str, Any]:
        for name, value in values.items():
            if name in vars(ehr.switches):
                setattr(ehr.switches, name, value)
        return asdict(ehr.switches)

    @router.post("/clock")
    async def clock(body: dict[str, Any]) -> dict[str, str]:
        """`{"stop_at": "2026-11-20T15:00:00Z"}` and `{"advance_s": 3600}`, or one of the two."""
        if "stop_at" in body:
            ehr.clock.stop_at(datetime.fromisoformat(body["stop_at"]))
        ehr.clock.advance(body.get("advance_s", 0))
        return {"now": ehr.clock.now().isoformat()}

    @router.post("/heartbeat")
    async def heartbeat() -> dict[str, str]:
        """Each topic's subscriber is shown that we live."""
        await ehr.subscriptions.heartbeat()
        return {"sent": "heartbeats"}

    @router.post("/delete")
    async def delete(type: str, id: str) -> dict[str, str]:
        """The EHR's staff delete a resource."""
        ehr.store.delete(type, id)
        return {"deleted": f"{type}/{id}"}

    @router.post("/restore")
    async def restore(seconds: float) -> dict[str, float]:
        """The EHR is restored from a backup that is so old."""
        ehr.store.restore(seconds)
        return {"forgotten_s": seconds}

    @router.get("/messages")
    async def messages() -> dict[str, Any]:
        return {"messages": [m.decode("utf-8", "replace") for m in ehr.store.messages()]}

    @router.post("/send/hl7")
    async def send_hl7(request: Request, host: str, port: int) -> dict[str, str]:
        """The EHR sends the message in the body over MLLP and tells the ACK."""
        answer = await Outbound(mllp=(host, port)).send_hl7(await request.body())
        return {"ack": answer.decode("utf-8", "replace")}

    @router.post("/chart")
    async def chart(request: Request, to: str = "", token: str = "") -> Response:
        """The EHR stores the resource in the body under its own id, tells who subscribed, and sends it on to
        a FHIR base where one is named."""
        resource = read(await request.body())
        version, _ = ehr.chart(resource)
        await ehr.subscriptions.deliver()
        if not to:
            return _json({"resource": version.resource})
        status, answer = await Outbound(fhir=to, token=token).send_fhir(version.resource)
        return _json({"resource": version.resource, "status": status, "answer": answer})

    return router


def _json(value: dict[str, Any]) -> Response:
    return Response(write(value), media_type="application/json")
