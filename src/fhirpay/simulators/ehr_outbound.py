"""What the simulated EHR sends: HL7v2 over MLLP and FHIR over HTTP, as a sender that fhirpay never met.

Used by `ehr.py` and the demo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2

from .ehr_json import read, write
from .ehr_mllp import send_mllp
from .trust import trusted


@dataclass(frozen=True)
class Outbound:
    """Where to: the MLLP address of an interface, and a FHIR base with the token it wants."""

    mllp: tuple[str, int] = ("127.0.0.1", 2575)
    fhir: str = ""
    token: str = ""
    timeout_s: float = 10

    async def send_hl7(self, message: bytes) -> bytes:
        """The ACK. Line ends may be LF; on the wire a segment ends with CR."""
        host, port = self.mllp
        segments = message.replace(b"\r\n", b"\r").replace(b"\n", b"\r")
        return await send_mllp(host, port, segments, timeout_s=self.timeout_s)

    async def send_fhir(self, resource: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and answer. A resource that has an id goes by PUT to that id, another one by POST."""
        kind, id = resource["resourceType"], resource.get("id", "")
        url = f"{self.fhir.rstrip('/')}/{kind}" + (f"/{id}" if id else "")
        headers = {"Content-Type": "application/fhir+json", "Authorization": f"Bearer {self.token}"}
        async with httpx2.AsyncClient(timeout=self.timeout_s, verify=trusted()) as client:
            answer = await client.request("PUT" if id else "POST", url, content=write(resource), headers=headers)
        return answer.status_code, read(answer.content) if answer.content else {}
