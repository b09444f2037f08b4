"""localstripe (a stateful fake of Stripe that others wrote; GPL, so only ever run, never imported) on a loopback port.

What it leaves out of answers that Stripe documents is filled in on the way by `Completed`, from its own objects; calls
go wrong there too, since it has no handles for that:

| Stripe | localstripe 1.15 | here |
|---|---|---|
| confirm takes `off_session`, `return_url` | refuses both | left out on the way |
| PaymentIntent: `amount_received`, `amount_capturable`, `canceled_at` | absent | from its charge |
| Charge: `payment_method_details` | absent | from its PaymentMethod |
| a declined card is a `card_error` | `invalid_request_error` | the type is put right |
| `Idempotency-Key` | ignored | not offered by the adapter under test |
| Checkout Sessions | absent | not offered by the adapter under test |
| no refund beyond what was captured; no capture after cancel | accepted | those tests are left out |
| 429, a lost answer, a broken status | never | made on the way |
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx2

SECRET_KEY = "sk_test_localstripe"  # noqa: S105
Doc = dict[str, Any]
_CONFINED = Path(__file__).parent / "localstripe_confined"
_PATIENCE_S = 60


@contextmanager
def running_localstripe() -> Iterator[str]:
    """Its address. The process is ours: started here, stopped here by its handle."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "localstripe", "--from-scratch", "--port", str(port)],
        env={**os.environ, "PYTHONPATH": str(_CONFINED)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=_PATIENCE_S)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        assert process.poll() is None, "localstripe ended by itself"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("localstripe does not answer")


def listens_on(port: int) -> set[str]:
    """The addresses on which somebody listens at this port, by the kernel's table (Linux)."""
    found: set[str] = set()
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            address, state = line.split()[1], line.split()[3]
            host, theirs = address.split(":")
            if state == "0A" and int(theirs, 16) == port:
                words = [bytes.fromhex(host[at : at + 8])[::-1] for at in range(0, len(host), 8)]
                found.add(socket.inet_ntop(family, b"".join(words)))
    return found


class Completed(httpx2.AsyncBaseTransport):
    """The way to localstripe: completes what it says, and makes the next calls go wrong as the test asks."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._real = httpx2.AsyncHTTPTransport(trust_env=False)
        self.faults: list[tuple[str, str, int]] = []  # the path's end, what goes wrong, the status
        self.down = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.down:
            raise httpx2.ConnectError("nobody listens")
        fault, status = self._fault(request)
        if fault == "lost_request":
            raise httpx2.ReadError("the connection broke")
        if fault == "status":
            return httpx2.Response(status, content=b"{}")
        answer = await self._real.handle_async_request(_without_refused(request, (await request.aread()).decode()))
        doc = json.loads(await answer.aread() or b"{}")
        if fault == "lost_answer":
            raise httpx2.ReadError("the connection broke")
        await self._complete(doc)
        if fault == "weird":
            doc["status"] = "a_status_of_tomorrow"
        return httpx2.Response(answer.status_code, content=json.dumps(doc).encode())

    def _fault(self, request: httpx2.Request) -> tuple[str, int]:
        for fault in self.faults:
            if request.method == "POST" and request.url.path.endswith(fault[0]):
                self.faults.remove(fault)
                return fault[1], fault[2]
        return "", 0

    async def _complete(self, doc: Doc) -> None:
        if doc.get("object") == "payment_intent":
            await self._complete_intent(doc)
        elif isinstance(doc.get("error"), dict) and doc["error"].get("code") == "card_declined":
            doc["error"]["type"] = "card_error"

    async def _complete_intent(self, doc: Doc) -> None:
        charge = doc["latest_charge"] or {}
        # It makes a Refund of what a partial capture releases, without a PaymentIntent: Stripe did so until 2025.
        released = sum(
            refund["amount"] for refund in charge.get("refunds", {}).get("data", []) if not refund["payment_intent"]
        )
        doc["amount_received"] = doc["amount"] - released if doc["status"] == "succeeded" else 0
        doc["amount_capturable"] = doc["amount"] if doc["status"] == "requires_capture" else 0
        doc["canceled_at"] = doc["created"] if doc["status"] == "canceled" else None
        if charge:
            method = await self.get(f"/v1/payment_methods/{charge['payment_method']}")
            charge["payment_method_details"] = {"card": method["card"]}

    async def get(self, path: str) -> Doc:
        """Read its books."""
        headers = {"Authorization": f"Bearer {SECRET_KEY}"}
        async with httpx2.AsyncClient(trust_env=False, verify=False, headers=headers) as http:
            answer = await http.get(f"{self._base_url}{path}")
        assert answer.is_success, answer.text
        return answer.json()

    async def post(self, path: str, form: Doc) -> Doc:
        headers = {"Authorization": f"Bearer {SECRET_KEY}"}
        async with httpx2.AsyncClient(trust_env=False, verify=False, headers=headers) as http:
            answer = await http.post(f"{self._base_url}{path}", data=form)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else {}

    async def aclose(self) -> None:
        await self._real.aclose()


def _without_refused(request: httpx2.Request, body: str) -> httpx2.Request:
    if request.method != "POST" or not request.url.path.endswith("/confirm"):
        return httpx2.Request(request.method, request.url, headers=_plain(request), content=body.encode())
    fields = [pair for pair in parse_qsl(body) if pair[0] not in ("off_session", "return_url")]
    return httpx2.Request("POST", request.url, headers=_plain(request), content=urlencode(fields).encode())


def _plain(request: httpx2.Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.headers.items() if name != "content-length"]
